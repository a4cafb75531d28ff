"""Clothes and curtains with printed patterns, which have no face.

Prints are what a detector takes for faces at a door: a heart, a flower or a badge on a chest moves and turns with the
person who wears it.
"""

from __future__ import annotations

import cv2
import numpy as np

from ..arrays import Layer, Picture, Rng, as_pixels
from .patterns import PATTERNS, TILE, Rgb, dots, grin, random_colour, stripes

#: Patterns of clothes: all but the printed mouth, which may pass for part of a face.
CLOTHES = tuple(p for p in PATTERNS if p is not grin)


def draw_cloth(canvas: Picture, rng: Rng) -> None:
    """Draw a garment, or cloth that hangs across everything, into `canvas` (H, W, 3) uint8 RGB."""
    height, width = canvas.shape[:2]
    cloth = _shaded(_woven(rng, width, height), rng)
    if rng.random() < 0.25:
        canvas[:] = cloth
        return
    size = float(np.exp(rng.uniform(np.log(0.25), np.log(1.2)))) * height
    neck = (rng.uniform(0.1, 0.9) * width, rng.uniform(-0.3, 0.7) * height)
    shape = _garment(width, height, neck, size, rng)
    for _ in range(int(rng.integers(0, 3))):
        centre = (neck[0] + rng.normal(0, 0.2) * size, neck[1] + rng.uniform(0.2, 0.8) * size)
        _print(cloth, centre, size * rng.uniform(0.06, 0.3), rng)
    soft = cv2.GaussianBlur(shape, (0, 0), rng.uniform(0.5, 2)).astype(np.float32) / 255
    canvas[:] = cv2.blendLinear(cloth, canvas, soft, 1 - soft)


def _woven(rng: Rng, width: int, height: int) -> Picture:
    """Return cloth in one colour or with a repeated pattern, turned and of any size, (height, width, 3)."""
    a, b = random_colour(rng), random_colour(rng)
    if rng.random() < 0.4:
        return np.full((height, width, 3), b, np.uint8)
    tile = CLOTHES[rng.integers(len(CLOTHES))](rng, a, b)
    turn, scale = rng.uniform(0, np.pi), float(np.exp(rng.uniform(np.log(0.15), np.log(1.5))))
    matrix = cv2.getRotationMatrix2D((TILE / 2, TILE / 2), float(np.degrees(turn)), scale)
    return as_pixels(cv2.warpAffine(tile, matrix, (width, height), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_WRAP))


def _shaded(cloth: Picture, rng: Rng) -> Picture:
    """Return the cloth with folds: broad bands of light and shade."""
    height, width = cloth.shape[:2]
    folds = rng.normal(1, rng.uniform(0.05, 0.3), (int(rng.integers(2, 6)), int(rng.integers(3, 12))))
    shade = cv2.resize(folds.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(cloth * shade[:, :, None], 0, 255).astype(np.uint8)


def _garment(width: int, height: int, neck: tuple[float, float], size: float, rng: Rng) -> Layer:
    """Return the outline of shoulders, arms and chest below the neck, (height, width) uint8, 255 inside."""
    x, y = neck
    shoulder, hip, collar = rng.uniform(0.4, 0.6) * size, rng.uniform(0.35, 0.65) * size, rng.uniform(0.08, 0.2) * size
    right = [(collar, 0.0), (shoulder, rng.uniform(0.08, 0.25) * size), (hip, size), (hip, 3 * size)]
    points = [(x, y + rng.uniform(0.03, 0.3) * size)] + [(x + u, y + v) for u, v in right]
    points += [(x - u, y + v) for u, v in reversed(right)]
    shape = np.zeros((height, width), np.uint8)
    cv2.fillPoly(shape, [np.array(points, np.float32).round().astype(np.int32)], (255,), cv2.LINE_AA)
    return shape


def _print(cloth: Picture, centre: tuple[float, float], radius: float, rng: Rng) -> None:
    """Print one motif of about `radius` pixels on the cloth."""
    colour, other = random_colour(rng), random_colour(rng)
    kind = rng.integers(4)
    if kind == 0:
        _polygon(cloth, _heart(), centre, radius, colour)
        if rng.random() < 0.5:
            _polygon(cloth, _heart(), centre, radius * rng.uniform(0.4, 0.8), other)
    elif kind == 1:
        _polygon(cloth, _star(rng), centre, radius, colour)
    elif kind == 2:  # a badge: a disc with a pattern of its own
        pattern = (dots, stripes)[rng.integers(2)](rng, colour, other)
        _badge(cloth, pattern, centre, radius, rng)
    else:  # a flower
        petals = int(rng.integers(4, 9))
        for k in range(petals):
            t = 2 * np.pi * k / petals
            at = (round(centre[0] + 0.6 * radius * np.cos(t)), round(centre[1] + 0.6 * radius * np.sin(t)))
            axes = (max(1, round(radius * 0.45)), max(1, round(radius * 0.25)))
            cv2.ellipse(cloth, at, axes, float(np.degrees(t)), 0, 360, colour, -1, cv2.LINE_AA)
        cv2.circle(cloth, (round(centre[0]), round(centre[1])), max(1, round(radius * 0.3)), other, -1, cv2.LINE_AA)


def _heart() -> np.ndarray:
    """Return the outline of a heart, (n, 2), within about 1 of the origin."""
    t = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    return np.stack([x, y], 1) / 16


def _star(rng: Rng) -> np.ndarray:
    """Return the outline of a star, (n, 2), within 1 of the origin."""
    points = int(rng.integers(4, 9))
    t = np.linspace(0, 2 * np.pi, 2 * points, endpoint=False) + rng.uniform(0, 2 * np.pi)
    reach = np.where(np.arange(2 * points) % 2, rng.uniform(0.3, 0.7), 1.0)
    return np.stack([np.cos(t), np.sin(t)], 1) * reach[:, None]


def _polygon(cloth: Picture, outline: np.ndarray, centre: tuple[float, float], radius: float, colour: Rgb) -> None:
    points = (outline * radius + np.array(centre)).round().astype(np.int32)
    cv2.fillPoly(cloth, [points], colour, cv2.LINE_AA)


def _badge(cloth: Picture, pattern: Picture, centre: tuple[float, float], radius: float, rng: Rng) -> None:
    """Print a disc with a pattern of its own."""
    height, width = cloth.shape[:2]
    inside = np.zeros((height, width), np.uint8)
    axes = (max(2, round(radius * rng.uniform(0.7, 1.1))), max(2, round(radius)))
    cv2.ellipse(inside, (round(centre[0]), round(centre[1])), axes, 0, 0, 360, (255,), -1)
    scale = 2 * radius / TILE
    matrix = np.array([[scale, 0, centre[0] - radius], [0, scale, centre[1] - radius]], np.float32)
    printed = cv2.warpAffine(pattern, matrix, (width, height), borderMode=cv2.BORDER_WRAP)
    cv2.copyTo(printed, inside, cloth)
