"""Single frames of the demo clip."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from support.paths import CLIP

#: Moments of the clip, in seconds.
EMPTY_S, MASKED_S, UNMASKED_S = 6.8, 4.0, 11.0


def frame_at(second: float) -> npt.NDArray[np.uint8]:
    """Return one frame of the demo clip, (480, 640, 3) uint8 RGB."""
    capture = cv2.VideoCapture(str(CLIP))
    capture.set(cv2.CAP_PROP_POS_FRAMES, round(second * 15))
    good, picture = capture.read()
    capture.release()
    assert good
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)
