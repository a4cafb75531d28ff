"""A picture as a source."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.camera.factory import open_source
from edge.camera.picture_files import PictureFile
from edge.errors import InputError
from support.camera import is_red, quick_settings, read_all, write_picture
from support.image_files import encode, png_chunk, webp_chunk


def test_picture_is_shown_for_a_while(tmp_path: Path) -> None:
    source = open_source(quick_settings(picture_s=2), str(write_picture(tmp_path / "Face.JPG")))
    frames = read_all(source)
    assert isinstance(source, PictureFile)
    assert [(frame.number, frame.t) for frame in frames] == [(k, k / 10) for k in range(21)]
    assert all(is_red(frame.picture) for frame in frames)
    assert (source.length, source.fps, source.damage) == (21, 10, None)
    assert len(read_all(source)) == 21, "it can be opened again"


def test_picture_without_a_duration_is_one_frame(tmp_path: Path) -> None:
    source = open_source(quick_settings(picture_s=0), str(write_picture(tmp_path / "a.png")))
    (frame,) = read_all(source)
    assert (frame.number, frame.t, source.length) == (0, 0.0, 1)


def test_unreadable_picture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"no")
    with pytest.raises(InputError, match=r"a\.jpg: is not a picture"):
        open_source(quick_settings(), str(tmp_path / "a.jpg")).open()


def test_missing_picture(tmp_path: Path) -> None:
    source = open_source(quick_settings(), str(tmp_path / "nothing.jpg"))
    with pytest.raises(InputError, match=r"nothing\.jpg: no such file or folder"):
        source.open()


def test_close_may_be_called_twice_and_a_closed_source_has_no_frames(tmp_path: Path) -> None:
    source = open_source(quick_settings(), str(write_picture(tmp_path / "a.png")))
    source.close()
    source.open()
    source.close()
    source.close()
    assert source.read() is None


def animated(suffix: str) -> bytes:
    """Return a picture whose header announces an animation; its first picture is NOISE."""
    data = encode(suffix)
    if suffix == ".png":
        at = data.index(b"IDAT") - 4
        return data[:at] + png_chunk(b"acTL", bytes(3) + b"\x02" + bytes(4)) + data[at:]
    frame = webp_chunk(b"ANMF", bytes(6) + b"\x27\0\0\x1d\0\0" + bytes(4) + data[12:])
    header = webp_chunk(b"VP8X", b"\x02\0\0\0\x27\0\0\x1d\0\0") + webp_chunk(b"ANIM", bytes(6))
    body = b"WEBP" + header + frame
    return b"RIFF" + len(body).to_bytes(4, "little") + body


@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_an_animation_is_played_as_its_first_picture_and_says_so(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(animated(suffix))
    source = PictureFile(path, quick_settings())
    with source:
        assert source.read() is not None
    assert source.note == f"{path}: is an animation: only its first picture is used"
    path.write_bytes(encode(suffix))
    with source:
        assert source.note is None


def test_png_that_announces_a_single_frame_is_no_animation(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(animated(".png").replace(bytes(3) + b"\x02" + bytes(4), bytes(3) + b"\x01" + bytes(4), 1))
    with PictureFile(path, quick_settings()) as source:
        assert source.note is None
