"""Public face detectors with anchors: AIZOO, which also classifies masks, and Ultra-Light."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from edge.errors import ModelError
from edge.imaging import boxes
from edge.imaging.images import Picture
from edge.records import Box, Detection
from peers.float_models import WRONG_FILE, FloatModel, Floats

#: The variances of SSD (Liu et al. 2016): both detectors give offsets of a box's centre and log size in these units.
CENTRE_VARIANCE, SIZE_VARIANCE = 0.1, 0.2


def aizoo_anchors() -> Floats:
    """Return AIZOO's 5,972 anchors, (n, 4) float32: centre x, centre y, width, height, as shares of the picture."""
    grids = (33, 17, 9, 5, 3)
    sizes = ((0.04, 0.056), (0.08, 0.11), (0.16, 0.22), (0.32, 0.45), (0.64, 0.72))
    levels = []
    for grid, (first, second) in zip(grids, sizes, strict=True):
        # Two squares, then two upright shapes with the area of the first square.
        shapes = [(first, first), (second, second), *((first * r**0.5, first / r**0.5) for r in (0.62, 0.42))]
        levels.append(_grid(grid, grid, shapes))
    return np.concatenate(levels)


def ultralight_anchors() -> Floats:
    """Return Ultra-Light's 4,420 anchors at 320x240, (n, 4) float32 like `aizoo_anchors`."""
    width, height = 320, 240
    levels = []
    for (across, down), sides in zip(
        ((40, 30), (20, 15), (10, 8), (5, 4)), ((10, 16, 24), (32, 48), (64, 96), (128, 192, 256)), strict=True
    ):
        # With strides 32 and 64 the grid is higher than the picture, because its cells are as far apart as the stride.
        stride = width / across
        level = _grid(across, down, [(side / width, side / height) for side in sides])
        level[:, 1] *= down * stride / height
        levels.append(level)
    return np.clip(np.concatenate(levels), 0, 1)


def _grid(across: int, down: int, shapes: Sequence[tuple[float, float]]) -> Floats:
    """Return all shapes (width, height) at the centre of each cell: row by row, and within a cell shape by shape."""
    y, x = np.mgrid[0:down, 0:across]
    centres = np.stack([(x.ravel() + 0.5) / across, (y.ravel() + 0.5) / down], axis=1)
    repeated = np.repeat(centres, len(shapes), axis=0)
    anchors: Floats = np.concatenate([repeated, np.tile(shapes, (len(centres), 1))], axis=1).astype(np.float32)
    return anchors


def decode(offsets: Floats, anchors: Floats) -> Floats:
    """Return boxes (n, 4), x1 y1 x2 y2 as shares of the picture, from a detector's offsets and its anchors, both (n,
    4).

    >>> decode(np.array([[1, 0, 0, 0]], np.float32), np.array([[0.5, 0.5, 0.2, 0.4]],
    np.float32)).astype(float).round(2).tolist() [[0.42, 0.3, 0.62, 0.7]]
    """
    centres = anchors[:, :2] + offsets[:, :2] * CENTRE_VARIANCE * anchors[:, 2:]
    half = anchors[:, 2:] * np.exp(offsets[:, 2:] * SIZE_VARIANCE) / 2
    decoded: Floats = np.concatenate([centres - half, centres + half], axis=1).astype(np.float32)
    return decoded


class Graph(FloatModel):
    """The TFLite model of a detector: offsets (anchors, 4) and scores (anchors, 2).

    Raises ModelError for another file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._outputs = {int(o["shape"][-1]): o["index"] for o in self._interpreter.get_output_details()}
        if not self._outputs.keys() >= {2, 4}:
            raise ModelError(f"{path}: its outputs are not boxes with two scores each", WRONG_FILE)

    def output(self, values: int) -> Floats:
        """Return the output with `values` values for each anchor, (anchors, values)."""
        output: Floats = self._interpreter.get_tensor(self._outputs[values])[0]
        return output


class AnchorDetector:
    """A detector with anchors.

    The picture is resized to the input's shape without keeping its aspect, as by the authors.

    `threshold` is the minimum score of a face, `max_iou` the IoU above which two boxes are one face, `max_candidates`
    the number of anchors with the best scores that are used. All three are those of the authors' demo.
    """

    threshold: float
    max_iou: float
    max_candidates: int

    def __init__(self, path: Path, anchors: Floats) -> None:
        self.graph = Graph(path)
        self.graph.invoke(np.zeros((self.graph.height, self.graph.width, 3), np.float32))
        if len(self.graph.output(2)) != len(anchors):
            count = len(self.graph.output(2))
            raise ModelError(f"{path}: has {count} anchors, expected {len(anchors)}", WRONG_FILE)
        self._anchors = anchors

    def prepare(self, picture: Picture) -> Floats:
        """Return the input for `picture`, (height, width, 3) float32."""
        raise NotImplementedError

    def scores(self, classes: Floats) -> Floats:
        """Return the score of a face for each anchor, (n,), 0..1, from its two class scores, (n, 2)."""
        raise NotImplementedError

    def detect(self, picture: Picture, threshold: float | None = None) -> list[Detection]:
        """Return the faces in `picture`, best first, with boxes in its pixels."""
        return [detection for detection, _ in self.detect_with_classes(picture, threshold)]

    def detect_with_classes(self, picture: Picture, threshold: float | None = None) -> list[tuple[Detection, Floats]]:
        """Return the faces in `picture`, best first, each with the two class scores of its anchor."""
        self.graph.invoke(self.prepare(picture))
        offsets, classes = self.graph.output(4), self.graph.output(2)
        scores = self.scores(classes)
        best = np.argsort(-scores, kind="stable")[: self.max_candidates]
        best = best[scores[best] >= (self.threshold if threshold is None else threshold)]
        decoded = decode(offsets[best], self._anchors[best])
        kept = boxes.nms(decoded, scores[best], self.max_iou)
        height, width = picture.shape[:2]
        pixels = np.clip(decoded[kept], 0, 1) * np.array([width, height, width, height], np.float32)
        return [
            (Detection(Box(*(float(v) for v in box)), float(scores[k])), classes[k])
            for box, k in zip(pixels, best[kept], strict=True)
        ]


class Aizoo(AnchorDetector):
    """AIZOO's face and mask detector, 260x260: it finds faces and classifies each as masked or not.

    https://github.com/AIZOOTech/FaceMaskDetection (tflite_infer.py)
    """

    threshold, max_iou, max_candidates = 0.5, 0.4, 5972

    def __init__(self, path: Path) -> None:
        super().__init__(path, aizoo_anchors())
        self._masked: dict[Box, float] = {}

    def prepare(self, picture: Picture) -> Floats:
        return cv2.resize(picture, (self.graph.width, self.graph.height)).astype(np.float32) / 255

    def scores(self, classes: Floats) -> Floats:
        best: Floats = classes.max(axis=1)
        return best

    def detect_with_classes(self, picture: Picture, threshold: float | None = None) -> list[tuple[Detection, Floats]]:
        found = super().detect_with_classes(picture, threshold)
        # Class 0 is a face with a mask, class 1 a face without.
        self._masked = {d.box: float(mask / max(mask + bare, 1e-9)) for d, (mask, bare) in found}
        return found

    def mask_probability(self, box: Box) -> float:
        """Return P(mask) of a face that the last call of `detect` found at `box`."""
        return self._masked[box]


class AizooMask:
    """AIZOO as a mask classifier: it classifies while it detects."""

    threshold = 0.5

    def __init__(self, aizoo: Aizoo) -> None:
        self._aizoo = aizoo

    def probability(self, picture: Picture, box: Box) -> float:
        """Return P(mask) of a face in `picture`; the last `detect` must have found this box."""
        return self._aizoo.mask_probability(box)

    def probability_of_crop(self, crop: Picture) -> float | None:
        """Return P(mask) of the best face in a picture that shows only a face; None if it finds none."""
        found = self._aizoo.detect(crop)
        return self.probability(crop, found[0].box) if found else None


class UltraLight(AnchorDetector):
    """Linzaer's Ultra-Light-Fast-Generic-Face-Detector, RFB-320: it finds faces, masked or not.

    https://github.com/Linzaer/Ultra-Light-Fast-Generic-Face-Detector-1MB (detect_imgs_onnx.py; config of
    detect_imgs.py)
    """

    threshold, max_iou, max_candidates = 0.7, 0.3, 200

    def __init__(self, path: Path) -> None:
        super().__init__(path, ultralight_anchors())

    def prepare(self, picture: Picture) -> Floats:
        return (cv2.resize(picture, (self.graph.width, self.graph.height)).astype(np.float32) - 127) / 128

    def scores(self, classes: Floats) -> Floats:
        face: Floats = classes[:, 1]
        return face
