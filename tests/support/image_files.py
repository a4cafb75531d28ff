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
