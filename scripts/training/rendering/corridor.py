"""A painted corridor as background."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ..arrays import Floats, Picture, Rng, as_pixels
from . import HEIGHT, WIDTH

Colour = npt.NDArray[Any]
Points = Sequence[tuple[float, float]]


def corridor(rng: Rng, width: int = WIDTH, height: int = HEIGHT) -> Picture:
    """Return a corridor (height, width, 3) uint8 RGB, slightly out of focus.

    It has walls, floor, ceiling lamps, side doors and a door at the far end.
    """
    up = 2  # painted at twice the size
    w, h = width * up, height * up
    vx, vy = w * rng.uniform(0.42, 0.58), h * rng.uniform(0.36, 0.44)
    wall = rng.uniform(120, 215) + rng.uniform(-16, 16, 3)
    floor = rng.uniform(60, 130) + rng.uniform(-14, 14, 3)
    ceiling = np.clip(wall + rng.uniform(5, 35), 0, 245)
    end = rng.uniform(0.10, 0.2)
    painter = _Painter(
        np.zeros((h, w, 3), np.float32),
        vx,
        vx - end * w * 0.55,
        vx + end * w * 0.55,
        vy - end * h * 0.62,
        vy + end * h * 0.75,
    )
    door = painter.surfaces(rng, wall, floor, ceiling)
    painter.side_doors(rng, wall, door)
    painter.lamps(rng)
    return _finished(painter, rng, width, height, blur=2.4 * up / 2)


@dataclass
class _Painter:
    """The canvas (h, w, 3) float32, the vanishing point's x, and the far end's left, right, top and bottom."""

    canvas: Floats
    vx: float
    x1: float
    x2: float
    y1: float
    y2: float

    def __post_init__(self) -> None:
        self.h, self.w = self.canvas.shape[:2]

    def fill(self, points: Points, colour: Colour) -> None:
        corners = np.array(points, np.float32).round().astype(np.int32)
        cv2.fillPoly(self.canvas, [corners], [float(c) for c in colour], cv2.LINE_AA)

    def surfaces(self, rng: Rng, wall: Colour, floor: Colour, ceiling: Colour) -> Colour:
        """Paint ceiling, floor, walls and the far end with its door; return the colour of the doors."""
        w, h, x1, x2, y1, y2 = self.w, self.h, self.x1, self.x2, self.y1, self.y2
        self.fill([(0, 0), (w, 0), (x2, y1), (x1, y1)], ceiling)
        self.fill([(0, h), (w, h), (x2, y2), (x1, y2)], floor)
        self.fill([(0, 0), (x1, y1), (x1, y2), (0, h)], wall * 0.92)
        self.fill([(w, 0), (x2, y1), (x2, y2), (w, h)], wall * 0.84)
        self.fill([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], wall * rng.uniform(0.6, 1.1))
        door: Colour = rng.uniform(50, 190) * rng.uniform(0.7, 1.1, 3)
        mid, half = (x1 + x2) / 2, (x2 - x1) * 0.24
        lintel = y1 + (y2 - y1) * 0.25
        self.fill([(mid - half, lintel), (mid + half, lintel), (mid + half, y2), (mid - half, y2)], door)
        return door

    def on_wall(self, side: int, depth: float, v: float) -> tuple[float, float]:
        """Return a point of a side wall: depth is 0 here and 1 at the far end, v is 0 at the ceiling and 1 below."""
        x0, x1 = (0.0, self.x1) if side < 0 else (float(self.w), self.x2)
        near = 1 - (1 - depth) ** 2
        x = x0 + (x1 - x0) * near
        return x, (1 - near) * (v * self.h) + near * (self.y1 + v * (self.y2 - self.y1))

    def side_doors(self, rng: Rng, wall: Colour, door: Colour) -> None:
        for side in (-1, 1):
            for depth in np.arange(rng.uniform(0.02, 0.2), 0.9, rng.uniform(0.26, 0.4)):
                d2 = min(depth + 0.13, 0.98)
                frame = [(depth - 0.01, 0.20), (d2 + 0.01, 0.20), (d2 + 0.01, 1.0), (depth - 0.01, 1.0)]
                leaf = [(depth, 0.22), (d2, 0.22), (d2, 1.0), (depth, 1.0)]
                self.fill([self.on_wall(side, d, v) for d, v in frame], wall * 0.62)
                self.fill([self.on_wall(side, d, v) for d, v in leaf], door * (1.0 if side < 0 else 0.88))
            skirting = ((0, 0.955), (1, 0.955), (1, 1), (0, 1))
            self.fill([self.on_wall(side, d, v) for d, v in skirting], wall * 0.5)

    def lamps(self, rng: Rng) -> None:
        for near in np.linspace(0.08, 0.85, int(rng.integers(3, 6))):
            a, b = 1 - (1 - near) ** 1.5, 1 - (1 - min(near + 0.06, 1)) ** 1.5
            y1, y2 = a * self.y1, b * self.y1
            wide1, wide2 = (0.10 * self.w * (1 - t) + 0.10 * (self.x2 - self.x1) * t for t in (a, b))
            corners = [(self.vx - wide1, y1), (self.vx + wide1, y1), (self.vx + wide2, y2), (self.vx - wide2, y2)]
            self.fill(corners, np.full(3, 252.0))


def _finished(painter: _Painter, rng: Rng, width: int, height: int, blur: float) -> Picture:
    """Return the painted canvas with a gleam on the floor, darker corners and noise, shrunk and out of focus."""
    canvas, w, h = painter.canvas, painter.w, painter.h
    y = np.linspace(0, 1, h, dtype=np.float32)[:, None, None]
    gleam = np.exp(-(((np.arange(w, dtype=np.float32) - painter.vx) / (0.14 * w)) ** 2))[None, :, None]
    canvas += gleam * np.clip((y - painter.y2 / h) * 3, 0, 1) * 28
    x = (np.arange(w, dtype=np.float32)[None, :, None] / w - 0.5) ** 2
    canvas *= 1.06 - 0.35 * x - 0.10 * (y - 0.45) ** 2
    texture = rng.normal(0, 1, (h // 4, w // 4)).astype(np.float32)
    canvas += cv2.resize(cv2.GaussianBlur(texture, (0, 0), 1.5), (w, h), interpolation=cv2.INTER_LINEAR)[:, :, None] * 4
    small = cv2.resize(cv2.GaussianBlur(canvas, (0, 0), blur), (width, height), interpolation=cv2.INTER_AREA)
    return as_pixels(np.clip(small, 0, 255).astype(np.uint8))
