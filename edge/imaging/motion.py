"""Detect changes between frames without a model.

A frame without a change since the last face search need not be searched again. The grid of `cells` serves at a
hundredth of the face detector's cost.
"""

from __future__ import annotations

import numpy as np

from .cells import BrightnessGrid

#: A face with 9 % of the picture's height covers at least 12 cells, and head and shoulders move with it.
MIN_CHANGED_CELLS = 5
#: A cell has changed if it differs by more than this many levels, and by more than this multiple of the noise.
MIN_CHANGE, MIN_NOISE_RATIO = 7.0, 5.0
#: If the typical difference is larger, it is not noise: a person stands close, or the camera was moved.
MAX_NOISE = 10.0
#: Standard deviation of normally distributed values, as a multiple of their median absolute deviation.
SIGMA_PER_MAD = 1.4826


def has_changed(now: BrightnessGrid, before: BrightnessGrid) -> bool:
    """Return whether an object of a face's size has appeared, disappeared or moved.

    Ignores noise, because a changed cell must differ much more than most cells do, and ignores changes of the overall
    brightness (clouds, auto-exposure), because the median difference is subtracted.
    """
    difference = now - before
    difference -= _median(difference)
    np.abs(difference, out=difference)
    noise = SIGMA_PER_MAD * _median(difference)
    if noise > MAX_NOISE:
        return True
    return int(np.count_nonzero(difference > max(MIN_CHANGE, MIN_NOISE_RATIO * noise))) >= MIN_CHANGED_CELLS


def _median(values: BrightnessGrid) -> float:
    """Return the upper median. np.median takes twice as long."""
    middle = values.size // 2
    return float(np.partition(values, middle, axis=None)[middle])
