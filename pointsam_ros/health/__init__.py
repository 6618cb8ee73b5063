"""Monitoring of the node and its clouds, for the diagnostics."""
