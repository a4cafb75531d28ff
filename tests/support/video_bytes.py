"""Videos written byte by byte: any time stamps, any orientation, any codec, without FFmpeg.

The pictures are JPEG. `mkv` and `mp4` write the smallest files that FFmpeg plays.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Sequence

import cv2
import numpy as np

from edge.imaging.images import Picture

#: Three red pictures, 32 x 32, as raw H.264 and H.265, from x264 and x265.
RAW_H264 = base64.b64decode(
    "AAAAAWdkAAqs2UlsBEAAAAMAQAAABQPEiWWAAAAAAWjr48siwAAAAWWIhAA///7mdfgU0wgaSTL8Q84/MVbZ4BnxAAAAAUGaImxDf/6rAAAAAQ"
    "GeQXkN/0xB"
)
RAW_H265 = base64.b64decode(
    "AAAAAUABDAH//wFgAAADAJAAAAMAAAMAHpWYCQAAAAFCAQEBYAAAAwCQAAADAAADAB6gQghZZWa5MrwFoCAAAAMAIAAAAwFBAAAAAUQBwXPQiQ"
    "AAASgBrxGA6pVQ//mYi/rqAvBIsAAAAAECAdARV4QxiED6CgAAAAEAAeAkv4YzvyA="
)
#: The display matrix (a, b, c, d) by the rotation (degrees clockwise) and mirroring (left to right) that follow each
#: other.
MATRICES = {
    (0, False): (1, 0, 0, 1),
    (90, False): (0, 1, -1, 0),
    (180, False): (-1, 0, 0, -1),
    (270, False): (0, -1, 1, 0),
    (0, True): (-1, 0, 0, 1),
    (90, True): (0, 1, 1, 0),
    (180, True): (1, 0, 0, -1),
    (270, True): (0, -1, -1, 0),
}


def jpeg(picture: Picture) -> bytes:
    """Return a picture, (H, W, 3) uint8 RGB, as JPEG."""
    ok, data = cv2.imencode(".jpg", np.ascontiguousarray(picture[:, :, ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 95])
    assert ok
    return data.tobytes()


def numbered(count: int) -> list[bytes]:
    """Return JPEG pictures, 64 x 48, of different brightness."""
    return [jpeg(np.full((48, 64, 3), 40 + k % 180, np.uint8)) for k in range(count)]


def mkv(
    pictures: Sequence[bytes],
    times_ms: Sequence[int],
    *,
    size: tuple[int, int] = (64, 48),
    codec: bytes = b"V_MJPEG",
    frame_ms: float | None = None,
    duration_ms: float | None = None,
    projection: dict[bytes, float] | None = None,
    projection_type: int = 0,
    unknown_size: bool = False,
) -> bytes:
    """Return a Matroska file with one cluster for each picture.

    `size` is (width, height). `frame_ms` is the default duration, from which programs compute a frame rate.
    `projection` has yaw (b"s") and roll (b"u") in degrees. `unknown_size` is how a browser writes a live recording.
    """
    video = _uint(b"\xb0", size[0]) + _uint(b"\xba", size[1])
    if projection is not None:
        values = b"".join(_element(b"\x76" + kind, struct.pack(">d", value)) for kind, value in projection.items())
        video += _element(b"\x76\x70", _uint(b"\x76\x71", projection_type) + values)
    track = _uint(b"\xd7", 1) + b"\x73\xc5\x81\x01" + _uint(b"\x83", 1) + _element(b"\x86", codec)
    if frame_ms is not None:
        track += _uint(b"\x23\xe3\x83", round(1e6 * frame_ms))
    track += _element(b"\xe0", video)
    info = _uint(b"\x2a\xd7\xb1", 1_000_000)
    if duration_ms is not None:
        info += _element(b"\x44\x89", struct.pack(">d", duration_ms))
    body = _element(b"\x15\x49\xa9\x66", info) + _element(b"\x16\x54\xae\x6b", _element(b"\xae", track))
    for picture, t in zip(pictures, times_ms, strict=True):
        block = _element(b"\xa3", b"\x81\x00\x00\x80" + picture)
        body += _element(b"\x1f\x43\xb6\x75", _uint(b"\xe7", t) + block)
    head = _element(b"\x1a\x45\xdf\xa3", _element(b"\x42\x82", b"matroska"))
    segment = b"\x18\x53\x80\x67\x01" + b"\xff" * 7 + body if unknown_size else _element(b"\x18\x53\x80\x67", body)
    return head + segment


def mp4(
    pictures: Sequence[bytes],
    durations: Sequence[int],
    *,
    timescale: int = 1000,
    size: tuple[int, int] = (64, 48),
    codec: bytes = b"jpeg",
    matrix: tuple[int, int, int, int] = (1, 0, 0, 1),
    long_header: bool = False,
    sound_first: bool = False,
    has_index: bool = True,
) -> bytes:
    """Return a QuickTime file; each picture is shown for its duration, in units of 1 / timescale s."""
    width, height = size
    mdat = _box(b"mdat", b"".join(pictures))
    start = len(_box(b"ftyp", b"qt  \0\0\0\0qt  ")) + 8
    total = sum(durations)
    entry = struct.pack(">6xH16xHHII4xH32xHh", 1, width, height, 72 << 16, 72 << 16, 1, 24, -1)
    stbl = _box(b"stsd", struct.pack(">4xI", 1) + _box(codec, entry))
    stbl += _table(b"stts", [struct.pack(">II", 1, duration) for duration in durations])
    stbl += _table(b"stsc", [struct.pack(">III", 1, 1, 1)])
    sizes = b"".join(struct.pack(">I", len(picture)) for picture in pictures)
    stbl += _box(b"stsz", struct.pack(">4xII", 0, len(pictures)) + sizes)
    offsets = np.cumsum([start, *map(len, pictures)])[:-1]
    stbl += _table(b"stco", [struct.pack(">I", offset) for offset in offsets])
    dinf = _box(b"dinf", _table(b"dref", [_box(b"url ", b"\0\0\0\1")]))
    minf = _box(b"minf", _box(b"vmhd", b"\0\0\0\1" + bytes(8)) + dinf + _box(b"stbl", stbl))
    mdhd = _box(b"mdhd", struct.pack(">12xIIHH", timescale, total, 0x55C4, 0))
    mdia = _box(b"mdia", mdhd + _box(b"hdlr", b"\0\0\0\0mhlrvide" + bytes(13)) + minf)
    a, b, c, d = (value << 16 for value in matrix)
    shown = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30) + struct.pack(">II", width << 16, height << 16)
    version = b"\1\0\0\7" + bytes(16) if long_header else b"\0\0\0\7" + bytes(8)
    duration = struct.pack(">I4xQ" if long_header else ">I4xI", 1, total)
    tkhd = _box(b"tkhd", version + duration + bytes(16) + shown)
    mvhd = _box(b"mvhd", struct.pack(">12xIIIH10x", timescale, total, 1 << 16, 1 << 8) + _identity() + bytes(28))
    sound = _box(b"trak", _box(b"mdia", _box(b"hdlr", b"\0\0\0\0mhlrsoun" + bytes(13)))) if sound_first else b""
    moov = _box(b"moov", mvhd + sound + _box(b"trak", tkhd + mdia))
    return _box(b"ftyp", b"qt  \0\0\0\0qt  ") + mdat + (moov if has_index else b"")


def _identity() -> bytes:
    return struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def _table(kind: bytes, entries: Sequence[bytes]) -> bytes:
    return _box(kind, struct.pack(">4xI", len(entries)) + b"".join(entries))


def _element(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack(">Q", 1 << 56 | len(content)) + content


def _uint(kind: bytes, value: int) -> bytes:
    return _element(kind, value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big"))
