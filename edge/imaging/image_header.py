"""Read the size of a JPEG, PNG, BMP or WebP file from its header, before anything is decoded.

The headers come from untrusted files. Each parser accepts what the decoder behind it accepts, so that both see the same
size, and rejects files that exist to exhaust a decoder.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

#: Maximum number of pixels: 200 MB as RGB, and as much again during decoding.
MAX_PIXELS = 1 << 26
#: A progressive JPEG has about ten scans. Each takes as long as decoding the picture once.
MAX_SCANS = 100
#: Maximum number of JPEG segments or PNG chunks. No real picture comes near.
MAX_PARTS = 100_000
JPEG_SIGNATURE, PNG_SIGNATURE = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
#: JPEG markers without a length: FF 00, TEM, SOI, EOI, and RST0 to RST7.
BARE_MARKERS = frozenset({0x00, 0x01, 0xD8, 0xD9, *range(0xD0, 0xD8)})
SOS = 0xDA
NOT_A_PICTURE = "is not a picture (JPEG, PNG, BMP or WebP)"


def read_size(data: bytes) -> tuple[int, int]:
    """Return the width and height in pixels that the header announces.

    Raises ValueError, with the reason, for another format, a truncated header, or a decompression bomb.
    """
    parsers = {JPEG_SIGNATURE: _jpeg_size, PNG_SIGNATURE: _png_size, b"BM": _bmp_size, b"RIFF": _webp_size}
    for signature, parse in parsers.items():
        if data.startswith(signature):
            try:
                width, height = parse(data)
            except (struct.error, IndexError):
                raise ValueError("breaks off in its header") from None
            if width < 1 or height < 1:
                raise ValueError("has no pixels")
            return width, height
    raise ValueError(NOT_A_PICTURE if data else "is empty")


def jpeg_segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield the marker of each segment of a JPEG up to the pixels (SOS), and the position of what follows the marker.

    Raises IndexError or struct.error where the file is truncated.
    """
    at = 2
    for _ in range(MAX_PARTS):
        # Like libjpeg: skip bytes between two segments, accept any number of FF before a marker, ignore FF 00.
        if (at := data.find(b"\xff", at)) < 0:
            return
        while data[at] == 0xFF:
            at += 1
        marker = data[at]
        at += 1
        yield marker, at
        if marker == SOS:
            return
        if marker not in BARE_MARKERS:
            at += struct.unpack_from(">H", data, at)[0]


class PngChunk(NamedTuple):
    """A chunk of a PNG: its name, and where it begins and ends, with length and checksum. The file may end before."""

    name: bytes
    begin: int
    end: int


def png_chunks(data: bytes) -> Iterator[PngChunk]:
    """Yield the chunks of a PNG, in order. Raises ValueError if there are MAX_PARTS or more."""
    at = len(PNG_SIGNATURE)
    for _ in range(1, MAX_PARTS):
        if at + 8 > len(data):
            return
        length, name = struct.unpack_from(">I4s", data, at)
        chunk = PngChunk(name, at, at + 12 + length)
        yield chunk
        at = chunk.end
    raise ValueError(f"has more than {MAX_PARTS} parts")


def is_webp(start: bytes) -> bool:
    """Return whether a file begins like a WebP."""
    return start.startswith(b"RIFF") and start[8:12] == b"WEBP"


def _jpeg_size(data: bytes) -> tuple[int, int]:
    if data.count(b"\xff\xda") > MAX_SCANS:
        raise ValueError(f"has more than {MAX_SCANS} scans")
    for marker, at in jpeg_segments(data):
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # SOF0 to SOF15
            height, width = struct.unpack_from(">HH", data, at + 3)
            return width, height
    raise ValueError("has no size in its header")


def _png_size(data: bytes) -> tuple[int, int]:
    if data[12:16] != b"IHDR":
        raise ValueError("has no size in its header")
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _bmp_size(data: bytes) -> tuple[int, int]:
    (header_bytes,) = struct.unpack_from("<I", data, 14)
    width, height = struct.unpack_from("<hh" if header_bytes == 12 else "<ii", data, 18)
    return abs(width), abs(height)  # a negative height means rows from the top


def _webp_size(data: bytes) -> tuple[int, int]:
    kind = data[8:16]
    if kind == b"WEBPVP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"WEBPVP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"WEBPVP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    raise ValueError(NOT_A_PICTURE)
