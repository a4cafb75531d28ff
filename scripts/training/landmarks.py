"""Five facial landmarks: the file that holds them, the faces that have them, and what they tell about the pose.

Landmarks are (5, 2) float32 pixels of the picture: two eyes, nose tip, two mouth corners. Of each pair, the one that is
left in the picture comes first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from edge.imaging.boxes import iou
from edge.imaging.head_turn import face_axis, head_turn

from .arrays import Box, Floats
from .drawing.canvas import YAW_SHIFT
from .records import Record

#: The file, beside an index, that holds landmarks for pictures of any package.
LANDMARKS = "points.jsonl"

#: Height of the eyes and of the mouth corners on a face from hairline (0) to chin (1).
EYES_V, MOUTH_V = 0.40, 0.80
#: Half the width of a face in units of its height.
HALF_WIDTH = 0.39
#: Longer side of a detector's box in units of the distance from the eyes to the mouth, for crops, which have no box.
SIDE = 2.75
#: Faces below this height in pixels have no points that are worth learning.
MIN_HEIGHT = 28
#: A head that is turned further counts as turned (degrees).
TURNED = 30.0
#: Distance between the eyes of a head that looks into the camera, in units of the distance from the eyes to the mouth.
EYES_OF_LENGTH = 0.9
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
    axis = face_axis(points)
    height = axis.length / (MOUTH_V - EYES_V)
    half_width = HALF_WIDTH * height
    x, y = (float(v) for v in axis.eyes + axis.down * height * (0.5 - EYES_V))
    return Pose(
        (x - half_width, y - height / 2, x + half_width, y + height / 2),
        float(np.arctan2(-axis.down[0], axis.down[1])),
        float(np.clip(axis.nose * axis.length / half_width / YAW_SHIFT, -1, 1)),
    )


def nearest(box: Box, rows: Iterable[tuple[Box, Floats]]) -> Floats | None:
    """Return the landmarks of the face whose box overlaps `box` most; None if none overlaps it by MIN_IOU."""
    known = list(rows)
    if not known:
        return None
    overlaps = iou(np.array([box], np.float32), np.array([other for other, _ in known], np.float32))[0]
    best = int(overlaps.argmax())
    return known[best][1] if overlaps[best] > MIN_IOU else None


@dataclass(frozen=True)
class Example:
    """A face with its landmarks (5, 2) float32 in pixels of the picture, and the box that a detector would give.

    Without `is_labelled` nobody says whether it wears a mask, and `masked` is False.
    """

    record: Record
    box: Box
    points: Floats
    masked: bool
    is_labelled: bool = True


def examples(records: Sequence[Record]) -> list[Example]:
    """Return all faces with landmarks."""
    out = []
    for r in records:
        if r.crop:
            if r.points is not None:
                out.append(Example(r, box_around(r.points), r.points, r.label == "mask", r.label is not None))
            continue
        for f in r.faces or ():
            if f.points is not None and f.trusted and f.label != "ignore" and f.height >= MIN_HEIGHT:
                label = r.label or f.label
                out.append(Example(r, f.box, f.points, label in ("mask", "incorrect"), label != "unknown"))
    return out


def box_around(points: Floats) -> Box:
    """Return the square that a detector would draw around a face with these landmarks (5, 2)."""
    eyes, mouth = points[:2].mean(0), points[3:].mean(0)
    half = SIDE * float(np.hypot(*(mouth - eyes))) / 2
    x, y = (float(v) for v in (eyes + mouth) / 2)
    return (x - half, y - half, x + half, y + half)


def error(found: Floats, wanted: Floats) -> float:
    """Return the mean distance of five points (5, 2), divided by the distance between the wanted eyes.

    The eyes of a turned head are close together in the picture. There EYES_OF_LENGTH times the distance from the eyes
    to the mouth takes its place, if it is longer.
    """
    between = float(np.hypot(*(wanted[0] - wanted[1])))
    if is_turned(wanted):
        between = max(between, EYES_OF_LENGTH * face_axis(wanted).length)
    return float(np.hypot(*(found - wanted).T).mean()) / max(between, 1e-3)


def is_turned(points: Floats) -> bool:
    """Return whether a head with these landmarks (5, 2) is turned by more than TURNED degrees."""
    return abs(head_turn(points)) > TURNED
