"""Walls and floors whose texture fills the picture, the frames that a camera makes of them, and snow."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]
#: A texture in levels of brightness, (H, W) float32.
Texture = npt.NDArray[np.float32]


def gravel(height: int, width: int) -> Texture:
    """Stones of one to two percent of the width."""
    rng = np.random.default_rng(11)
    ground = np.full((height, width), 90, np.float32)
    for _ in range(5000):
        centre = int(rng.integers(width)), int(rng.integers(height))
        axes = int(width * rng.uniform(0.004, 0.01)), int(width * rng.uniform(0.004, 0.01))
        cv2.ellipse(ground, centre, axes, rng.uniform(0, 180), 0, 360, (rng.uniform(60, 200),), -1, cv2.LINE_AA)
    return ground


def plaster(height: int, width: int) -> Texture:
    """Rough plaster: smooth bumps of about one percent of the width, in even light."""
    bumps = np.random.default_rng(12).standard_normal((height, width), np.float32)
    smooth = cv2.GaussianBlur(bumps, (0, 0), width / 130)
    return np.asarray(170 + 22 * smooth / smooth.std(), np.float32)


def carpet(height: int, width: int) -> Texture:
    """Tufts in a regular weave, each of its own brightness."""
    side = width // 160
    tufts = np.random.default_rng(13).uniform(60, 140, (-(-height // side), -(-width // side))).astype(np.float32)
    return np.asarray(cv2.resize(tufts, None, fx=side, fy=side, interpolation=cv2.INTER_LINEAR)[:height, :width])


TEXTURES: dict[str, Callable[[int, int], Texture]] = {"gravel": gravel, "plaster": plaster, "carpet": carpet}


def frames_of(
    texture: Texture, count: int, sigma: float = 4.0, gain: float = 1.0, shake_px: float = 0.0
) -> list[Picture]:
    """Return `count` frames with sensor noise `sigma`, which differs from frame to frame; the camera may shake."""
    rng = np.random.default_rng(14)
    height, width = texture.shape
    frames = []
    for _ in range(count):
        across, down = rng.uniform(-shake_px, shake_px, 2)
        move = np.array([[1, 0, across], [0, 1, down]], np.float32)
        seen = cv2.warpAffine(texture * gain, move, (width, height), borderMode=cv2.BORDER_REFLECT)
        noisy = seen[:, :, None] + rng.normal(0, sigma, (height, width, 3))
        frames.append(np.clip(noisy, 0, 255).astype(np.uint8))
    return frames


def snow(count: int) -> list[Picture]:
    """Return `count` frames of 640 x 480 of an analogue receiver without a signal."""
    rng = np.random.default_rng(3)
    frames = []
    for _ in range(count):
        noise = cv2.GaussianBlur(rng.standard_normal((480, 640), np.float32), (0, 0), 1.2)
        grey = np.clip(120 + 60 * noise / noise.std(), 0, 255).astype(np.uint8)
        frames.append(np.repeat(grey[:, :, None], 3, axis=2))
    return frames
