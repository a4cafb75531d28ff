"""EXIF orientations: every picture is decoded upright, in every format that can carry one."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.imaging import image_file
from edge.imaging.image_orientation import read_orientation, upright
from support.image_files import NOISE, encode, exif, png_chunk, webp_chunk, with_exif

FORMATS = (".jpg", ".png", ".webp")
UPRIGHT = NOISE[:, :, ::-1]
#: How a camera stores an upright picture under each orientation: the inverse of what a reader does.
STORED = {
    1: UPRIGHT,
    2: UPRIGHT[:, ::-1],
    3: UPRIGHT[::-1, ::-1],
    4: UPRIGHT[::-1],
    5: UPRIGHT.transpose(1, 0, 2),
    6: np.rot90(UPRIGHT, 1),
    7: UPRIGHT[::-1, ::-1].transpose(1, 0, 2),
    8: np.rot90(UPRIGHT, -1),
}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_upright_is_the_inverse_of_what_a_camera_stores(orientation: int) -> None:
    picture = upright(np.ascontiguousarray(STORED[orientation]), orientation)
    assert np.array_equal(picture, UPRIGHT)
    assert picture.flags.c_contiguous


def quadrants() -> npt.NDArray[np.uint8]:
    """Return a picture, (30, 40, 3), whose quadrants differ, so that lossy formats keep them apart."""
    picture = np.zeros((30, 40, 3), np.uint8)
    picture[:15, 20:], picture[15:, :20], picture[15:, 20:] = 80, 160, 240
    return picture


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_is_decoded_upright(tmp_path: Path, suffix: str, orientation: int) -> None:
    """OpenCV 4.11 ignores the orientation of WebP."""
    height, width = NOISE.shape[:2]
    plain = encode_picture(suffix, quadrants())
    (tmp_path / "x").write_bytes(with_exif(plain, exif(orientation)))
    picture, damage, _ = image_file.decode(tmp_path / "x")
    expected = upright(quadrants(), orientation)
    assert picture.shape == (((height, width) if orientation < 5 else (width, height)) + (3,))
    assert (np.abs(picture.astype(int) - expected) < 40).mean() > 0.95
    assert damage == ""


def encode_picture(suffix: str, picture: npt.NDArray[np.uint8]) -> bytes:
    ok, data = cv2.imencode(suffix, picture)
    assert ok
    return data.tobytes()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [1, 3, 4])
def test_both_byte_orders_and_all_integer_types(order: str, kind: int) -> None:
    assert read_orientation(with_exif(encode(".jpg"), exif(6, order, kind))) == 6


def test_exif_behind_other_segments_and_chunks() -> None:
    jpg, png, webp = (with_exif(encode(suffix), exif(8)) for suffix in FORMATS)
    xmp = b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta/>"
    assert read_orientation(jpg[:2] + b"\xff\xe1" + struct.pack(">H", len(xmp) + 2) + xmp + jpg[2:]) == 8
    assert read_orientation(png) == 8
    # An editor may write it behind the pixels.
    end = encode(".png").removesuffix(png_chunk(b"IEND", b""))
    assert read_orientation(end + png_chunk(b"eXIf", exif(8)) + png_chunk(b"IEND", b"")) == 8
    # Chunks of odd length are padded; some programs keep the prefix of JPEG.
    at = webp.index(b"EXIF")
    assert read_orientation(webp[:at] + webp_chunk(b"XMP ", b"odd") + webp[at:]) == 8
    assert read_orientation(with_exif(encode(".webp"), b"Exif\0\0" + exif(8))) == 8


@pytest.mark.parametrize("orientation", [0, 9, 255])
def test_orientation_out_of_range_counts_as_upright(orientation: int) -> None:
    assert read_orientation(with_exif(encode(".jpg"), exif(orientation))) == 1


@pytest.mark.parametrize("block", [b"", b"II*\0", b"text", exif(6)[:12], exif(6)[:8] + b"\xff\xff", exif(6)[4:]])
@pytest.mark.parametrize("suffix", FORMATS)
def test_damaged_exif_counts_as_upright(tmp_path: Path, suffix: str, block: bytes) -> None:
    data = with_exif(encode(suffix), block)
    assert read_orientation(data) == 1
    (tmp_path / "x").write_bytes(data)
    assert image_file.decode(tmp_path / "x").picture.shape == NOISE.shape


@given(st.sampled_from((*FORMATS, ".bmp")), st.binary(max_size=60), st.integers(0, 400))
def test_any_file_has_an_orientation(suffix: str, rest: bytes, cut: int) -> None:
    assert read_orientation(encode(suffix)[:cut] + rest) in range(1, 9)
