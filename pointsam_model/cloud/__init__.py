"""Clouds: which points are valid, which part a look covers, and what the network sees of it."""
