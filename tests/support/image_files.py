"""Encode small image files, valid and hostile, for tests."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np

from edge.imaging.image_header import PNG_SIGNATURE

#: (30, 40, 3) uint8. OpenCV encodes it as BGR.
NOISE = np.random.default_rng(1).integers(0, 255, (30, 40, 3), dtype=np.uint8)


def encode(suffix: str, webp_quality: int | None = None) -> bytes:
    """Return NOISE in the format of `suffix`. WebP is lossless above quality 100."""
    options = [] if webp_quality is None else [cv2.IMWRITE_WEBP_QUALITY, webp_quality]
    ok, data = cv2.imencode(suffix, NOISE, options)
    assert ok
    return data.tobytes()


def encode_progressive_jpeg(extra_scans: int) -> bytes:
    """Return NOISE as a progressive JPEG whose scans are repeated `extra_scans` times."""
    ok, encoded = cv2.imencode(".jpg", NOISE, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])
    assert ok
    data = encoded.tobytes()
    scans = data[data.find(b"\xff\xda") : -2]
    return data[:-2] + scans * extra_scans + data[-2:]


def png_chunk(name: bytes, data: bytes) -> bytes:
    """Return a chunk of a PNG, with length and checksum."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def grey_png(width: int, height: int, *chunks: bytes) -> bytes:
    """Return an 8-bit grey PNG with `chunks` between its header and its end."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return PNG_SIGNATURE + header + b"".join(chunks) + png_chunk(b"IEND", b"")


def exif(orientation: int, order: str = "<", kind: int = 3) -> bytes:
    """Return a block of EXIF whose only entry is the orientation, as a SHORT by default."""
    start = b"II*\0" if order == "<" else b"MM\0*"
    code = {1: "B3x", 3: "H2x", 4: "I"}[kind]
    entry = struct.pack(f"{order}HHI{code}", 0x0112, kind, 1, orientation)
    return start + struct.pack(f"{order}IH", 8, 1) + entry + bytes(4)


def with_exif(data: bytes, block: bytes) -> bytes:
    """Return a JPEG, PNG or WebP with a block of EXIF, where cameras and editors put it."""
    if data.startswith(b"\xff\xd8"):
        payload = b"Exif\0\0" + block
        return data[:2] + b"\xff\xe1" + struct.pack(">H", len(payload) + 2) + payload + data[2:]
    if data.startswith(PNG_SIGNATURE):
        end = data.index(b"IDAT") - 4
        return data[:end] + png_chunk(b"eXIf", block) + data[end:]
    assert data[8:12] == b"WEBP"
    height, width = NOISE.shape[:2]
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    chunks = webp_chunk(b"VP8X", b"\x08\0\0\0" + size) + data[12:] + webp_chunk(b"EXIF", block)
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks


def webp_chunk(name: bytes, data: bytes) -> bytes:
    """Return a chunk of a WebP, padded to an even length."""
    return name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)


def iso_media(brand: bytes, *compatible: bytes) -> bytes:
    """Return the first box of an ISO media file: HEIC, AVIF, MP4, QuickTime."""
    brands = brand + bytes(4) + b"".join(compatible)
    return struct.pack(">I", 8 + len(brands)) + b"ftyp" + brands + bytes(100)


def gif(pictures: int) -> bytes:
    """Return a GIF with pictures of a single pixel."""
    picture = b"\x21\xf9\x04\0\x0a\0\0\0" + b"\x2c\0\0\0\0\1\0\1\0\0" + b"\x02\x02\x44\x01\0"
    return b"GIF89a\1\0\1\0\x80\0\0" + bytes(6) + picture * pictures + b"\x3b"
