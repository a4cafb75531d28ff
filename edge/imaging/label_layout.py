"""Place labels beside boxes, so that they cover neither a box nor each other where there is room.

A rectangle is (x1, y1, x2, y2) in pixels, x to the right, y down; x2 and y2 are outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Rectangle = tuple[int, int, int, int]
Rectangles = npt.NDArray[np.int64]

#: A label that covers a box is this many times as bad as one that covers another label.
BOX_WEIGHT = 4
#: Positions on the whole picture are tried in a grid of about this many columns and rows.
GRID = 60


class Layout(NamedTuple):
    """The places of the labels, in the order of the boxes.

    `covered` is the area (px²) of boxes and labels that they cover. `detached` counts those that are not at their box.
    """

    places: list[Rectangle]
    covered: int
    detached: int


def place_labels(
    width: int, height: int, boxes: Sequence[Rectangle], sizes: Sequence[tuple[int, int]], gap: int = 2
) -> Layout:
    """Place one label of `sizes` (width, height) for each of `boxes` inside a picture of `width` x `height`.

    A label stands directly at its box if that is possible: above, below, at the right, at the left. Otherwise it takes
    the nearest free place of the picture, and where nothing is free the place where it covers least. `gap` pixels stay
    free around boxes and labels. A label is never larger than the picture.
    """
    frame = (0, 0, width, height)
    obstacles = np.array([clip(box, frame) for box in boxes], np.int64).reshape(-1, 4)
    sizes = [(min(w, width), min(h, height)) for w, h in sizes]
    beside = [_beside(obstacles[k], size, width, height, gap) for k, size in enumerate(sizes)]
    # Labels with the fewest free places come first; among equals, the upper ones.
    freedom = [int((_covered(places, obstacles, gap) == 0).sum()) for places in beside]
    order = sorted(range(len(boxes)), key=lambda k: (freedom[k], *obstacles[k][[1, 0]].tolist(), k))
    chosen: dict[int, Rectangle] = {}
    total = detached = 0
    for k in order:
        labels = np.array(list(chosen.values()), np.int64).reshape(-1, 4)
        place, covered = _choose(beside[k], obstacles[k], sizes[k], obstacles, labels, (width, height), gap)
        chosen[k] = place
        total += covered
        detached += not (beside[k] == place).all(1).any()
    return Layout([chosen[k] for k in range(len(boxes))], total, detached)


def clip(rectangle: Rectangle, frame: Rectangle) -> Rectangle:
    """Return the part of `rectangle` inside `frame`; it is empty, at the border, if there is none."""
    x1, x2 = (min(max(x, frame[0]), frame[2]) for x in (rectangle[0], rectangle[2]))
    y1, y2 = (min(max(y, frame[1]), frame[3]) for y in (rectangle[1], rectangle[3]))
    return x1, y1, x2, y2


def overlap(one: Rectangle, other: Rectangle) -> int:
    """Return the area (px²) that two rectangles share.

    >>> overlap((0, 0, 4, 4), (2, 3, 9, 9))
    2
    """
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(width, 0) * max(height, 0)


def _choose(
    beside: Rectangles,
    box: npt.NDArray[np.int64],
    size: tuple[int, int],
    boxes: Rectangles,
    labels: Rectangles,
    frame: tuple[int, int],
    gap: int,
) -> tuple[Rectangle, int]:
    """Return the best place of one label, and the area that it covers."""
    taken = np.concatenate([boxes, labels])
    free = _covered(beside, taken, gap) == 0
    if free.any():
        return _rectangle(beside[int(free.argmax())]), 0
    anywhere = _grid(size, *frame)
    distance = _distance(anywhere, box)
    free = _covered(anywhere, taken, gap) == 0
    if free.any():
        return _rectangle(anywhere[int(np.where(free, distance, np.inf).argmin())]), 0
    # Nothing is free. Among the places that cover equally little, the one farthest from the centre of the face is best.
    every = np.concatenate([beside, anywhere])
    covered = BOX_WEIGHT * _covered(every, boxes, 0) + _covered(every, labels, 0)
    centre = (every[:, :2] + every[:, 2:] - box[:2] - box[2:]) / 2
    best = np.lexsort((-np.hypot(centre[:, 0], centre[:, 1]), covered))[0]
    place = every[best : best + 1]
    return _rectangle(every[best]), int((_covered(place, boxes, 0) + _covered(place, labels, 0))[0])


def _beside(box: npt.NDArray[np.int64], size: tuple[int, int], width: int, height: int, gap: int) -> Rectangles:
    """Return the places directly at a box, the best first, as far as they are inside the picture: (N, 4)."""
    w, h = size
    x1, y1, x2, y2 = box.tolist()
    above, below, right, left = y1 - gap - h, y2 + gap, x2 + gap, x1 - gap - w
    # At the border of the picture, a label above or below its box is shifted inwards.
    inside = [min(max(x, 0), width - w) for x in (x1, x2 - w, (x1 + x2 - w) // 2)]
    beside = [min(max(y, 0), height - h) for y in (y1, y2 - h, (y1 + y2 - h) // 2)]
    corners = [(x, above) for x in inside] + [(x, below) for x in inside]
    corners += [(right, y) for y in beside] + [(left, y) for y in beside]
    corners += [(right, above), (left, above), (right, below), (left, below)]
    places = np.array([(x, y, x + w, y + h) for x, y in corners], np.int64)
    fits = (places[:, :2] >= 0).all(1) & (places[:, 2] <= width) & (places[:, 3] <= height)
    kept: Rectangles = places[fits]
    return kept


def _grid(size: tuple[int, int], width: int, height: int) -> Rectangles:
    """Return places of a label all over the picture: (N, 4)."""
    w, h = size
    x = np.unique(np.linspace(0, width - w, GRID).astype(np.int64))
    y = np.unique(np.linspace(0, height - h, GRID).astype(np.int64))
    corners = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    return np.concatenate([corners, corners + np.array([w, h])], axis=1)


def _covered(places: Rectangles, obstacles: Rectangles, gap: int) -> npt.NDArray[np.int64]:
    """Return the area (N,) that each of `places` (N, 4) shares with all `obstacles` (M, 4), grown by `gap` pixels."""
    grown = obstacles + np.array([-gap, -gap, gap, gap]) if gap else obstacles
    low = np.maximum(places[:, None, :2], grown[None, :, :2])
    high = np.minimum(places[:, None, 2:], grown[None, :, 2:])
    sides = np.maximum(high - low, 0)
    area: npt.NDArray[np.int64] = (sides[..., 0] * sides[..., 1]).sum(1)
    return area


def _distance(places: Rectangles, box: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return the distance (N,) in pixels between each of `places` (N, 4) and `box`; 0 if they touch."""
    apart = np.maximum(np.maximum(box[:2] - places[:, 2:], places[:, :2] - box[2:]), 0)
    distance: npt.NDArray[np.float64] = np.hypot(apart[:, 0], apart[:, 1])
    return distance


def _rectangle(row: npt.NDArray[np.int64]) -> Rectangle:
    x1, y1, x2, y2 = row.tolist()
    return x1, y1, x2, y2
