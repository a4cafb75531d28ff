"""Find five landmarks of a face, with or without a mask: the stage that `[landmarks] enabled` turns on.

`perception` imports this module only then.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..errors import ModelError
from ..imaging import images
from ..imaging.head_turn import head_turn
from ..imaging.images import Picture
from ..records import Box, Point
from ..timing import NO_TIMER, StageTimer
from .interpreter import Model
from .manifest import MANIFEST_NAME

#: Two eyes, nose tip, two mouth corners.
POINTS = 5


class LandmarkFinder:
    """Finds eyes, nose tip and mouth corners of a face, and tells whether the head is turned too far to the side."""

    def __init__(self, model: Model, max_turn: float, timer: StageTimer = NO_TIMER) -> None:
        """`max_turn` is in degrees. Raises ModelError if the manifest does not describe such a model."""
        self.model = model
        self._max_turn = max_turn
        self._timer = timer
        _, self._height, self._width, _ = model.entry.input.shape
        tensor = model.entry.outputs.get("points")
        if tensor is None or tensor.shape != (1, 2 * POINTS):
            raise ModelError(
                f"{model.path}: {MANIFEST_NAME} has no output 'points' of shape [1, {2 * POINTS}]",
                "is --models the right folder?",
            )

    def find(self, picture: Picture, box: Box) -> tuple[Point, ...]:
        """Return the landmarks (x, y) of the face at `box` in pixels of `picture`: two eyes, nose tip, two mouth
        corners. Of each pair, the one that is left in the picture comes first.

        `picture` is (H, W, 3) uint8 RGB.
        """
        height, width = picture.shape[:2]
        margin = self.model.entry.margin
        pixels = images.grey(images.crop_square(picture, box, self._width, margin))
        self._timer.mark("crop")
        self.model.invoke(pixels)
        self._timer.mark("landmarks")
        left, top, right, _ = images.square_around(width, height, box, margin)
        points = self.model.dequantized("points").reshape(POINTS, 2) * (right - left)
        return tuple((left + float(x), top + float(y)) for x, y in points)

    def is_turned(self, points: tuple[Point, ...]) -> bool:
        """Return whether a head with these landmarks is turned further than `max_turn`."""
        return abs(head_turn(_array(points))) > self._max_turn


def _array(points: tuple[Point, ...]) -> npt.NDArray[np.float32]:
    return np.array(points, np.float32)
