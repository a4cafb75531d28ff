"""A contact sheet of mistakes: small pictures with a box and a few words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain, zip_longest
from pathlib import Path
from typing import NamedTuple, TypeVar

import cv2
import numpy as np

from .arrays import Box, Picture

T = TypeVar("T")

TILE_PX, TEXT_PX, COLUMNS = 144, 40, 8


class Mistake(NamedTuple):
    """A tile of the contact sheet: the picture's file, the box (None: the whole picture), and up to three lines of
    text.

    `has_answer` is False if no model has answered about the face, because it was not found.
    """

    file: str
    box: Box | None
    lines: tuple[str, ...]
    has_answer: bool = True


def interleave(groups: Sequence[Sequence[T]], max_items: int) -> list[T]:
    """Return the first item of each group, then the second of each, and so on: every kind of mistake is shown."""
    rounds = zip_longest(*([(item,) for item in group] for group in groups), fillvalue=())
    mixed: list[T] = list(chain.from_iterable(chain.from_iterable(rounds)))
    return mixed[:max_items]


def tile(picture: Picture, box: Box | None, lines: Sequence[str]) -> Picture:
    """Return one tile (TILE_PX + TEXT_PX, TILE_PX, 3) uint8 RGB: the box in yellow with surroundings, text below."""
    h, w = picture.shape[:2]
    x1, y1, x2, y2 = 0, 0, w, h
    if box is not None:
        side = max(box[2] - box[0], box[3] - box[1]) * 2.2
        cx, cy = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        x1, x2 = (min(max(round(v), 0), w) for v in (cx - side / 2, cx + side / 2))
        y1, y2 = (min(max(round(v), 0), h) for v in (cy - side / 2, cy + side / 2))
        if x2 - x1 < 2 or y2 - y1 < 2:
            x1, y1, x2, y2 = 0, 0, w, h
    out = np.full((TILE_PX + TEXT_PX, TILE_PX, 3), 255, np.uint8)
    scale = (TILE_PX - 2) / max(x2 - x1, y2 - y1)
    tw, th = max(1, round((x2 - x1) * scale)), max(1, round((y2 - y1) * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    inside = np.ascontiguousarray(cv2.resize(picture[y1:y2, x1:x2], (tw, th), interpolation=how))
    if box is not None:
        a, b = ((round((box[k] - x1) * scale), round((box[k + 1] - y1) * scale)) for k in (0, 2))
        cv2.rectangle(inside, a, b, (255, 220, 0), 1)
    out[:th, (TILE_PX - tw) // 2 : (TILE_PX - tw) // 2 + tw] = inside
    for k, line in enumerate(lines[:3]):
        # The end of a file name is more useful than its beginning.
        text = line if len(line) <= 25 else "..." + line[-22:]
        at = (2, TILE_PX + 10 + 13 * k)
        cv2.putText(out, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.33, (0, 0, 0), 1, cv2.LINE_AA)
    return out


def with_map(tile: Picture, heat: Picture | None) -> Picture:
    """Return a tile of twice the width, with the heat map (TILE_PX, TILE_PX, 3) of the face beside the picture."""
    right = np.full_like(tile, 255)
    if heat is not None:
        right[:TILE_PX] = heat
    return np.concatenate([tile, right], 1)


def write(path: Path, tiles: Sequence[Picture]) -> None:
    """Write tiles of one size as one PNG, COLUMNS a row, or half of them if they are wide. Raises OSError.

    Without tiles the sheet is empty.
    """
    width = tiles[0].shape[1] if tiles else TILE_PX
    columns = COLUMNS * TILE_PX // width
    rows = max(1, math.ceil(len(tiles) / columns))
    sheet = np.full((rows * (TILE_PX + TEXT_PX), COLUMNS * TILE_PX, 3), 255, np.uint8)
    for k, picture in enumerate(tiles):
        y, x = k // columns * (TILE_PX + TEXT_PX), k % columns * width
        sheet[y : y + TILE_PX + TEXT_PX, x : x + width] = picture
    if not cv2.imwrite(str(path), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR)):
        raise OSError(f"{path}: cannot be written")
