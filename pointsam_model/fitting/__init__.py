"""Fits what tells objects apart and masks from each other, on generated scenes alone."""
