"""What can be set, with its limits."""
