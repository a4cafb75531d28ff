"""A glance: what counts as a change, and as a picture in which nothing can be seen."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge import glance
from edge.glance import HEIGHT, WIDTH, cells, changed, unseeing

RNG = np.random.default_rng(6)


def scene(seed: int = 1) -> np.ndarray:
    """A door's view, (480, 640, 3) uint8 RGB: soft shapes from dark to bright."""
    coarse = np.random.default_rng(seed).integers(20, 220, (12, 16, 3)).astype(np.uint8)
    return cv2.resize(coarse, (640, 480), interpolation=cv2.INTER_CUBIC)


def noisy(picture: np.ndarray, sigma: float) -> np.ndarray:
    return np.clip(picture + RNG.normal(0, sigma, picture.shape), 0, 255).astype(np.uint8)


def visitor(picture: np.ndarray, height: float, shade: int = 30) -> np.ndarray:
    """With a head of `height` (a share of the picture's) and shoulders below it."""
    out = picture.copy()
    h = round(height * out.shape[0])
    x, y = out.shape[1] // 2, out.shape[0] // 2
    cv2.ellipse(out, (x, y), (round(0.38 * h), h // 2), 0, 0, 360, (shade + 90, shade + 60, shade + 50), -1)
    cv2.rectangle(out, (x - h, y + h // 2), (x + h, y + 3 * h), (shade, shade, shade), -1)
    return out


def test_brightness_by_cell() -> None:
    picture = np.zeros((480, 640, 3), np.uint8)
    picture[:, 320:] = (0, 0, 255)
    found = cells(picture)
    assert found.shape == (HEIGHT, WIDTH)
    assert found.dtype == np.float32
    assert not found[:, :31].any()
    assert np.allclose(found[:, 33:], 29), "blue is 11 % of brightness"


@pytest.mark.parametrize("size", [(48, 64), (1, 1), (4096, 10), (192, 256), (1080, 1920)])
def test_any_size_of_picture(size: tuple[int, int]) -> None:
    picture = np.full((*size, 3), 90, np.uint8)
    assert cells(picture).shape == (HEIGHT, WIDTH)
    assert not changed(cells(picture), cells(picture))


@pytest.mark.parametrize("sigma", [0, 4, 12, 25])
def test_noise_is_no_change(sigma: float) -> None:
    """Up to what a camera at dusk gives."""
    before = cells(noisy(scene(), sigma))
    assert not any(changed(cells(noisy(scene(), sigma)), before) for _ in range(20))


@pytest.mark.parametrize("gain", [0.85, 0.93, 1.07, 1.15])
def test_a_camera_that_adjusts_its_exposure_is_no_change(gain: float) -> None:
    grey = np.full((480, 640, 3), 110, np.uint8)
    grey[:, ::40] = 90
    assert not changed(cells((grey * gain).astype(np.uint8)), cells(grey))


@pytest.mark.parametrize("height", [0.09, 0.2, 0.6])
@pytest.mark.parametrize("sigma", [0, 4, 12])
def test_somebody_is_a_change(height: float, sigma: float) -> None:
    before = cells(noisy(scene(), sigma))
    assert changed(cells(noisy(visitor(scene(), height), sigma)), before)


def test_somebody_dark_at_night_is_a_change() -> None:
    night = (scene() * 0.12).astype(np.uint8)
    assert changed(cells(noisy(visitor(night, 0.2, shade=2), 2)), cells(noisy(night, 2)))


def test_a_face_that_fills_most_of_the_picture_is_a_change() -> None:
    """Most cells differ then: that must not pass for noise."""
    near = scene()
    near[60:, 60:] = RNG.integers(0, 255, near[60:, 60:].shape)
    assert changed(cells(near), cells(scene()))


def test_a_step_aside_is_a_change() -> None:
    here = visitor(scene(), 0.3)
    assert changed(cells(np.roll(here, 40, axis=1)), cells(here))


def test_a_fly_is_no_change() -> None:
    fly = scene()
    fly[200:212, 300:312] = 0
    assert not changed(cells(fly), cells(scene()))


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        (np.zeros((480, 640, 3), np.uint8), "black"),
        (noisy(np.full((480, 640, 3), 6, np.uint8), 6), "black"),
        (np.full((480, 640, 3), 255, np.uint8), "white"),
        (noisy(np.full((480, 640, 3), 253, np.uint8), 3), "white"),
        (np.full((480, 640, 3), 128, np.uint8), None),  # a wall
        (scene(), None),
        ((scene() * 0.12).astype(np.uint8), None),  # night, but not nothing
        (visitor(np.full((480, 640, 3), 255, np.uint8), 0.2), None),
    ],
)
def test_nothing_to_see(picture: np.ndarray, reason: str | None) -> None:
    found = unseeing(cells(picture))
    assert found is None if reason is None else reason in str(found)


def test_a_speck_of_light_does_not_make_a_covered_lens_see() -> None:
    covered = np.zeros((480, 640, 3), np.uint8)
    covered[100:112, 100:112] = 255  # a status lamp shining in
    assert unseeing(cells(covered)) is not None


def test_the_cells_are_those_of_the_docstring() -> None:
    assert "64 x 48" in str(glance.__doc__)
