"""Instances: their boxes, overlaps, planes and connected pieces."""
