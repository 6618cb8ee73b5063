"""Clouds: what is valid, what is looked at, and the points that the network sees."""
