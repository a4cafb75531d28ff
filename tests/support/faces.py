"""A drawn face for tests of what is painted on faces."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

#: The face's box in `drawn_face`, (x1, y1, x2, y2).
BOX = (110.0, 60.0, 210.0, 190.0)
#: Boxes at and beyond the border of `drawn_face`, tiny ones and huge ones.
ODD_BOXES = [
    (-40.0, -30.0, 60.0, 90.0),
    (280.0, 270.0, 380.0, 400.0),
    (100.0, 100.0, 103.0, 104.0),
    (0.0, 0.0, 320.0, 320.0),
    (-300.0, -300.0, 620.0, 900.0),
    (319.0, 319.0, 330.0, 330.0),
]


def drawn_face(grey: bool = False, gain: float = 1.0) -> npt.NDArray[np.uint8]:
    """Return a face-coloured oval, lit from the left, before a wall: (320, 320, 3) uint8 RGB."""
    picture = np.full((320, 320, 3), (120, 130, 140), np.uint8)
    cv2.ellipse(picture, (160, 125), (52, 66), 0, 0, 360, (205, 160, 135), -1)
    lit: npt.NDArray[np.uint8] = (
        (picture * np.linspace(1.15, 0.6, 320)[None, :, None] * gain).clip(0, 255).astype(np.uint8)
    )
    if grey:
        lit = np.repeat(np.asarray(cv2.cvtColor(lit, cv2.COLOR_RGB2GRAY), np.uint8)[:, :, None], 3, 2)
    return lit
