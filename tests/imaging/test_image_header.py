"""Sizes from the headers of image files."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.imaging.image_header import MAX_SCANS, PNG_SIGNATURE, read_size
from support.image_files import encode, encode_progressive_jpeg


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp"])
def test_size_of_every_format(suffix: str) -> None:
    assert read_size(encode(suffix)) == (40, 30)


@pytest.mark.parametrize("quality", [60, 101])
def test_size_of_lossy_and_lossless_webp(quality: int) -> None:
    assert read_size(encode(".webp", quality)) == (40, 30)


def test_size_of_a_bmp_with_rows_from_the_top() -> None:
    data = bytearray(encode(".bmp"))
    data[22:26] = struct.pack("<i", -30)
    assert read_size(bytes(data)) == (40, 30)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "is empty"),
        (b"text", "is not a picture"),
        (b"RIFF    WAVEfmt ", "is not a picture"),
        (encode(".png")[:18], "breaks off in its header"),
        (encode(".jpg")[:30], "has no size in its header"),
        (PNG_SIGNATURE + bytes(30), "has no size in its header"),
        (encode(".png")[:16] + bytes(17), "has no pixels"),
    ],
)
def test_bad_header_is_refused(data: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        read_size(data)


def test_jpeg_with_too_many_scans_is_refused() -> None:
    with pytest.raises(ValueError, match=f"has more than {MAX_SCANS} scans"):
        read_size(encode_progressive_jpeg(extra_scans=100))


@given(st.sampled_from((b"\xff\xd8\xff", PNG_SIGNATURE, b"BM", b"RIFF    WEBP", b"")), st.binary(max_size=60))
def test_any_header_has_a_size_or_is_refused(start: bytes, rest: bytes) -> None:
    try:
        width, height = read_size(start + rest)
    except ValueError:
        return
    assert min(width, height) >= 1
