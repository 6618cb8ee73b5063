"""Requests: parsing, checks, transforms to the cloud's frame, and sessions."""
