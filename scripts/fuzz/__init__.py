"""TODO fuzz."""
