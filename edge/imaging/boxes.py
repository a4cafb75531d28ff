"""Boxes as arrays: the detector's grid, decoding, overlap, non-maximum suppression.

A box is (x1, y1, x2, y2), x to the right, y down, in any unit. A set of boxes is (N, 4) float32; N may be 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.intp]


def cells(width: int, height: int, strides: Sequence[int]) -> Floats:
    """Return the detector's grid cells, (N, 3) float32: centre x, centre y and stride, in input pixels.

    The levels follow the order of `strides`, the cells of a level run row by row. They depend on the model only:
    compute them once.
    """
    levels = []
    for stride in strides:
        y, x = np.mgrid[0 : height // stride, 0 : width // stride].astype(np.float32)
        level = np.stack([x.ravel(), y.ravel(), np.ones(x.size, np.float32)], axis=1) * stride
        level[:, :2] += stride / 2
        levels.append(level)
    grid: Floats = np.concatenate(levels).astype(np.float32)
    return grid


def decode(distances: Floats, grid: Floats) -> Floats:
    """Return the boxes (N, 4) that the detector predicts for the cells `grid` (N, 3), as in FCOS (Tian et al. 2019).

    `distances` (N, 4) are from the centre of a cell to left, top, right and bottom, in strides. Negative ones count as
    0.

    >>> decode(np.array([[1, 1, 1, 2]], np.float32), np.array([[12, 12, 8]], np.float32)).tolist()
    [[4.0, 4.0, 20.0, 28.0]]
    """
    reach = np.maximum(distances, 0) * grid[:, 2:3]
    centres = grid[:, :2]
    boxes: Floats = np.concatenate([centres - reach[:, :2], centres + reach[:, 2:]], axis=1).astype(np.float32)
    return boxes


def areas(boxes: Floats) -> Floats:
    """Return the areas (N,). The area of an inverted box is 0."""
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    product: Floats = sides[:, 0] * sides[:, 1]
    return product


def iou(a: Floats, b: Floats) -> Floats:
    """Return the intersection over union, (N, M) in 0..1, of each box in `a` (N, 4) with each box in `b` (M, 4).

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
    """Greedy non-maximum suppression: return the indices of the kept boxes, highest score first.

    A box is dropped if its IoU with a kept, better box exceeds `threshold`. The sort is stable, so the same input
    always gives the same output.
    """
    order: Indices = np.argsort(-scores, kind="stable")
    if len(order) < 2:
        return order
    sorted_boxes = boxes[order]
    overlaps = iou(sorted_boxes, sorted_boxes) > threshold
    keep = np.ones(len(order), bool)
    for k in range(len(order)):
        if keep[k]:
            keep[k + 1 :] &= ~overlaps[k, k + 1 :]
    kept: Indices = order[keep]
    return kept
