"""Draw things in front of a mouth that are no mask: hand, cup, microphone, phone, scarf, beard.

Each painter takes (canvas, generator, touched) and adds what it paints to the layer `touched`.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from ..arrays import Box, Floats, Layer, Picture, Rng, as_floats
from .canvas import FaceCanvas, Points, Turn, mirrored, smooth
from .patterns import BLACKS, PATTERNS, Rgb, random_colour, varied, wrap_pattern

Painter = Callable[[FaceCanvas, Rng, Layer], None]

#: Patterns for cups and scarves: all but letters and the printed mouth.
CLOTH_PATTERNS = PATTERNS[:5]


def _skin(canvas: FaceCanvas, rng: Rng) -> Floats:
    """Return a skin colour (3,): the face's own without its light, or sometimes that of another person's hand."""
    patch = canvas.pixels[(np.abs(canvas.v - 0.55) < 0.12) & (np.abs(np.abs(canvas.u) - 0.42) < 0.2)]
    tone = np.median(patch, 0) / canvas.exposure if len(patch) else np.array([190.0, 145.0, 120.0])
    if rng.random() < 0.06:
        tone = np.array([(225, 180, 155), (150, 105, 80), (90, 62, 48)][int(rng.integers(3))])
    return np.clip(tone * rng.uniform(0.85, 1.1), 15, 245).astype(np.float32)


def _finger(canvas: FaceCanvas, points: Points, width: float, skin: Floats, rng: Rng, touched: Layer) -> None:
    """Paint a finger along `points`: bright in the middle, dark along its edges. `width` is in box widths."""
    layer, core = canvas.new_layer(), canvas.new_layer()
    canvas.line(layer, points, width, turned=False)
    canvas.line(core, points, width * 0.5, turned=False)
    light = canvas.soften(core, width * 0.28).astype(np.float32)
    canvas.darken_around(layer, 0.30, 0.012, 0.025)
    canvas.paint(canvas.soften(layer, 0.005), skin, 0.90 + light * np.float32(0.30 / 255), rng, 2)
    np.maximum(touched, layer, out=touched)


def _hand(canvas: FaceCanvas, rng: Rng, touched: Layer) -> None:
    """Paint a hand over the mouth."""
    skin = _skin(canvas, rng)
    side = float(rng.choice([-1.0, 1.0]))
    mouth = np.array([rng.uniform(-0.15, 0.15), rng.uniform(0.72, 0.82)])
    if rng.random() < 0.6:
        # The hand comes from one side: the wrist is below that side, the fingers lie across the mouth.
        tilt = rng.uniform(-0.10, 0.16)
        wrist = (side * rng.uniform(0.9, 1.2), rng.uniform(1.25, 1.45))
        palm = smooth([(side * 0.95, mouth[1] - 0.16), (side * 0.35, mouth[1] - 0.20), (side * 0.2, mouth[1] + 0.14),
                       (side * 0.5, 1.15), (wrist[0] - side * 0.25, 1.5), (wrist[0] + side * 0.35, 1.5),
                       (side * 1.15, 1.0)])  # fmt: skip
        layer = canvas.new_layer()
        canvas.fill(layer, palm, turned=False)
        canvas.darken_around(layer, 0.35)
        canvas.paint(canvas.soften(layer, 0.008), skin, 1.04, rng, 2)
        np.maximum(touched, layer, out=touched)
        for k in range(4):
            v = mouth[1] - 0.15 + 0.092 * k
            reach = (0.62, 0.78, 0.70, 0.48)[k] + rng.uniform(-0.08, 0.08)
            start, knuckle = (side * 0.45, v + 0.02), (-side * 0.1, v + tilt * 0.3)
            _finger(canvas, [start, knuckle, (-side * reach, v + tilt * 0.8)], 0.125, skin, rng, touched)
    else:
        # A fist or fingers come from below.
        layer = canvas.new_layer()
        u = mouth[0]
        canvas.fill(layer, smooth([(u - 0.42, 0.86), (u + 0.42, 0.84), (u + 0.5, 1.15), (u + side * 0.3 + 0.34, 1.6),
                                     (u + side * 0.3 - 0.34, 1.6), (u - 0.5, 1.15)]), turned=False)  # fmt: skip
        canvas.darken_around(layer, 0.35)
        canvas.paint(canvas.soften(layer, 0.008), skin, 1.0, rng, 2)
        np.maximum(touched, layer, out=touched)
        long = rng.uniform(0.02, 0.22)
        for k in range(4):
            x = u - 0.345 + 0.23 * k
            tip = mouth[1] - long + (0.03, 0.0, 0.01, 0.05)[k] + rng.uniform(-0.015, 0.015)
            _finger(canvas, [(x, 1.02), (x * 0.97, (tip + 1.02) / 2), (x * 0.92, tip)], 0.115, skin, rng, touched)


def _shaded_tube(canvas: FaceCanvas, centre: float, half: float, rng: Rng) -> Floats:
    """Return the brightness of an upright cylinder over the canvas, (h, w); centre and half width are in u."""
    x = np.clip((canvas.u - np.float32(centre)) / np.float32(half), -1, 1)
    lit = np.float32(rng.uniform(-0.5, 0.5))
    round_off = 0.45 * np.sqrt(np.clip(1 - (x - lit * 0.3) ** 2, 0, 1))
    return as_floats(0.62 + round_off + 0.12 * np.exp(-(((x - lit) / 0.12) ** 2)))


def _cup(canvas: FaceCanvas, rng: Rng, touched: Layer) -> None:
    """Paint a cup at the mouth, sometimes with a handle, a print and fingers."""
    u, top, half = rng.uniform(-0.12, 0.12), rng.uniform(0.64, 0.76), rng.uniform(0.34, 0.55)
    bottom, foot = top + rng.uniform(0.38, 0.6), half * rng.uniform(0.7, 1.0)
    colour = varied(rng, (235, 232, 226) if rng.random() < 0.4 else random_colour(rng), 5)
    side = float(rng.choice([-1.0, 1.0]))
    skin = _skin(canvas, rng)
    layer, handle = canvas.new_layer(), canvas.new_layer()
    if rng.random() < 0.6:
        middle, turn = (top + bottom) / 2, np.linspace(0, np.pi, 12)
        ring = [(u + side * (half + 0.26 * np.sin(t)), middle - 0.13 * np.cos(t)) for t in turn]
        canvas.line(handle, ring, 0.07, turned=False)
        canvas.paint(canvas.soften(handle, 0.006), colour, 0.8, rng)
        np.maximum(touched, handle, out=touched)
    arc = np.linspace(0, 3.1416, 14)
    rim = [(u + half * np.cos(t), top + 0.05 * np.sin(t)) for t in arc[::-1]]
    rim_back = [(u + half * np.cos(t), top - 0.045 * np.sin(t)) for t in arc]
    base = [(u + foot * np.cos(t), bottom + 0.05 * np.sin(t)) for t in arc]
    canvas.fill(layer, [*rim_back, *base], turned=False)
    canvas.darken_around(layer, 0.4)
    surface: Floats | Picture = colour
    if rng.random() < 0.35:
        r, g, b = (float(c) for c in colour)
        tile = CLOTH_PATTERNS[int(rng.integers(5))](rng, random_colour(rng), (r, g, b))
        surface = wrap_pattern(canvas, tile, rng, rng.uniform(0.3, 0.8), 0)
    canvas.paint(canvas.soften(layer, 0.005), surface, _shaded_tube(canvas, u, half, rng), rng)
    inside = canvas.new_layer()
    canvas.fill(inside, [*rim_back, *rim], turned=False)
    canvas.paint((canvas.soften(inside, 0.006) * 0.8).astype(np.uint8), colour, 0.55, rng)
    np.maximum(touched, layer, out=touched)
    if rng.random() < 0.7:
        for k in range(int(rng.integers(3, 5))):
            v = top + 0.13 + 0.095 * k
            limb = [(side + u, v + 0.06), (u + side * half, v), (u - side * 0.1, v + 0.01)]
            _finger(canvas, limb, 0.12, skin, rng, touched)


def _microphone(canvas: FaceCanvas, rng: Rng, touched: Layer) -> None:
    """Paint a microphone below the mouth, sometimes with a hand."""
    u, v, r = rng.uniform(-0.25, 0.25), rng.uniform(0.80, 0.92), rng.uniform(0.20, 0.36)
    lean = rng.uniform(-0.5, 0.5)
    shaft = canvas.new_layer()
    canvas.line(shaft, [(u, v), (u + lean, v + 0.75)], r * 0.55, turned=False)
    canvas.darken_around(shaft, 0.3)
    metal = _shaded_tube(canvas, u + lean / 2, r + abs(lean), rng)
    canvas.paint(canvas.soften(shaft, 0.006), varied(rng, (36, 36, 40), 8), metal, rng)
    ball = canvas.new_layer()
    ring = [(u + r * np.cos(t), v + r * 0.62 * np.sin(t)) for t in np.linspace(0, 6.283, 28)]
    canvas.fill(ball, ring, turned=False)
    canvas.darken_around(ball, 0.4)
    d2 = ((canvas.u - u) / r) ** 2 + ((canvas.v - v) / (r * 0.62)) ** 2
    shade = 0.5 + 0.6 * np.sqrt(np.clip(1 - d2, 0, 1))
    if rng.random() < 0.6:  # wire mesh, otherwise a foam cap
        n = np.float32(rng.uniform(18, 34))
        shade = shade * (0.75 + 0.25 * np.sign(np.sin(canvas.u * n) * np.sin(canvas.v * n * 1.6)))
        colour = varied(rng, (150, 150, 155), 30)
    else:
        colour = varied(rng, (38, 38, 42) if rng.random() < 0.5 else random_colour(rng), 6)
    canvas.paint(canvas.soften(ball, 0.006), colour, shade.astype(np.float32), rng, 5)
    np.maximum(touched, cv2.max(shaft, ball), out=touched)
    if rng.random() < 0.7:
        skin, side = _skin(canvas, rng), float(rng.choice([-1.0, 1.0]))
        for k in range(4):
            y = v + r * 0.62 + 0.05 + 0.095 * k
            x = u + lean * (y - v) / 0.75
            _finger(canvas, [(x + side * 0.45, y + 0.03), (x - side * 0.16, y)], 0.12, skin, rng, touched)


def _phone(canvas: FaceCanvas, rng: Rng, touched: Layer) -> None:
    """Paint a phone in front of the mouth, sometimes with a hand."""
    u, v = rng.uniform(-0.3, 0.3), rng.uniform(0.76, 0.90)
    turn = rng.uniform(-0.4, 0.4) + (np.pi / 2 if rng.random() < 0.4 else 0)
    a, b = rng.uniform(0.28, 0.38), rng.uniform(0.62, 0.78)
    c, s = np.cos(turn), np.sin(turn)

    def on_phone(points: Points) -> list[tuple[float, float]]:
        # v is in box heights and u in half box widths: a length of 1 in u is about 0.38 in v.
        return [(u + x * c - y * s, v + (x * s + y * c) * 0.38) for x, y in points]

    quarter = [(a, 0.93 * b), (0.86 * a, b)]
    points = on_phone([*quarter, *[(-x, y) for x, y in quarter[::-1]], *[(-x, -y) for x, y in quarter],
                       *[(x, -y) for x, y in quarter[::-1]]])  # fmt: skip
    layer = canvas.new_layer()
    canvas.fill(layer, points, turned=False)
    canvas.darken_around(layer, 0.4)
    colour = varied(rng, BLACKS[int(rng.integers(len(BLACKS)))] if rng.random() < 0.6 else random_colour(rng), 6)
    gleam = np.exp(-(((canvas.u * c + canvas.v * 2 * s - np.float32(u + rng.uniform(-0.3, 1.5))) / 0.22) ** 2))
    canvas.paint(canvas.soften(layer, 0.004), colour, 0.95 + np.float32(0.35) * gleam, rng, 1)
    lens = canvas.new_layer()
    turns = np.linspace(0, 2 * np.pi, 14)
    spot = on_phone([(-0.6 * a + 0.1 * np.cos(t), -0.78 * b + 0.1 * np.sin(t)) for t in turns])
    canvas.fill(lens, spot, turned=False)
    canvas.paint(canvas.soften(lens, 0.004), np.array([15, 15, 18], np.float32), 1.0, rng, 0)
    np.maximum(touched, layer, out=touched)
    if rng.random() < 0.7:
        skin, side = _skin(canvas, rng), float(rng.choice([-1.0, 1.0]))
        for k in range(4):
            y = v + 0.0 + 0.095 * k
            _finger(canvas, [(u + side * 0.75, y + 0.08), (u + side * 0.2, y)], 0.12, skin, rng, touched)


def _scarf(canvas: FaceCanvas, rng: Rng, touched: Layer) -> None:
    """Paint a scarf that reaches the chin or the lower lip, and no further."""
    top, up = rng.uniform(0.88, 0.99), rng.uniform(0.02, 0.14)
    wide = rng.uniform(1.05, 1.45)
    points = smooth([(-wide, top - up), (-0.55, top + 0.02), (0, top + 0.03), (0.55, top + 0.02), (wide, top - up),
                     (wide + 0.15, 1.6), (-wide - 0.15, 1.6)])  # fmt: skip
    layer = canvas.new_layer()
    canvas.fill(layer, points, turned=False)
    canvas.darken_around(layer, 0.4, -0.01)
    plain = BLACKS[int(rng.integers(len(BLACKS)))] if rng.random() < 0.35 else random_colour(rng)
    colour: Floats | Picture = varied(rng, plain, 5)
    if rng.random() < 0.4:
        r, g, b = (float(c) for c in colour)
        tile = CLOTH_PATTERNS[int(rng.integers(5))](rng, random_colour(rng), (r, g, b))
        colour = wrap_pattern(canvas, tile, rng, rng.uniform(0.3, 0.8), rng.uniform(-0.5, 0.5))
    bend = canvas.v - 0.10 * canvas.u * canvas.u * np.float32(rng.uniform(-1, 1.5))
    waves = np.sin(bend * np.float32(rng.uniform(28, 50)) + 2.5 * np.sin(canvas.u * np.float32(rng.uniform(1, 3))))
    canvas.paint(canvas.soften(layer, 0.012), colour, (0.88 + 0.16 * waves).astype(np.float32), rng, 5)
    np.maximum(touched, layer, out=touched)


def _beard(canvas: FaceCanvas, rng: Rng, touched: Layer) -> None:
    """Paint a full beard around the lips."""
    long = rng.uniform(0.98, 1.28)
    grow = rng.uniform(0.66, 0.74)
    layer = canvas.new_layer()
    canvas.fill(layer, smooth(mirrored([(0, grow), (0.25, grow + 0.01), (0.45, 0.80), (0.72, 0.76), (0.90, 0.56),
                                             (0.96, 0.58), (0.88, 0.86), (0.58, long - 0.06), (0, long)])))  # fmt: skip
    lips = canvas.new_layer()
    canvas.fill(lips, smooth(mirrored([(0, 0.765), (0.2, 0.772), (0.34, 0.80), (0.2, 0.845), (0, 0.85)])))
    edge = canvas.soften(layer, 0.03).astype(np.float32) * (1 - canvas.soften(lips, 0.012).astype(np.float32) / 255)
    # Hair is noise, stretched downwards, with a ragged edge.
    hair = rng.random((canvas.h, canvas.w), np.float32)
    hair = as_floats(cv2.blur(hair, (1, max(3, round(canvas.box_h * 0.05)))))
    hair = (hair - hair.mean()) / max(float(hair.std()), 1e-6)
    alpha = np.clip(edge * np.float32(rng.uniform(0.75, 1.15)) + (hair * 30) * (edge > 12) * (edge < 225), 0, 250)
    alpha = alpha.astype(np.uint8)
    tone: Rgb = ((28, 22, 20), (52, 38, 30), (92, 62, 40), (120, 112, 106), (60, 56, 54))[int(rng.integers(5))]
    canvas.paint(alpha, varied(rng, tone, 5), (1 + 0.28 * hair).astype(np.float32), rng, 3)
    np.maximum(touched, cv2.dilate(layer, np.ones((9, 9), np.uint8)), out=touched)


#: Painters, each with its share.
OCCLUDERS: tuple[tuple[Painter, float], ...] = (
    (_hand, 0.34), (_cup, 0.14), (_microphone, 0.10), (_phone, 0.12), (_scarf, 0.14), (_beard, 0.16),
)  # fmt: skip


def draw_occluder(picture: Picture, box: Box, rng: Rng, turn: Turn | None = None) -> Picture:
    """Return the picture with something in front of the mouth that is no mask.

    `turn` is the face's (roll, yaw); None guesses it.
    """
    paint = OCCLUDERS[int(rng.choice(len(OCCLUDERS), p=[p for _, p in OCCLUDERS]))][0]
    return _painted(picture, box, rng, turn, paint)


def draw_hand(picture: Picture, box: Box, rng: Rng, turn: Turn | None = None) -> Picture:
    """Return the picture with a hand over the mouth. `turn` is as in draw_occluder."""
    return _painted(picture, box, rng, turn, _hand)


def _painted(picture: Picture, box: Box, rng: Rng, turn: Turn | None, paint: Painter) -> Picture:
    if turn is None:
        roll, yaw = np.clip(rng.normal(0, (0.08, 0.2)), (-0.25, -0.5), (0.25, 0.5))
        turn = (float(roll), float(yaw))
    canvas = FaceCanvas(picture, box, *turn)
    touched = canvas.new_layer()
    paint(canvas, rng, touched)
    return canvas.picture_with(touched)
