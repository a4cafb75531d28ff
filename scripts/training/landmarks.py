"""Five facial landmarks: the file that holds them, and what they tell about the pose of a face.

Landmarks are (5, 2) float32 pixels of the picture: two eyes, nose tip, two mouth corners. Of each pair, the one that is
left in the picture comes first.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from .arrays import Box, Floats
from .drawing.canvas import YAW_SHIFT

#: The file, beside an index, that holds landmarks for pictures of any package.
LANDMARKS = "points.jsonl"

#: Height of the eyes and of the mouth corners on a face from hairline (0) to chin (1).
EYES_V, MOUTH_V = 0.40, 0.80
#: Half the width of a face in units of its height.
HALF_WIDTH = 0.39


@dataclass(frozen=True)
class Pose:
    """Where a face is and how it is turned.

    `box` is the upright box of the unrolled face, from hairline to chin and from ear to ear, around the face's centre.
    `roll` is in radians, clockwise in the picture. `yaw` is from -1 (turned left in the picture) to 1 (turned right).
    """

    box: Box
    roll: float
    yaw: float


def pose(points: Floats) -> Pose:
    """Return the pose of a face from its landmarks (5, 2)."""
    eyes, mouth = points[:2].mean(0), points[3:].mean(0)
    down = mouth - eyes
    length = max(float(np.hypot(*down)), 1e-3)
    down = down / length
    right = np.array([down[1], -down[0]])
    height = length / (MOUTH_V - EYES_V)
    half_width = HALF_WIDTH * height
    centre = eyes + down * height * (0.5 - EYES_V)
    nose = float((points[2] - (eyes + mouth) / 2) @ right) / half_width
    x, y = (float(v) for v in centre)
    return Pose(
        (x - half_width, y - height / 2, x + half_width, y + height / 2),
        float(np.arctan2(-down[0], down[1])),
        float(np.clip(nose / YAW_SHIFT, -1, 1)),
    )


def nearest(box: Box, rows: Iterable[tuple[Box, Floats]]) -> Floats | None:
    """Return the landmarks whose eyes and mouth lie in `box` and whose box overlaps it most; None if no such face."""
    best, most = None, 0.3
    for other, points in rows:
        overlap = _iou(box, other)
        if overlap > most:
            best, most = points, overlap
    return best


def _iou(a: Box, b: Box) -> float:
    inside = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    return inside / max((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inside, 1e-6)
