"""Tracking: the same objects in successive clouds."""
