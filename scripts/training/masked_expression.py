"""Train the expression classifier for faces with a mask: the same network, on the same faces with masks drawn on.

It starts from the classifier of bare faces, which also teaches it: its targets are that one's answers about the face
without the mask, mixed with label and votes. What the lower half of the face would tell is lost; what is left is
learned from the brows, the eyes and the cheeks.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from torch import nn

from edge.imaging import images

from .arrays import Floats, Picture, Rng, as_floats, as_pixels
from .dataset import Dataset
from .drawing import masks
from .expression import SIZE, ExpressionTask, Faces48, faces_of
from .landmarks import pose
from .records import Record

#: A mask is drawn on the face enlarged by this factor.
ENLARGED = 3
#: Share of the faces that wear a mask. The others keep the network sure of what it knows of a whole face.
MASKED_SHARE = 0.9
#: Landmarks of a FER2013 face whose own are not known, in units of its side: the mean of those that are.
USUAL = np.array([(0.31, 0.38), (0.69, 0.38), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8)], np.float32)


def with_mask(face: Picture, points: Floats | None, rng: Rng) -> Picture:
    """Return a grey face (n, n) uint8 with a mask of any shape and colour drawn on; `points` (5, 2) are in its pixels.

    >>> with_mask(np.full((48, 48), 120, np.uint8), None, np.random.default_rng(1)).shape
    (48, 48)
    """
    side = len(face)
    if points is None:
        # The middle SIZE pixels of a stored face are what FER2013 shows.
        points = as_floats(USUAL * SIZE + (side - SIZE) / 2)
    large = cv2.resize(face, (side * ENLARGED, side * ENLARGED), interpolation=cv2.INTER_LINEAR)
    at = pose(points * ENLARGED)
    coloured = as_pixels(np.repeat(large[:, :, None], 3, 2))
    worn = masks.draw_mask(coloured, at.box, rng, (at.roll, at.yaw))
    return as_pixels(images.grey(as_pixels(cv2.resize(worn, (side, side), interpolation=cv2.INTER_AREA)))[:, :, 0])


class MaskedFaces(Faces48):
    """Faces48 that wear a mask when they are drawn."""

    def choose(self, rng: Rng) -> tuple[Picture, Floats]:
        pool, k = self.pick(rng)
        face = pool.faces[k]
        if rng.random() < MASKED_SHARE:
            face = with_mask(face, pool.points[k], rng)
        return face, pool.targets[k]


class MaskedExpressionTask(ExpressionTask):
    """The part of the training loop (`loop.Task`) of the expression classifier for masked faces.

    "val bare" are the same faces without the mask.
    """

    name = "masked_expression_classifier"
    is_mirrored = True

    def __init__(self, data: Dataset, splits: dict[str, list[Record]]) -> None:
        super().__init__(data, splits)
        self._bare_val = self.val
        wanted = [r for r in splits["val"] if r.expression is not None]
        self.val = [
            (with_mask(face, points, np.random.default_rng((5, k))), r)
            for k, r in enumerate(wanted)
            for face, _, points in faces_of(data, [r])
        ]

    def faces_for(self, data: Dataset, records: Sequence[Record]) -> Faces48:
        return MaskedFaces(data, records)

    def validate(self, net: nn.Module) -> dict[str, float]:
        """Return the figures of `ExpressionTask` for masked faces, and the mean for bare ones."""
        return {**super().validate(net), "val bare": self.figures(net, self._bare_val)["val mean"]}
