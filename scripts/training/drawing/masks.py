"""Draw masks on bare faces: worn well, or worn where they do not protect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ..arrays import Box, Floats, Layer, Picture, Rng
from .canvas import MAX_WORK_PX, FaceCanvas, Turn, mirrored, smooth
from .patterns import BLACKS, PATTERNS, SINGLE, SURGICAL, Pattern, Rgb, letters, random_colour, varied, wrap_pattern


@dataclass(frozen=True)
class MaskStyle:
    """How a mask looks and sits, in face coordinates.

    `nose` is the v of the upper edge at the nose, `side` that of the upper edge at the cheeks, `chin` that of the lower
    edge. `width` is the u of the cheeks. `roll` is in radians, `yaw` from -1 to 1. `wobble` is the noise on the
    outline. `blur` is the blur of the edge, in box widths.
    """

    cut: str = "surgical"  # or "cloth", "cone"
    colour: Rgb = (150, 198, 228)
    pattern: Pattern | None = None
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

    @property
    def span(self) -> float:
        """The height of the mask."""
        return self.chin - self.nose


def random_style(rng: Rng, **fixed: Any) -> MaskStyle:
    """Return any style of mask, worn well; `fixed` sets single fields."""
    kind = rng.random()
    pattern: Pattern | None = None
    second = random_colour(rng)
    strap: Rgb = (236, 236, 236) if rng.random() < 0.7 else (34, 34, 36)
    if kind < 0.32:
        cut = "surgical"
        k = int(rng.choice(len(SURGICAL), p=[p for _, p in SURGICAL]))
        colour = varied(rng, SURGICAL[k][0], 9)
        strap = (34, 34, 36) if sum(SURGICAL[k][0]) < 150 else (236, 236, 236)
    elif kind < 0.52:
        cut = "cloth" if rng.random() < 0.8 else "cone"
        colour = varied(rng, BLACKS[int(rng.integers(len(BLACKS)))], 6)
        strap = (30, 30, 32)
        if rng.random() < 0.15:
            pattern, second = letters, (225, 225, 225)
    elif kind < 0.68:
        cut, colour = "cloth", varied(rng, random_colour(rng), 4)
        strap = _rgb(colour) if rng.random() < 0.6 else strap
    elif kind < 0.84:
        cut = "cloth" if rng.random() < 0.8 else "surgical"
        colour = varied(rng, random_colour(rng), 4)
        pattern = PATTERNS[int(rng.integers(len(PATTERNS)))]
    else:
        cut = "cone"
        colour = varied(rng, (234, 234, 232) if rng.random() < 0.7 else random_colour(rng), 6)
    fields: dict[str, Any] = {
        "cut": cut,
        "colour": _rgb(colour),
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
    return MaskStyle(**(fields | fixed))


def _rgb(colour: Floats) -> Rgb:
    r, g, b = (float(c) for c in colour)
    return r, g, b


def _outline(style: MaskStyle, rng: Rng) -> list[tuple[float, float]]:
    """Return the mask's outline in face coordinates."""
    top, side, chin, w = style.nose, style.side, style.chin, style.width
    low = side + (chin - side) * 0.52
    if style.cut == "surgical":
        right = [(0, top), (0.16 * w, top + 0.012), (0.42 * w, top + (side - top) * 0.72), (0.93 * w, side - 0.02),
                 (w, side), (0.97 * w, (side + low) / 2), (0.92 * w, low), (0.68 * w, low + (chin - low) * 0.62),
                 (0.36 * w, chin - 0.015), (0, chin)]  # fmt: skip
    elif style.cut == "cloth":
        right = [(0, top), (0.18 * w, top + 0.015), (0.52 * w, top + (side - top) * 0.85), (1.04 * w, side),
                 (1.06 * w, side + 0.08), (0.86 * w, low + 0.02), (0.55 * w, low + (chin - low) * 0.75),
                 (0.18 * w, chin), (0, chin)]  # fmt: skip
    else:
        right = [(0, top), (0.15 * w, top + 0.01), (0.40 * w, top + (side - top) * 0.9), (0.82 * w, side + 0.05),
                 (0.93 * w, (side + low) / 2 + 0.04), (0.80 * w, low + 0.03), (0.50 * w, chin - 0.05),
                 (0.14 * w, chin), (0, chin)]  # fmt: skip
    points = np.array(mirrored(right), np.float32)
    points += rng.normal(0, 1, points.shape).astype(np.float32) * np.float32(style.wobble)
    # The side that is turned away looks narrower.
    away = np.sign(points[:, 0]) == np.sign(style.yaw)
    points[away, 0] *= np.float32(1 - 0.22 * abs(style.yaw))
    return smooth([(float(u), float(v)) for u, v in points], 3)


def paint_mask(picture: Picture, box: Box, style: MaskStyle, rng: Rng, max_height: float = MAX_WORK_PX) -> Picture:
    """Return the picture with the mask that `style` describes on the face in `box`.

    The mask is painted at a face height of at most `max_height` pixels.
    """
    canvas = FaceCanvas(picture, box, style.roll, style.yaw, max_height)
    alpha = canvas.new_layer()
    canvas.fill(alpha, _outline(style, rng))
    alpha = canvas.soften(alpha, style.blur)
    touched = alpha.copy()
    if style.straps:
        np.maximum(touched, _paint_straps(canvas, style, rng), out=touched)
    canvas.darken_around(alpha, rng.uniform(0.2, 0.45), 0.02)
    shade = _shade(canvas, style, rng)
    # The rim is stitched, or pressed flat.
    inner = canvas.new_layer()
    eroded = cv2.erode(alpha, np.ones((3, 3), np.uint8), iterations=max(1, round(0.02 * canvas.half_w * 2)))
    np.subtract(alpha, eroded, out=inner, where=alpha > eroded)
    rim = inner.astype(np.float32) * np.float32(rng.uniform(-0.22, 0.12) / 255)
    shade = np.clip(shade + rim, 0.25, 1.5)

    colour: Floats | Picture = np.array(style.colour, np.float32)
    if style.pattern is not None:
        tile = style.pattern(rng, style.second, style.colour)
        is_single = style.pattern in SINGLE
        repeat = rng.uniform(0.42, 0.55) if is_single else rng.uniform(0.4, 1.2)
        colour = wrap_pattern(canvas, tile, rng, repeat, 0.0 if is_single else rng.uniform(-0.8, 0.8))
    canvas.paint(alpha, colour, shade, rng, rng.uniform(0.5, 4))
    if style.cut != "cloth" and rng.random() < 0.6:
        _paint_nose_wire(canvas, style, rng)
    return canvas.picture_with(touched)


def _paint_straps(canvas: FaceCanvas, style: MaskStyle, rng: Rng) -> Layer:
    """Paint the ear straps; return where they are."""
    straps = canvas.new_layer()
    w, low = style.width, style.side + (style.chin - style.side) * 0.5
    for s in (-1.0, 1.0):
        ear = 1.0 + 0.05 * rng.random()
        canvas.line(straps, [(s * w * 0.96, style.side + 0.02), (s * ear, min(style.side, 0.50) - 0.05)], 0.014)
        if style.cut != "cone" or rng.random() < 0.5:
            canvas.line(straps, [(s * w * 0.88, low), (s * ear, min(style.side, 0.50) + 0.10)], 0.014)
    canvas.darken_around(straps, 0.25, 0.01, 0.02)
    canvas.paint(canvas.soften(straps, 0.004), np.array(style.strap, np.float32), 1.0, rng, 1.0)
    return straps


def _shade(canvas: FaceCanvas, style: MaskStyle, rng: Rng) -> Floats:
    """Return the brightness of the mask over the canvas, (h, w): roundness, folds, and the details of its cut."""
    across, v = canvas.across, canvas.v
    # The mask is round like the face: darker at the sides and under the chin, bright on the ridge over the nose.
    tilt = np.float32(rng.uniform(-0.18, 0.18))
    shade: npt.NDArray[np.float32] = 1.04 - 0.26 * across * across + tilt * across
    shade -= np.float32(0.30) * np.clip((v - (style.chin - 0.22)) / 0.26, 0, 1) ** 2
    ridge = np.exp(-((across / 0.22) ** 2) - ((v - (style.nose + 0.30 * style.span)) / (0.30 * style.span)) ** 2)
    shade += np.float32(rng.uniform(0.02, 0.12)) * ridge
    # Folds are noise that runs across.
    roughness = {"surgical": 0.035, "cloth": 0.07, "cone": 0.025}[style.cut]
    folds = rng.normal(0, 1, (int(rng.integers(8, 15)), int(rng.integers(3, 7)))).astype(np.float32)
    shade += np.float32(roughness) * cv2.resize(folds, (canvas.w, canvas.h), interpolation=cv2.INTER_CUBIC)
    if style.cut == "surgical":
        pleats = int(rng.integers(3, 5))
        phase = (v - (style.nose + 0.24 * style.span) - 0.03 * across * across) / np.float32(0.62 * style.span / pleats)
        saw = phase - np.floor(phase)
        depth = np.float32(rng.uniform(0.12, 0.30)) * ((phase > 0) & (phase < pleats))
        shade -= depth * (np.exp(-saw * 7) - 0.35 * np.exp(-(1 - saw) * 9))
    elif style.cut == "cloth" and rng.random() < 0.6:
        seam = np.exp(-((across / 0.025) ** 2))
        shade -= np.float32(rng.uniform(0.06, 0.2)) * seam
    elif style.cut == "cone":
        if rng.random() < 0.6:
            # A KN95 is folded along the middle, with one half in the light.
            shade += np.float32(rng.choice([-1, 1]) * rng.uniform(0.04, 0.10)) * np.tanh(across * 14)
            shade -= np.float32(0.12) * np.exp(-((across / 0.02) ** 2))
        else:
            middle = (style.nose + style.chin) / 2
            fold = v - middle - np.float32(rng.uniform(-0.12, 0.12)) + 0.10 * across * across
            shade -= np.float32(0.16) * np.exp(-((fold / 0.012) ** 2))
            shade += np.float32(0.06) * np.exp(-(((fold + 0.03) / 0.02) ** 2))
    return shade


def _paint_nose_wire(canvas: FaceCanvas, style: MaskStyle, rng: Rng) -> None:
    wire = canvas.new_layer()
    top = style.nose + 0.035
    half = [(0, top), (0.12, top + 0.012), (0.28, top + 0.05)]
    canvas.line(wire, [(-u, v) for u, v in half[:0:-1]] + half, 0.012)
    dark = np.array(style.colour, np.float32) * np.float32(rng.uniform(0.75, 1.12))
    canvas.paint((canvas.soften(wire, 0.006) * 0.6).astype(np.uint8), dark, 1.0, rng, 0)


def draw_mask(picture: Picture, box: Box, rng: Rng, turn: Turn | None = None) -> Picture:
    """Return the picture with a mask worn well: over the nose and under the chin.

    `turn` is the face's (roll, yaw); None guesses it.
    """
    return paint_mask(picture, box, random_style(rng, **_turned(turn)), rng)


def draw_chin_mask(picture: Picture, box: Box, rng: Rng, turn: Turn | None = None) -> Picture:
    """Return the picture with a mask worn wrongly: under the nose, or under the mouth. `turn` is as in draw_mask."""
    kind = rng.random()
    if kind < 0.65:  # under the nose
        nose = rng.uniform(0.68, 0.74)
        edges = {"nose": nose, "side": nose - rng.uniform(-0.02, 0.06), "chin": rng.uniform(1.04, 1.16)}
    else:  # under the mouth
        nose = rng.uniform(0.85, 0.93)
        edges = {"nose": nose, "side": nose - rng.uniform(-0.02, 0.06), "chin": rng.uniform(1.12, 1.25)}
    fixed = {"width": rng.uniform(0.66, 0.88), "straps": bool(rng.random() < 0.5), **edges, **_turned(turn)}
    return paint_mask(picture, box, random_style(rng, **fixed), rng)


def _turned(turn: Turn | None) -> dict[str, float]:
    return {} if turn is None else {"roll": turn[0], "yaw": turn[1]}
