"""What sensors look at: things where they came to rest, their colours and the ground."""
