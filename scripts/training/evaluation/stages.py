"""The stages of the cascade that a task needs. Public models follow the same protocols as Doorlight's own models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from edge.config import Config
from edge.inference.interpreter import Model
from edge.inference.landmarks import LandmarkFinder
from edge.inference.manifest import Manifest
from edge.inference.perception import (
    ExpressionClassifier,
    FaceDetector,
    MaskClassifier,
    MaskedExpressionClassifier,
)
from edge.records import Box, Detection, Point

from ..arrays import Picture

#: The average precision is of the model, so that its evaluation keeps every box. The door keeps `[detector] max_faces`.
ALL_FACES = 10_000
MASKED_MODEL = "masked_expression_classifier"


class Detector(Protocol):
    """Finds faces in pictures (H, W, 3) uint8 RGB."""

    @property
    def threshold(self) -> float:
        """The minimum score of a face."""
        ...

    def detect(self, picture: Picture, threshold: float | None = None) -> list[Detection]:
        """Return the faces with at least `threshold` (None: that of the detector), best first, in pixels of
        `picture`."""
        ...


class MaskStage(Protocol):
    """Estimates whether a face wears a mask over mouth and nose."""

    @property
    def threshold(self) -> float:
        """The minimum probability of a masked face."""
        ...

    def probability(self, picture: Picture, box: Box) -> float:
        """Return P(mask) of the face at `box`, which the detector found in `picture`."""
        ...

    def probability_of_crop(self, crop: Picture) -> float | None:
        """Return P(mask) of a picture that shows only a face; None if the model finds no face in it."""
        ...


class ExpressionStage(Protocol):
    """Estimates the expression of a face."""

    @property
    def labels(self) -> Sequence[str]:
        """The expressions, in the order of the probabilities."""
        ...

    def probabilities(self, picture: Picture, box: Box) -> tuple[float, ...]:
        """Return the probabilities of the face at `box`."""
        ...

    def probabilities_of_crop(self, crop: Picture) -> tuple[float, ...]:
        """Return the probabilities of a picture that shows only a face."""
        ...


class LandmarkStage(Protocol):
    """Finds landmarks of a face."""

    def find(self, picture: Picture, box: Box) -> Sequence[Point]:
        """Return two eyes, nose tip and two mouth corners of the face at `box`, in pixels of `picture`."""
        ...


#: Returns the heat map of the face in a box of a picture (None: the whole picture), (TILE_PX, TILE_PX, 3) uint8 RGB.
Explainer = Callable[[Picture, tuple[float, float, float, float] | None], Picture]


class Stages(NamedTuple):
    """The stages that a task needs; the others are None. `new_score` is the minimum score of a new person.

    `explain` draws the heat maps of the mistakes; None if they are not wanted.
    """

    detector: Detector
    mask: MaskStage | None = None
    expression: ExpressionStage | None = None
    new_score: float | None = None
    explain: Explainer | None = None
    landmarks: LandmarkStage | None = None
    masked_expression: ExpressionStage | None = None
    embedding: Model | None = None


def open_stages(task: str, settings: Config, models: Manifest, runtime: str | None) -> Stages:
    """Open the stages that `task` needs, as the door does. Raises ModelError if a model is missing or damaged."""

    def model(name: str) -> Model:
        return Model(models, name, settings.models.threads, runtime)

    max_faces = ALL_FACES if task == "detector" else settings.detector.max_faces
    return Stages(
        FaceDetector(model("face_detector"), settings.detector.threshold, settings.detector.nms_iou, max_faces),
        MaskClassifier(model("mask_classifier")) if task in ("mask", "landmarks", "masked_expression") else None,
        ExpressionClassifier(model("expression_classifier")) if "expression" in task else None,
        settings.tracker.new_score,
        landmarks=LandmarkFinder(model("face_landmarks"), settings.landmarks.max_turn)
        if task in ("landmarks", "embedding")
        else None,
        # Without one, the table shows what the model for bare faces does.
        masked_expression=MaskedExpressionClassifier(model(MASKED_MODEL))
        if task == "masked_expression" and MASKED_MODEL in models
        else None,
        embedding=model("face_embedding") if task == "embedding" else None,
    )
