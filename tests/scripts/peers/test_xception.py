"""The public expression model: its input as its authors prepare it."""

from __future__ import annotations

import numpy as np
import pytest

from peers.xception import xception_input


def test_the_input_is_grey_from_minus_1_to_1() -> None:
    picture = np.zeros((48, 48, 3), np.uint8)
    picture[:, 24:] = 255
    pixels = xception_input(picture)
    assert pixels.shape == (64, 64, 1)
    assert pixels.dtype == np.float32
    assert (pixels[0, 0, 0], pixels[0, -1, 0]) == (-1.0, 1.0)
    red = np.full((48, 48, 3), (255, 0, 0), np.uint8)
    assert xception_input(red)[0, 0, 0] == pytest.approx(0.299 * 2 - 1, abs=0.01)
