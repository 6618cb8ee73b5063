"""Answers as messages, and the topics that publish them."""
