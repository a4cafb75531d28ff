"""Changes of pictures."""

from __future__ import annotations

import numpy as np

from training import augment


def test_the_noise_of_a_sensor_differs_in_each_pixel_and_channel() -> None:
    grey = np.full((100, 120, 3), 128, np.uint8)
    noisy = augment.noise(grey, np.random.default_rng(1), 10, 10).astype(float) - 128
    np.testing.assert_allclose(noisy.std(axis=(0, 1)), 10, rtol=0.1)
    assert np.abs(np.corrcoef(noisy.reshape(-1, 3).T) - np.eye(3)).max() < 0.1


def test_the_same_seed_gives_the_same_picture() -> None:
    picture = np.random.default_rng(2).integers(0, 256, (60, 80, 3), np.uint8)
    first, second = (augment.lens_and_light(picture, np.random.default_rng(9), 2.0) for _ in range(2))
    np.testing.assert_array_equal(first, second)
