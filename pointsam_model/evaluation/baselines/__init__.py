"""Segmentation without a network, to compare with."""
