"""Image files: four formats are decoded; other, too large and hostile files never reach a decoder."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from edge.imaging import image_file
from support.image_files import NOISE, encode, encode_progressive_jpeg, gif, grey_png, iso_media, png_chunk


def refusal(path: Path, data: bytes) -> str:
    """Write `data` and return why it is not decoded."""
    path.write_bytes(data)
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the caller checks the message
        image_file.decode(path)
    return str(caught.value)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp"])
def test_every_format_is_decoded_whatever_its_name(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(encode(suffix))
    picture, damage, _ = image_file.decode(path)
    assert (picture.shape, picture.dtype, damage) == ((30, 40, 3), np.dtype(np.uint8), "")
    if suffix in (".png", ".bmp"):  # lossless
        assert (picture == NOISE[:, :, ::-1]).all()


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (iso_media(b"heic", b"mif1", b"heic"), "a HEIC picture"),
        (iso_media(b"mif1", b"mif1", b"avif"), "an AVIF picture"),
        (encode(".tiff"), "a TIFF picture"),
        (gif(1), "a GIF with a single picture"),
        (encode(".ppm"), "a Netpbm picture"),
        (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(100), "a JPEG 2000 picture"),
        (b"<!DOCTYPE html><html>", "a web page"),
    ],
)
def test_other_formats_never_reach_their_decoders(tmp_path: Path, data: bytes, kind: str) -> None:
    """The JPEG 2000 decoder of OpenCV 4.11 crashes on some files. The name does not matter."""
    (tmp_path / "x.jpg").write_bytes(data)
    with pytest.raises(image_file.UnsupportedImageError, match=f"^is {kind}.*, which cannot be read here$") as caught:
        image_file.decode(tmp_path / "x.jpg")
    assert "save" in caught.value.hint


def test_unknown_content_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "x.jpg", b"text") == "is not a picture (JPEG, PNG, BMP or WebP)"


def test_empty_file_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "x.jpg", b"") == "is empty"


@pytest.mark.parametrize("side", [9_000, 65_500, 1 << 31])
def test_enormous_png_is_refused(tmp_path: Path, side: int) -> None:
    rows = png_chunk(b"IDAT", zlib.compress(bytes(1000)))
    assert f"{side} x {side} pixels" in refusal(tmp_path / "x.png", grey_png(side, side, rows))


def test_enormous_jpeg_is_refused(tmp_path: Path) -> None:
    data = bytearray(encode(".jpg"))
    at = data.find(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", 60_000, 60_000)
    assert "60000 x 60000 pixels" in refusal(tmp_path / "x.jpg", bytes(data))


def test_png_chunk_beyond_the_end_is_refused(tmp_path: Path) -> None:
    """OpenCV 4.11 allocates the announced gigabyte first."""
    data = grey_png(40, 30).removesuffix(png_chunk(b"IEND", b""))
    assert refusal(tmp_path / "x.png", data + struct.pack(">I", 1 << 30) + b"IDAT") == "breaks off"


def test_png_with_invalid_animation_chunks_is_decoded(tmp_path: Path) -> None:
    """OpenCV 4.11 crashes on some animated PNGs."""
    rows = zlib.compress((b"\0" + b"\x80" * 40) * 30)
    control = struct.pack(">IIIIIHHBB", 0, 1 << 30, 1 << 30, 7, 7, 0, 0, 9, 9)
    extra = (
        png_chunk(b"acTL", struct.pack(">II", 0, 0)),
        png_chunk(b"fcTL", control),
        png_chunk(b"iCCP", b"x\0\0" + rows),
    )
    (tmp_path / "x.png").write_bytes(grey_png(40, 30, *extra, png_chunk(b"IDAT", rows)))
    picture, *_ = image_file.decode(tmp_path / "x.png")
    assert (picture == 0x80).all()


def test_jpeg_with_too_many_scans_is_refused(tmp_path: Path) -> None:
    assert "scans" in refusal(tmp_path / "x.jpg", encode_progressive_jpeg(extra_scans=100))


def test_jpeg_with_a_missing_part_is_decoded_and_reported(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data = encode(".jpg")
    assert "cannot be decoded" in refusal(tmp_path / "x.jpg", data[: len(data) // 2])
    (tmp_path / "x.jpg").write_bytes(data[: len(data) // 2] + b"\xff\xd9")
    picture, damage, _ = image_file.decode(tmp_path / "x.jpg")
    assert picture.shape == (30, 40, 3)
    assert damage == "breaks off: the rest of it is grey"
    assert capfd.readouterr().err == "", "libjpeg's warning does not reach the terminal"


def test_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.jpg")
    with pytest.raises(OSError, match="not a regular file"):
        image_file.decode(tmp_path / "x.jpg")


def test_sparse_file_of_a_terabyte_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").touch()
    os.truncate(tmp_path / "x.jpg", 1 << 40)
    with pytest.raises(OSError, match="larger than"):
        image_file.decode(tmp_path / "x.jpg")
