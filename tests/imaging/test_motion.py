"""What counts as a change."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge.imaging.cells import HEIGHT, WIDTH, BrightnessGrid, cells
from edge.imaging.images import Picture
from edge.imaging.motion import has_changed

RNG = np.random.default_rng(6)


def scene(seed: int = 1) -> Picture:
    """Return the view of a door, (480, 640, 3) uint8 RGB: soft shapes from dark to bright."""
    coarse = np.random.default_rng(seed).integers(20, 220, (12, 16, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(coarse, (640, 480), interpolation=cv2.INTER_CUBIC), np.uint8)


def noisy(picture: Picture, sigma: float) -> Picture:
    """Return `picture` with normally distributed noise."""
    return np.clip(picture + RNG.normal(0, sigma, picture.shape), 0, 255).astype(np.uint8)


def visitor(picture: Picture, height: float, shade: int = 30) -> Picture:
    """Return `picture` with a head of `height` (share of the picture's height), and shoulders below it."""
    out = picture.copy()
    h = round(height * out.shape[0])
    x, y = out.shape[1] // 2, out.shape[0] // 2
    cv2.ellipse(out, (x, y), (round(0.38 * h), h // 2), 0, 0, 360, (shade + 90, shade + 60, shade + 50), -1)
    cv2.rectangle(out, (x - h, y + h // 2), (x + h, y + 3 * h), (shade, shade, shade), -1)
    return out


def brightness_grid(picture: Picture) -> BrightnessGrid:
    return cells(picture).brightness


@pytest.mark.parametrize("size", [(48, 64), (1, 1), (4096, 10), (192, 256), (1080, 1920)])
def test_any_size_of_picture(size: tuple[int, int]) -> None:
    picture = np.full((*size, 3), 90, np.uint8)
    assert brightness_grid(picture).shape == (HEIGHT, WIDTH)
    assert not has_changed(brightness_grid(picture), brightness_grid(picture))


@pytest.mark.parametrize("sigma", [0, 4, 12, 25])
def test_noise_is_no_change(sigma: float) -> None:
    """The highest level is that of a camera at dusk."""
    before = brightness_grid(noisy(scene(), sigma))
    assert not any(has_changed(brightness_grid(noisy(scene(), sigma)), before) for _ in range(20))


@pytest.mark.parametrize("gain", [0.85, 0.93, 1.07, 1.15])
def test_auto_exposure_is_no_change(gain: float) -> None:
    grey = np.full((480, 640, 3), 110, np.uint8)
    grey[:, ::40] = 90
    assert not has_changed(brightness_grid((grey * gain).astype(np.uint8)), brightness_grid(grey))


@pytest.mark.parametrize("height", [0.09, 0.2, 0.6])
@pytest.mark.parametrize("sigma", [0, 4, 12])
def test_visitor_is_a_change(height: float, sigma: float) -> None:
    before = brightness_grid(noisy(scene(), sigma))
    assert has_changed(brightness_grid(noisy(visitor(scene(), height), sigma)), before)


def test_dark_visitor_at_night_is_a_change() -> None:
    night = (scene() * 0.12).astype(np.uint8)
    assert has_changed(brightness_grid(noisy(visitor(night, 0.2, shade=2), 2)), brightness_grid(noisy(night, 2)))


def test_face_that_fills_most_of_the_picture_is_a_change() -> None:
    """Most cells differ, which must not be taken for noise."""
    near = scene()
    near[60:, 60:] = RNG.integers(0, 255, near[60:, 60:].shape)
    assert has_changed(brightness_grid(near), brightness_grid(scene()))


def test_step_aside_is_a_change() -> None:
    here = visitor(scene(), 0.3)
    assert has_changed(brightness_grid(np.roll(here, 40, axis=1)), brightness_grid(here))


def test_fly_is_no_change() -> None:
    fly = scene()
    fly[200:212, 300:312] = 0
    assert not has_changed(brightness_grid(fly), brightness_grid(scene()))
