"""Picture files to pictures, without trusting them.

OpenCV has decoders for two dozen kinds of file, and takes the one that a file's first bytes ask for, whatever its name.
Some of them crash on a file made for that (JPEG 2000 in OpenCV 4.11), and most take the memory that a file announces.
So only four kinds get there, and of these only what announces a size that there is memory for.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from .files import read_plain
from .images import Picture
from .native import messages

#: More pixels than this are refused: they would take 200 MB, and as much again while they are decoded.
MOST_PIXELS = 1 << 26
PNG = b"\x89PNG\r\n\x1a\n"
#: What of a PNG is needed for its first picture. OpenCV 4.11 crashes on some others, as those of an animation; profiles
#: and texts may unpack to any size.
PNG_CHUNKS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"eXIf", b"IDAT", b"IEND"})
#: Longest file (bytes) that is read.
MOST_BYTES = 1 << 28
#: A progressive JPEG has about ten scans. Each costs as much time as decoding the picture once.
MOST_SCANS = 100
#: More segments or chunks than any picture has.
MOST_PARTS = 100_000


class Decoded(NamedTuple):
    """A picture, (H, W, 3) uint8 RGB, and what is wrong with it although it could be decoded, "" if nothing."""

    picture: Picture
    flaw: str


def decode(path: Path) -> Decoded:
    """Decode a JPEG, PNG, BMP or WebP file, turned as its EXIF says; of an animated one the first frame.

    Raises OSError where it cannot be read, and ValueError, saying why, where it cannot be decoded.
    """
    data = read_plain(path, MOST_BYTES)
    width, height = size(data)
    if data.startswith(PNG):
        data = _still_png(data)
    if width * height > MOST_PIXELS:
        raise ValueError(
            f"has {width} x {height} pixels, more than the {MOST_PIXELS / 1e6:.0f} million there is room for"
        )
    with messages() as said:
        try:
            picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        except cv2.error:
            picture = None
    if picture is None:
        raise ValueError("is damaged and cannot be decoded")
    cut = any("remature end" in line for line in said)  # libjpeg's words; the rest of the picture is then grey
    rgb: Picture = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB, dst=picture)  # type: ignore[assignment]
    return Decoded(rgb, "breaks off: the rest of it is grey" if cut else "")


def size(data: bytes) -> tuple[int, int]:
    """Width and height that the header of a JPEG, PNG, BMP or WebP file announces.

    Raises ValueError, saying why, for other files, and for what is plainly cut off or was made to exhaust a decoder.
    """
    kinds = {b"\xff\xd8\xff": _jpeg, PNG: _png, b"BM": _bmp, b"RIFF": _webp}
    for start, read in kinds.items():
        if data.startswith(start):
            try:
                width, height = read(data)
            except (struct.error, IndexError):
                raise ValueError("breaks off in its header") from None
            if width < 1 or height < 1:
                raise ValueError("has no pixels")
            return width, height
    raise ValueError("is not a picture (JPEG, PNG, BMP or WebP)" if data else "is empty")


def _jpeg(data: bytes) -> tuple[int, int]:
    if data.count(b"\xff\xda") > MOST_SCANS:
        raise ValueError(f"has more than {MOST_SCANS} scans")
    at = 2
    for _ in range(MOST_PARTS):
        # As libjpeg does: what is between two segments is skipped, any number of FF begins one, FF 00 does not.
        if (at := data.find(b"\xff", at)) < 0:
            break
        while data[at] == 0xFF:
            at += 1
        marker = data[at]
        at += 1
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, at + 3)
            return width, height
        if marker == 0xDA:
            break
        if marker not in (0x00, 0x01, 0xD8, 0xD9) and not 0xD0 <= marker <= 0xD7:
            at += struct.unpack_from(">H", data, at)[0]
    raise ValueError("has no size in its header")


def _png(data: bytes) -> tuple[int, int]:
    if data[12:16] != b"IHDR":
        raise ValueError("has no size in its header")
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _still_png(data: bytes) -> bytes:
    """A PNG reduced to PNG_CHUNKS. Raises ValueError where a chunk is not all there: OpenCV would take memory for it."""
    kept = [PNG]
    at = len(PNG)
    name = b""
    for _ in range(MOST_PARTS):
        if name == b"IEND":
            return b"".join(kept)
        if at + 12 > len(data):
            raise ValueError("breaks off")
        length, name = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            raise ValueError("breaks off")
        if name in PNG_CHUNKS:
            kept.append(data[at:end])
        at = end
    raise ValueError(f"has more than {MOST_PARTS} parts")


def _bmp(data: bytes) -> tuple[int, int]:
    (header,) = struct.unpack_from("<I", data, 14)
    width, height = struct.unpack_from("<hh" if header == 12 else "<ii", data, 18)
    return abs(width), abs(height)


def _webp(data: bytes) -> tuple[int, int]:
    kind = data[8:16]
    if kind == b"WEBPVP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"WEBPVP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"WEBPVP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    raise ValueError("is not a picture (JPEG, PNG, BMP or WebP)")
