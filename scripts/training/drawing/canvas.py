"""Paint layers on one face, in the face's own coordinates and light.

There are no landmarks. A face is its box, from hairline to chin and from ear to ear. Shapes are given in face
coordinates: u from -1 (left edge of the box) to 1 (right edge), v from 0 (top edge) to 1 (bottom edge).
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from ..arrays import Box, Floats, Layer, Picture, Rng, as_floats, as_pixels

#: Points in face coordinates, (u, v).
Points = Sequence[tuple[float, float]]
#: (roll in radians, yaw from -1 to 1) of a face.
Turn = tuple[float, float]

#: Faces are painted at a height between these, in pixels, whatever their height in the picture.
MIN_WORK_PX, MAX_WORK_PX = 64.0, 112.0
#: Margin of the canvas around the box, in box widths and heights: each side, above, below.
MARGINS = (0.30, 0.02, 0.45)
#: How far the nose moves to the side at yaw 1, in half box widths.
YAW_SHIFT = 0.38


class FaceCanvas:
    """The surroundings of one face at a fixed working size, and the way back into the picture.

    `roll` is in radians. `yaw` is from -1 (turned left) to 1 (turned right). `max_height` limits the face height that
    is painted at, in pixels. `pixels` (h, w, 3) uint8 RGB changes as layers are painted; `picture` stays as it is.
    """

    def __init__(
        self, picture: Picture, box: Box, roll: float = 0.0, yaw: float = 0.0, max_height: float = MAX_WORK_PX
    ) -> None:
        x1, y1, x2, y2 = box
        box_w, box_h = max(x2 - x1, 4.0), max(y2 - y1, 4.0)
        height, width = picture.shape[:2]
        side, above, below = MARGINS
        self.left = min(max(0, int(x1 - side * box_w)), width - 1)
        self.top = min(max(0, int(y1 - above * box_h)), height - 1)
        self.right = max(self.left + 1, min(width, int(x2 + side * box_w) + 1))
        self.bottom = max(self.top + 1, min(height, int(y2 + below * box_h) + 1))
        self.picture = picture
        part = picture[self.top : self.bottom, self.left : self.right]
        self.scale = float(np.clip(box_h, MIN_WORK_PX, max_height)) / box_h
        self.w = max(2, round(part.shape[1] * self.scale))
        self.h = max(2, round(part.shape[0] * self.scale))
        method = cv2.INTER_AREA if self.scale < 1 else cv2.INTER_LINEAR
        self.pixels = as_pixels(cv2.resize(part, (self.w, self.h), interpolation=method))
        scale_x, scale_y = self.w / part.shape[1], self.h / part.shape[0]
        self.cx, self.cy = ((x1 + x2) / 2 - self.left) * scale_x, ((y1 + y2) / 2 - self.top) * scale_y
        #: Half the width and the height of the face box, in canvas pixels.
        self.half_w, self.box_h = box_w / 2 * scale_x, box_h * scale_y
        self.cos, self.sin, self.yaw = float(np.cos(roll)), float(np.sin(roll)), yaw
        x = np.arange(self.w, dtype=np.float32)[None, :] - np.float32(self.cx)
        y = np.arange(self.h, dtype=np.float32)[:, None] - np.float32(self.cy)
        #: Face coordinates of every canvas pixel, (h, w) each.
        self.u: Floats = (x * self.cos + y * self.sin) / np.float32(self.half_w)
        self.v: Floats = (y * self.cos - x * self.sin) / np.float32(self.box_h) + np.float32(0.5)
        #: u across the turned face: 0 is at the nose.
        self.across: Floats = self.u - np.float32(YAW_SHIFT * yaw) * np.clip(1 - self.u * self.u, 0, 1)
        self.light, self.exposure, self.is_grey = self._measure_light()

    def _measure_light(self) -> tuple[Floats, float, bool]:
        """Return the light's fall over the canvas (h, w), the exposure 0.16..1.12 and whether the face is grey."""
        luma = cv2.cvtColor(self.pixels, cv2.COLOR_RGB2GRAY)
        y1, y2 = int(max(0, self.cy - 0.4 * self.box_h)), int(min(self.h, self.cy + 0.55 * self.box_h))
        x1, x2 = int(max(0, self.cx - 0.8 * self.half_w)), int(min(self.w, self.cx + 0.8 * self.half_w))
        face = luma[y1:y2, x1:x2] if y2 > y1 + 2 and x2 > x1 + 2 else luma
        sample = face[:: max(1, face.shape[0] // 24), :: max(1, face.shape[1] // 24)]
        bright, mean = float(np.percentile(sample, 92)), float(sample.mean())
        # The direction of the light is the face's own luminance, blurred until no feature is left.
        small = cv2.resize(luma, (16, 16), interpolation=cv2.INTER_AREA).astype(np.float32)
        small = as_floats(cv2.GaussianBlur(small, (0, 0), 1.6)) / max(mean, 8.0)
        light = cv2.resize(np.clip(small, 0.5, 1.5) ** 0.8, (self.w, self.h), interpolation=cv2.INTER_LINEAR)
        colours = self.pixels[y1 : max(y2, y1 + 1) : 5, x1 : max(x2, x1 + 1) : 5].reshape(-1, 3).astype(np.int16)
        is_grey = bool(len(colours) == 0 or np.ptp(colours, axis=1).mean() < 4)
        # The surroundings count too, because dark skin in good light does not make a dark picture.
        level = 0.5 * bright + 0.5 * float(np.percentile(luma[::7, ::7], 95))
        return as_floats(light), float(np.clip(level / 205.0, 0.16, 1.12)), is_grey

    def to_pixels(self, points: Points, turned: bool = True) -> npt.NDArray[np.int32]:
        """Return canvas positions (n, 2) of face coordinates, in 16ths of a pixel (OpenCV's shift=4).

        `turned` moves the points with the head's yaw; things that are not part of the head do not move.
        """
        p = np.asarray(points, np.float32).reshape(-1, 2)
        u, v = p[:, 0], p[:, 1] - 0.5
        if turned:
            u = u + YAW_SHIFT * self.yaw * np.clip(1 - u * u, 0, 1)
        x, y = u * self.half_w, v * self.box_h
        out: Floats = np.stack([x * self.cos - y * self.sin + self.cx, x * self.sin + y * self.cos + self.cy], 1)
        at: npt.NDArray[np.int32] = (np.clip(out, -2000, 4000) * 16).astype(np.int32)
        return at

    def new_layer(self) -> Layer:
        """Return an empty layer, (h, w) uint8."""
        return np.zeros((self.h, self.w), np.uint8)

    def fill(self, layer: Layer, points: Points, turned: bool = True) -> None:
        """Fill a polygon of `layer`."""
        cv2.fillPoly(layer, [self.to_pixels(points, turned)], (255,), cv2.LINE_AA, 4)

    def line(self, layer: Layer, points: Points, width: float, turned: bool = True) -> None:
        """Draw a line on `layer`; `width` is in box widths."""
        thickness = max(1, round(width * self.half_w * 2))
        cv2.polylines(layer, [self.to_pixels(points, turned)], False, (255,), thickness, cv2.LINE_AA, 4)

    def soften(self, layer: Layer, sigma: float) -> Layer:
        """Return `layer` blurred; `sigma` is in box widths."""
        s = sigma * self.half_w * 2
        return as_pixels(cv2.GaussianBlur(layer, (0, 0), s)) if s > 0.25 else layer

    def darken_around(self, alpha: Layer, strength: float, down: float = 0.02, sigma: float = 0.045) -> None:
        """Darken the skin beside `alpha`: a soft shadow, `down` box heights lower, `sigma` box widths wide."""
        # A wide blur costs a sixteenth at a quarter of the size.
        small = cv2.resize(alpha, (max(2, self.w // 4), max(2, self.h // 4)), interpolation=cv2.INTER_AREA)
        small = cv2.GaussianBlur(small, (0, 0), max(0.4, sigma * self.half_w / 2))
        dark = cv2.resize(small, (self.w, self.h), interpolation=cv2.INTER_LINEAR)
        shift = np.array([[1, 0, 0], [0, 1, down * self.box_h]], np.float32)
        dark = cv2.warpAffine(dark, shift, (self.w, self.h))
        factor = cv2.convertScaleAbs(dark, alpha=-strength, beta=255.0)
        self.pixels = as_pixels(cv2.multiply(self.pixels, cv2.merge([factor] * 3), scale=1 / 255))

    def paint(
        self, alpha: Layer, colour: Floats | Picture, shade: Floats | float, rng: Rng, grain: float = 2.0
    ) -> None:
        """Lay `colour`, (3,) or (h, w, 3), 0..255, over the face where `alpha` covers it, in the face's light.

        `shade` is a factor on the brightness, (h, w) or one for all. `grain` is the noise's standard deviation.
        """
        x, y, w, h = cv2.boundingRect(alpha)
        if w == 0 or h == 0:
            return
        part = (slice(y, y + h), slice(x, x + w))
        if isinstance(shade, np.ndarray):
            shade = shade[part]
        factor = np.asarray(self.light[part] * shade * np.float32(self.exposure), np.float32)
        paint: npt.NDArray[np.float32]
        if colour.ndim == 1:
            paint = np.multiply(factor[:, :, None], colour.astype(np.float32))
        else:
            layers = cv2.merge([factor] * 3)
            paint = as_floats(cv2.multiply(np.ascontiguousarray(colour[part]), layers, dtype=cv2.CV_32F))
        if grain > 0:
            noise = np.empty((h, w), np.float32)
            cv2.setRNGSeed(int(rng.integers(2**31)))
            cv2.randn(noise, np.zeros(1), np.array([grain]))
            paint = as_floats(cv2.add(paint, cv2.merge([noise] * 3)))
        if self.is_grey:
            paint = as_floats(cv2.merge([cv2.cvtColor(paint, cv2.COLOR_RGB2GRAY)] * 3))
        a = alpha[part] * np.float32(1 / 255)
        front = np.clip(paint, 0, 255, out=paint).astype(np.uint8)
        behind = np.ascontiguousarray(self.pixels[part])
        self.pixels[part] = cv2.blendLinear(front, behind, a, np.float32(1) - a)

    def picture_with(self, touched: Layer) -> Picture:
        """Return the picture with the canvas put back where `touched` (h, w) uint8 is not 0."""
        out = self.picture.copy()
        y, x = slice(self.top, self.bottom), slice(self.left, self.right)
        part = out[y, x]
        size = (part.shape[1], part.shape[0])
        if self.scale == 1 and (self.w, self.h) == size:
            part[:] = self.pixels
            return out
        method = cv2.INTER_LINEAR if self.scale < 1 else cv2.INTER_AREA
        painted = cv2.resize(self.pixels, size, interpolation=method)
        # Soft shadows reach a little further than the things that cast them.
        reach = max(3, round(0.12 * self.half_w)) | 1
        around = cv2.blur(cv2.dilate(touched, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)), (reach, reach))
        where = cv2.resize(around, size, interpolation=method)
        weight = where.astype(np.float32) * np.float32(1 / 255)
        part[:] = cv2.blendLinear(painted, np.ascontiguousarray(part), weight, np.float32(1) - weight)
        return out


def smooth(points: Points, rounds: int = 3) -> list[tuple[float, float]]:
    """Return a closed polygon with its corners cut (Chaikin's algorithm)."""
    p = np.asarray(points, np.float32)
    for _ in range(rounds):
        q = np.roll(p, -1, 0)
        p = np.stack([0.75 * p + 0.25 * q, 0.25 * p + 0.75 * q], 1).reshape(-1, 2)
    return [(float(a), float(b)) for a, b in p]


def mirrored(right: Points) -> list[tuple[float, float]]:
    """Return a closed outline from its right half, which runs from the nose down to the chin."""
    return [*right, *[(-u, v) for u, v in reversed(right) if u > 0]]
