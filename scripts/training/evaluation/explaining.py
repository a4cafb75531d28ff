"""Heat maps for the sheet of the worst mistakes, by the default method of `doorlight explain`."""

from __future__ import annotations

from collections.abc import Sequence

from edge.explain import sheet
from edge.explain.black_box import BlackBox, expression_box, face_box, mask_box
from edge.explain.explanation import Stage, explain_question
from edge.inference.perception import ExpressionClassifier, FaceDetector, MaskClassifier
from edge.records import Box

from ..arrays import Picture
from ..contact_sheet import TILE_PX
from .stages import Explainer, Stages

#: What is explained about a mistake of each task.
STAGE_OF_TASK = {"detector": Stage.FACE, "mask": Stage.MASK, "expression": Stage.EXPRESSION}


def explainer(task: str, stages: Stages, agitated: Sequence[str]) -> Explainer:
    """Return the function that draws the map of a mistake of `task`. The stages must be those of the door."""

    def question(picture: Picture, face: Box) -> BlackBox:
        if isinstance(stages.mask, MaskClassifier):
            return mask_box(stages.mask, picture, face)
        if isinstance(stages.expression, ExpressionClassifier):
            return expression_box(stages.expression, picture, face, agitated)
        assert isinstance(stages.detector, FaceDetector)
        return face_box(stages.detector, picture, face)

    def explain(picture: Picture, box: tuple[float, float, float, float] | None) -> Picture:
        face = _whole(picture, _margin(stages)) if box is None else Box(*box)
        return sheet.heat_tile(explain_question(question(picture, face), face, STAGE_OF_TASK[task]), picture, TILE_PX)

    return explain


def _margin(stages: Stages) -> float:
    classifier = stages.mask or stages.expression
    assert isinstance(classifier, MaskClassifier | ExpressionClassifier)
    return classifier.model.entry.margin


def _whole(picture: Picture, margin: float) -> Box:
    """Return the box around which a classifier crops the whole of a picture that is nothing but a face."""
    height, width = picture.shape[:2]
    half = max(height, width) / margin / 2
    return Box(width / 2 - half, height / 2 - half, width / 2 + half, height / 2 + half)
