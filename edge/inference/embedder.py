"""Turn faces into embeddings, which are close to each other for one person: the stage that `[people] enabled` turns on.

`perception` imports this module only then.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..errors import ModelError
from ..imaging.alignment import align
from ..imaging.images import Picture
from ..records import Face, Point
from ..timing import NO_TIMER, StageTimer
from .interpreter import Model
from .landmarks import LandmarkFinder
from .manifest import MANIFEST_NAME

NAME = "face_embedding"
DIMENSIONS = 128
#: The zero of a stored vector has no direction.
_MIN_LENGTH = 1e-6


class Embedder:
    """Makes embeddings of faces: 128 numbers of length 1, whose cosine says how alike two faces are."""

    def __init__(self, model: Model, landmarks: LandmarkFinder, timer: StageTimer = NO_TIMER) -> None:
        """`landmarks` aligns the faces. Raises ModelError if the manifest does not describe such a model."""
        self.model = model
        self._landmarks = landmarks
        self._timer = timer
        self.size = model.entry.input.shape[1]
        tensor = model.entry.outputs.get("embedding")
        shape = model.entry.input.shape
        if tensor is None or tensor.shape != (1, DIMENSIONS) or shape != (1, self.size, self.size, 3):
            raise ModelError(
                f"{model.path}: {MANIFEST_NAME} has no square RGB input and output 'embedding' of shape [1, {DIMENSIONS}]",
                "is --models the right folder?",
            )

    @property
    def threshold(self) -> float:
        """The cosine from which two embeddings are of one person, single looks or means of several."""
        return self.model.entry.threshold

    @property
    def version(self) -> str:
        """What tells this model from others: embeddings of different models cannot be compared."""
        return self.model.entry.sha256[:16]

    def landmarks(self, picture: Picture, face: Face) -> tuple[Point, ...]:
        """Return the landmarks of a face of `picture`, found now if the look has not found them."""
        return face.landmarks if face.landmarks is not None else self._landmarks.find(picture, face.box)

    def crop(self, picture: Picture, points: Sequence[Point]) -> Picture:
        """Return the aligned crop (size, size, 3) uint8 RGB of the face with five landmarks."""
        return align(picture, points, self.size)

    def embed(self, crops: Sequence[Picture]) -> npt.NDArray[np.float32]:
        """Return the embeddings (n, 128) float32 of aligned crops, each of length 1.

        Each is the sum of those of the crop and of its mirror image, as in the tests of Deng et al. (2019, "ArcFace"): the
        errors of both differ, the person is the same.
        """
        vectors = np.zeros((len(crops), DIMENSIONS), np.float32)
        for vector, crop in zip(vectors, crops, strict=True):
            vector[:] = _unit(self._answer(crop) + self._answer(np.ascontiguousarray(crop[:, ::-1])))
        return vectors

    def _answer(self, crop: Picture) -> npt.NDArray[np.float32]:
        """Return the model's answer (128,) to one crop, with length 1."""
        self._timer.mark("crop")
        self.model.invoke(crop)
        self._timer.mark("embedding")
        return _unit(self.model.dequantized("embedding").reshape(DIMENSIONS))


def _unit(vector: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), _MIN_LENGTH), np.float32)
