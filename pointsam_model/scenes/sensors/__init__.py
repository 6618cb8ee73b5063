"""Depth cameras and LiDAR: what they see of a world, with their faults."""
