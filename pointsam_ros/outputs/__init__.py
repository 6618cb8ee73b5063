"""What the node says: answers as messages, and the topics and services that carry them."""
