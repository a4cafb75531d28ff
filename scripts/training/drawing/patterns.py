"""Colours and printed patterns of cloth.

A pattern is a tile, (TILE, TILE, 3) uint8 RGB, that repeats.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from ..arrays import Floats, Picture, Rng, as_pixels
from .canvas import FaceCanvas

Rgb = tuple[float, float, float]
Pattern = Callable[[Rng, Rgb, Rgb], Picture]

TILE = 128


def random_colour(rng: Rng) -> Rgb:
    """Return any colour of cloth, from grey to bold."""
    hsv = np.array([[[rng.uniform(0, 180), 255 * rng.beta(1.6, 1.6), rng.uniform(40, 245)]]], np.uint8)
    r, g, b = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0]
    return float(r), float(g), float(b)


def varied(rng: Rng, colour: Rgb, by: float = 12) -> Floats:
    """Return `colour` with random brightness and hue, (3,) float32; `by` is the brightness's standard deviation."""
    return np.clip(np.array(colour) + rng.normal(0, by) + rng.normal(0, by / 2, 3), 4, 250).astype(np.float32)


#: Dark cloth, which is never quite black.
BLACKS: tuple[Rgb, ...] = ((22, 22, 25), (32, 31, 34), (26, 28, 42), (48, 46, 48), (38, 24, 28))
#: Colours of surgical masks, each with its share.
SURGICAL: tuple[tuple[Rgb, float], ...] = (
    ((140, 190, 225), 0.34),  # light blue
    ((96, 160, 214), 0.16),  # blue
    ((150, 208, 200), 0.12),  # green
    ((232, 234, 236), 0.20),  # white
    ((236, 184, 196), 0.05),  # pink
    ((30, 30, 33), 0.13),  # black
)


def stripes(rng: Rng, a: Rgb, b: Rgb) -> Picture:
    """Return stripes of `a` on `b`, across or upright."""
    n = int(rng.integers(3, 13))
    x = np.arange(TILE) * n / TILE
    on = (x % 1) < rng.uniform(0.2, 0.7)
    tile = np.where(on[None, :, None], np.array(a), np.array(b)).astype(np.uint8)
    tile = np.repeat(tile, TILE, 0)
    return tile if rng.random() < 0.5 else np.ascontiguousarray(tile.transpose(1, 0, 2))


def dots(rng: Rng, a: Rgb, b: Rgb) -> Picture:
    """Return dots of `a` on `b`."""
    tile = np.full((TILE, TILE, 3), b, np.uint8)
    n = int(rng.integers(3, 9))
    step = TILE / n
    for i in range(n + 1):
        for j in range(n + 1):
            centre = (int(step * (i + 0.5 * (j % 2))), int(step * j))
            cv2.circle(tile, centre, max(1, int(step * 0.28)), a, -1, cv2.LINE_AA)
    return tile


def checks(rng: Rng, a: Rgb, b: Rgb) -> Picture:
    """Return a check of `a` and `b`."""
    n = int(rng.integers(3, 10))
    on = ((np.arange(TILE) * n * 2 // TILE) % 2).astype(np.float32)
    both = (on[:, None] + on[None, :]) / 2 if rng.random() < 0.6 else np.abs(on[:, None] - on[None, :])
    return as_pixels((np.array(b) + both[:, :, None] * (np.array(a) - np.array(b))).astype(np.uint8))


def flowers(rng: Rng, a: Rgb, b: Rgb) -> Picture:
    """Return flowers of `a` and a third colour on `b`."""
    tile = np.full((TILE, TILE, 3), b, np.uint8)
    third = random_colour(rng)
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


def camouflage(rng: Rng, a: Rgb, b: Rgb) -> Picture:
    """Return patches of four colours, two of them `a` and `b`."""
    n = int(rng.integers(4, 10))
    noise = cv2.resize(rng.random((n, n), np.float32), (TILE, TILE), interpolation=cv2.INTER_CUBIC)
    levels = np.array([a, b, random_colour(rng), np.array(b) * 0.6], np.float32)
    return as_pixels(levels[np.clip((noise * 4).astype(int), 0, 3)].astype(np.uint8))


def letters(rng: Rng, a: Rgb, b: Rgb) -> Picture:
    """Return one word of capital letters, `a` on `b`."""
    tile = np.full((TILE, TILE, 3), b, np.uint8)
    text = "".join(chr(int(c)) for c in rng.integers(65, 91, int(rng.integers(2, 7))))
    font = int(rng.choice([cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_TRIPLEX]))
    size, thick = rng.uniform(0.5, 1.4), int(rng.integers(1, 5))
    cv2.putText(tile, text, (int(rng.integers(0, 50)), int(rng.integers(50, 90))), font, size, a, thick, cv2.LINE_AA)
    return tile


def grin(rng: Rng, a: Rgb, b: Rgb) -> Picture:
    """Return a mouth as it is printed on masks; the classifier must not take it for a bare mouth."""
    tile = np.full((TILE, TILE, 3), b, np.uint8)
    w, h = int(rng.integers(18, 38)), int(rng.integers(6, 18))
    centre = (TILE // 2, int(rng.integers(60, 78)))
    cv2.ellipse(tile, centre, (w + 4, h + 4), 0, 0, 360, (160, 50, 60), -1, cv2.LINE_AA)
    cv2.ellipse(tile, centre, (w, h), 0, 0, 360, (238, 236, 230), -1, cv2.LINE_AA)
    for x in range(-w, w, 7):
        cv2.line(tile, (centre[0] + x, centre[1] - h), (centre[0] + x, centre[1] + h), (150, 140, 140), 1, cv2.LINE_AA)
    return tile


PATTERNS: tuple[Pattern, ...] = (stripes, dots, checks, flowers, camouflage, letters, grin)
#: Patterns that are printed once and not repeated.
SINGLE: tuple[Pattern, ...] = (grin, letters)


def wrap_pattern(canvas: FaceCanvas, tile: Picture, rng: Rng, repeat: float, tilt: float) -> Picture:
    """Return `tile` wrapped around the lower face, (h, w, 3) uint8.

    `repeat` is the number of tiles in half a box width, `tilt` is in radians.
    """
    # Cloth that bends away from the camera looks compressed.
    x = np.arcsin(np.clip(canvas.across, -1.15, 1.15) * np.float32(0.85))
    y = (canvas.v - np.float32(0.75)) * np.float32(canvas.box_h / canvas.half_w)
    c, s = np.float32(repeat * TILE * np.cos(tilt)), np.float32(repeat * TILE * np.sin(tilt))
    shift = np.float32(TILE / 2)
    map_x, map_y = x * c - y * s + shift, x * s + y * c + shift
    return as_pixels(cv2.remap(tile, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP))
