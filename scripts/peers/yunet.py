"""YuNet, a public face detector without anchors. Needs ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edge.errors import ModelError, UnavailableError
from edge.imaging import boxes, images
from edge.imaging.images import Picture
from edge.records import Box, Detection
from peers.float_models import WRONG_FILE, Floats

STRIDES = (8, 16, 32)
#: The outputs for each stride: class, presence and box of a face, and its five landmarks.
HEADS = ("cls", "obj", "bbox", "kps")


class YuNet:
    """YuNet-n (Wu et al. 2023): it finds faces, masked or not.

    https://github.com/ShiqiYu/libfacedetection.train; the thresholds are those of OpenCV Zoo's demo. The longer side of
    a picture becomes `side_px` pixels; its aspect is kept.
    """

    threshold, max_iou, max_candidates = 0.9, 0.3, 5000
    side_px = 640

    def __init__(self, path: Path) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise UnavailableError("YuNet: needs ONNX Runtime", "pip install onnxruntime") from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        try:
            self._session: Any = onnxruntime.InferenceSession(path.read_bytes(), options)
        except OSError as error:
            raise ModelError(f"{path}: cannot be read: {error.strerror}", "check the path of the file") from None
        except Exception as error:  # ONNX Runtime's own exceptions have no common type
            raise ModelError(f"{path}: is not an ONNX model: {str(error).splitlines()[0]}") from None
        self._names = [f"{head}_{stride}" for head in HEADS for stride in STRIDES]
        if not {output.name for output in self._session.get_outputs()} >= set(self._names):
            raise ModelError(f"{path}: is not YuNet: its outputs are other ones", WRONG_FILE)

    def detect(self, picture: Picture, threshold: float | None = None) -> list[Detection]:
        """Return the faces in `picture`, best first, with boxes in its pixels."""
        height, width = picture.shape[:2]
        scale = self.side_px / max(height, width)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        found, scores, _ = self.candidates(images.resize(picture, *size))
        best = np.argsort(-scores, kind="stable")[: self.max_candidates]
        best = best[scores[best] >= (self.threshold if threshold is None else threshold)]
        best = best[boxes.nms(found[best], scores[best], self.max_iou)]
        pixels = np.clip(found[best] / scale, 0, np.array([width, height, width, height], np.float32))
        return [
            Detection(Box(*(float(v) for v in box)), float(score))
            for box, score in zip(pixels, scores[best], strict=True)
        ]

    def landmarks(self, picture: Picture) -> tuple[Floats, float]:
        """Return the landmarks (5, 2) of the surest face, in pixels of `picture`, and its score: two eyes, nose tip, two
        mouth corners, of each pair the one that is left in the picture first."""
        height, width = picture.shape[:2]
        scale = self.side_px / max(height, width)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        _, scores, points = self.candidates(images.resize(picture, *size))
        best = int(scores.argmax())
        found = points[best] / np.float32(scale)
        return found if found[0, 0] <= found[1, 0] else found[[1, 0, 2, 4, 3]], float(scores[best])

    def candidates(self, picture: Picture) -> tuple[Floats, Floats, Floats]:
        """Return a box for each cell, (n, 4) x1 y1 x2 y2 in pixels, its score, (n,), and its landmarks, (n, 5, 2) pixels,
        of a picture of its input's size."""
        height, width = (-(-side // STRIDES[-1]) * STRIDES[-1] for side in picture.shape[:2])
        padded = np.zeros((height, width, 3), np.float32)
        padded[: picture.shape[0], : picture.shape[1]] = picture[..., ::-1]  # BGR
        outputs = self._session.run(self._names, {"input": padded.transpose(2, 0, 1)[np.newaxis]})
        by_head = {head: outputs[k * len(STRIDES) :][: len(STRIDES)] for k, head in enumerate(HEADS)}
        scores = np.concatenate([np.sqrt(c * o)[0, :, 0] for c, o in zip(by_head["cls"], by_head["obj"], strict=True)])
        boxes_of = zip(by_head["bbox"], STRIDES, strict=True)
        points_of = zip(by_head["kps"], STRIDES, strict=True)
        found = np.concatenate([decode(offsets[0], width, stride) for offsets, stride in boxes_of])
        points = np.concatenate([decode_points(offsets[0], width, stride) for offsets, stride in points_of])
        return found, scores, points


def decode(offsets: Floats, width: int, stride: int) -> Floats:
    """Return the boxes (n, 4), x1 y1 x2 y2 in pixels, of a grid of cells, row by row, in a picture of this width.

    `offsets` (n, 4) are a box's centre from the cell's corner and the logarithm of its size, in units of the stride.

    >>> decode(np.array([[0, 0, 0, 0], [0.5, 1, 0, 0]], np.float32), 16, 8).tolist()
    [[-4.0, -4.0, 4.0, 4.0], [8.0, 4.0, 16.0, 12.0]]
    """
    centres = (_corners(len(offsets), width, stride) + offsets[:, :2]) * stride
    half = np.exp(offsets[:, 2:]) * stride / 2
    found: Floats = np.concatenate([centres - half, centres + half], 1).astype(np.float32)
    return found


def decode_points(offsets: Floats, width: int, stride: int) -> Floats:
    """Return the landmarks (n, 5, 2), x y in pixels, of a grid of cells. `offsets` (n, 10) are from a cell's corner in units
    of the stride.

    >>> decode_points(np.full((2, 10), 0.5, np.float32), 16, 8)[1, 0].tolist()
    [12.0, 4.0]
    """
    corners = _corners(len(offsets), width, stride)[:, None]
    points: Floats = ((corners + offsets.reshape(-1, 5, 2)) * stride).astype(np.float32)
    return points


def _corners(count: int, width: int, stride: int) -> Floats:
    """Return the first `count` cells' upper left corners (n, 2) in units of the stride, row by row."""
    index = np.arange(count)
    across = width // stride
    return np.stack([index % across, index // across], 1).astype(np.float32)
