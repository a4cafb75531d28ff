"""Deletion and insertion curves (Petsiuk et al. 2018): how well a heat map names the pixels that an answer rests on.

Deletion removes pixels, those that speak most for the answer first: the sooner its probability falls, the better the map.
Insertion starts with nothing and brings the same pixels back first: the sooner the probability rises, the better. What is
removed is blurred, as in the explanations themselves.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from edge.explain.black_box import BlackBox
from edge.explain.methods import Heat

from .arrays import Floats, as_floats

#: Number of steps of a curve.
STEPS = 12
#: Cells across a random map: about as smooth as a map of RISE.
RANDOM_CELLS = 7


class Curves(NamedTuple):
    """The probability of the answer, (STEPS + 1,) float32 each, after each share of the pixels."""

    deletion: Floats
    insertion: Floats


def curves(question: BlackBox, heat: Heat, sign: int = 1) -> Curves:
    """Return the curves of a map. `sign` is -1 if the answer is the opposite of the question's: "no mask"."""
    order = np.argsort(-sign * heat, axis=None, kind="stable")
    rank = np.empty(heat.size, np.float32)
    rank[order] = np.arange(heat.size, dtype=np.float32) / heat.size
    rank = rank.reshape(heat.shape)
    shares = np.linspace(0, 1, STEPS + 1)

    def probability(keep: Floats) -> float:
        return float(1 / (1 + np.exp(-sign * question.score(keep))))

    return Curves(
        np.array([probability((rank >= share).astype(np.float32)) for share in shares], np.float32),
        np.array([probability((rank < share).astype(np.float32)) for share in shares], np.float32),
    )


def area(curve: Floats) -> float:
    """Return the area under a curve over the shares 0 to 1, by trapezoids.

    >>> area(np.array([1, 1, 0], np.float32))
    0.75
    """
    return float((curve[1:] + curve[:-1]).mean() / 2)


def random_map(size: int, seed: int) -> Heat:
    """Return a smooth map that knows nothing, (size, size) float32."""
    grid = np.random.default_rng(seed).standard_normal((RANDOM_CELLS, RANDOM_CELLS)).astype(np.float32)
    return as_floats(cv2.resize(grid, (size, size), interpolation=cv2.INTER_LINEAR))


def centre_map(size: int) -> Heat:
    """Return a map that is strongest in the middle, (size, size) float32."""
    away = (np.arange(size, dtype=np.float32) + 0.5) / size - 0.5
    return as_floats(-np.hypot(away[:, None], away[None, :]))
