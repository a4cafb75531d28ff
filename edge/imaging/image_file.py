"""Decode an untrusted image file with OpenCV.

OpenCV decodes two dozen formats and chooses by the first bytes, whatever the file's name. In OpenCV 4.11 a crafted
JPEG 2000 or animated PNG crashes the process, and most decoders allocate the memory that a header announces. Therefore
only four formats reach OpenCV, only below a size limit, and a PNG only with the chunks of its first picture.

Pillow 13 could replace the header parsers and OpenCV's decoders. It was measured in November 2026 (x86-64, Python 3.11)
and is not used:

- WebP with 12 megapixels: 204 ms instead of 75 ms. JPEG 1.8, BMP 1.4 and PNG 0.6 times OpenCV's time.
- Peak memory for 66 megapixels: WebP 1160 MiB instead of 390 MiB, JPEG 680 instead of 430, PNG 630 instead of 380,
  because Pillow stores RGB in four bytes a pixel and copies it into the array.
- It discards libjpeg's warnings, so a JPEG with a missing part looks intact.
- It rejects a PNG for an invalid animation chunk or a large colour profile, although the picture itself is intact.
- It converts 16-bit grey to white (values are clipped, not scaled), and warns through Python's `warnings` for others.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from ..system.files import read_regular
from ..system.stderr import captured
from .image_header import MAX_PIXELS, PNG_SIGNATURE, png_chunks, read_size
from .image_kind import UnsupportedKind, describe_unsupported, is_animation
from .image_orientation import read_orientation, upright
from .images import Picture

#: Maximum size of a file.
MAX_FILE_BYTES = 1 << 28
#: The chunks of a PNG's first picture. OpenCV 4.11 crashes on some animation chunks; text and colour profiles may
#: expand to any size.
PNG_CHUNKS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
#: Three channels of 8 bits, as stored: the versions of OpenCV differ in which orientations they respect.
DECODE_FLAGS = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION


class UnsupportedImageError(ValueError):
    """The file is a picture of a kind that is not decoded. `hint` says what to do."""

    def __init__(self, kind: UnsupportedKind) -> None:
        super().__init__(f"is {kind.name}, which cannot be read here")
        self.hint = kind.hint


class Decoded(NamedTuple):
    """A picture, (H, W, 3) uint8 RGB; what is wrong with the file, "" if it is intact; whether more pictures follow."""

    picture: Picture
    damage: str
    is_animation: bool


def decode(path: Path) -> Decoded:
    """Decode a JPEG, PNG, BMP or WebP file, upright as its EXIF says. An animation gives its first frame.

    Raises OSError if the file cannot be read, and ValueError, with the reason, if it cannot be decoded: an
    UnsupportedImageError if it is a picture of another kind.
    """
    data = read_regular(path, MAX_FILE_BYTES)
    if (kind := describe_unsupported(data)) is not None:
        raise UnsupportedImageError(kind)
    has_more = is_animation(data)
    width, height = read_size(data)
    orientation = read_orientation(data)
    if data.startswith(PNG_SIGNATURE):
        data = _still_png(data)
    if width * height > MAX_PIXELS:
        raise ValueError(f"has {width} x {height} pixels, more than the limit of {MAX_PIXELS / 1e6:.0f} million")
    with captured() as messages:
        try:
            bgr = cv2.imdecode(np.frombuffer(data, np.uint8), DECODE_FLAGS)
        except cv2.error:
            bgr = None
    if bgr is None:
        raise ValueError("is damaged and cannot be decoded")
    # libjpeg warns of "premature end" and fills the rest of the picture with grey.
    is_truncated = any("remature end" in line for line in messages)
    rgb = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB, dst=bgr), np.uint8)
    return Decoded(upright(rgb, orientation), "breaks off: the rest of it is grey" if is_truncated else "", has_more)


def _still_png(data: bytes) -> bytes:
    """Return a PNG with only PNG_CHUNKS. Raises ValueError for an incomplete chunk: OpenCV would allocate its size."""
    kept = [PNG_SIGNATURE]
    for name, begin, end in png_chunks(data):
        if end > len(data):
            break
        if name in PNG_CHUNKS:
            kept.append(data[begin:end])
        if name == b"IEND":
            return b"".join(kept)
    raise ValueError("breaks off")
