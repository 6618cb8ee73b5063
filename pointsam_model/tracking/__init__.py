"""Objects from one cloud to the next."""
