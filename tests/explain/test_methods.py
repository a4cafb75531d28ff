"""The three methods find the part of a picture that decides, whatever it says."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from edge.explain.black_box import BlackBox, Keep, blend, blurred
from edge.explain.methods import HEAT_MAPS, Heat, Method
from edge.explain.superpixels import slic
from edge.imaging.images import Picture
from edge.records import Box

SIZE = 48
METHODS = list(HEAT_MAPS.values())
IDS = [method.value for method in HEAT_MAPS]


def chequered() -> Picture:
    """Return a picture of which every part changes when it is blurred, (SIZE, SIZE, 3) uint8."""
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    return np.repeat(((x // 2 + y // 2) % 2 * 200 + 20).astype(np.uint8)[:, :, None], 3, 2)


def patch_box(weights: dict[tuple[int, int, int, int], float]) -> BlackBox:
    """Return a black box whose score is known: the contrast that is left in each patch (x1, y1, x2, y2), weighted."""
    pixels = chequered()
    background = blurred(pixels)

    def contrast(picture: Picture, x1: int, y1: int, x2: int, y2: int) -> float:
        return float(np.abs(picture[y1:y2, x1:x2].astype(np.float32) - 120).mean() / 100)

    def score(keep: Keep) -> float:
        shown = blend(pixels, background, keep)
        return sum(weight * contrast(shown, *patch) for patch, weight in weights.items())

    return BlackBox(pixels, Box(0.0, 0.0, SIZE, SIZE), "a patch", score)


def inside(heat: Heat, x1: int, y1: int, x2: int, y2: int) -> tuple[float, float]:
    """Return the mean of a map inside and outside a patch."""
    is_inside = np.zeros(heat.shape, bool)
    is_inside[y1:y2, x1:x2] = True
    return float(heat[is_inside].mean()), float(heat[~is_inside].mean())


@pytest.mark.parametrize("method", METHODS, ids=IDS)
@pytest.mark.parametrize("patch", [(4, 6, 16, 18), (30, 4, 44, 18), (18, 32, 30, 46)])
def test_a_patch_that_decides_is_found(method: Callable[[BlackBox], Heat], patch: tuple[int, int, int, int]) -> None:
    heat = method(patch_box({patch: 3.0}))
    assert heat.shape == (SIZE, SIZE)
    assert heat.dtype == np.float32
    assert np.isfinite(heat).all()
    y, x = np.unravel_index(int(heat.argmax()), heat.shape)
    margin = SIZE // 12  # occlusion moves in steps of this size
    assert patch[0] - margin <= x < patch[2] + margin
    assert patch[1] - margin <= y < patch[3] + margin
    within, elsewhere = inside(heat, *patch)
    assert within > 0.3
    assert abs(elsewhere) < within / 3


@pytest.mark.parametrize("method", METHODS, ids=IDS)
def test_patches_for_and_against_have_opposite_signs(method: Callable[[BlackBox], Heat]) -> None:
    heat = method(patch_box({(4, 4, 16, 16): 2.0, (30, 30, 44, 44): -2.0}))
    assert inside(heat, 4, 4, 16, 16)[0] > 0.2
    assert inside(heat, 30, 30, 44, 44)[0] < -0.2


@pytest.mark.parametrize("method", METHODS, ids=IDS)
def test_a_constant_answer_has_an_empty_map(method: Callable[[BlackBox], Heat]) -> None:
    """An answer at the end of its 8 bits does not change: there is nothing to show, and nothing is divided by zero."""
    box = BlackBox(chequered(), Box(0.0, 0.0, SIZE, SIZE), "anything", lambda keep: 6.2)
    assert np.abs(method(box)).max() < 1e-5


@pytest.mark.parametrize("method", METHODS, ids=IDS)
def test_the_same_question_gets_the_same_map(method: Callable[[BlackBox], Heat]) -> None:
    question = patch_box({(4, 6, 16, 18): 3.0})
    assert method(question).tobytes() == method(question).tobytes()


def test_every_method_has_a_map() -> None:
    assert set(HEAT_MAPS) == set(Method)


@pytest.mark.parametrize("shape", [(48, 48), (20, 61), (3, 3)])
def test_superpixels_cover_a_picture_of_one_colour_as_a_grid(shape: tuple[int, int]) -> None:
    segments = slic(np.full((*shape, 3), 90, np.uint8), 7)
    assert segments.shape == shape
    assert segments.min() >= 0
    assert segments.max() < 49


def test_superpixels_follow_an_edge() -> None:
    """A square of another colour is made of segments of its own, but for a few pixels at its rim."""
    pixels = np.full((48, 48, 3), 40, np.uint8)
    pixels[10:31, 10:31] = (220, 60, 60)
    segments = slic(pixels, 7)
    is_square = pixels[..., 0] > 128
    inside = np.bincount(segments[is_square], minlength=segments.max() + 1)
    outside = np.bincount(segments[~is_square], minlength=segments.max() + 1)
    assert np.minimum(inside, outside).sum() < 0.02 * segments.size
