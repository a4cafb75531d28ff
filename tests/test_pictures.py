"""Picture files: the four kinds are read, and what is not one, too large, or made to hurt a decoder, never reaches it."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import pictures

NOISE = np.random.default_rng(1).integers(0, 255, (30, 40, 3), dtype=np.uint8)
ENDINGS = (".jpg", ".png", ".bmp", ".webp")


def encoded(ending: str, *how: int) -> bytes:
    done, data = cv2.imencode(ending, NOISE, how)
    assert done
    return data.tobytes()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, *chunks: bytes) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return pictures.PNG + head + b"".join(chunks) + chunk(b"IEND", b"")


def why(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    with pytest.raises(ValueError) as refused:  # noqa: PT011  (what it says is what the tests are about)
        pictures.decode(path)
    return str(refused.value)


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_kind_is_read_whatever_its_name(tmp_path: Path, ending: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(encoded(ending))
    picture, flaw = pictures.decode(path)
    assert (picture.shape, picture.dtype, flaw) == ((30, 40, 3), np.uint8, "")
    assert pictures.size(path.read_bytes()) == (40, 30)
    if ending in (".png", ".bmp"):  # without loss: the colours are where they belong
        assert (picture == NOISE[:, :, ::-1]).all()


@pytest.mark.parametrize("quality", [60, 101])
def test_sizes_of_both_kinds_of_webp(quality: int) -> None:
    assert pictures.size(encoded(".webp", cv2.IMWRITE_WEBP_QUALITY, quality)) == (40, 30)


@pytest.mark.parametrize("data", [encoded(".tiff"), encoded(".ppm"), b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(100)])
def test_other_kinds_never_reach_their_decoders(tmp_path: Path, data: bytes) -> None:
    """That of JPEG 2000 in OpenCV 4.11 crashes on some."""
    assert "is not a picture" in why(tmp_path / "x.jpg", data)


def test_nothing_at_all(tmp_path: Path) -> None:
    assert why(tmp_path / "x.jpg", b"") == "is empty"


@pytest.mark.parametrize("side", [9_000, 65_500, 1 << 31])
def test_enormous_pictures(tmp_path: Path, side: int) -> None:
    rows = chunk(b"IDAT", zlib.compress(bytes(1000)))
    assert f"{side} x {side} pixels" in why(tmp_path / "x.png", png(side, side, rows))


def test_an_enormous_jpeg(tmp_path: Path) -> None:
    data = bytearray(encoded(".jpg"))
    at = data.find(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", 60_000, 60_000)
    assert "60000 x 60000 pixels" in why(tmp_path / "x.jpg", bytes(data))


def test_a_chunk_that_is_not_there(tmp_path: Path) -> None:
    """OpenCV 4.11 takes its gigabyte first."""
    data = png(40, 30) + struct.pack(">I", 1 << 30) + b"IDAT"
    assert why(tmp_path / "x.png", data.replace(chunk(b"IEND", b""), b"")) == "breaks off"


def test_animations_are_still_pictures(tmp_path: Path) -> None:
    """OpenCV 4.11 crashes on some APNGs."""
    rows = zlib.compress((b"\0" + b"\x80" * 40) * 30)
    control = struct.pack(">IIIIIHHBB", 0, 1 << 30, 1 << 30, 7, 7, 0, 0, 9, 9)
    extra = (chunk(b"acTL", struct.pack(">II", 0, 0)), chunk(b"fcTL", control), chunk(b"iCCP", b"x\0\0" + rows))
    (tmp_path / "x.png").write_bytes(png(40, 30, *extra, chunk(b"IDAT", rows)))
    picture, _ = pictures.decode(tmp_path / "x.png")
    assert (picture == 0x80).all()


def test_scans_without_end(tmp_path: Path) -> None:
    data = encoded(".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    scan = data[data.find(b"\xff\xda") : -2]
    assert "scans" in why(tmp_path / "x.jpg", data[:-2] + scan * 100 + data[-2:])


def test_a_jpeg_with_a_hole_is_read_and_said(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data = encoded(".jpg")
    assert "cannot be decoded" in why(tmp_path / "x.jpg", data[: len(data) // 2])
    (tmp_path / "x.jpg").write_bytes(data[: len(data) // 2] + b"\xff\xd9")
    picture, flaw = pictures.decode(tmp_path / "x.jpg")
    assert picture.shape == (30, 40, 3)
    assert flaw == "breaks off: the rest of it is grey"
    assert capfd.readouterr().err == "", "libjpeg's own words stay away from the terminal"


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.jpg")
    with pytest.raises(OSError, match="not a regular file"):
        pictures.decode(tmp_path / "x.jpg")


def test_a_hole_of_a_terabyte(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").touch()
    os.truncate(tmp_path / "x.jpg", 1 << 40)
    with pytest.raises(OSError, match="larger than"):
        pictures.decode(tmp_path / "x.jpg")


@given(st.sampled_from((b"\xff\xd8\xff", pictures.PNG, b"BM", b"RIFF    WEBP", b"")), st.binary(max_size=60))
def test_any_header_has_a_size_or_is_refused(start: bytes, rest: bytes) -> None:
    try:
        width, height = pictures.size(start + rest)
    except ValueError:
        return
    assert min(width, height) >= 1
