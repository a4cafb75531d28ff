"""Things that are no faces: made-up scenes, clocks, plates and wheels, and pictures inside installed packages."""

from __future__ import annotations

import contextlib
from importlib import resources
from typing import Any

import cv2
import numpy as np

from .arrays import Picture, Rng, as_pixels

PACKAGE_PICTURES = {
    "skimage.data": "brick.png chelsea.png coffee.png coins.png grass.png gravel.png hubble_deep_field.jpg ihc.png moon.png "
    "motorcycle_left.png retina.jpg rocket.jpg",
    "sklearn.datasets.images": "china.jpg",
}


def package_pictures() -> list[Picture]:
    """Return those of PACKAGE_PICTURES that are installed, (H, W, 3) uint8 RGB."""
    found = []
    for package, file in ((package, file) for package, files in PACKAGE_PICTURES.items() for file in files.split()):
        with contextlib.suppress(ImportError, OSError):
            data = resources.files(package).joinpath(file).read_bytes()
            decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
            if decoded is not None:
                found.append(as_pixels(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)))
    return found


def synthetic_scene(rng: Rng, width: int, height: int) -> Picture:
    """Return a drawn scene (height, width, 3) uint8 RGB without a face: patches of colour, shapes and round things."""
    canvas = np.empty((height, width, 3), np.uint8)
    noise = rng.integers(0, 256, (int(rng.integers(2, 24)), int(rng.integers(2, 32)), 3), np.uint8)
    strength, tint = rng.uniform(0.05, 0.8), np.array(_colour(rng))
    muted = np.clip(tint + (noise.astype(np.float32) - 127) * strength, 0, 255).astype(np.uint8)
    how = cv2.INTER_NEAREST if rng.random() < 0.3 else cv2.INTER_CUBIC
    canvas[:] = cv2.resize(muted, (width, height), interpolation=how)
    for _ in range(int(rng.integers(0, 9))):
        colour = _colour(rng)
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        thick = -1 if rng.random() < 0.6 else int(rng.integers(1, 6))
        if rng.random() < 0.6:
            axes = (int(rng.integers(4, 70)), int(rng.integers(4, 70)))
            cv2.ellipse(canvas, centre, axes, float(rng.uniform(0, 180)), 0, 360, colour, thick)
        else:
            end = (int(rng.integers(width)), int(rng.integers(height)))
            cv2.rectangle(canvas, centre, end, colour, thick)
    draw_things(canvas, rng)
    return canvas


def _colour(rng: Rng) -> tuple[int, int, int]:
    """Return a colour: a third of them like skin, so that skin alone is no face, a third nearly grey, a third any
    colour."""
    kind, light = rng.random(), rng.uniform(30, 240)
    if kind < 0.33:
        r, g, b = light, light * rng.uniform(0.62, 0.85), light * rng.uniform(0.45, 0.75)
    elif kind < 0.67:
        r, g, b = np.clip(light + rng.normal(0, 14, 3), 0, 255)
    else:
        r, g, b = rng.uniform(0, 256, 3)
    return int(r), int(g), int(b)


def draw_things(canvas: Picture, rng: Rng) -> None:
    """Draw round and egg-shaped things that are no faces into `canvas` (H, W, 3): clocks, plates, wheels, balls, coins.

    Like a face they have an outline, shading, and marks inside, but in other places.
    """
    h, w = canvas.shape[:2]
    for _ in range(int(rng.integers(1, 6))):
        ry = float(np.exp(rng.uniform(np.log(9), np.log(90))))
        rx = ry * rng.uniform(0.6, 1.3)
        cx, cy = rng.uniform(0, w), rng.uniform(0, h)
        centre, axes, turn = (int(cx), int(cy)), (max(2, int(rx)), max(2, int(ry))), float(rng.uniform(-40, 40))
        colour, other = _colour(rng), _colour(rng)
        if rng.random() < 0.4:  # of what lies elsewhere in the picture: fur, cloth, leaves
            layer = np.roll(canvas, (int(rng.integers(h)), int(rng.integers(w))), (0, 1))
        else:
            layer = canvas.copy()
            cv2.ellipse(layer, centre, axes, turn, 0, 360, colour, -1, cv2.LINE_AA)
        inside = np.zeros((h, w), np.uint8)
        cv2.ellipse(inside, centre, axes, turn, 0, 360, (255,), -1)

        def at(angle: float, reach: float, cx: float = cx, cy: float = cy, rx: float = rx, ry: float = ry) -> Any:
            return int(cx + np.cos(angle) * reach * rx), int(cy + np.sin(angle) * reach * ry)

        kind, fine = rng.integers(5), max(1, int(ry / rng.uniform(8, 30)))
        if kind == 0:  # a clock or gauge: ticks and hands
            ticks = int(rng.choice([4, 8, 12, 24]))
            for k in range(ticks):
                cv2.line(
                    layer, at(k * 2 * np.pi / ticks, 0.75), at(k * 2 * np.pi / ticks, 0.92), other, fine, cv2.LINE_AA
                )
            for reach in (0.45, 0.7):
                cv2.line(layer, centre, at(rng.uniform(0, 2 * np.pi), reach), other, fine, cv2.LINE_AA)
        elif kind == 1:  # plates, cups from above, tyres: rings
            for reach in rng.uniform(0.15, 0.95, int(rng.integers(1, 5))):
                size = (max(1, int(rx * reach)), max(1, int(ry * reach)))
                filled = -1 if rng.random() < 0.4 else fine
                cv2.ellipse(layer, centre, size, turn, 0, 360, _colour(rng), filled, cv2.LINE_AA)
        elif kind == 2:  # wheels, flowers, windows: spokes
            spokes, start = int(rng.integers(3, 18)), rng.uniform(0, np.pi)
            for k in range(spokes):
                cv2.line(layer, centre, at(start + k * 2 * np.pi / spokes, 0.95), other, fine, cv2.LINE_AA)
        elif kind == 3:  # spots: fruit, fur, coins, bread
            for _ in range(int(rng.integers(3, 30))):
                spot = at(rng.uniform(0, 2 * np.pi), np.sqrt(rng.random()))
                size = (fine + int(rng.integers(0, 3)), fine)
                cv2.ellipse(layer, spot, size, float(rng.uniform(0, 180)), 0, 360, _colour(rng), -1, cv2.LINE_AA)
        else:  # writing: labels, signs, balloons
            text = "".join(chr(c) for c in rng.integers(48, 91, int(rng.integers(2, 8))))
            cv2.putText(
                layer, text, at(np.pi, 0.8), int(rng.integers(0, 5)), ry / rng.uniform(25, 60), other, fine, cv2.LINE_AA
            )
        # Light from one side, as on anything round.
        y, x = np.ogrid[0:h, 0:w]
        tilt = rng.uniform(0, 2 * np.pi)
        ramp = ((x - cx) / rx * np.cos(tilt) + (y - cy) / ry * np.sin(tilt)) * rng.uniform(0, 70)
        lit = np.clip(layer + ramp[:, :, None].astype(np.float32), 0, 255).astype(np.uint8)
        cv2.copyTo(lit, inside, canvas)
