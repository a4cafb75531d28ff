"""Turn, scale and crop a face so that its five landmarks lie where a face embedder expects them.

Landmarks are (x, y) in pixels of the picture, with x = 0 at the left edge of its first pixel: two eyes, nose tip, two
mouth corners. Of each pair, the one that is left in the picture comes first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import cv2
import numpy as np
import numpy.typing as npt

from ..records import Point
from .images import Picture

#: Where the landmarks lie in a crop of TEMPLATE_SIZE pixels, with 0 at the first pixel's centre: as in the crops of dlib's face
#: recognition (King 2017), whose knowledge the embedder has. It finds its landmarks otherwise; these are means over many faces.
TEMPLATE = (
    (47.55, 43.64),
    (100.19, 43.35),
    (74.04, 73.58),
    (52.41, 104.4),
    (96.01, 104.16),
)
TEMPLATE_SIZE = 150
#: Landmarks that fit the template worse than this correlation (1 for a frontal face) are no face. Real faces reach
#: 0.9, profiles 0.7.
MIN_CORRELATION = 0.2
#: Smallest root of the summed squared distances of the landmarks from their mean, in pixels.
MIN_SPREAD_PX = 1.0


def align(frame: Picture, points: Sequence[Point] | npt.NDArray[np.floating[Any]], size: int) -> Picture:
    """Return the face with landmarks `points` (5, 2), aligned to the template: (size, size, 3) uint8, RGB.

    `frame` is (H, W, 3) uint8 RGB. Rotation, scale and shift are the least-squares similarity transform; a face is never
    mirrored or sheared. Pixels outside the picture repeat the nearest edge pixel. Landmarks that form no face (all at
    one place, or in no order) give an upright crop around their mean.
    """
    scale, shift = _template_to_picture(points, size)
    return _sample(frame, scale, shift, size)


def _template_to_picture(points: Sequence[Point] | npt.NDArray[np.floating[Any]], size: int) -> tuple[complex, complex]:
    """Return (a, b) of the transform z -> a * z + b from the crop to the picture; x + iy is a point."""
    source = np.asarray(points, np.float64).reshape(5, 2) @ np.array([1, 1j])
    target = (np.array(TEMPLATE) + 0.5) @ np.array([1, 1j]) * (size / TEMPLATE_SIZE)
    centre, target_centre = complex(source.mean()), complex(target.mean())
    source, target = source - centre, target - target_centre
    spread, target_spread = float(np.linalg.norm(source)), float(np.linalg.norm(target))
    product = complex(np.vdot(source, target))
    if spread < MIN_SPREAD_PX or abs(product) < MIN_CORRELATION * spread * target_spread:
        scale = complex(max(spread, MIN_SPREAD_PX) / target_spread)
    else:
        scale = spread**2 / product
    return scale, centre - scale * target_centre


def _sample(picture: Picture, scale: complex, shift: complex, size: int) -> Picture:
    """Return the crop of `size` pixels in which z shows `scale` * z + `shift` of the picture."""
    height, width = picture.shape[:2]
    corners = [scale * z + shift for z in (0, size, size * 1j, size * (1 + 1j))]
    # Only the pixels around the crop are halved, and at least one is left of a crop that lies outside.
    left, right = _span([z.real for z in corners], width)
    top, bottom = _span([z.imag for z in corners], height)
    part = picture[top:bottom, left:right]
    shift -= complex(left, top)
    # Bilinear interpolation skips pixels if it shrinks by more than 2.
    while abs(scale) >= 2 and min(part.shape[:2]) >= 2:
        h, w = part.shape[0] // 2, part.shape[1] // 2
        part = cast(Picture, cv2.resize(part[: 2 * h, : 2 * w], (w, h), interpolation=cv2.INTER_AREA))
        scale, shift = scale / 2, shift / 2
    # OpenCV counts from the centre of the first pixel, in both pictures.
    half = 0.5 + 0.5j
    shift += scale * half - half
    matrix = np.array([[scale.real, -scale.imag, shift.real], [scale.imag, scale.real, shift.imag]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cast(Picture, cv2.warpAffine(part, matrix, (size, size), flags=flags, borderMode=cv2.BORDER_REPLICATE))


def _span(values: Sequence[float], size: int) -> tuple[int, int]:
    """Return the pixels of 0..size that a crop from min(values) to max(values) needs, with those beside it."""
    low, high = int(np.clip(min(values), 0, size)) - 2, int(np.clip(max(values), 0, size)) + 3
    low = min(max(low, 0), size - 1)
    return low, max(min(high, size), low + 1)
