"""Decide by content whether a file is a picture or a video; the name counts only if the content says nothing."""

from __future__ import annotations

import re
from pathlib import Path

from ..imaging.image_header import read_size
from ..system.files import open_regular
from .picture_files import PICTURE_SUFFIXES
from .video_formats import ANIMATED_PNG, HEADER_BYTES, JPEG_PICTURES, PNG_PICTURES, recognise

#: Enough for three pictures of a JPEG film in most sizes.
MAX_SEARCH_BYTES = 4 << 20
#: Names of files that hold one JPEG picture after the other.
JPEG_FILM_SUFFIXES = frozenset({".mjpeg", ".mjpg"})
#: Brands of pictures in the container of MP4: HEIF and AVIF.
PICTURE_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"avif", b"avis"})
_NEXT_JPEG = re.compile(rb"\xff\xd9\x00{0,64}(?=\xff\xd8\xff)")


def is_picture(path: Path) -> bool:
    """Return True for a picture, also of a kind that cannot be decoded, and False for a video and anything else."""
    named = path.suffix.lower() in PICTURE_SUFFIXES
    try:
        with open_regular(path) as file:
            start = file.read(HEADER_BYTES) or b""
            video_format = recognise(start)
            if video_format in (JPEG_PICTURES, PNG_PICTURES):
                start += file.read(MAX_SEARCH_BYTES) or b""
    except OSError:
        return named
    if start[4:8] == b"ftyp":
        return start[8:12] in PICTURE_BRANDS
    if start.startswith((b"BM", b"II*\0", b"MM\0*")) or (start.startswith(b"RIFF") and start[8:12] == b"WEBP"):
        return True
    if video_format is JPEG_PICTURES:
        return path.suffix.lower() not in JPEG_FILM_SUFFIXES and not _is_jpeg_film(start)
    if video_format is PNG_PICTURES:
        return named or start.count(b"IEND") == 1
    return named and video_format in (None, ANIMATED_PNG)


def _is_jpeg_film(data: bytes) -> bool:
    """Return whether at least three JPEG pictures follow each other, the first two of one size.

    A photo may contain further pictures, too: a second view, a map of the brightness, previews of other sizes.
    """
    ends = [match.end() for match in _NEXT_JPEG.finditer(data)]
    if len(ends) < 2:
        return False
    try:
        return read_size(data[: ends[0]]) == read_size(data[ends[0] :])
    except ValueError:
        return False
