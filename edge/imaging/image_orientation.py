"""Read the EXIF orientation of a JPEG, PNG or WebP file, and turn the decoded picture upright.

OpenCV is asked to ignore the orientation, because its versions differ: 4.11 respects it in JPEG and PNG, 4.13 also in
WebP, and none finds it in a JPEG whose EXIF is not the first segment of its kind.

The files are untrusted. An orientation that is missing, damaged or out of range counts as upright.
"""

from __future__ import annotations

import contextlib
import re
import struct
from collections.abc import Iterator
from typing import cast

import cv2

from .image_header import JPEG_SIGNATURE, MAX_PARTS, PNG_SIGNATURE, is_webp, jpeg_segments, png_chunks
from .images import Picture

#: The tag of the orientation in the first directory of EXIF.
ORIENTATION_TAG = 0x0112
#: Size in bytes and struct code of the integer types of EXIF. The standard says SHORT (3); BYTE and LONG occur.
INTEGER_TYPES = {1: "B", 3: "H", 4: "I"}
#: An EXIF directory has a few dozen entries.
MAX_ENTRIES = 1000
EXIF_PREFIX = b"Exif\0"
#: The JPEG marker of EXIF and XMP.
APP1 = 0xE1


def read_orientation(data: bytes) -> int:
    """Return the EXIF orientation, 1 to 8, of a JPEG, PNG or WebP file; 1 (upright) if it has none.

    The values are those of EXIF 2.32, "Orientation": 6, for example, is a camera held upright that writes landscape.
    """
    if data.startswith(JPEG_SIGNATURE):
        blocks = _jpeg_exif(data)
    elif data.startswith(PNG_SIGNATURE):
        blocks = _png_exif(data)
    elif is_webp(data):
        blocks = _webp_exif(data)
    else:
        return 1
    with contextlib.suppress(struct.error, IndexError, ValueError):  # the file is truncated, or has too many parts
        for block in blocks:
            try:
                orientation = _orientation_of(block)
            except struct.error:  # this block is truncated
                continue
            if orientation is not None and 1 <= orientation <= 8:
                return orientation
    return 1


def upright(picture: Picture, orientation: int) -> Picture:
    """Turn or mirror `picture`, (H, W, 3) uint8, as the EXIF `orientation` (1 to 8) says. The result is contiguous.

    5 to 8 exchange height and width.
    """
    if orientation >= 5:
        picture = cast(Picture, cv2.transpose(picture))
    # What remains after the transposition is a mirror: from left to right (1), from top to bottom (0), or both (-1).
    mirror = {2: 1, 6: 1, 3: -1, 7: -1, 4: 0, 8: 0}.get(orientation)
    return picture if mirror is None else cast(Picture, cv2.flip(picture, mirror))


def _orientation_of(exif: bytes) -> int | None:
    """Return the orientation in a block of EXIF, with or without its prefix; None if it has none."""
    tiff = re.sub(rb"^Exif\0[\0\xff]?", b"", exif[:8]) + exif[8:]
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return None
    (at,) = struct.unpack_from(f"{order}I", tiff, 4)
    (entries,) = struct.unpack_from(f"{order}H", tiff, at)
    for k in range(min(entries, MAX_ENTRIES)):
        entry = at + 2 + 12 * k
        tag, kind, count = struct.unpack_from(f"{order}HHI", tiff, entry)
        if tag == ORIENTATION_TAG:
            if kind not in INTEGER_TYPES or count != 1:
                return None
            value: int = struct.unpack_from(order + INTEGER_TYPES[kind], tiff, entry + 8)[0]
            return value
    return None


def _jpeg_exif(data: bytes) -> Iterator[bytes]:
    """Yield the EXIF blocks of a JPEG. They may follow segments of other kinds, such as XMP, which is also APP1."""
    for marker, at in jpeg_segments(data):
        if marker == APP1 and data.startswith(EXIF_PREFIX, at + 2):
            (length,) = struct.unpack_from(">H", data, at)
            yield data[at + 2 : at + length]


def _png_exif(data: bytes) -> Iterator[bytes]:
    """Yield the eXIf chunks of a PNG. They may stand before or after the pixels."""
    for name, begin, end in png_chunks(data):
        if name == b"eXIf":
            yield data[begin + 8 : end - 4]


def _webp_exif(data: bytes) -> Iterator[bytes]:
    """Yield the EXIF chunks of a WebP. They usually stand at the end."""
    at = 12
    for _ in range(MAX_PARTS):
        if at + 8 > len(data):
            return
        name, length = struct.unpack_from("<4sI", data, at)
        if name == b"EXIF":
            yield data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2
