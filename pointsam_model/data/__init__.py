"""Clouds from files, their labels, and clicks on labelled objects."""
