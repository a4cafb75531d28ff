"""Masks drawn on bare faces, masks drawn where they do not protect, and things that hide a mouth without being a mask.

Everything takes (picture (H, W, 3) uint8 RGB, face box (x1, y1, x2, y2) in pixels, generator) and returns a new
picture. There are no landmarks: a face is its box, from hairline to chin and ear to ear. Shapes live in the face's own
coordinates: u from -1 (left edge of the box) to 1 (right edge), v from 0 (top edge) to 1 (bottom edge).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Box = tuple[float, float, float, float]
Rng = np.random.Generator
Points = Sequence[tuple[float, float]]
Rgb = tuple[float, float, float]

#: Faces are worked on at a height between these, in pixels, whatever their height in the picture.
LEAST_WORK_PX, MOST_WORK_PX = 64.0, 112.0
#: The part of the picture that is worked on, in box widths and heights beyond the box: sides, above, below.
AROUND = (0.30, 0.02, 0.45)


class Stage:
    """A face's surroundings at a handy size, on which layers are painted, and the way back into the picture."""

    def __init__(
        self, picture: Picture, box: Box, roll: float = 0.0, yaw: float = 0.0, finest: float = MOST_WORK_PX
    ) -> None:
        x1, y1, x2, y2 = box
        bw, bh = max(x2 - x1, 4.0), max(y2 - y1, 4.0)
        height, width = picture.shape[:2]
        side, above, below = AROUND
        self.left = min(max(0, int(x1 - side * bw)), width - 1)
        self.top = min(max(0, int(y1 - above * bh)), height - 1)
        self.right = max(self.left + 1, min(width, int(x2 + side * bw) + 1))
        self.bottom = max(self.top + 1, min(height, int(y2 + below * bh) + 1))
        self.picture = picture
        part = picture[self.top : self.bottom, self.left : self.right]
        self.scale = float(np.clip(bh, LEAST_WORK_PX, finest)) / bh
        self.w = max(2, round(part.shape[1] * self.scale))
        self.h = max(2, round(part.shape[0] * self.scale))
        how = cv2.INTER_AREA if self.scale < 1 else cv2.INTER_LINEAR
        self.pixels: Picture = cv2.resize(part, (self.w, self.h), interpolation=how)  # type: ignore[assignment]
        sx, sy = self.w / part.shape[1], self.h / part.shape[0]
        self.cx, self.cy = ((x1 + x2) / 2 - self.left) * sx, ((y1 + y2) / 2 - self.top) * sy
        self.hw, self.bh = bw / 2 * sx, bh * sy
        self.cos, self.sin, self.yaw = float(np.cos(roll)), float(np.sin(roll)), yaw
        x = np.arange(self.w, dtype=np.float32)[None, :] - np.float32(self.cx)
        y = np.arange(self.h, dtype=np.float32)[:, None] - np.float32(self.cy)
        self.u: Floats = (x * self.cos + y * self.sin) / np.float32(self.hw)
        self.v: Floats = (y * self.cos - x * self.sin) / np.float32(self.bh) + np.float32(0.5)
        # Across the turned face: 0 where the nose is, wherever that went.
        self.across: Floats = self.u - np.float32(0.38 * yaw) * np.clip(1 - self.u * self.u, 0, 1)
        self.light, self.exposure, self.grey = self._measure()

    def _measure(self) -> tuple[Floats, float, bool]:
        luma = cv2.cvtColor(self.pixels, cv2.COLOR_RGB2GRAY)
        y1, y2 = int(max(0, self.cy - 0.4 * self.bh)), int(min(self.h, self.cy + 0.55 * self.bh))
        x1, x2 = int(max(0, self.cx - 0.8 * self.hw)), int(min(self.w, self.cx + 0.8 * self.hw))
        face = luma[y1:y2, x1:x2] if y2 > y1 + 2 and x2 > x1 + 2 else luma
        few = face[:: max(1, face.shape[0] // 24), :: max(1, face.shape[1] // 24)]
        bright, middle = float(np.percentile(few, 92)), float(few.mean())
        # Which way the light falls: the face's own luminance, blurred until no feature is left.
        small = cv2.resize(luma, (16, 16), interpolation=cv2.INTER_AREA).astype(np.float32)
        small = cv2.GaussianBlur(small, (0, 0), 1.6) / max(middle, 8.0)
        light = cv2.resize(np.clip(small, 0.5, 1.5) ** 0.8, (self.w, self.h), interpolation=cv2.INTER_LINEAR)
        colours = self.pixels[y1 : max(y2, y1 + 1) : 5, x1 : max(x2, x1 + 1) : 5].reshape(-1, 3).astype(np.int16)
        grey = bool(len(colours) == 0 or np.ptp(colours, axis=1).mean() < 4)
        # A dark-skinned face in good light is no dark picture: the whole surroundings have a say.
        lit = 0.5 * bright + 0.5 * float(np.percentile(luma[::7, ::7], 95))
        return light, float(np.clip(lit / 205.0, 0.16, 1.12)), grey

    def at(self, points: Points, turned: bool = True) -> npt.NDArray[np.int32]:
        """Face coordinates to pixels of the stage, in 16ths of a pixel, for OpenCV's shift=4."""
        p = np.asarray(points, np.float32).reshape(-1, 2)
        u, v = p[:, 0], p[:, 1] - 0.5
        if turned:
            u = u + 0.38 * self.yaw * np.clip(1 - u * u, 0, 1)
        x, y = u * self.hw, v * self.bh
        out = np.stack([x * self.cos - y * self.sin + self.cx, x * self.sin + y * self.cos + self.cy], 1)
        return (np.clip(out, -2000, 4000) * 16).astype(np.int32)

    def layer(self) -> Picture:
        return np.zeros((self.h, self.w), np.uint8)

    def polygon(self, layer: Picture, points: Points, value: int = 255, turned: bool = True) -> None:
        cv2.fillPoly(layer, [self.at(points, turned)], value, cv2.LINE_AA, 4)

    def line(self, layer: Any, points: Points, wide: float, value: Any = 255, turned: bool = True) -> None:
        """A line, `wide` in box widths."""
        thick = max(1, round(wide * self.hw * 2))
        cv2.polylines(layer, [self.at(points, turned)], False, value, thick, cv2.LINE_AA, 4)

    def soft(self, layer: npt.NDArray[Any], sigma: float) -> Any:
        """Blurred; sigma in box widths."""
        s = sigma * self.hw * 2
        return cv2.GaussianBlur(layer, (0, 0), s) if s > 0.25 else layer

    def wide_soft(self, layer: Picture, sigma: float) -> Any:
        """Blurred far; done at a quarter of the size, where it costs a sixteenth."""
        small = cv2.resize(layer, (max(2, self.w // 4), max(2, self.h // 4)), interpolation=cv2.INTER_AREA)
        small = cv2.GaussianBlur(small, (0, 0), max(0.4, sigma * self.hw / 2))
        return cv2.resize(small, (self.w, self.h), interpolation=cv2.INTER_LINEAR)

    def shadow(self, alpha: Picture, strength: float, down: float = 0.02, sigma: float = 0.045) -> None:
        """What lies on a face darkens the skin beside it."""
        dark = self.wide_soft(alpha, sigma)
        shift = np.array([[1, 0, 0], [0, 1, down * self.bh]], np.float32)
        dark = cv2.warpAffine(dark, shift, (self.w, self.h))
        factor = cv2.convertScaleAbs(dark, alpha=-strength, beta=255.0)
        self.pixels = cv2.multiply(self.pixels, cv2.merge([factor] * 3), scale=1 / 255)  # type: ignore[assignment]

    def put(
        self, alpha: Picture, colour: npt.NDArray[Any], shade: Floats | float, rng: Rng, grain: float = 2.0
    ) -> None:
        """Lay `colour`, (3,) or (h, w, 3), 0..255, over the face where alpha (h, w) uint8 says so, in its light."""
        x, y, w, h = cv2.boundingRect(alpha)
        if w == 0 or h == 0:
            return
        part = (slice(y, y + h), slice(x, x + w))
        if isinstance(shade, np.ndarray):
            shade = shade[part]
        factor = np.asarray(self.light[part] * shade * np.float32(self.exposure), np.float32)
        if colour.ndim == 1:
            paint = np.multiply(factor[:, :, None], colour.astype(np.float32))
        else:
            paint = cv2.multiply(np.ascontiguousarray(colour[part]), cv2.merge([factor] * 3), dtype=cv2.CV_32F)
        if grain > 0:
            speck = np.empty((h, w), np.float32)
            cv2.setRNGSeed(int(rng.integers(2**31)))
            cv2.randn(speck, 0, grain)
            paint = cv2.add(paint, cv2.merge([speck] * 3))
        if self.grey:
            paint = cv2.merge([cv2.cvtColor(paint, cv2.COLOR_RGB2GRAY)] * 3)
        a = alpha[part] * np.float32(1 / 255)
        flat = np.clip(paint, 0, 255, out=paint).astype(np.uint8)
        self.pixels[part] = cv2.blendLinear(flat, np.ascontiguousarray(self.pixels[part]), a, np.float32(1) - a)

    def picture_with(self, touched: Picture) -> Picture:
        """The picture with the stage put back where `touched` (h, w) uint8 is not 0."""
        out = self.picture.copy()
        y, x = slice(self.top, self.bottom), slice(self.left, self.right)
        part = out[y, x]
        size = (part.shape[1], part.shape[0])
        if self.scale == 1 and (self.w, self.h) == size:
            part[:] = self.pixels
            return out
        how = cv2.INTER_LINEAR if self.scale < 1 else cv2.INTER_AREA
        painted = cv2.resize(self.pixels, size, interpolation=how)
        # The soft shadows reach a little further than the things that throw them.
        reach = max(3, round(0.12 * self.hw)) | 1
        around = cv2.blur(cv2.dilate(touched, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)), (reach, reach))
        where = cv2.resize(around, size, interpolation=how)
        weight = where.astype(np.float32) * np.float32(1 / 255)
        part[:] = cv2.blendLinear(painted, np.ascontiguousarray(part), weight, np.float32(1) - weight)
        return out


def smooth(points: Points, rounds: int = 3) -> list[tuple[float, float]]:
    """A closed polygon with its corners cut (Chaikin)."""
    p = np.asarray(points, np.float32)
    for _ in range(rounds):
        q = np.roll(p, -1, 0)
        p = np.stack([0.75 * p + 0.25 * q, 0.25 * p + 0.75 * q], 1).reshape(-1, 2)
    return [(float(a), float(b)) for a, b in p]


def _both_sides(right: Points) -> list[tuple[float, float]]:
    """A closed outline from its right half, given from the nose down to the chin."""
    return [*right, *[(-u, v) for u, v in reversed(right) if u > 0]]


def _colour(rng: Rng) -> Rgb:
    """Any colour of cloth: from grey to bold."""
    hsv = np.array([[[rng.uniform(0, 180), 255 * rng.beta(1.6, 1.6), rng.uniform(40, 245)]]], np.uint8)
    r, g, b = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0]
    return float(r), float(g), float(b)


def _near(rng: Rng, colour: Rgb, by: float = 12) -> Floats:
    return np.clip(np.array(colour) + rng.normal(0, by) + rng.normal(0, by / 2, 3), 4, 250).astype(np.float32)


BLACKS: tuple[Rgb, ...] = ((22, 22, 25), (32, 31, 34), (26, 28, 42), (48, 46, 48), (38, 24, 28))
SURGICAL: tuple[tuple[Rgb, float], ...] = (
    ((140, 190, 225), 0.34),  # light blue
    ((96, 160, 214), 0.16),  # blue
    ((150, 208, 200), 0.12),  # green
    ((232, 234, 236), 0.20),  # white
    ((236, 184, 196), 0.05),  # pink
    ((30, 30, 33), 0.13),  # black
)


# Patterns: (128, 128, 3) uint8 tiles that repeat.

TILE = 128


def _stripes(rng: Rng, a: Rgb, b: Rgb) -> Picture:
    n = int(rng.integers(3, 13))
    x = np.arange(TILE) * n / TILE
    on = (x % 1) < rng.uniform(0.2, 0.7)
    tile = np.where(on[None, :, None], np.array(a), np.array(b)).astype(np.uint8)
    tile = np.repeat(tile, TILE, 0)
    return tile if rng.random() < 0.5 else np.ascontiguousarray(tile.transpose(1, 0, 2))


def _dots(rng: Rng, a: Rgb, b: Rgb) -> Picture:
    tile = np.full((TILE, TILE, 3), b, np.uint8)
    n = int(rng.integers(3, 9))
    step = TILE / n
    for i in range(n + 1):
        for j in range(n + 1):
            centre = (int(step * (i + 0.5 * (j % 2))), int(step * j))
            cv2.circle(tile, centre, max(1, int(step * 0.28)), a, -1, cv2.LINE_AA)
    return tile


def _checks(rng: Rng, a: Rgb, b: Rgb) -> Picture:
    n = int(rng.integers(3, 10))
    on = ((np.arange(TILE) * n * 2 // TILE) % 2).astype(np.float32)
    both = (on[:, None] + on[None, :]) / 2 if rng.random() < 0.6 else np.abs(on[:, None] - on[None, :])
    return (np.array(b) + both[:, :, None] * (np.array(a) - np.array(b))).astype(np.uint8)


def _flowers(rng: Rng, a: Rgb, b: Rgb) -> Picture:
    tile = np.full((TILE, TILE, 3), b, np.uint8)
    third = _colour(rng)
    for _ in range(int(rng.integers(8, 22))):
        x, y = int(rng.integers(TILE)), int(rng.integers(TILE))
        size, petals, turn = rng.uniform(4, 13), int(rng.integers(3, 7)), rng.uniform(0, 6.3)
        colour = a if rng.random() < 0.6 else third
        for k in range(petals):
            t = turn + 6.283 * k / petals
            p = (int(x + size * np.cos(t)), int(y + size * np.sin(t)))
            cv2.ellipse(tile, p, (int(size * 0.8), int(size * 0.45)), float(np.degrees(t)), 0, 360, colour, -1)
        cv2.circle(tile, (x, y), int(size * 0.4), third, -1)
    return tile


def _camouflage(rng: Rng, a: Rgb, b: Rgb) -> Picture:
    n = int(rng.integers(4, 10))
    noise = cv2.resize(rng.random((n, n), np.float32), (TILE, TILE), interpolation=cv2.INTER_CUBIC)
    levels = np.array([a, b, _colour(rng), np.array(b) * 0.6], np.float32)
    return levels[np.clip((noise * 4).astype(int), 0, 3)].astype(np.uint8)


def _letters(rng: Rng, a: Rgb, b: Rgb) -> Picture:
    tile = np.full((TILE, TILE, 3), b, np.uint8)
    text = "".join(chr(int(c)) for c in rng.integers(65, 91, int(rng.integers(2, 7))))
    font = int(rng.choice([cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_TRIPLEX]))
    size, thick = rng.uniform(0.5, 1.4), int(rng.integers(1, 5))
    cv2.putText(tile, text, (int(rng.integers(0, 50)), int(rng.integers(50, 90))), font, size, a, thick, cv2.LINE_AA)
    return tile


def _grin(rng: Rng, a: Rgb, b: Rgb) -> Picture:
    """A mouth printed on the mask: to be seen through."""
    tile = np.full((TILE, TILE, 3), b, np.uint8)
    w, h = int(rng.integers(18, 38)), int(rng.integers(6, 18))
    centre = (TILE // 2, int(rng.integers(60, 78)))
    cv2.ellipse(tile, centre, (w + 4, h + 4), 0, 0, 360, (160, 50, 60), -1, cv2.LINE_AA)
    cv2.ellipse(tile, centre, (w, h), 0, 0, 360, (238, 236, 230), -1, cv2.LINE_AA)
    for x in range(-w, w, 7):
        cv2.line(tile, (centre[0] + x, centre[1] - h), (centre[0] + x, centre[1] + h), (150, 140, 140), 1, cv2.LINE_AA)
    return tile


PATTERNS: tuple[Callable[[Rng, Rgb, Rgb], Picture], ...] = (
    _stripes, _dots, _checks, _flowers, _camouflage, _letters, _grin,
)  # fmt: skip


def _printed(stage: Stage, tile: Picture, rng: Rng, repeat: float, tilt: float) -> Picture:
    """A tile wrapped around the lower face."""
    # Cloth that bends away is seen foreshortened.
    x = np.arcsin(np.clip(stage.across, -1.15, 1.15) * np.float32(0.85))
    y = (stage.v - np.float32(0.75)) * np.float32(stage.bh / stage.hw)
    c, s = np.float32(repeat * TILE * np.cos(tilt)), np.float32(repeat * TILE * np.sin(tilt))
    shift = np.float32(TILE / 2)
    return cv2.remap(  # type: ignore[return-value]
        tile, x * c - y * s + shift, x * s + y * c + shift, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP
    )


@dataclass(frozen=True)
class MaskLook:
    """How a mask looks and sits; `nose` is the v of its upper edge at the nose, `chin` that of its lower edge."""

    cut: str = "surgical"  # or "cloth", "cone"
    colour: Rgb = (150, 198, 228)
    pattern: Callable[[Rng, Rgb, Rgb], Picture] | None = None
    second: Rgb = (240, 240, 240)
    strap: Rgb = (236, 236, 236)
    nose: float = 0.44
    side: float = 0.55
    chin: float = 1.05
    width: float = 0.90
    yaw: float = 0.0
    roll: float = 0.0
    wobble: float = 0.0
    straps: bool = True
    blur: float = 0.006


def random_look(rng: Rng, **fixed: Any) -> MaskLook:
    """Any mask, worn well; `fixed` overrules single fields."""
    kind = rng.random()
    pattern: Callable[[Rng, Rgb, Rgb], Picture] | None = None
    second = _colour(rng)
    strap: Rgb = (236, 236, 236) if rng.random() < 0.7 else (34, 34, 36)
    if kind < 0.32:
        cut = "surgical"
        k = int(rng.choice(len(SURGICAL), p=[p for _, p in SURGICAL]))
        colour: Any = _near(rng, SURGICAL[k][0], 9)
        strap = (34, 34, 36) if sum(SURGICAL[k][0]) < 150 else (236, 236, 236)
    elif kind < 0.52:
        cut = "cloth" if rng.random() < 0.8 else "cone"
        colour = _near(rng, BLACKS[int(rng.integers(len(BLACKS)))], 6)
        strap = (30, 30, 32)
        if rng.random() < 0.15:
            pattern, second = _letters, (225, 225, 225)
    elif kind < 0.68:
        cut, colour = "cloth", _near(rng, _colour(rng), 4)
        strap = tuple(colour) if rng.random() < 0.6 else strap
    elif kind < 0.84:
        cut = "cloth" if rng.random() < 0.8 else "surgical"
        colour = _near(rng, _colour(rng), 4)
        pattern = PATTERNS[int(rng.integers(len(PATTERNS)))]
    else:
        cut = "cone"
        colour = _near(rng, (234, 234, 232) if rng.random() < 0.7 else _colour(rng), 6)
    look: dict[str, Any] = {
        "cut": cut,
        "colour": tuple(float(c) for c in colour),
        "pattern": pattern,
        "second": second,
        "strap": strap,
        "nose": rng.uniform(0.40, 0.50),
        "side": rng.uniform(0.50, 0.60),
        "chin": rng.uniform(1.00, 1.10),
        "width": rng.uniform(0.80, 0.96),
        "yaw": float(np.clip(rng.normal(0, 0.22), -0.6, 0.6)),
        "roll": float(np.clip(rng.normal(0, 0.05), -0.15, 0.15)),
        "wobble": 0.018,
        "straps": bool(rng.random() < 0.85),
        "blur": float(rng.uniform(0.003, 0.012)),
    }
    return MaskLook(**(look | fixed))


def _outline(look: MaskLook, rng: Rng) -> list[tuple[float, float]]:
    top, side, chin, w = look.nose, look.side, look.chin, look.width
    low = side + (chin - side) * 0.52
    if look.cut == "surgical":
        right = [(0, top), (0.16 * w, top + 0.012), (0.42 * w, top + (side - top) * 0.72), (0.93 * w, side - 0.02),
                 (w, side), (0.97 * w, (side + low) / 2), (0.92 * w, low), (0.68 * w, low + (chin - low) * 0.62),
                 (0.36 * w, chin - 0.015), (0, chin)]  # fmt: skip
    elif look.cut == "cloth":
        right = [(0, top), (0.18 * w, top + 0.015), (0.52 * w, top + (side - top) * 0.85), (1.04 * w, side),
                 (1.06 * w, side + 0.08), (0.86 * w, low + 0.02), (0.55 * w, low + (chin - low) * 0.75),
                 (0.18 * w, chin), (0, chin)]  # fmt: skip
    else:
        right = [(0, top), (0.15 * w, top + 0.01), (0.40 * w, top + (side - top) * 0.9), (0.82 * w, side + 0.05),
                 (0.93 * w, (side + low) / 2 + 0.04), (0.80 * w, low + 0.03), (0.50 * w, chin - 0.05),
                 (0.14 * w, chin), (0, chin)]  # fmt: skip
    points = np.array(_both_sides(right), np.float32)
    points += rng.normal(0, 1, points.shape).astype(np.float32) * np.float32(look.wobble)
    # The side that is turned away is foreshortened.
    away = np.sign(points[:, 0]) == np.sign(look.yaw)
    points[away, 0] *= np.float32(1 - 0.22 * abs(look.yaw))
    return smooth([(float(u), float(v)) for u, v in points], 3)


def paint_mask(picture: Picture, box: Box, look: MaskLook, rng: Rng, finest: float = MOST_WORK_PX) -> Picture:
    """The mask that `look` describes, on the face in `box`; painted at a face height of at most `finest` pixels."""
    stage = Stage(picture, box, look.roll, look.yaw, finest)
    alpha = stage.layer()
    stage.polygon(alpha, _outline(look, rng))
    alpha = stage.soft(alpha, look.blur)
    touched = alpha.copy()
    across, v = stage.across, stage.v
    middle = (look.nose + look.chin) / 2
    span = look.chin - look.nose

    if look.straps:
        straps = stage.layer()
        w, low = look.width, look.side + (look.chin - look.side) * 0.5
        for s in (-1.0, 1.0):
            ear = 1.0 + 0.05 * rng.random()
            stage.line(straps, [(s * w * 0.96, look.side + 0.02), (s * ear, min(look.side, 0.50) - 0.05)], 0.014)
            if look.cut != "cone" or rng.random() < 0.5:
                stage.line(straps, [(s * w * 0.88, low), (s * ear, min(look.side, 0.50) + 0.10)], 0.014)
        stage.shadow(straps, 0.25, 0.01, 0.02)
        stage.put(stage.soft(straps, 0.004), np.array(look.strap, np.float32), 1.0, rng, 1.0)
        touched = cv2.max(touched, straps)
    stage.shadow(alpha, rng.uniform(0.2, 0.45), 0.02)

    # Round like a face: falls off to the sides and under the chin, the ridge over the nose catches the light.
    tilt = np.float32(rng.uniform(-0.18, 0.18))
    shade = 1.04 - 0.26 * across * across + tilt * across
    shade -= np.float32(0.30) * np.clip((v - (look.chin - 0.22)) / 0.26, 0, 1) ** 2
    ridge = np.exp(-((across / 0.22) ** 2) - ((v - (look.nose + 0.30 * span)) / (0.30 * span)) ** 2)
    shade += np.float32(rng.uniform(0.02, 0.12)) * ridge
    # Folds: noise that runs across.
    rough = {"surgical": 0.035, "cloth": 0.07, "cone": 0.025}[look.cut]
    folds = rng.normal(0, 1, (int(rng.integers(8, 15)), int(rng.integers(3, 7)))).astype(np.float32)
    shade += np.float32(rough) * cv2.resize(folds, (stage.w, stage.h), interpolation=cv2.INTER_CUBIC)
    if look.cut == "surgical":
        pleats = int(rng.integers(3, 5))
        phase = (v - (look.nose + 0.24 * span) - 0.03 * across * across) / np.float32(0.62 * span / pleats)
        saw = phase - np.floor(phase)
        strong = np.float32(rng.uniform(0.12, 0.30)) * ((phase > 0) & (phase < pleats))
        shade -= strong * (np.exp(-saw * 7) - 0.35 * np.exp(-(1 - saw) * 9))
    elif look.cut == "cloth" and rng.random() < 0.6:
        seam = np.exp(-((across / 0.025) ** 2))
        shade -= np.float32(rng.uniform(0.06, 0.2)) * seam
    elif look.cut == "cone":
        if rng.random() < 0.6:
            # KN95: folded along the middle, one half in the light.
            shade += np.float32(rng.choice([-1, 1]) * rng.uniform(0.04, 0.10)) * np.tanh(across * 14)
            shade -= np.float32(0.12) * np.exp(-((across / 0.02) ** 2))
        else:
            fold = v - middle - np.float32(rng.uniform(-0.12, 0.12)) + 0.10 * across * across
            shade -= np.float32(0.16) * np.exp(-((fold / 0.012) ** 2))
            shade += np.float32(0.06) * np.exp(-(((fold + 0.03) / 0.02) ** 2))
    # The rim is stitched, or pressed flat.
    inner = stage.layer()
    eroded = cv2.erode(alpha, np.ones((3, 3), np.uint8), iterations=max(1, round(0.02 * stage.hw * 2)))
    np.subtract(alpha, eroded, out=inner, where=alpha > eroded)
    rim = inner.astype(np.float32) * np.float32(rng.uniform(-0.22, 0.12) / 255)
    shade = np.clip(shade + rim, 0.25, 1.5)

    colour: npt.NDArray[Any] = np.array(look.colour, np.float32)
    if look.pattern is not None:
        tile = look.pattern(rng, look.second, look.colour)
        single = look.pattern in (_grin, _letters)
        repeat = rng.uniform(0.42, 0.55) if single else rng.uniform(0.4, 1.2)
        colour = _printed(stage, tile, rng, repeat, 0.0 if single else rng.uniform(-0.8, 0.8))
    stage.put(alpha, colour, shade, rng, rng.uniform(0.5, 4))
    if look.cut != "cloth" and rng.random() < 0.6:
        wire = stage.layer()
        top = look.nose + 0.035
        half = [(0, top), (0.12, top + 0.012), (0.28, top + 0.05)]
        stage.line(wire, [(-u, v) for u, v in half[:0:-1]] + half, 0.012)
        dark = np.array(look.colour, np.float32) * np.float32(rng.uniform(0.75, 1.12))
        stage.put((stage.soft(wire, 0.006) * 0.6).astype(np.uint8), dark, 1.0, rng, 0)
    return stage.picture_with(touched)


def draw_mask(picture: Picture, box: Box, rng: Rng) -> Picture:
    """A mask worn as it should be: over the nose, under the chin."""
    return paint_mask(picture, box, random_look(rng), rng)


def draw_chin_mask(picture: Picture, box: Box, rng: Rng) -> Picture:
    """A mask that does not protect: under the nose, under the mouth or around the neck."""
    kind = rng.random()
    if kind < 0.65:  # the nose is out
        nose = rng.uniform(0.68, 0.74)
        place = {"nose": nose, "side": nose - rng.uniform(-0.02, 0.06), "chin": rng.uniform(1.04, 1.16)}
    else:  # on the chin
        nose = rng.uniform(0.85, 0.93)
        place = {"nose": nose, "side": nose - rng.uniform(-0.02, 0.06), "chin": rng.uniform(1.12, 1.25)}
    look = random_look(rng, width=rng.uniform(0.66, 0.88), straps=bool(rng.random() < 0.5), **place)
    return paint_mask(picture, box, look, rng)


# Things in front of a mouth.


def _skin(stage: Stage, rng: Rng) -> Floats:
    """The face's own skin, undone of the light that `put` will lay on again; sometimes somebody else's hand."""
    patch = stage.pixels[(np.abs(stage.v - 0.55) < 0.12) & (np.abs(np.abs(stage.u) - 0.42) < 0.2)]
    tone = np.median(patch, 0) / stage.exposure if len(patch) else np.array([190.0, 145.0, 120.0])
    if rng.random() < 0.06:
        tone = np.array([(225, 180, 155), (150, 105, 80), (90, 62, 48)][int(rng.integers(3))])
    return np.clip(tone * rng.uniform(0.85, 1.1), 15, 245).astype(np.float32)


def _finger(stage: Stage, points: Points, wide: float, skin: Floats, rng: Rng, touched: Picture) -> None:
    """A rounded limb along `points`: lit in the middle, dark along its edges."""
    layer, core = stage.layer(), stage.layer()
    stage.line(layer, points, wide, turned=False)
    stage.line(core, points, wide * 0.5, turned=False)
    light = stage.soft(core, wide * 0.28).astype(np.float32)
    stage.shadow(layer, 0.30, 0.012, 0.025)
    stage.put(stage.soft(layer, 0.005), skin, 0.90 + light * np.float32(0.30 / 255), rng, 2)
    np.maximum(touched, layer, out=touched)


def _hand(stage: Stage, rng: Rng, touched: Picture) -> None:
    skin = _skin(stage, rng)
    side = float(rng.choice([-1.0, 1.0]))
    mouth = np.array([rng.uniform(-0.15, 0.15), rng.uniform(0.72, 0.82)])
    if rng.random() < 0.6:
        # Laid over the mouth from one side: wrist below that side, fingers across.
        tilt = rng.uniform(-0.10, 0.16)
        wrist = (side * rng.uniform(0.9, 1.2), rng.uniform(1.25, 1.45))
        palm = smooth([(side * 0.95, mouth[1] - 0.16), (side * 0.35, mouth[1] - 0.20), (side * 0.2, mouth[1] + 0.14),
                       (side * 0.5, 1.15), (wrist[0] - side * 0.25, 1.5), (wrist[0] + side * 0.35, 1.5),
                       (side * 1.15, 1.0)])  # fmt: skip
        layer = stage.layer()
        stage.polygon(layer, palm, turned=False)
        stage.shadow(layer, 0.35)
        stage.put(stage.soft(layer, 0.008), skin, 1.04, rng, 2)
        np.maximum(touched, layer, out=touched)
        for k in range(4):
            v = mouth[1] - 0.15 + 0.092 * k
            reach = (0.62, 0.78, 0.70, 0.48)[k] + rng.uniform(-0.08, 0.08)
            start, knuckle = (side * 0.45, v + 0.02), (-side * 0.1, v + tilt * 0.3)
            _finger(stage, [start, knuckle, (-side * reach, v + tilt * 0.8)], 0.125, skin, rng, touched)
    else:
        # A fist or fingers in front of the mouth, from below.
        layer = stage.layer()
        u = mouth[0]
        stage.polygon(layer, smooth([(u - 0.42, 0.86), (u + 0.42, 0.84), (u + 0.5, 1.15), (u + side * 0.3 + 0.34, 1.6),
                                     (u + side * 0.3 - 0.34, 1.6), (u - 0.5, 1.15)]), turned=False)  # fmt: skip
        stage.shadow(layer, 0.35)
        stage.put(stage.soft(layer, 0.008), skin, 1.0, rng, 2)
        np.maximum(touched, layer, out=touched)
        long = rng.uniform(0.02, 0.22)
        for k in range(4):
            x = u - 0.345 + 0.23 * k
            tip = mouth[1] - long + (0.03, 0.0, 0.01, 0.05)[k] + rng.uniform(-0.015, 0.015)
            _finger(stage, [(x, 1.02), (x * 0.97, (tip + 1.02) / 2), (x * 0.92, tip)], 0.115, skin, rng, touched)


def _shaded_tube(stage: Stage, centre: float, half: float, rng: Rng) -> Floats:
    """A cylinder's shading across u."""
    x = np.clip((stage.u - np.float32(centre)) / np.float32(half), -1, 1)
    lit = np.float32(rng.uniform(-0.5, 0.5))
    return 0.62 + 0.45 * np.sqrt(np.clip(1 - (x - lit * 0.3) ** 2, 0, 1)) + 0.12 * np.exp(-(((x - lit) / 0.12) ** 2))


def _cup(stage: Stage, rng: Rng, touched: Picture) -> None:
    u, top, half = rng.uniform(-0.12, 0.12), rng.uniform(0.64, 0.76), rng.uniform(0.34, 0.55)
    bottom, foot = top + rng.uniform(0.38, 0.6), half * rng.uniform(0.7, 1.0)
    colour = _near(rng, (235, 232, 226) if rng.random() < 0.4 else _colour(rng), 5)
    side = float(rng.choice([-1.0, 1.0]))
    skin = _skin(stage, rng)
    layer, handle = stage.layer(), stage.layer()
    if rng.random() < 0.6:
        middle, turn = (top + bottom) / 2, np.linspace(0, np.pi, 12)
        ring = [(u + side * (half + 0.26 * np.sin(t)), middle - 0.13 * np.cos(t)) for t in turn]
        stage.line(handle, ring, 0.07, turned=False)
        stage.put(stage.soft(handle, 0.006), colour, 0.8, rng)
        np.maximum(touched, handle, out=touched)
    arc = np.linspace(0, 3.1416, 14)
    rim = [(u + half * np.cos(t), top + 0.05 * np.sin(t)) for t in arc[::-1]]
    rim_back = [(u + half * np.cos(t), top - 0.045 * np.sin(t)) for t in arc]
    base = [(u + foot * np.cos(t), bottom + 0.05 * np.sin(t)) for t in arc]
    stage.polygon(layer, [*rim_back, *base], turned=False)
    stage.shadow(layer, 0.4)
    print_: npt.NDArray[Any] = colour
    if rng.random() < 0.35:
        tile = PATTERNS[int(rng.integers(5))](rng, _colour(rng), tuple(float(c) for c in colour))  # type: ignore[arg-type]
        print_ = _printed(stage, tile, rng, rng.uniform(0.3, 0.8), 0)
    stage.put(stage.soft(layer, 0.005), print_, _shaded_tube(stage, u, half, rng), rng)
    inside = stage.layer()
    stage.polygon(inside, [*rim_back, *rim], turned=False)
    stage.put((stage.soft(inside, 0.006) * 0.8).astype(np.uint8), colour, 0.55, rng)
    np.maximum(touched, layer, out=touched)
    if rng.random() < 0.7:
        for k in range(int(rng.integers(3, 5))):
            v = top + 0.13 + 0.095 * k
            limb = [(side + u, v + 0.06), (u + side * half, v), (u - side * 0.1, v + 0.01)]
            _finger(stage, limb, 0.12, skin, rng, touched)


def _microphone(stage: Stage, rng: Rng, touched: Picture) -> None:
    u, v, r = rng.uniform(-0.25, 0.25), rng.uniform(0.80, 0.92), rng.uniform(0.20, 0.36)
    lean = rng.uniform(-0.5, 0.5)
    shaft = stage.layer()
    stage.line(shaft, [(u, v), (u + lean, v + 0.75)], r * 0.55, turned=False)
    stage.shadow(shaft, 0.3)
    metal = _shaded_tube(stage, u + lean / 2, r + abs(lean), rng)
    stage.put(stage.soft(shaft, 0.006), _near(rng, (36, 36, 40), 8), metal, rng)
    ball = stage.layer()
    ring = [(u + r * np.cos(t), v + r * 0.62 * np.sin(t)) for t in np.linspace(0, 6.283, 28)]
    stage.polygon(ball, ring, turned=False)
    stage.shadow(ball, 0.4)
    d2 = ((stage.u - u) / r) ** 2 + ((stage.v - v) / (r * 0.62)) ** 2
    shade = 0.5 + 0.6 * np.sqrt(np.clip(1 - d2, 0, 1))
    if rng.random() < 0.6:  # wire mesh; else a foam cap
        n = np.float32(rng.uniform(18, 34))
        shade = shade * (0.75 + 0.25 * np.sign(np.sin(stage.u * n) * np.sin(stage.v * n * 1.6)))
        colour = _near(rng, (150, 150, 155), 30)
    else:
        colour = _near(rng, (38, 38, 42) if rng.random() < 0.5 else _colour(rng), 6)
    stage.put(stage.soft(ball, 0.006), colour, shade.astype(np.float32), rng, 5)
    np.maximum(touched, cv2.max(shaft, ball), out=touched)
    if rng.random() < 0.7:
        skin, side = _skin(stage, rng), float(rng.choice([-1.0, 1.0]))
        for k in range(4):
            y = v + r * 0.62 + 0.05 + 0.095 * k
            x = u + lean * (y - v) / 0.75
            _finger(stage, [(x + side * 0.45, y + 0.03), (x - side * 0.16, y)], 0.12, skin, rng, touched)


def _phone(stage: Stage, rng: Rng, touched: Picture) -> None:
    u, v = rng.uniform(-0.3, 0.3), rng.uniform(0.76, 0.90)
    turn = rng.uniform(-0.4, 0.4) + (np.pi / 2 if rng.random() < 0.4 else 0)
    a, b = rng.uniform(0.28, 0.38), rng.uniform(0.62, 0.78)
    c, s = np.cos(turn), np.sin(turn)

    def on_phone(points: Points) -> list[tuple[float, float]]:
        # v counts in box heights, u in half widths: about 0.38 of the one is the other.
        return [(u + x * c - y * s, v + (x * s + y * c) * 0.38) for x, y in points]

    quarter = [(a, 0.93 * b), (0.86 * a, b)]
    points = on_phone([*quarter, *[(-x, y) for x, y in quarter[::-1]], *[(-x, -y) for x, y in quarter],
                       *[(x, -y) for x, y in quarter[::-1]]])  # fmt: skip
    layer = stage.layer()
    stage.polygon(layer, points, turned=False)
    stage.shadow(layer, 0.4)
    colour = _near(rng, BLACKS[int(rng.integers(len(BLACKS)))] if rng.random() < 0.6 else _colour(rng), 6)
    gleam = np.exp(-(((stage.u * c + stage.v * 2 * s - np.float32(u + rng.uniform(-0.3, 1.5))) / 0.22) ** 2))
    stage.put(stage.soft(layer, 0.004), colour, 0.95 + np.float32(0.35) * gleam, rng, 1)
    lens = stage.layer()
    turns = np.linspace(0, 2 * np.pi, 14)
    spot = on_phone([(-0.6 * a + 0.1 * np.cos(t), -0.78 * b + 0.1 * np.sin(t)) for t in turns])
    stage.polygon(lens, spot, turned=False)
    stage.put(stage.soft(lens, 0.004), np.array([15, 15, 18], np.float32), 1.0, rng, 0)
    np.maximum(touched, layer, out=touched)
    if rng.random() < 0.7:
        skin, side = _skin(stage, rng), float(rng.choice([-1.0, 1.0]))
        for k in range(4):
            y = v + 0.0 + 0.095 * k
            _finger(stage, [(u + side * 0.75, y + 0.08), (u + side * 0.2, y)], 0.12, skin, rng, touched)


def _scarf(stage: Stage, rng: Rng, touched: Picture) -> None:
    """Pulled up to the chin or the lower lip, no further."""
    top, up = rng.uniform(0.88, 0.99), rng.uniform(0.02, 0.14)
    wide = rng.uniform(1.05, 1.45)
    points = smooth([(-wide, top - up), (-0.55, top + 0.02), (0, top + 0.03), (0.55, top + 0.02), (wide, top - up),
                     (wide + 0.15, 1.6), (-wide - 0.15, 1.6)])  # fmt: skip
    layer = stage.layer()
    stage.polygon(layer, points, turned=False)
    stage.shadow(layer, 0.4, -0.01)
    plain = BLACKS[int(rng.integers(len(BLACKS)))] if rng.random() < 0.35 else _colour(rng)
    colour: npt.NDArray[Any] = _near(rng, plain, 5)
    if rng.random() < 0.4:
        tile = PATTERNS[int(rng.integers(5))](rng, _colour(rng), tuple(float(c) for c in colour))  # type: ignore[arg-type]
        colour = _printed(stage, tile, rng, rng.uniform(0.3, 0.8), rng.uniform(-0.5, 0.5))
    bend = stage.v - 0.10 * stage.u * stage.u * np.float32(rng.uniform(-1, 1.5))
    waves = np.sin(bend * np.float32(rng.uniform(28, 50)) + 2.5 * np.sin(stage.u * np.float32(rng.uniform(1, 3))))
    stage.put(stage.soft(layer, 0.012), colour, (0.88 + 0.16 * waves).astype(np.float32), rng, 5)
    np.maximum(touched, layer, out=touched)


def _beard(stage: Stage, rng: Rng, touched: Picture) -> None:
    long = rng.uniform(0.98, 1.28)
    grow = rng.uniform(0.66, 0.74)
    layer = stage.layer()
    stage.polygon(layer, smooth(_both_sides([(0, grow), (0.25, grow + 0.01), (0.45, 0.80), (0.72, 0.76), (0.90, 0.56),
                                             (0.96, 0.58), (0.88, 0.86), (0.58, long - 0.06), (0, long)])))  # fmt: skip
    lips = stage.layer()
    stage.polygon(lips, smooth(_both_sides([(0, 0.765), (0.2, 0.772), (0.34, 0.80), (0.2, 0.845), (0, 0.85)])))
    edge = stage.soft(layer, 0.03).astype(np.float32) * (1 - stage.soft(lips, 0.012).astype(np.float32) / 255)
    # Hair: noise drawn out downwards and to the sides, and a ragged edge.
    hair = rng.random((stage.h, stage.w), np.float32)
    hair = cv2.blur(hair, (1, max(3, round(stage.bh * 0.05))))
    hair = (hair - hair.mean()) / max(float(hair.std()), 1e-6)
    alpha = np.clip(edge * np.float32(rng.uniform(0.75, 1.15)) + (hair * 30) * (edge > 12) * (edge < 225), 0, 250)
    alpha = alpha.astype(np.uint8)
    tone: Rgb = ((28, 22, 20), (52, 38, 30), (92, 62, 40), (120, 112, 106), (60, 56, 54))[int(rng.integers(5))]
    stage.put(alpha, _near(rng, tone, 5), (1 + 0.28 * hair).astype(np.float32), rng, 3)
    np.maximum(touched, cv2.dilate(layer, np.ones((9, 9), np.uint8)), out=touched)


OCCLUDERS: tuple[tuple[Callable[[Stage, Rng, Picture], None], float], ...] = (
    (_hand, 0.34), (_cup, 0.14), (_microphone, 0.10), (_phone, 0.12), (_scarf, 0.14), (_beard, 0.16),
)  # fmt: skip


def draw_occluder(picture: Picture, box: Box, rng: Rng) -> Picture:
    """Something in front of the mouth that is no mask: hand, cup, microphone, telephone, scarf at the chin, beard."""
    roll, yaw = np.clip(rng.normal(0, (0.08, 0.2)), (-0.25, -0.5), (0.25, 0.5))
    stage = Stage(picture, box, float(roll), float(yaw))
    touched = stage.layer()
    paint = OCCLUDERS[int(rng.choice(len(OCCLUDERS), p=[p for _, p in OCCLUDERS]))][0]
    paint(stage, rng, touched)
    return stage.picture_with(touched)
