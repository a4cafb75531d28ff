"""Read RGB pictures from a cv2.VideoCapture."""

from __future__ import annotations

import cv2
import numpy as np

from ..imaging.images import Picture


def read_rgb(capture: cv2.VideoCapture) -> Picture | None:
    """Return the next picture, (H, W, 3) uint8 RGB; None if there is none, or if it has another shape or dtype."""
    ok, bgr = capture.read()
    if not ok or bgr is None or bgr.dtype != np.uint8 or bgr.ndim != 3 or bgr.shape[2] != 3:
        return None
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
