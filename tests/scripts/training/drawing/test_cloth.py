"""Printed cloth."""

from __future__ import annotations

import numpy as np

from training.drawing.cloth import draw_cloth


def test_cloth_covers_a_part_of_the_picture_or_all_of_it() -> None:
    covered = []
    for seed in range(60):
        canvas = np.full((192, 256, 3), 77, np.uint8)
        draw_cloth(canvas, np.random.default_rng(seed))
        covered.append(float((canvas != 77).any(axis=2).mean()))
    assert min(covered) < 0.3
    assert sum(share > 0.97 for share in covered) > 5
    assert sum(share > 0.02 for share in covered) > 50


def test_the_same_seed_draws_the_same_cloth() -> None:
    first, second = (np.zeros((96, 128, 3), np.uint8) for _ in range(2))
    draw_cloth(first, np.random.default_rng(5))
    draw_cloth(second, np.random.default_rng(5))
    np.testing.assert_array_equal(first, second)
    assert first.any()
