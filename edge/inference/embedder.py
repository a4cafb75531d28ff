"""Turn faces into embeddings, which are close to each other for one person: the stage that `[people] enabled` turns on.

`perception` imports this module only then.
"""

from __future__ import annotations

import hashlib
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
from .manifest import MANIFEST_NAME, ModelEntry

#: Embeddings: (n, 128), or one, (128,), float32.
Embeddings = npt.NDArray[np.float32]

NAME = "face_embedding"
DIMENSIONS = 128
#: The zero of a stored vector has no direction.
_MIN_LENGTH = 1e-6


def mean_embedding(embeddings: Embeddings, weights: Embeddings, common: Embeddings) -> Embeddings:
    """Return the mean (128,) of `embeddings` (n, 128) by `weights` (n,), without what is `common` (128,) to all faces, of length 1.

    The looks at a person differ by chance, and a mean takes that away; what all faces share, a mask among it, remains, so that
    means of strangers are more alike than single looks.
    """
    return _unit(_unit(weights @ embeddings) - common)


def version_of(entry: ModelEntry) -> str:
    """Return what tells a model, and what is taken from its means, from others: means of different ones cannot be compared."""
    return hashlib.sha256(f"{entry.sha256} {entry.common}".encode()).hexdigest()[:16]


class Embedder:
    """Makes embeddings of faces, 128 numbers of length 1. The cosine of two means of them says how alike two people are."""

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
        common = model.entry.common or (0.0,) * DIMENSIONS
        if len(common) != DIMENSIONS:
            raise ModelError(
                f"{model.path}: {MANIFEST_NAME} has {len(common)} numbers in 'common' instead of {DIMENSIONS}",
                "is --models the right folder?",
            )
        self._common = np.array(common, np.float32)

    @property
    def threshold(self) -> float:
        """The cosine from which two means are of one person."""
        return self.model.entry.threshold

    @property
    def version(self) -> str:
        """See `version_of`."""
        return version_of(self.model.entry)

    def landmarks(self, picture: Picture, face: Face) -> tuple[Point, ...]:
        """Return the landmarks of a face of `picture`, found now if the look has not found them."""
        return face.landmarks if face.landmarks is not None else self._landmarks.find(picture, face.box)

    def crop(self, picture: Picture, points: Sequence[Point]) -> Picture:
        """Return the aligned crop (size, size, 3) uint8 RGB of the face with five landmarks."""
        return align(picture, points, self.size)

    def embed(self, crops: Sequence[Picture]) -> Embeddings:
        """Return the embeddings (n, 128) float32 of aligned crops, each of length 1.

        Each is the sum of those of the crop and of its mirror image, as in the tests of Deng et al. (2019, "ArcFace"): the
        errors of both differ, the person is the same.
        """
        vectors = np.zeros((len(crops), DIMENSIONS), np.float32)
        for vector, crop in zip(vectors, crops, strict=True):
            vector[:] = _unit(self._answer(crop) + self._answer(np.ascontiguousarray(crop[:, ::-1])))
        return vectors

    def mean(self, embeddings: Embeddings, weights: Embeddings) -> Embeddings:
        """Return what templates and visits are compared by, see `mean_embedding`."""
        return mean_embedding(embeddings, weights, self._common)

    def _answer(self, crop: Picture) -> Embeddings:
        """Return the model's answer (128,) to one crop, with length 1."""
        self._timer.mark("crop")
        self.model.invoke(crop)
        self._timer.mark("embedding")
        return _unit(self.model.dequantized("embedding").reshape(DIMENSIONS))


def _unit(vector: Embeddings) -> Embeddings:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), _MIN_LENGTH), np.float32)
