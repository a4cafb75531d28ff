"""Five facial landmarks: the file that holds them, and what they tell about the pose of a face.

Landmarks are (5, 2) float32 pixels of the picture: two eyes, nose tip, two mouth corners. Of each pair, the one that is
left in the picture comes first.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from edge.imaging.boxes import iou

from .arrays import Box, Floats
from .drawing.canvas import YAW_SHIFT

#: The file, beside an index, that holds landmarks for pictures of any package.
LANDMARKS = "points.jsonl"

#: Height of the eyes and of the mouth corners on a face from hairline (0) to chin (1).
EYES_V, MOUTH_V = 0.40, 0.80
#: Half the width of a face in units of its height.
HALF_WIDTH = 0.39
#: Landmarks belong to a face only if the boxes overlap by more than this.
MIN_IOU = 0.3


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
    """Return the landmarks of the face whose box overlaps `box` most; None if none overlaps it by MIN_IOU."""
    known = list(rows)
    if not known:
        return None
    overlaps = iou(np.array([box], np.float32), np.array([other for other, _ in known], np.float32))[0]
    best = int(overlaps.argmax())
    return known[best][1] if overlaps[best] > MIN_IOU else None
