"""Regions of a face in words."""

from __future__ import annotations

import numpy as np
import pytest

from edge.explain.regions import Influence, Region, influences, region_map, sentences
from edge.records import Box

FACE = Box(100.0, 100.0, 200.0, 220.0)
WINDOW = Box(75.0, 85.0, 225.0, 235.0)


@pytest.mark.parametrize(
    ("u", "v", "expected"),
    [
        (0.5, 0.1, Region.FOREHEAD),
        (0.27, 0.37, Region.EYES),
        (0.72, 0.37, Region.EYES),
        (0.48, 0.58, Region.NOSE),
        (0.31, 0.73, Region.MOUTH),
        (0.69, 0.73, Region.MOUTH),
        (0.5, 0.95, Region.CHIN),
        (0.15, 0.6, Region.CHEEKS),
        (0.85, 0.6, Region.CHEEKS),
        (-0.1, 0.4, Region.HAIR),
        (0.5, -0.1, Region.HAIR),
        (0.5, 1.1, Region.SURROUNDINGS),
        (-0.24, 1.1, Region.SURROUNDINGS),
    ],
)
@pytest.mark.parametrize("size", [48, 128])
def test_landmarks_are_in_their_regions(u: float, v: float, expected: Region, size: int) -> None:
    """The places of eyes, nose and mouth are the medians of many faces."""
    regions = region_map(size, WINDOW, FACE)
    x = (FACE.x1 + u * FACE.width - WINDOW.x1) / WINDOW.width * size
    y = (FACE.y1 + v * FACE.height - WINDOW.y1) / WINDOW.height * size
    assert list(Region)[regions[int(y), int(x)]] is expected


def test_the_strongest_region_comes_first() -> None:
    regions = region_map(64, WINDOW, FACE)
    heat = np.zeros((64, 64), np.float32)
    heat[regions == list(Region).index(Region.MOUTH)] = -2
    heat[regions == list(Region).index(Region.EYES)] = 1
    found = influences(heat, WINDOW, FACE)
    assert [(one.region, one.log_odds) for one in found[:2]] == [(Region.MOUTH, -2.0), (Region.EYES, 1.0)]
    assert {one.region for one in found} == set(Region)


@pytest.mark.parametrize("face", [Box(0, 0, 1e-9, 1e-9), Box(-50, -50, 400, 400), Box(90, 90, 90, 300)])
def test_odd_boxes(face: Box) -> None:
    """The face may fill the window, or have no width."""
    assert influences(np.ones((16, 16), np.float32), WINDOW, face)


def test_words() -> None:
    mouth, chin, eyes = (
        Influence(Region.MOUTH, -2.0), Influence(Region.CHIN, -1.0), Influence(Region.EYES, 0.5)
    )  # fmt: skip
    assert sentences([mouth, chin, eyes], "a mask") == ["mouth and chin: against a mask", "eyes: for a mask"]
    assert sentences([eyes, mouth], "happy") == ["eyes: for happy", "mouth: against happy"]
    three = [Influence(region, 1.0) for region in (Region.NOSE, Region.MOUTH, Region.CHIN)]
    assert sentences(three, "a face") == ["nose, mouth and chin: for a face"]


def test_a_map_without_strong_regions_says_so() -> None:
    assert sentences([Influence(Region.NOSE, 0.01)], "a mask") == ["no region speaks clearly for or against a mask"]
    assert sentences([], "a mask") == ["no region speaks clearly for or against a mask"]
