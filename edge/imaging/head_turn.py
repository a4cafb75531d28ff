"""How far a head is turned to the side, from five landmarks of its face.

Landmarks are (5, 2) in pixels: two eyes, nose tip, two mouth corners. Of each pair, the one that is left in the picture
comes first.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.floating[Any]]

#: Length of the nose, from the plane of the face to its tip, in units of the distance from the eyes to the mouth (Gee
#: and Cipolla 1994, "Determining the gaze of faces in images").
NOSE_LENGTH = 0.6


class FaceAxis(NamedTuple):
    """The line from the middle of the eyes to the middle of the mouth, and the nose tip beside it.

    `eyes` is the middle of the eyes, (2,), `down` the unit vector from there to the mouth, `length` their distance in
    pixels. `nose` is the distance of the nose tip from the line in units of `length`, positive to the right of a person
    upright in the picture, as the viewer sees it.
    """

    eyes: Points
    down: Points
    length: float
    nose: float


def face_axis(points: Points) -> FaceAxis:
    """Return the axis of a face with landmarks (5, 2). If they are all at one place, it is one pixel or less."""
    eyes, mouth = points[:2].mean(0), points[3:].mean(0)
    length = max(float(np.hypot(*(mouth - eyes))), 1e-3)
    down = (mouth - eyes) / length
    right = np.array([down[1], -down[0]])
    nose = float((points[2] - (eyes + mouth) / 2) @ right) / length
    return FaceAxis(eyes, down, length, nose)


def head_turn(points: Points) -> float:
    """Return by how many degrees a head with landmarks (5, 2) is turned: -90 (left in the picture) to 90 (right).

    The nose of a head that is turned by an angle a points to the side by NOSE_LENGTH * sin(a). The distance from the
    eyes to the mouth does not change with the turn, unlike that between the eyes. Tilting the head to a shoulder changes
    nothing; nodding shortens the distance, so that the turn seems larger.

    >>> face = np.array([[40, 40], [60, 40], [50, 50], [42, 60], [58, 60]], np.float32)
    >>> head_turn(face)
    0.0
    >>> head_turn(face + np.array([[0, 0], [0, 0], [6, 0], [0, 0], [0, 0]], np.float32)).__round__()
    30
    """
    return float(np.degrees(np.arcsin(np.clip(face_axis(points).nose / NOSE_LENGTH, -1, 1))))
