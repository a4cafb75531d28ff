"""What counts as a change, and as a blind picture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge.imaging import motion
from edge.imaging.images import Picture
from edge.imaging.motion import HEIGHT, WIDTH, blind_reason, brightness_grid, has_changed

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


def test_grid_holds_the_brightness_of_each_cell() -> None:
    picture = np.zeros((480, 640, 3), np.uint8)
    picture[:, 320:] = (0, 0, 255)
    found = brightness_grid(picture)
    assert found.shape == (HEIGHT, WIDTH)
    assert found.dtype == np.float32
    assert not found[:, :31].any()
    assert np.allclose(found[:, 33:], 29), "blue contributes 11 % to brightness"


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


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        (np.zeros((480, 640, 3), np.uint8), "black"),
        (noisy(np.full((480, 640, 3), 6, np.uint8), 6), "black"),
        (np.full((480, 640, 3), 255, np.uint8), "white"),
        (noisy(np.full((480, 640, 3), 253, np.uint8), 3), "white"),
        (np.full((480, 640, 3), 128, np.uint8), None),  # a wall
        (scene(), None),
        ((scene() * 0.12).astype(np.uint8), None),  # a dark night
        (visitor(np.full((480, 640, 3), 255, np.uint8), 0.2), None),
    ],
)
def test_black_and_white_pictures_are_blind(picture: Picture, reason: str | None) -> None:
    found = blind_reason(brightness_grid(picture))
    assert found is None if reason is None else reason in str(found)


def test_covered_lens_with_a_speck_of_light_is_blind() -> None:
    covered = np.zeros((480, 640, 3), np.uint8)
    covered[100:112, 100:112] = 255  # a status lamp shining in
    assert blind_reason(brightness_grid(covered)) is not None


def test_docstring_names_the_grid_size() -> None:
    assert f"{WIDTH} x {HEIGHT}" in str(motion.__doc__)
