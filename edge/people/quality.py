"""Whether a face is seen well enough to recognise it, and how much it counts beside others: pure functions.

Size is the distance between the eyes in pixels, turn is in degrees (imaging/head_turn.py), and sharpness is the share of
fine detail in the aligned crop.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from ..imaging.head_turn import head_turn
from ..imaging.images import Picture
from ..records import Point

#: The side (pixels) of the crop in which sharpness is measured: the limits must not depend on the model's input.
SHARPNESS_SIZE = 100


class Quality(NamedTuple):
    """How well a face is seen. `mask` is the probability that it wears a mask."""

    eyes_px: float
    turn: float
    sharpness: float
    mask: float


class Limits(NamedTuple):
    """What is good enough: smallest eye distance, largest turn, smallest sharpness; `bare` refuses masks."""

    min_eyes_px: float
    max_turn: float
    min_sharpness: float
    bare: bool


#: At the door, a bad look is only left out. At enrolment, it would be compared with for years.
DOOR = Limits(16.0, 35.0, 0.01, bare=False)
ENROLMENT = Limits(36.0, 25.0, 0.03, bare=True)


def measure(points: Sequence[Point], crop: Picture, mask: float) -> Quality:
    """Return the quality of a face with five landmarks, its aligned crop (n, n, 3) uint8 RGB, and its mask probability."""
    (x1, y1), (x2, y2) = points[:2]
    turn = head_turn(np.asarray(points, np.float32))
    return Quality(math.hypot(x2 - x1, y2 - y1), turn, sharpness(crop), mask)


def sharpness(crop: Picture) -> float:
    """Return the variance of the Laplacian of an aligned crop as a share of the variance of its grey levels.

    It does not depend on contrast and brightness. A blurred face, and one that is enlarged from few pixels, has little.
    """
    size = (SHARPNESS_SIZE, SHARPNESS_SIZE)
    grey = cv2.cvtColor(cv2.resize(crop, size, interpolation=cv2.INTER_LINEAR), cv2.COLOR_RGB2GRAY)
    inner = grey[SHARPNESS_SIZE // 8 : -SHARPNESS_SIZE // 8, SHARPNESS_SIZE // 8 : -SHARPNESS_SIZE // 8]
    return float(cv2.Laplacian(inner, cv2.CV_32F).var() / (float(inner.var()) + 1.0))


def problem(quality: Quality, limits: Limits) -> tuple[str, str] | None:
    """Return what is wrong with a face, and what to do; None if it is good enough."""
    if limits.bare and quality.mask >= 0.5:
        return "the face wears a mask", "take it off for this; the door also knows people who wear one"
    if quality.eyes_px < limits.min_eyes_px:
        size = f"the face is too small ({quality.eyes_px:.0f} pixels between the eyes, {limits.min_eyes_px:.0f} needed)"
        return size, "come nearer, or use a picture with more pixels"
    if abs(quality.turn) > limits.max_turn:
        return f"the face is turned to the side ({abs(quality.turn):.0f} degrees)", "look into the camera"
    if quality.sharpness < limits.min_sharpness:
        return "the face is blurred", "hold still, with more light, and wipe the lens"
    return None


def weight(quality: Quality) -> float:
    """Return how much a look counts, 0 to 1: more if it is large, frontal and sharp."""
    size = min(quality.eyes_px / ENROLMENT.min_eyes_px, 1.0)
    frontal = math.cos(math.radians(min(2 * abs(quality.turn), 80.0)))
    sharp = min(quality.sharpness / ENROLMENT.min_sharpness, 1.0)
    return size * frontal * max(sharp, 0.1)
