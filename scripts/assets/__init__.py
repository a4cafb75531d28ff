"""TODO assets."""
