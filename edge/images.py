"""Pixels in, pixels out: letterbox, face crops and grey, exactly as the models were trained; what cameras give, as RGB.

Every picture is (H, W, 3) uint8, RGB, 0..255, rows from the top, unless a function says otherwise. Boxes are
(x1, y1, x2, y2) in pixels, x to the right, y down, and may reach beyond the picture.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]
Boxes = npt.NDArray[np.float32]

#: Grey that fills what lies outside a picture; zero for the ImageNet weights' normalisation.
PADDING = 127


class Letterbox(NamedTuple):
    """Where a picture lies inside the model's input: input = picture * scale + (left, top)."""

    scale: float
    left: int
    top: int

    def to_picture(self, boxes: Boxes) -> Boxes:
        """Boxes (N, 4) in input pixels to picture pixels."""
        shift = np.array([self.left, self.top, self.left, self.top], np.float32)
        return ((boxes - shift) / np.float32(self.scale)).astype(np.float32)

    def to_input(self, boxes: Boxes) -> Boxes:
        """Boxes (N, 4) in picture pixels to input pixels."""
        shift = np.array([self.left, self.top, self.left, self.top], np.float32)
        return (boxes * np.float32(self.scale) + shift).astype(np.float32)


def resize(picture: Picture, width: int, height: int, out: Picture | None = None) -> Picture:
    """Resize without aliasing: halved (the average of 2 x 2) while twice too large, bilinear for the rest.

    Five times as fast as an area average all the way, which differs by less than a level in the mean. `out`, (height,
    width, 3) uint8, may be a part of a larger array, and is written to where given; without, the picture itself is
    returned where it has that size already.
    """
    while picture.shape[1] >= 2 * width and picture.shape[0] >= 2 * height:
        w, h = picture.shape[1] // 2, picture.shape[0] // 2
        picture = cv2.resize(picture[: 2 * h, : 2 * w], (w, h), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    if picture.shape[1] == width and picture.shape[0] == height:
        if out is None:
            return picture
        out[:] = picture
        return out
    # Squeezed one way alone, it would be aliased.
    squeezed = picture.shape[1] > 2 * width or picture.shape[0] > 2 * height
    how = cv2.INTER_AREA if squeezed else cv2.INTER_LINEAR
    return cv2.resize(picture, (width, height), dst=out, interpolation=how)  # type: ignore[return-value]


def letterbox(picture: Picture, width: int, height: int, out: Picture | None = None) -> tuple[Picture, Letterbox]:
    """Fit a picture into `width` x `height`, aspect kept, centred, `PADDING` around it.

    `out`, (height, width, 3) uint8, is written to where given; otherwise a new array is made.
    """
    h, w = picture.shape[:2]
    scale = min(width / w, height / h)
    inner_w, inner_h = max(1, round(w * scale)), max(1, round(h * scale))
    left, top = (width - inner_w) // 2, (height - inner_h) // 2
    if out is None:
        out = np.empty((height, width, 3), np.uint8)
    if inner_w != width or inner_h != height:
        out[:] = PADDING
    resize(picture, inner_w, inner_h, out[top : top + inner_h, left : left + inner_w])
    return out, Letterbox(scale, left, top)


def crop_square(picture: Picture, box: tuple[float, float, float, float], size: int, margin: float) -> Picture:
    """The square of `margin` times the longer side of `box`, around its centre, as (size, size, 3).

    What lies outside the picture repeats the nearest edge pixel. A box without a pixel in the picture gives the edge.
    """
    x1, y1, x2, y2 = box
    side = max(2, round(max(x2 - x1, y2 - y1) * margin))
    left, top = round((x1 + x2) / 2 - side / 2), round((y1 + y2) / 2 - side / 2)
    h, w = picture.shape[:2]
    # Clamped so that at least one pixel is inside; then only the visible part is resized.
    left, top = min(max(left, 1 - side), w - 1), min(max(top, 1 - side), h - 1)
    right, bottom = left + side, top + side
    inside = picture[max(top, 0) : min(bottom, h), max(left, 0) : min(right, w)]
    above, below, before, after = max(-top, 0), max(bottom - h, 0), max(-left, 0), max(right - w, 0)
    if above or below or before or after:
        if side > 4 * size:
            # An enormous box: shrink what is visible first, so that padding never allocates more than a small picture.
            factor = size / side
            inside = resize(inside, max(1, round(inside.shape[1] * factor)), max(1, round(inside.shape[0] * factor)))
            above, below, before, after = (round(p * factor) for p in (above, below, before, after))
        bordered = cv2.copyMakeBorder(inside, above, below, before, after, cv2.BORDER_REPLICATE)
        inside = np.asarray(bordered, np.uint8)
    return resize(inside, size, size)


def grey(picture: Picture) -> Picture:
    """(H, W, 3) RGB to (H, W, 1) luma (ITU-R BT.601)."""
    return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[:, :, np.newaxis]  # type: ignore[return-value]


def from_yuv420(planes: Picture, width: int) -> Picture:
    """Planes Y, U, V one after the other (I420), BT.601 limited range (Y 16..235), to RGB (H, `width`, 3), contiguous.

    `planes` is (H + H / 2, stride) uint8, with rows of Y padded from `width` to an even stride.
    """
    # Cut to width last: a row of the array holds one row of Y, but two rows of U or V, each with its own padding.
    return np.ascontiguousarray(cv2.cvtColor(planes, cv2.COLOR_YUV2RGB_I420)[:, :width], np.uint8)


_TURNS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


def turned(picture: Picture, rotate: int, mirror: bool) -> Picture:
    """Turned clockwise by `rotate` (0, 90, 180 or 270 degrees), then mirrored left to right if asked; contiguous."""
    if rotate:
        picture = cv2.rotate(picture, _TURNS[rotate])  # type: ignore[assignment]
    if mirror:
        picture = cv2.flip(picture, 1)  # type: ignore[assignment]
    return np.ascontiguousarray(picture)
