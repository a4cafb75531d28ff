"""Codec and orientation in the header of a container, and headers that are damaged or hostile."""

from __future__ import annotations

import io
import random

import pytest

from edge.camera.container_header import MAX_ELEMENTS, ContainerHeader, read_header
from support.video_bytes import MATRICES, mkv, mp4, numbered


def header(data: bytes) -> ContainerHeader:
    return read_header(io.BytesIO(data))


@pytest.mark.parametrize("orientation", MATRICES)
@pytest.mark.parametrize("long_header", [False, True])
def test_mp4_orientation(orientation: tuple[int, bool], long_header: bool) -> None:
    data = mp4(numbered(1), [40], matrix=MATRICES[orientation], long_header=long_header, sound_first=True)
    assert header(data) == ContainerHeader("jpeg", *orientation)


@pytest.mark.parametrize("orientation", MATRICES)
def test_matroska_orientation(orientation: tuple[int, bool]) -> None:
    rotate, mirror = orientation
    projection = {b"\x73": 180.0 if mirror else 0.0, b"\x75": float(rotate if mirror else -rotate)}
    assert header(mkv(numbered(1), [0], projection=projection)) == ContainerHeader("V_MJPEG", *orientation)


def test_matroska_without_orientation() -> None:
    assert header(mkv(numbered(1), [0], unknown_size=True)) == ContainerHeader("V_MJPEG", None, False)
    sphere = mkv(numbered(1), [0], projection={b"\x75": 90.0}, projection_type=1)
    assert header(sphere) == ContainerHeader("V_MJPEG", None, False)
    no_number = mkv(numbered(1), [0], projection={b"\x75": float("nan")})
    assert header(no_number) == ContainerHeader("V_MJPEG", 0, False)


def test_slanted_picture_is_not_rotated() -> None:
    assert header(mkv(numbered(1), [0], projection={b"\x75": 45.0})).rotate == 0


def test_mp4_without_index() -> None:
    assert not header(mp4(numbered(1), [40], has_index=False)).has_index
    assert header(b"RIFF....AVI LIST....hdrlstrh....vidsMJPG") == ContainerHeader("MJPG")


@pytest.mark.parametrize("data", [b"", b"abc", b"G" * 5000, b"\xff\xd8\xff" + bytes(100), b"\x1aE\xdf\xa3", b"RIFF"])
def test_other_files_have_an_empty_header(data: bytes) -> None:
    assert header(data) == ContainerHeader()


def test_file_of_countless_elements_is_given_up() -> None:
    boxes = (b"\0\0\0\x08free") * (MAX_ELEMENTS + 10)
    assert header(boxes) == ContainerHeader()
    assert header(mkv([], [])[:10] + b"\xec\x80" * (MAX_ELEMENTS + 10)) == ContainerHeader()


@pytest.mark.parametrize("whole", [mp4(numbered(1), [40]), mkv(numbered(1), [0], projection={b"\x75": 90.0})])
def test_damaged_header_raises_nothing(whole: bytes) -> None:
    rng = random.Random(1)
    for _ in range(400):
        data = bytearray(whole[: rng.randrange(len(whole))] if rng.random() < 0.3 else whole)
        for _ in range(rng.randrange(1, 6)):
            if data:
                data[rng.randrange(len(data))] = rng.choice((0, 1, 8, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        found = header(bytes(data))
        assert found.rotate in (None, 0, 90, 180, 270)
        assert found.codec.isprintable()
