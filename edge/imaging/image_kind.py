"""Tell by its content, not by its name, which kind of image a file is.

Four kinds are decoded. The other kinds that phones, scanners and browsers write are recognised, so that they are
refused by their name, with what to do.
"""

from __future__ import annotations

import itertools
import re
from typing import NamedTuple

from .image_header import JPEG_SIGNATURE, PNG_SIGNATURE, is_webp, png_chunks

#: Enough of a file for all functions of this module, except for `is_sequence` and `is_still_gif`.
START_BYTES = 1024
#: Enough of a file for `is_sequence` and `is_still_gif`: several pictures of a video of pictures.
SEQUENCE_BYTES = 1 << 22
#: The header sizes of a BMP. Two letters alone would also match text.
BMP_HEADER_BYTES = frozenset({12, 16, 40, 52, 56, 64, 108, 124})
#: Brands of ISO media files that hold pictures instead of a video.
HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
AVIF_BRANDS = frozenset({b"avif", b"avis"})
HEIF_BRANDS = frozenset({b"mif1", b"mif2", b"msf1", b"miaf"})


class UnsupportedKind(NamedTuple):
    """A kind of image that is not decoded. `name` has its article; `hint` says what to do."""

    name: str
    hint: str


SAVE_AS_JPEG = "open it in an image viewer and save it as JPEG or PNG"
HEIC = UnsupportedKind(
    "a HEIC picture (iPhone)",
    "save it as JPEG, for example: heif-convert IN.heic OUT.jpg (sudo apt install libheif-examples). "
    "For new pictures: iPhone, Settings > Camera > Formats > Most Compatible",
)
AVIF = UnsupportedKind(
    "an AVIF picture", "save it as JPEG, for example: heif-convert IN.avif OUT.jpg (sudo apt install libheif-examples)"
)
STILL_GIF = UnsupportedKind(
    "a GIF with a single picture", "save it as PNG or JPEG; an animated GIF is played as a video"
)
TIFF = UnsupportedKind("a TIFF picture or the raw file of a camera", SAVE_AS_JPEG)
#: Kinds that the first bytes identify.
OTHER_KINDS = (
    (rb"II\*\0|MM\0\*|II\+\0|MM\0\+|IIRO|IIU\0", TIFF),
    (rb"\0\0\0\x0cjP  \r\n|\xff\x4f\xff\x51", UnsupportedKind("a JPEG 2000 picture", SAVE_AS_JPEG)),
    (rb"\0\0\0\x0cJXL \r\n|\xff\x0a", UnsupportedKind("a JPEG XL picture", SAVE_AS_JPEG)),
    (rb"....ftypcrx |FUJIFILMCCD-RAW", UnsupportedKind("the raw file of a camera", SAVE_AS_JPEG)),
    (rb"8BPS", UnsupportedKind("a Photoshop picture", SAVE_AS_JPEG)),
    (rb"P[1-6]\s+[#\d]|P7\nWIDTH|P[fF]\n", UnsupportedKind("a Netpbm picture", SAVE_AS_JPEG)),
    (rb"v/1\x01|#\?RADIANCE|#\?RGBE", UnsupportedKind("a picture with high dynamic range", SAVE_AS_JPEG)),
    (rb"\0\0[\x01\x02]\0[\x01-\xff]\0", UnsupportedKind("an icon", SAVE_AS_JPEG)),
    (rb"DDS \x7c\0\0\0", UnsupportedKind("a DirectDraw picture (DDS)", SAVE_AS_JPEG)),
    (rb"%!PS|\xc5\xd0\xd3\xc6", UnsupportedKind("a PostScript drawing (EPS)", SAVE_AS_JPEG)),
    (rb"icns", UnsupportedKind("an icon of macOS (ICNS)", SAVE_AS_JPEG)),
    (rb"\x0a[\0\x02-\x05]\x01[\x01\x02\x04\x08]", UnsupportedKind("a PCX picture", SAVE_AS_JPEG)),
    (rb"qoif", UnsupportedKind("a QOI picture", SAVE_AS_JPEG)),
    (rb"\x01\xda[\0\x01][\x01\x02]\0", UnsupportedKind("an SGI picture", SAVE_AS_JPEG)),
    # TGA has no signature: no palette, one of four kinds of pixels, a depth that exists.
    (rb".\0[\x02\x03\x0a\x0b]\0{5}.{8}[\x08\x0f\x10\x18\x20]", UnsupportedKind("a TGA picture", SAVE_AS_JPEG)),
    (rb"%PDF-", UnsupportedKind("a PDF document", "save its pictures as JPEG, for example: pdfimages -j IN.pdf OUT")),
    (rb"(?i)(\xef\xbb\xbf)?\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?<svg", UnsupportedKind("an SVG drawing", SAVE_AS_JPEG)),
    (
        rb"(?i)(\xef\xbb\xbf)?\s*<(!doctype html|html)",
        UnsupportedKind("a web page", "save the picture itself: in the browser, right click, Save Image As"),
    ),
)
_OTHER_KINDS = tuple((re.compile(pattern, re.DOTALL), kind) for pattern, kind in OTHER_KINDS)


def is_supported(start: bytes) -> bool:
    """Return whether `start`, the first START_BYTES of a file, begins a picture that image_file decodes."""
    if start.startswith(b"BM"):
        return int.from_bytes(start[14:18], "little") in BMP_HEADER_BYTES
    return start.startswith((JPEG_SIGNATURE, PNG_SIGNATURE)) or is_webp(start)


def describe_unsupported(start: bytes) -> UnsupportedKind | None:
    """Return the kind of a picture that is not decoded; None for one that is, and for other files.

    `start` is the beginning of a file: START_BYTES, or SEQUENCE_BYTES to distinguish a still GIF from an animated one.
    """
    if start[4:8] == b"ftyp":
        length = min(max(int.from_bytes(start[:4], "big"), 16), START_BYTES)
        # The major brand, four bytes of version, then the compatible brands.
        brands = {start[8:12], *(start[k : k + 4] for k in range(16, length, 4))}
        if start[8:12] in HEIC_BRANDS | AVIF_BRANDS | HEIF_BRANDS:
            return AVIF if brands & AVIF_BRANDS and not brands & HEIC_BRANDS else HEIC
    if is_still_gif(start):
        return STILL_GIF
    return next((kind for pattern, kind in _OTHER_KINDS if pattern.match(start[:START_BYTES])), None)


def is_animation(data: bytes) -> bool:
    """Return whether a WebP or PNG announces several pictures. Raises ValueError for a PNG of too many parts."""
    if data.startswith(PNG_SIGNATURE):
        before_pixels = itertools.takewhile(lambda chunk: chunk.name != b"IDAT", png_chunks(data))
        at = next((chunk.begin for chunk in before_pixels if chunk.name == b"acTL"), None)
        return at is not None and int.from_bytes(data[at + 8 : at + 12], "big") > 1
    return is_webp(data) and data[12:16] == b"VP8X" and len(data) > 20 and bool(data[20] & 2)


def is_sequence(start: bytes) -> bool:
    """Return whether a file that begins with a JPEG or PNG continues with more of them: a video of pictures.

    `start` is the first SEQUENCE_BYTES of the file. A photo may contain two: its thumbnail, or the second picture that
    a phone adds ("MPF", for depth or high dynamic range).
    """
    if start.startswith(PNG_SIGNATURE):
        return b"IEND\xaeB`\x82" + PNG_SIGNATURE in start
    return (
        start.startswith(JPEG_SIGNATURE)
        and b"MPF\0" not in start[:SEQUENCE_BYTES]
        and len(re.findall(rb"\xff\xd9\s*\xff\xd8\xff", start)) >= 2
    )


def is_still_gif(start: bytes) -> bool:
    """Return whether `start`, the first SEQUENCE_BYTES of a file, is a complete GIF with a single picture."""
    if not start.startswith((b"GIF87a", b"GIF89a")) or len(start) < 13:
        return False
    at = 13 + _colours_bytes(start[10])
    pictures = 0
    while at < len(start) and pictures < 2:
        block = start[at]
        if block == 0x3B:  # the end
            return pictures == 1
        if block == 0x21:  # an extension: its label, then its data
            at += 2
        elif block == 0x2C and at + 10 <= len(start):  # a picture: its position, colours and code size, then its data
            pictures += 1
            at += 11 + _colours_bytes(start[at + 9])
        else:
            return False
        while at < len(start) and start[at]:
            at += 1 + start[at]
        at += 1
    return False


def _colours_bytes(flags: int) -> int:
    """Return the size of a GIF's colour table, as its flags announce it."""
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0
