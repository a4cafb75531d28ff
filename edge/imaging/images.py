"""Pixel operations: resize, letterbox, face crops, grey, rotation, YUV to RGB.

Training and inference both use these functions, so the models see the same pixels in both. Unless a function says
otherwise, a picture is (H, W, 3) uint8, RGB, 0..255, with the top row first. Boxes are (x1, y1, x2, y2) in pixels, x to
the right, y down, and may extend beyond the picture.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]
Boxes = npt.NDArray[np.float32]

#: Grey level around a letterboxed picture: zero after the normalisation of the ImageNet weights.
PADDING = 127


class Letterbox(NamedTuple):
    """Position of a picture inside the model's input: input = picture * scale + (left, top)."""

    scale: float
    left: int
    top: int

    def to_picture(self, boxes: Boxes) -> Boxes:
        """Convert boxes (N, 4) float32 from input pixels to picture pixels."""
        shift = np.array([self.left, self.top, self.left, self.top], np.float32)
        return ((boxes - shift) / np.float32(self.scale)).astype(np.float32)

    def to_input(self, boxes: Boxes) -> Boxes:
        """Convert boxes (N, 4) float32 from picture pixels to input pixels."""
        shift = np.array([self.left, self.top, self.left, self.top], np.float32)
        return (boxes * np.float32(self.scale) + shift).astype(np.float32)


def resize(picture: Picture, width: int, height: int, out: Picture | None = None) -> Picture:
    """Resize without aliasing: halve (average of 2 x 2) while possible, then interpolate bilinearly.

    This is five times as fast as a plain area average, and differs from it by less than one level on average. The
    result is written to `out`, (height, width, 3) uint8, if given; it may be a view of a larger array. Without `out`, a
    picture that already has the size is returned itself.
    """
    while picture.shape[1] >= 2 * width and picture.shape[0] >= 2 * height:
        w, h = picture.shape[1] // 2, picture.shape[0] // 2
        picture = cast(Picture, cv2.resize(picture[: 2 * h, : 2 * w], (w, h), interpolation=cv2.INTER_AREA))
    if picture.shape[1] == width and picture.shape[0] == height:
        if out is None:
            return picture
        out[:] = picture
        return out
    # If only one side shrinks by more than 2, bilinear interpolation would skip pixels.
    is_squeezed = picture.shape[1] > 2 * width or picture.shape[0] > 2 * height
    interpolation = cv2.INTER_AREA if is_squeezed else cv2.INTER_LINEAR
    return cast(Picture, cv2.resize(picture, (width, height), dst=out, interpolation=interpolation))


def letterbox(picture: Picture, width: int, height: int, out: Picture | None = None) -> tuple[Picture, Letterbox]:
    """Fit a picture into `width` x `height`: keep the aspect ratio, centre it, fill the rest with PADDING.

    Return the result, (height, width, 3) uint8, and the position of the picture in it. The result is `out` if given,
    otherwise a new array.
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


def square_around(
    width: int, height: int, box: tuple[float, float, float, float], margin: float
) -> tuple[int, int, int, int]:
    """Return the square (x1, y1, x2, y2) that `crop_square` crops for `box` from a picture of `width` x `height`.

    It may extend beyond the picture, but contains at least one pixel of it.
    """
    x1, y1, x2, y2 = box
    side = max(2, round(max(x2 - x1, y2 - y1) * margin))
    left, top = round((x1 + x2) / 2 - side / 2), round((y1 + y2) / 2 - side / 2)
    left, top = min(max(left, 1 - side), width - 1), min(max(top, 1 - side), height - 1)
    return left, top, left + side, top + side


def crop_square(picture: Picture, box: tuple[float, float, float, float], size: int, margin: float) -> Picture:
    """Crop a square around the centre of `box`, with `margin` times its longer side, and resize it to (size, size, 3).

    Pixels outside the picture repeat the nearest edge pixel, also if the whole box lies outside.
    """
    h, w = picture.shape[:2]
    left, top, right, bottom = square_around(w, h, box, margin)
    side = right - left
    inside = picture[max(top, 0) : min(bottom, h), max(left, 0) : min(right, w)]
    above, below, before, after = max(-top, 0), max(bottom - h, 0), max(-left, 0), max(right - w, 0)
    if above or below or before or after:
        if side > 4 * size:
            # For an enormous box shrink the visible part first, so that padding allocates only a small picture.
            factor = size / side
            inside = resize(inside, max(1, round(inside.shape[1] * factor)), max(1, round(inside.shape[0] * factor)))
            above, below, before, after = (round(p * factor) for p in (above, below, before, after))
        bordered = cv2.copyMakeBorder(inside, above, below, before, after, cv2.BORDER_REPLICATE)
        inside = np.asarray(bordered, np.uint8)
    return resize(inside, size, size)


def grey(picture: Picture) -> Picture:
    """Convert RGB (H, W, 3) to luma (H, W, 1), ITU-R BT.601."""
    return cast(Picture, cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY))[:, :, np.newaxis]


def yuv420_to_rgb(planes: Picture, width: int) -> Picture:
    """Convert I420 (planes Y, U, V one after the other; BT.601, limited range) to contiguous RGB (H, `width`, 3).

    `planes` is (H + H / 2, stride) uint8. Rows of Y are padded from `width` to an even stride.
    """
    # Remove the padding last: a row of `planes` holds one row of Y, but two rows of U or V, each with its own padding.
    return np.ascontiguousarray(cv2.cvtColor(planes, cv2.COLOR_YUV2RGB_I420)[:, :width], np.uint8)


_ROTATIONS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


def orient(picture: Picture, rotate: int, mirror: bool) -> Picture:
    """Rotate clockwise by `rotate` (0, 90, 180 or 270 degrees), then mirror left to right; the result is contiguous."""
    if rotate:
        picture = cast(Picture, cv2.rotate(picture, _ROTATIONS[rotate]))
    if mirror:
        picture = cast(Picture, cv2.flip(picture, 1))
    return np.ascontiguousarray(picture)
