"""Array types that the training code shares, and casts for OpenCV.

OpenCV's type stubs promise an array of numbers and no dtype. `as_pixels` and `as_floats` state the dtype that a call
returns; they do not convert.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import numpy.typing as npt

#: (H, W, 3) uint8 RGB, or (H, W) uint8 where the docstring says so.
Picture = npt.NDArray[np.uint8]
#: (H, W) uint8 coverage: 0 is transparent, 255 is opaque.
Layer = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
#: (x1, y1, x2, y2) in pixels, x to the right, y down.
Box = tuple[float, float, float, float]
Rng = np.random.Generator


def as_pixels(array: npt.NDArray[Any]) -> Picture:
    """Return `array` typed as uint8."""
    return cast(Picture, array)


def as_floats(array: npt.NDArray[Any]) -> Floats:
    """Return `array` typed as float32."""
    return cast(Floats, array)
