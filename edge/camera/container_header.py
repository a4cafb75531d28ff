"""Read codec and orientation from the header of an MP4, QuickTime, Matroska or AVI file.

OpenCV reports neither. It names no codec that it cannot decode, and reduces the orientation to an angle, so a mirrored
video is turned on its head by every version. Whether it turns videos at all differs by version: 4.11 does not.

The header comes from an untrusted file. Sizes are checked against the enclosing element, and nothing is read but small
elements, at most MAX_ELEMENTS of them.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

MAX_ELEMENTS = 20_000
#: An orientation is a quarter turn if it differs from one by no more than this.
MAX_SKEW_DEGREES = 1.0
_AVI_HEADER_BYTES = 8192


class ContainerHeader(NamedTuple):
    """What a file says about its first video track.

    `codec` is a FourCC ("avc1") or a Matroska codec ID ("V_AV1"), "" if unknown. `rotate` (0, 90, 180, 270 degrees
    clockwise) and then `mirror` (left to right) show the pictures upright; `rotate` is None if the file has no such
    field. `has_index` is False for an MP4 or QuickTime file without the index that is written at the end of a recording.
    """

    codec: str = ""
    rotate: int | None = None
    mirror: bool = False
    has_index: bool = True


class _Element(NamedTuple):
    """A box of MP4 or an element of Matroska; `start` and `end` are the file positions of its content."""

    kind: bytes
    start: int
    end: int


def read_header(file: BinaryIO) -> ContainerHeader:
    """Return what the header of a seekable file says; an empty ContainerHeader for another format or a damaged header."""
    start = file.read(12)
    end = file.seek(0, os.SEEK_END)
    with contextlib.suppress(struct.error, ValueError, IndexError, OverflowError):
        if start.startswith(b"\x1aE\xdf\xa3"):
            return _matroska_header(_Reader(file), end)
        if start.startswith(b"RIFF"):
            return _avi_header(file)
        if re.match(rb"[a-z]{4}", start[4:8]):
            return _mp4_header(_Reader(file), end)
    return ContainerHeader()


class _Reader:
    """Reads small parts of a file and counts the elements, so that no file can keep it busy."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._elements = 0

    def read(self, at: int, size: int) -> bytes:
        self._file.seek(at)
        return self._file.read(size)

    def boxes(self, at: int, end: int) -> Iterator[_Element]:
        """Yield the MP4 boxes between two positions. Raises ValueError if there are too many."""
        while at + 8 <= end:
            self._count()
            size, kind = struct.unpack(">I4s", self.read(at, 8))
            header = 8
            if size == 1:
                header, (size,) = 16, struct.unpack(">Q", self.read(at + 8, 8))
            elif size == 0:
                size = end - at
            if size < header:
                return
            yield _Element(kind, at + header, min(at + size, end))
            at += size

    def elements(self, at: int, end: int) -> Iterator[_Element]:
        """Yield the Matroska elements between two positions. Raises ValueError if there are too many."""
        while at < end:
            self._count()
            head = self.read(at, 12)
            id_bytes = 9 - head[0].bit_length()
            size_bytes = 9 - head[id_bytes].bit_length()
            if id_bytes > 4 or size_bytes > 8:
                return
            start = at + id_bytes + size_bytes
            size = int.from_bytes(head[id_bytes : id_bytes + size_bytes]) & (1 << 7 * size_bytes) - 1
            unknown = size == (1 << 7 * size_bytes) - 1
            stop = end if unknown else min(start + size, end)
            yield _Element(head[:id_bytes], start, stop)
            at = stop

    def _count(self) -> None:
        self._elements += 1
        if self._elements > MAX_ELEMENTS:
            raise ValueError("too many elements")


def _mp4_header(reader: _Reader, end: int) -> ContainerHeader:
    movie = next((box for box in reader.boxes(0, end) if box.kind == b"moov"), None)
    if movie is None:
        return ContainerHeader(has_index=False)
    for track in reader.boxes(movie.start, movie.end):
        if track.kind == b"trak":
            parts = {box.kind: box for box in reader.boxes(track.start, track.end)}
            media = parts.get(b"mdia")
            codec = _mp4_codec(reader, media) if media else None
            if codec is not None:
                return ContainerHeader(codec, *_mp4_orientation(reader, parts.get(b"tkhd")))
    return ContainerHeader()


def _mp4_codec(reader: _Reader, media: _Element) -> str | None:
    """Return the FourCC of a video track; None for another track."""
    parts = {box.kind: box for box in reader.boxes(media.start, media.end)}
    handler = parts.get(b"hdlr")
    if handler is None or reader.read(handler.start + 8, 4) != b"vide":
        return None
    inside = parts.get(b"minf")
    for kind in (b"stbl", b"stsd"):
        if inside is not None:
            inside = next((box for box in reader.boxes(inside.start, inside.end) if box.kind == kind), None)
    return _text(reader.read(inside.start + 12, 4)) if inside else ""


def _mp4_orientation(reader: _Reader, track_header: _Element | None) -> tuple[int | None, bool]:
    if track_header is None:
        return None, False
    is_long = reader.read(track_header.start, 1) == b"\1"
    a, b, _, c, d = struct.unpack(">5i", reader.read(track_header.start + (52 if is_long else 40), 20))
    # A point (x, y) is shown at (a x + c y, b x + d y), with y down. Undo a mirroring, to find the rotation before it.
    is_mirrored = a * d - b * c < 0
    if is_mirrored:
        a = -a
    return _quarter_turn(math.degrees(math.atan2(b, a))), is_mirrored


def _matroska_header(reader: _Reader, end: int) -> ContainerHeader:
    segment = next((e for e in reader.elements(0, end) if e.kind == b"\x18\x53\x80\x67"), None)
    if segment is None:
        return ContainerHeader()
    for element in reader.elements(segment.start, segment.end):
        if element.kind == b"\x16\x54\xae\x6b":  # Tracks
            for track in reader.elements(element.start, element.end):
                parts = {e.kind: e for e in reader.elements(track.start, track.end)} if track.kind == b"\xae" else {}
                if b"\x83" in parts and _integer(reader, parts[b"\x83"]) == 1:  # TrackType: video
                    codec = _content(reader, parts[b"\x86"]) if b"\x86" in parts else b""
                    return ContainerHeader(_text(codec), *_matroska_orientation(reader, parts.get(b"\xe0")))
            break
        if element.kind == b"\x1f\x43\xb6\x75":  # Cluster: the pictures begin
            break
    return ContainerHeader()


def _matroska_orientation(reader: _Reader, video: _Element | None) -> tuple[int | None, bool]:
    """Return rotation and mirroring from the projection of a flat picture: yaw 180 mirrors, roll is anticlockwise."""
    parts = {e.kind: e for e in reader.elements(video.start, video.end)} if video else {}
    projection = parts.get(b"\x76\x70")
    if projection is None:
        return None, False
    parts = {e.kind: e for e in reader.elements(projection.start, projection.end)}
    if b"\x76\x71" in parts and _integer(reader, parts[b"\x76\x71"]) != 0:  # a sphere or a cube
        return None, False
    yaw = _float(reader, parts.get(b"\x76\x73"))
    roll = _float(reader, parts.get(b"\x76\x75"))
    is_mirrored = abs(abs(yaw) - 180) <= MAX_SKEW_DEGREES
    return _quarter_turn(roll if is_mirrored else -roll), is_mirrored


def _avi_header(file: BinaryIO) -> ContainerHeader:
    file.seek(0)
    match = re.search(rb"strh....vids(....)", file.read(_AVI_HEADER_BYTES), re.DOTALL)
    return ContainerHeader(_text(match[1]) if match else "")


def _quarter_turn(degrees: float) -> int:
    """Return 0, 90, 180 or 270; 0 for any other angle, which players do not apply either."""
    turns = round(degrees / 90)
    return turns % 4 * 90 if abs(degrees - 90 * turns) <= MAX_SKEW_DEGREES else 0


def _content(reader: _Reader, element: _Element) -> bytes:
    return reader.read(element.start, min(element.end - element.start, 32))


def _integer(reader: _Reader, element: _Element) -> int:
    return int.from_bytes(_content(reader, element))


def _float(reader: _Reader, element: _Element | None) -> float:
    content = _content(reader, element) if element else b""
    value = {4: ">f", 8: ">d"}.get(len(content))
    number = float(struct.unpack(value, content)[0]) if value else 0.0
    return number if math.isfinite(number) else 0.0


def _text(code: bytes) -> str:
    return "".join(c for c in code.decode("latin-1") if c.isascii() and c.isprintable()).strip()
