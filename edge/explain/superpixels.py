"""SLIC superpixels (Achanta et al. 2012): segments of similar colour and about equal size."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from ..imaging.images import Picture

Segments = npt.NDArray[np.intp]

#: Weight of the distance in pixels against that in colour: the higher, the more the segments look like squares.
COMPACTNESS = 40.0
ROUNDS = 5
#: Standard deviation of the blur before it, in units of the longer side: noise and hair would fray the segments.
BLUR = 1 / 64


def slic(pixels: Picture, across: int) -> Segments:
    """Return the segment of each pixel, (H, W), 0 to across² - 1, of `pixels` (H, W, 3) uint8 RGB.

    The segments start as a grid of `across` x `across` squares. One of them may be empty or in several parts.
    """
    height, width = pixels.shape[:2]
    smooth = cv2.GaussianBlur(pixels, (0, 0), BLUR * max(height, width))
    lab = np.asarray(cv2.cvtColor(smooth, cv2.COLOR_RGB2LAB), np.float32)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    step = max(height, width) / across
    # A distance of one step counts as much as COMPACTNESS levels of colour.
    places = np.stack([y, x], -1) * np.float32(COMPACTNESS / step)
    features = np.concatenate([lab, places], -1).reshape(-1, 5)
    rows = np.minimum((y * across / height).astype(np.intp), across - 1)
    columns = np.minimum((x * across / width).astype(np.intp), across - 1)
    segments: Segments = (rows * across + columns).ravel()
    near = _neighbours(segments, across)
    for _ in range(ROUNDS):
        counts = np.maximum(np.bincount(segments, minlength=across**2), 1)
        centres = np.stack([np.bincount(segments, f, across**2) / counts for f in features.T], -1).astype(np.float32)
        distances = ((features[:, None] - centres[near]) ** 2).sum(-1)
        segments = near[np.arange(len(near)), distances.argmin(1)]
    return segments.reshape(height, width)


def _neighbours(grid: Segments, across: int) -> Segments:
    """Return, for each pixel, the nine squares of the start around its own, (N, 9): only these may take it."""
    row, column = np.divmod(grid, across)
    shifts = [(r, c) for r in (0, -1, 1) for c in (0, -1, 1)]
    clipped = [np.clip(row + r, 0, across - 1) * across + np.clip(column + c, 0, across - 1) for r, c in shifts]
    return np.stack(clipped, -1)
