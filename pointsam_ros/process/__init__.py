"""The node's process: start, configuration, lifecycle and end."""
