"""Hide faces in a picture. Everything here is pure."""

from __future__ import annotations

from collections.abc import Iterable

import cv2

from ..imaging.images import Picture
from ..records import Box

#: Cells across the shorter side of a face: few enough that its features are lost.
CELLS = 5
#: Cells across the shorter side of a whole picture: a near face, half as high as the picture, has about CELLS.
ALL_CELLS = 12
#: The box of a face is enlarged on each side by this share of its size: the face may have moved since the search.
MARGIN = 0.4


def hide_faces(picture: Picture, faces: Iterable[Box] | None) -> Picture:
    """Return a copy of `picture`, (H, W, 3) uint8, with hidden faces; None: nobody knows where they are."""
    return pixelate_all(picture) if faces is None else pixelate_faces(picture, faces)


def pixelate_faces(picture: Picture, faces: Iterable[Box]) -> Picture:
    """Return a copy of `picture`, (H, W, 3) uint8, in which each face, a box in pixels, is a few coloured cells."""
    out = picture.copy()
    height, width = picture.shape[:2]
    for face in faces:
        margin_x, margin_y = MARGIN * face.width, MARGIN * face.height
        x1, x2 = max(0, int(face.x1 - margin_x)), min(width, int(face.x2 + margin_x) + 1)
        y1, y2 = max(0, int(face.y1 - margin_y)), min(height, int(face.y2 + margin_y) + 1)
        if x1 < x2 and y1 < y2:
            cell = max(1.0, cell_size(face))
            out[y1:y2, x1:x2] = _pixelate(picture[y1:y2, x1:x2], cell)
    return out


def pixelate_all(picture: Picture) -> Picture:
    """Return `picture`, (H, W, 3) uint8, as a few coloured cells."""
    return _pixelate(picture, max(1.0, min(picture.shape[:2]) / ALL_CELLS))


def cell_size(face: Box) -> float:
    """Return the size (pixels) of the cells of a hidden face."""
    return min(face.width, face.height) / CELLS


def _pixelate(region: Picture, cell: float) -> Picture:
    """Return a copy of `region` in cells of `cell` pixels; each has the mean colour of its pixels."""
    height, width = region.shape[:2]
    size = (max(1, round(width / cell)), max(1, round(height / cell)))
    small = cv2.resize(region, size, interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST).reshape(region.shape)  # type: ignore[return-value]
