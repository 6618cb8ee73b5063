"""Settings, with their defaults and ranges."""
