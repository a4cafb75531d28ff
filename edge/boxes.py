"""Boxes as arrays: the detector's cells, decoding, overlap, non-maximum suppression.

A box is (x1, y1, x2, y2), x to the right, y down, in whatever unit the caller uses throughout; (0, 4) is a valid set.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.intp]


def cells(width: int, height: int, strides: Sequence[int]) -> Floats:
    """The detector's cells, (N, 3) float32: centre x, centre y and stride, in input pixels.

    Level by level as `strides` names them, each row by row. Compute once: they depend on the model alone.
    """
    levels = []
    for stride in strides:
        y, x = np.mgrid[0 : height // stride, 0 : width // stride].astype(np.float32)
        level = np.stack([x.ravel(), y.ravel(), np.ones(x.size, np.float32)], axis=1) * stride
        level[:, :2] += stride / 2
        levels.append(level)
    found: Floats = np.concatenate(levels).astype(np.float32)
    return found


def decode(distances: Floats, at: Floats) -> Floats:
    """Boxes (n, 4) of cells `at` (n, 3) from their distances (n, 4) to left, top, right and bottom, in strides.

    Distances below zero count as zero. (FCOS, Tian et al. 2019.)

    >>> decode(np.array([[1, 1, 1, 2]], np.float32), np.array([[12, 12, 8]], np.float32)).tolist()
    [[4.0, 4.0, 20.0, 28.0]]
    """
    reach = np.maximum(distances, 0) * at[:, 2:3]
    found: Floats = np.concatenate([at[:, :2] - reach[:, :2], at[:, :2] + reach[:, 2:]], axis=1).astype(np.float32)
    return found


def areas(boxes: Floats) -> Floats:
    """Areas (n,); an inverted box has none."""
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    product: Floats = sides[:, 0] * sides[:, 1]
    return product


def iou(a: Floats, b: Floats) -> Floats:
    """Intersection over union of every box in `a` (n, 4) with every box in `b` (m, 4): (n, m), 0..1.

    >>> iou(np.array([[0, 0, 2, 2]], np.float32), np.array([[1, 0, 3, 2], [5, 5, 6, 6]], np.float32)).round(3).tolist()
    [[0.3330000042915344, 0.0]]
    """
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    sides = np.maximum(high - low, 0)
    inter = sides[..., 0] * sides[..., 1]
    union = areas(a)[:, None] + areas(b)[None, :] - inter
    overlap: Floats = np.where(union > 0, inter / np.maximum(union, 1e-9), 0).astype(np.float32)
    return overlap


def nms(boxes: Floats, scores: Floats, threshold: float) -> Indices:
    """Greedy non-maximum suppression: indices of the boxes kept, best score first.

    A box goes when its IoU with a better one exceeds `threshold`; equal scores keep their order, so that the same
    input always gives the same output.
    """
    order: Indices = np.argsort(-scores, kind="stable")
    if len(order) < 2:
        return order
    sorted_boxes = boxes[order]
    clash = iou(sorted_boxes, sorted_boxes) > threshold
    alive = np.ones(len(order), bool)
    for k in range(len(order)):
        if alive[k]:
            alive[k + 1 :] &= ~clash[k, k + 1 :]
    kept: Indices = order[alive]
    return kept
