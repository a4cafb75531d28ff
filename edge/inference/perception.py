"""The cascade: find faces, decide whether each wears a mask, and read the expression of those that do not.

`[landmarks] enabled` adds a stage between the last two, which finds landmarks and faces that are turned away.
`[expression] masked` adds a model that guesses the expression of those that wear a mask. `[people] enabled` loads an
embedder, which edge/people uses.

Pictures are (H, W, 3) uint8 RGB of any size. Boxes are in pixels of the picture and may reach beyond it. Each stage
prepares its input as in training (resize, crop, grey), invokes its model, and marks both steps on the timer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..config import Config
from ..counted import counted
from ..errors import ModelError
from ..imaging import boxes, images
from ..imaging.images import Picture
from ..records import Box, Detection, Face, Frame
from ..timing import NO_TIMER, StageTimer
from .edgetpu import Accelerator
from .interpreter import Model
from .manifest import MANIFEST_NAME, Manifest

if TYPE_CHECKING:
    from .embedder import Embedder
    from .landmarks import LandmarkFinder

#: Half a step of an 8-bit probability: a stored 0 means at most this, a stored 255 at least 1 minus this.
MIN_PROBABILITY = 1 / 512
#: A score that equals the threshold up to rounding errors counts as reached, in steps of the stored score.
SCORE_TOLERANCE = 1e-6


def log_odds(probability: float) -> float:
    """Return log(p / (1 - p)); finite, because p is limited to what 8 bits can express."""
    p = min(max(probability, MIN_PROBABILITY), 1 - MIN_PROBABILITY)
    return math.log(p / (1 - p))


def sigmoid(x: float) -> float:
    """Return the probability whose log-odds are `x`."""
    return 1 / (1 + math.exp(-x))


def _require_outputs(model: Model, *outputs: str) -> None:
    for name in outputs:
        if name not in model.entry.outputs:
            raise ModelError(f"{model.path}: {MANIFEST_NAME} has no output '{name}'", "is --models the right folder?")


def _require_labels(model: Model) -> None:
    _require_outputs(model, "probabilities")
    count = model.entry.outputs["probabilities"].shape[-1]
    if count != len(model.entry.labels):
        probabilities = counted(count, "probability", "probabilities")
        raise ModelError(f"{model.path}: gives {probabilities} for {counted(len(model.entry.labels), 'label')}")


class FaceDetector:
    """Finds the faces in a picture, with and without masks."""

    def __init__(
        self,
        model: Model,
        threshold: float = 0.0,
        max_iou: float = 0.45,
        max_faces: int = 10,
        timer: StageTimer = NO_TIMER,
    ) -> None:
        """Use `threshold` as the lowest score of a face; 0 stands for the manifest's.

        Two boxes whose IoU is above `max_iou` are one face. Raises ModelError if the manifest does not describe a face
        detector.
        """
        self.model = model
        self.threshold = threshold or model.entry.threshold
        self._max_iou, self._max_faces = max_iou, max_faces
        self._timer = timer
        _, self._height, self._width, _ = model.entry.input.shape
        _require_outputs(model, "scores", "distances")
        if not model.entry.strides:
            raise ModelError(f"{model.path}: {MANIFEST_NAME} has no strides for the face detector")
        self._cells = boxes.cells(self._width, self._height, model.entry.strides)
        self._score_tensor = model.entry.outputs["scores"]
        count = self._score_tensor.shape[1]
        if len(self._cells) != count:
            raise ModelError(f"{model.path}: has {counted(count, 'cell')}, but its strides give {len(self._cells)}")
        self._canvas = np.empty((self._height, self._width, 3), np.uint8)

    def detect(self, picture: Picture, threshold: float | None = None) -> list[Detection]:
        """Return the faces in `picture`, best first, with boxes in its pixels.

        If there are more than `max_faces`, those with the tallest boxes are kept.
        """
        pixels, letterbox = images.letterbox(picture, self._width, self._height, self._canvas)
        self._timer.mark("resize")
        self.model.invoke(pixels)
        self._timer.mark("detect")
        raw = self.model.raw("scores")[:, 0]
        threshold = self.threshold if threshold is None else threshold
        min_raw = math.ceil(threshold / self._score_tensor.scale + self._score_tensor.zero_point - SCORE_TOLERANCE)
        # Most cells hold no face, so only the others are dequantized and decoded.
        chosen = np.flatnonzero(raw >= min_raw)
        if not len(chosen):
            return []
        scores = self.model.dequantized("scores", raw[chosen])
        distances = self.model.dequantized("distances", self.model.raw("distances")[chosen])
        found = boxes.decode(distances, self._cells[chosen])
        kept = boxes.nms(found, scores, self._max_iou)
        if len(kept) > self._max_faces:
            # In a crowd the people nearest to the door matter, not a sharp face far behind them.
            heights = found[kept, 3] - found[kept, 1]
            tallest = np.argsort(-heights, kind="stable")[: self._max_faces]
            kept = kept[np.sort(tallest)]
        return [
            Detection(Box(*(float(v) for v in box)), float(score))
            for box, score in zip(letterbox.to_picture(found[kept]), scores[kept], strict=True)
        ]


class MaskClassifier:
    """Estimates how likely a face wears a mask over mouth and nose."""

    def __init__(self, model: Model, timer: StageTimer = NO_TIMER) -> None:
        """Raise ModelError if the manifest does not describe a mask classifier."""
        self.model = model
        self.threshold = model.entry.threshold
        self._timer = timer
        self._size = model.entry.input.shape[1]
        _require_labels(model)
        if "mask" not in model.entry.labels:
            raise ModelError(f"{model.path}: {MANIFEST_NAME} has no label 'mask' for the mask classifier")
        self._mask_index = model.entry.labels.index("mask")

    def probability(self, picture: Picture, box: Box) -> float:
        """Return the calibrated probability, 0 to 1, that the face at `box` wears a mask."""
        return self.probability_of_crop(images.crop_square(picture, box, self._size, self.model.entry.margin))

    def probability_of_crop(self, crop: Picture) -> float:
        """Return the same for a picture that shows one face and nothing else."""
        pixels = images.resize(crop, self._size, self._size)
        self._timer.mark("crop")
        self.model.invoke(pixels)
        self._timer.mark("mask")
        p = float(self.model.dequantized("probabilities")[self._mask_index])
        return sigmoid(self.model.entry.slope * log_odds(p) + self.model.entry.offset)


class ExpressionClassifier:
    """Estimates the expression of a bare face: one probability for each of `labels`."""

    def __init__(self, model: Model, timer: StageTimer = NO_TIMER) -> None:
        """Raise ModelError if the manifest does not describe an expression classifier."""
        self.model = model
        self._timer = timer
        _require_labels(model)
        self.labels = model.entry.labels
        self._size = model.entry.input.shape[1]

    def probabilities(self, picture: Picture, box: Box) -> tuple[float, ...]:
        """Return the calibrated probabilities of the face at `box`, in the order of `labels`."""
        return self.probabilities_of_crop(images.crop_square(picture, box, self._size, self.model.entry.margin))

    def probabilities_of_crop(self, crop: Picture) -> tuple[float, ...]:
        """Return the same for a picture that shows one face and nothing else."""
        pixels = images.grey(images.resize(crop, self._size, self._size))
        p = self._answer(pixels) ** self.model.entry.slope
        return tuple(float(v) for v in p / p.sum())

    def _answer(self, pixels: Picture) -> npt.NDArray[np.float32]:
        """Return the model's probabilities (7,), none of them 0, of a face (size, size, 1) uint8 grey."""
        self._timer.mark("crop")
        self.model.invoke(pixels)
        self._timer.mark("expression")
        return np.maximum(self.model.dequantized("probabilities"), MIN_PROBABILITY)

    def agitation(self, probabilities: Sequence[float], agitated: Sequence[str]) -> float:
        """Return the sum of the probabilities whose labels are in `agitated`."""
        return sum(p for p, label in zip(probabilities, self.labels, strict=True) if label in agitated)


class MaskedExpressionClassifier(ExpressionClassifier):
    """Guesses the expression of a face above a mask.

    Its answer is the geometric mean of those to the face and to its mirror image (Krizhevsky et al. 2012, section 4.1, averaged
    crops and reflections alike): little is visible of the face, and the errors of both differ.
    """

    def _answer(self, pixels: Picture) -> npt.NDArray[np.float32]:
        mirrored = np.ascontiguousarray(pixels[:, ::-1])
        product: npt.NDArray[np.float32] = super()._answer(pixels) * super()._answer(mirrored)
        return np.sqrt(product)


def required_models(config: Config) -> tuple[str, ...]:
    """Return the names of the models that these settings need."""
    wanted = {
        "expression_classifier": config.expression.enabled,
        "face_landmarks": config.landmarks.enabled or config.people.enabled,
        "masked_expression_classifier": config.expression.reads_masked,
        "face_embedding": config.people.enabled,
    }
    return ("face_detector", "mask_classifier", *(name for name, is_wanted in wanted.items() if is_wanted))


class Perception:
    """The stages, loaded. The models of those that the settings turn off (expressions, landmarks, embedding) are never opened."""

    def __init__(
        self,
        config: Config,
        manifest: Manifest,
        runtime: str | None = None,
        accelerator: Accelerator | None = None,
        timer: StageTimer = NO_TIMER,
    ) -> None:
        """Load the models. With `accelerator` they run on the Edge TPU while it is in use, and on the CPU otherwise.

        `runtime` is one of interpreter.RUNTIMES, by default the first that is installed. `timer` is marked here and by
        all code that works with this object. Raises ModelError if a model cannot be used, and UnavailableError if no
        runtime is installed.
        """

        def load(name: str) -> Model:
            return Model(manifest, name, config.models.threads, runtime, accelerator)

        self.accelerator = accelerator
        self.timer = timer
        self.detector = FaceDetector(
            load("face_detector"),
            config.detector.threshold,
            config.detector.nms_iou,
            config.detector.max_faces,
            timer,
        )
        self.mask = MaskClassifier(load("mask_classifier"), timer)
        self.expression: ExpressionClassifier | None = None
        if config.expression.enabled:
            self.expression = ExpressionClassifier(load("expression_classifier"), timer)
        self.masked_expression: MaskedExpressionClassifier | None = None
        if config.expression.reads_masked:
            self.masked_expression = MaskedExpressionClassifier(load("masked_expression_classifier"), timer)
        self.landmarks: LandmarkFinder | None = None
        if config.landmarks.enabled:
            from .landmarks import LandmarkFinder

            self.landmarks = LandmarkFinder(load("face_landmarks"), config.landmarks.max_turn, timer)
        self.embedder: Embedder | None = None
        if config.people.enabled:
            from .embedder import NAME, Embedder
            from .landmarks import LandmarkFinder

            finder = self.landmarks or LandmarkFinder(load("face_landmarks"), config.landmarks.max_turn, timer)
            self.embedder = Embedder(load(NAME), finder, timer)
        self.runtime = self.mask.model.runtime

    @property
    def runs_on(self) -> str:
        """What the models run on now, with the runtime: "Edge TPU (tflite_runtime)" or "CPU (ai_edge_litert)"."""
        runtime = self.accelerator.active_runtime if self.accelerator is not None else None
        return f"Edge TPU ({runtime})" if runtime else f"CPU ({self.runtime})"

    def detect(self, frame: Frame) -> list[Detection]:
        """Return the faces in a frame, best first, with boxes in pixels of `frame.picture`.

        If the frame has a low-resolution picture, the search runs on that one.
        """
        if frame.lores is None:
            return self.detector.detect(frame.picture)
        # Each axis has its own scale: the size of the small picture is rounded, so its aspect ratio differs slightly.
        x, y = frame.picture.shape[1] / frame.lores.shape[1], frame.picture.shape[0] / frame.lores.shape[0]
        return [
            Detection(Box(box.x1 * x, box.y1 * y, box.x2 * x, box.y2 * y), score)
            for box, score in self.detector.detect(frame.lores)
        ]

    def classify(self, picture: Picture, found: Detection) -> Face:
        """Return the mask probability of one face of `picture`, its expression, and its landmarks.

        The expression classifier cannot see what a mask covers: above a mask, a model of its own guesses, if the settings
        ask for it. No classifier can see the other half of a face that is turned away: if it looks bare, it is undecided,
        and its expression is not read. A mask is visible from the side, too.
        """
        masked = self.mask.probability(picture, found.box)
        is_bare = masked < self.mask.threshold
        landmarks, is_undecided = None, False
        if self.landmarks is not None:
            landmarks = self.landmarks.find(picture, found.box)
            is_undecided = is_bare and self.landmarks.is_turned(landmarks)
        expression = None
        if self.expression is not None and is_bare and not is_undecided:
            expression = self.expression.probabilities(picture, found.box)
        if self.masked_expression is None or is_bare:
            return Face(found.box, found.score, masked, expression, landmarks, is_undecided)
        guess = None
        if self.landmarks is None or landmarks is None or not self.landmarks.is_turned(landmarks):
            guess = self.masked_expression.probabilities(picture, found.box)
        return Face(found.box, found.score, masked, None, landmarks, masked_expression=guess)
