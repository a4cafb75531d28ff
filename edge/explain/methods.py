"""Heat maps of a black box: RISE, LIME and occlusion.

Each method shows the model a face with parts removed, and derives from the answers how much each pixel speaks for the
answer. A map is (S, S) float32 in log-odds: positive speaks for the answer, negative against it.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator

import cv2
import numpy as np
import numpy.typing as npt

from .black_box import BlackBox, Keep
from .superpixels import slic

Heat = npt.NDArray[np.float32]

#: The same question always gets the same map.
SEED = 15


class Method(enum.Enum):
    """How a heat map is made."""

    RISE = "rise"
    LIME = "lime"
    OCCLUSION = "occlusion"


def rise(box: BlackBox, masks: int = 300, cells: int = 7, kept: float = 0.5) -> Heat:
    """Return the map of RISE (Petsiuk et al. 2018): what the answer gains on average if a pixel is kept.

    Random grids of `cells` x `cells`, of which the share `kept` stays, are enlarged to soft masks and shifted by a random
    part of a cell.
    """
    rng = np.random.default_rng(SEED)
    with_pixel, without_pixel = (np.zeros((box.size, box.size), np.float64) for _ in range(2))
    kept_sum = np.zeros((box.size, box.size), np.float64)
    for keep in _soft_masks(rng, box.size, masks, cells, kept):
        score = box.score(keep)
        with_pixel += score * keep
        without_pixel += score * (1 - keep)
        kept_sum += keep
    few = 1e-6  # a pixel that no mask keeps, or each
    gain = with_pixel / np.maximum(kept_sum, few) - without_pixel / np.maximum(masks - kept_sum, few)
    return np.asarray(gain, np.float32)


def _soft_masks(rng: np.random.Generator, size: int, count: int, cells: int, kept: float) -> Iterator[Keep]:
    cell = -(-size // cells)
    side = (cells + 1) * cell
    for _ in range(count):
        grid = (rng.random((cells + 1, cells + 1)) < kept).astype(np.float32)
        left, top = (int(v) for v in rng.integers(0, cell, 2))
        large = np.asarray(cv2.resize(grid, (side, side), interpolation=cv2.INTER_LINEAR), np.float32)
        yield np.ascontiguousarray(large[top : top + size, left : left + size])


def lime(box: BlackBox, samples: int = 300, across: int = 7, width: float = 0.25, ridge: float = 1.0) -> Heat:
    """Return the map of LIME (Ribeiro et al. 2016): the weights of a linear model of the answer.

    A sample keeps a random half of the superpixels. The model is fitted by ridge regression; samples that keep more
    weigh more: exp(-d² / width²), with the cosine distance d to the whole face.
    """
    rng = np.random.default_rng(SEED)
    segments = slic(box.pixels, across)
    chosen = rng.random((samples, across**2)) < 0.5
    chosen[0] = True
    scores = np.array([box.score(row.astype(np.float32)[segments]) for row in chosen])
    distance = 1 - np.sqrt(chosen.mean(1))
    weights = np.exp(-(distance**2) / width**2)
    # Centred, so that the intercept is not shrunk.
    x = chosen - np.average(chosen, axis=0, weights=weights)
    y = scores - np.average(scores, weights=weights)
    gram = (x * weights[:, None]).T @ x + ridge * np.eye(across**2)
    found = np.linalg.solve(gram, (x * weights[:, None]).T @ y)
    return found.astype(np.float32)[segments]


def occlusion(box: BlackBox, sizes: tuple[float, ...] = (0.25, 0.4), step: float = 1 / 12) -> Heat:
    """Return the map of occlusion (Zeiler and Fergus 2014): what the answer loses where a square is removed.

    Squares of several `sizes`, in units of the side, move by `step`: a small one shows details, but often leaves a
    certain answer at the end of its 8 bits. Each pixel gets the average over the squares that remove it.
    """
    whole = box.score(np.ones((box.size, box.size), np.float32))
    heat = np.zeros((box.size, box.size), np.float64)
    for size in sizes:
        side, total, count = max(1, round(size * box.size)), np.zeros_like(heat), np.zeros_like(heat)
        places = [round(v) for v in np.arange(-side / 2, box.size - side / 2 + 1, step * box.size)]
        for y in places:
            for x in places:
                area = slice(max(y, 0), y + side), slice(max(x, 0), x + side)
                keep = np.ones((box.size, box.size), np.float32)
                keep[area] = 0
                total[area] += whole - box.score(keep)
                count[area] += 1
        heat += total / np.maximum(count, 1) / len(sizes)
    return heat.astype(np.float32)


HEAT_MAPS: dict[Method, Callable[[BlackBox], Heat]] = {
    Method.RISE: rise,
    Method.LIME: lime,
    Method.OCCLUSION: occlusion,
}
