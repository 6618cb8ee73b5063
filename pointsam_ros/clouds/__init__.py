"""Clouds from their messages to what the model takes, and which of them are kept."""
