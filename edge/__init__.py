"""Doorlight: a camera at a door that shows green when everyone in view wears a mask, red when someone does not."""

__version__ = "0.1.0"
