"""How the node's process starts, is set up, changes state and ends."""
