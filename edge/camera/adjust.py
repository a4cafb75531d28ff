"""Rotate, mirror and grey: the settings that change the pictures of every source."""

from __future__ import annotations

import numpy as np

from ..config import CameraSettings
from ..imaging.images import Picture, grey, orient


def adjust(picture: Picture, settings: CameraSettings) -> Picture:
    """Return an RGB picture (H, W, 3) rotated, mirrored and without its colours, as the settings say; contiguous."""
    picture = orient(picture, settings.rotate, settings.mirror)
    return without_colour(picture) if settings.grey else picture


def without_colour(picture: Picture) -> Picture:
    """Return an RGB picture (H, W, 3) whose three channels are its luma."""
    return np.repeat(grey(picture), 3, axis=2)
