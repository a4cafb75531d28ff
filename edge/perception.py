"""The cascade: where are faces, does each wear a mask, and how does an unmasked one look."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from . import boxes, images
from .accelerator import Accelerator
from .config import Config
from .errors import ModelError
from .interpreter import Model
from .manifest import Manifest
from .records import Box, Detection, Face, Frame
from .stages import UNTIMED, Stages

Picture = npt.NDArray[np.uint8]


def log_odds(probability: float) -> float:
    """logit(p), finite: an 8-bit probability says no more than 1/512 to 511/512."""
    p = min(max(probability, 1 / 512), 511 / 512)
    return math.log(p / (1 - p))


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def _needs(model: Model, *outputs: str) -> None:
    for name in outputs:
        if name not in model.row.outputs:
            raise ModelError(f"{model.path}: manifest.toml names no output '{name}'", "is --models the right folder?")


def _needs_labels(model: Model) -> None:
    _needs(model, "probabilities")
    values = model.row.outputs["probabilities"].shape[-1]
    if values != len(model.row.labels):
        raise ModelError(f"{model.path}: gives {values} probabilities for {len(model.row.labels)} labels")


class FaceDetector:
    """Every face in a picture, masked or not.

    `overlap` is the IoU beyond which two boxes are one face; a `threshold` of 0 takes the manifest's.
    """

    def __init__(
        self,
        model: Model,
        threshold: float = 0.0,
        overlap: float = 0.45,
        most: int = 10,
        stages: Stages = UNTIMED,
    ) -> None:
        self.model = model
        self._stages = stages
        self.threshold = threshold or model.row.threshold
        self._overlap, self._most = overlap, most
        _, self._height, self._width, _ = model.row.input.shape
        _needs(model, "scores", "distances")
        if not model.row.strides:
            raise ModelError(f"{model.path}: manifest.toml names no strides for the face detector")
        self._cells = boxes.cells(self._width, self._height, model.row.strides)
        self._scores = model.row.outputs["scores"]
        if len(self._cells) != self._scores.shape[1]:
            raise ModelError(f"{model.path}: has {self._scores.shape[1]} cells, its strides make {len(self._cells)}")
        self._canvas = np.empty((self._height, self._width, 3), np.uint8)

    def detect(self, picture: Picture, threshold: float | None = None) -> list[Detection]:
        """Faces in `picture`, (H, W, 3) uint8 RGB of any size, best first; boxes in its pixels."""
        pixels, fit = images.letterbox(picture, self._width, self._height, self._canvas)
        self._stages.lap("resize")
        self.model.invoke(pixels)
        self._stages.lap("detect")
        raw = self.model.raw("scores")[:, 0]
        least = (self.threshold if threshold is None else threshold) / self._scores.scale + self._scores.zero_point
        # Most cells hold no face: only those that do are dequantised and decoded.
        chosen = np.flatnonzero(raw >= math.ceil(least - 1e-6))
        if not len(chosen):
            return []
        scores = self.model.real("scores", raw[chosen])
        found = boxes.decode(self.model.real("distances", self.model.raw("distances")[chosen]), self._cells[chosen])
        kept = boxes.nms(found, scores, self._overlap)
        if len(kept) > self._most:
            # In a crowd those nearest to the door count, not a sharp face far behind them.
            heights = found[kept, 3] - found[kept, 1]
            kept = kept[np.sort(np.argsort(-heights, kind="stable")[: self._most])]
        return [
            Detection(Box(*(float(v) for v in box)), float(score))
            for box, score in zip(fit.to_picture(found[kept]), scores[kept], strict=True)
        ]


class MaskClassifier:
    """How likely a face wears a mask over mouth and nose."""

    def __init__(self, model: Model, stages: Stages = UNTIMED) -> None:
        self.model = model
        self._stages = stages
        self.threshold = model.row.threshold
        self._size = model.row.input.shape[1]
        _needs_labels(model)
        if "mask" not in model.row.labels:
            raise ModelError(f"{model.path}: manifest.toml has no label 'mask' for the mask classifier")
        self._mask = model.row.labels.index("mask")

    def probability(self, picture: Picture, box: Box) -> float:
        """Calibrated P(mask) 0..1 of the face at `box` of `picture`, (H, W, 3) uint8 RGB."""
        return self.probability_of_crop(images.crop_square(picture, box, self._size, self.model.row.margin))

    def probability_of_crop(self, crop: Picture) -> float:
        """The same for a picture that is nothing but a face, of any size."""
        pixels = images.resize(crop, self._size, self._size)
        self._stages.lap("crop")
        self.model.invoke(pixels)
        self._stages.lap("mask")
        p = float(self.model.real("probabilities")[self._mask])
        return _sigmoid(self.model.row.slope * log_odds(p) + self.model.row.offset)


class ExpressionClassifier:
    """What an unmasked face looks like: probabilities over `labels`."""

    def __init__(self, model: Model, stages: Stages = UNTIMED) -> None:
        self.model = model
        self._stages = stages
        _needs_labels(model)
        self.labels = model.row.labels
        self._size = model.row.input.shape[1]

    def probabilities(self, picture: Picture, box: Box) -> tuple[float, ...]:
        """Calibrated probabilities, in the order of `labels`, of the face at `box` of `picture` (H, W, 3) uint8 RGB."""
        return self.probabilities_of_crop(images.crop_square(picture, box, self._size, self.model.row.margin))

    def probabilities_of_crop(self, crop: Picture) -> tuple[float, ...]:
        """The same for a picture that is nothing but a face, of any size."""
        pixels = images.grey(images.resize(crop, self._size, self._size))
        self._stages.lap("crop")
        self.model.invoke(pixels)
        self._stages.lap("expression")
        p = np.maximum(self.model.real("probabilities"), 1 / 512)
        p = p**self.model.row.slope
        return tuple(float(v) for v in p / p.sum())

    def agitation(self, probabilities: Sequence[float], agitated: Sequence[str]) -> float:
        """The summed probability of the expressions named in `agitated`."""
        return sum(p for p, label in zip(probabilities, self.labels, strict=True) if label in agitated)


def models(config: Config) -> tuple[str, ...]:
    """The names of the models that these settings need."""
    return ("face_detector", "mask_classifier", *(("expression_classifier",) if config.expression.enabled else ()))


class Perception:
    """The three stages, loaded and ready. Without expression in the settings, that model is never opened.

    With an `accelerator` the models run there while it serves, and here, on the CPU, otherwise. `stages` is told where the
    time goes, here and in whatever works with this perception.
    """

    def __init__(
        self,
        config: Config,
        manifest: Manifest,
        runtime: str | None = None,
        accelerator: Accelerator | None = None,
        stages: Stages = UNTIMED,
    ) -> None:
        def load(name: str) -> Model:
            return Model(manifest, name, config.models.threads, runtime, accelerator)

        self.accelerator = accelerator
        self.stages = stages
        self.detector = FaceDetector(
            load("face_detector"),
            config.detector.threshold,
            config.detector.overlap,
            config.detector.most_faces,
            stages,
        )
        self.mask = MaskClassifier(load("mask_classifier"), stages)
        self.expression: ExpressionClassifier | None = None
        if config.expression.enabled:
            self.expression = ExpressionClassifier(load("expression_classifier"), stages)
        self.runtime = self.mask.model.runtime

    @property
    def runs_on(self) -> str:
        """What the models run on now, with the runtime: "Edge TPU (tflite_runtime)", "CPU (ai_edge_litert)"."""
        serving = self.accelerator.serving if self.accelerator is not None else None
        return f"Edge TPU ({serving})" if serving else f"CPU ({self.runtime})"

    def find(self, frame: Frame) -> list[Detection]:
        """Faces in a frame, best first, boxes in pixels of its `picture`; sought in the small one where there is one."""
        if frame.small is None:
            return self.detector.detect(frame.picture)
        # Each way by itself: a small picture has whole pixels, and so not quite the same aspect.
        x, y = frame.picture.shape[1] / frame.small.shape[1], frame.picture.shape[0] / frame.small.shape[0]
        return [
            Detection(Box(box.x1 * x, box.y1 * y, box.x2 * x, box.y2 * y), score)
            for box, score in self.detector.detect(frame.small)
        ]

    def look(self, picture: Picture, found: Detection) -> Face:
        """Look closely at one face of `picture`: mask, and expression only where there is no mask.

        A mask hides what an expression is read from; the classifier would guess.
        """
        masked = self.mask.probability(picture, found.box)
        expression = None
        if self.expression is not None and masked < self.mask.threshold:
            expression = self.expression.probabilities(picture, found.box)
        return Face(found.box, found.score, masked, expression)
