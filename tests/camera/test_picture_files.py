"""A picture, and the pictures of a folder, as a source."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.camera.factory import open_source
from edge.camera.picture_files import PictureFiles
from edge.errors import InputError
from support.camera import is_red, quick_settings, read_all, write_picture


def test_picture_is_one_frame(tmp_path: Path) -> None:
    path = write_picture(tmp_path / "Face.JPG")
    source = open_source(quick_settings(rotate=90), str(path))
    (frame,) = read_all(source)
    assert isinstance(source, PictureFiles)
    assert (frame.number, frame.t, source.length, source.current) == (0, 0.0, 1, path)
    assert frame.picture.shape == (64, 48, 3), "the settings rotate, mirror and grey act on every source"
    assert is_red(frame.picture)


def test_folder_is_played_in_natural_order_without_unreadable_pictures(tmp_path: Path) -> None:
    for k, name in enumerate(["10.png", "2.jpg", "1.bmp", "b3.webp", "B20.jpeg"]):
        write_picture(tmp_path / name, height=40 + k)
    (tmp_path / "3.jpg").write_bytes(b"\xff\xd8\xff\xe0 but no more")
    (tmp_path / "4.png").write_bytes(b"")
    (tmp_path / "5.jpg").mkdir()
    (tmp_path / "notes.txt").write_text("not a picture")
    (tmp_path / "._1.jpg").write_bytes(b"macOS metadata")
    source = open_source(quick_settings(fps=4), str(tmp_path))
    assert isinstance(source, PictureFiles)
    names, frames = [], []
    with source:
        while frame := source.read():
            assert source.current is not None
            names.append(source.current.name)
            frames.append(frame)
    assert names == ["1.bmp", "2.jpg", "10.png", "b3.webp", "B20.jpeg"]
    assert [(f.number, f.t) for f in frames] == [(k, k / 4) for k in range(5)]
    assert [f.picture.shape[0] for f in frames] == [42, 41, 40, 43, 44]
    assert [name for name, _ in source.skipped] == ["3.jpg", "4.png"]
    assert dict(source.skipped)["4.png"] == "is empty"
    assert (source.length, source.fps) == (7, 4)
    assert source.damage is not None
    assert source.damage.startswith(f"{tmp_path}: 2 of 7 pictures left out (3.jpg: ")


def test_folder_order_accepts_any_names(tmp_path: Path) -> None:
    names = ["1.png", "01.png", "a1.png", "A1.png", "1a.png", "²3.png", "é.png", "-.png"]
    for name in names:
        write_picture(tmp_path / name)
    assert len(read_all(open_source(quick_settings(), str(tmp_path)))) == len(names)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "no picture in this folder"),
        ({"a.txt": b"text"}, "no picture in this folder"),
        ({"a.jpg": b"no", "b.png": b""}, r"none of its 2 pictures can be read \(a\.jpg: "),
    ],
)
def test_folder_without_a_readable_picture_is_refused(tmp_path: Path, files: dict[str, bytes], message: str) -> None:
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=message) as caught:
        open_source(quick_settings(), str(tmp_path)).open()
    assert str(tmp_path) in str(caught.value)


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
