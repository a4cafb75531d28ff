"""Contact sheets of mistakes."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from training import contact_sheet

PICTURE = np.full((150, 200, 3), 60, np.uint8)


def test_interleave_lets_no_group_crowd_out_another() -> None:
    assert contact_sheet.interleave([[1, 2, 3, 4], [], [5, 6]], 5) == [1, 5, 2, 6, 3]


def test_contact_sheet_of_many(tmp_path: Path) -> None:
    tiles = [contact_sheet.tile(PICTURE, (10, 10, 50, 60), ("a/very/long/file/name/0001.png", "é")) for _ in range(9)]
    contact_sheet.write(tmp_path / "worst.png", tiles)
    sheet = cv2.imread(str(tmp_path / "worst.png"))
    assert sheet.shape == (2 * (contact_sheet.TILE_PX + contact_sheet.TEXT_PX), 8 * contact_sheet.TILE_PX, 3)


@pytest.mark.parametrize(
    "box", [None, (-50.0, -50.0, -20.0, -20.0), (190.0, 140.0, 400.0, 300.0), (5.0, 5.0, 5.5, 5.5)]
)
def test_tile_of_any_box(box: tuple[float, float, float, float] | None) -> None:
    assert contact_sheet.tile(PICTURE, box, ("x",)).shape == (
        contact_sheet.TILE_PX + contact_sheet.TEXT_PX,
        contact_sheet.TILE_PX,
        3,
    )
