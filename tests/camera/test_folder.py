"""The pictures and videos of a folder as a source: each decided by itself, and nothing left out silently."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest

from edge.camera.factory import open_source
from edge.camera.folder import SCENE_GAP_S, Folder
from edge.errors import InputError
from support.camera import quick_settings, write_picture, write_video
from support.image_files import encode, iso_media


def open_folder(path: Path, **changes: object) -> Folder:
    source = open_source(quick_settings(**changes), str(path))
    assert isinstance(source, Folder)
    return source


def play(source: Folder) -> list[tuple[str, float]]:
    """Return the file and the time of each frame."""
    played: list[tuple[str, float]] = []
    with source:
        while frame := source.read():
            assert source.scene is not None
            assert frame.number == len(played)
            played.append((source.scene.file, frame.t))
    return played


def test_pictures_and_videos_are_played_in_natural_order(tmp_path: Path) -> None:
    for name in ("10.png", "2.jpg", "1.bmp", "b3.webp", "B20.jpeg"):
        write_picture(tmp_path / name)
    write_picture(tmp_path / "x.jpg").rename(tmp_path / "4")
    write_video(tmp_path / "3.mp4", "mp4v", frames=2)
    names = [name for name, _ in itertools.groupby(play(open_folder(tmp_path)), key=lambda item: item[0])]
    assert names == ["1.bmp", "2.jpg", "3.mp4", "4", "10.png", "b3.webp", "B20.jpeg"]


def test_each_file_is_a_scene_by_itself(tmp_path: Path) -> None:
    """Time between two files is longer than anybody is remembered."""
    write_picture(tmp_path / "a.png")
    write_video(tmp_path / "b.mp4", "mp4v", frames=3, fps=20)
    write_picture(tmp_path / "c.png")
    played = play(open_folder(tmp_path, picture_s=1))
    assert [t for name, t in played if name == "a.png"] == [k / 10 for k in range(11)]
    assert [t for name, t in played if name == "b.mp4"] == pytest.approx([1 + SCENE_GAP_S + k / 20 for k in range(3)])
    assert next(t for name, t in played if name == "c.png") == pytest.approx(1.1 + 2 * SCENE_GAP_S)


def test_pictures_without_a_duration_are_the_frames_of_a_film(tmp_path: Path) -> None:
    for k in range(5):
        write_picture(tmp_path / f"{k}.png")
    source = open_folder(tmp_path, fps=4, picture_s=0)
    with source:
        frames = list(iter(source.read, None))
        assert source.scene is None, "the log would have an event for each frame"
    assert [frame.t for frame in frames] == [k / 4 for k in range(5)]
    assert (source.length, source.fps) == (5, 4)


def test_everything_that_is_left_out_is_named(tmp_path: Path) -> None:
    write_picture(tmp_path / "good.jpg")
    (tmp_path / "3.jpg").write_bytes(b"\xff\xd8\xff\xe0 but no more")
    (tmp_path / "4.png").write_bytes(b"")
    (tmp_path / "5.heic").write_bytes(iso_media(b"heic"))
    (tmp_path / "6.mp4").write_bytes(iso_media(b"isom"))
    (tmp_path / "7.jpg").mkdir()
    (tmp_path / "8.jpg").symlink_to("missing")
    os.mkfifo(tmp_path / "9.jpg")
    (tmp_path / "notes.txt").write_text("not a picture")
    for hidden in (".DS_Store", "._1.jpg", "Thumbs.db", "desktop.ini"):
        (tmp_path / hidden).write_bytes(b"metadata")
    source = open_folder(tmp_path)
    assert {name for name, _ in play(source)} == {"good.jpg"}
    reasons = {one.name: one.reason for one in source.left_out}
    assert sorted(reasons) == ["3.jpg", "4.png", "5.heic", "6.mp4", "7.jpg", "8.jpg", "9.jpg", "notes.txt"]
    assert "HEIC" in reasons["5.heic"]
    assert "folder" in reasons["7.jpg"]
    assert "neither a picture nor a video" in reasons["notes.txt"]
    assert source.damage is not None
    assert source.damage.startswith(f"{tmp_path}: 6 of 7 files left out (")
    assert [one.name for one in source.left_out if not one.is_media] == ["7.jpg", "notes.txt"]


def test_a_folder_with_other_files_is_not_damaged(tmp_path: Path) -> None:
    write_picture(tmp_path / "good.jpg")
    (tmp_path / "notes.txt").write_text("not a picture")
    (tmp_path / "no_ending").write_text("not a picture")
    (tmp_path / "more.jpg").mkdir()
    source = open_folder(tmp_path)
    play(source)
    assert [one.name for one in source.left_out] == ["more.jpg", "no_ending", "notes.txt"]
    assert (source.damage, source.files) == (None, 1)


def test_nothing_is_left_out_of_a_folder_of_pictures(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.jpg")
    (tmp_path / ".hidden").write_text("x")
    source = open_folder(tmp_path)
    play(source)
    assert (source.left_out, source.damage) == ([], None)


def test_damaged_picture_is_played_and_reported(tmp_path: Path) -> None:
    data = encode(".jpg")
    (tmp_path / "a.jpg").write_bytes(data[: len(data) // 2] + b"\xff\xd9")
    source = open_folder(tmp_path)
    assert play(source)
    assert source.left_out == []
    assert source.damage is not None
    assert "1 damaged" in source.damage


def test_order_accepts_any_names(tmp_path: Path) -> None:
    names = ["1.png", "01.png", "a1.png", "A1.png", "1a.png", "²3.png", "é.png", "-.png"]
    for name in names:
        write_picture(tmp_path / name)
    assert len(play(open_folder(tmp_path, picture_s=0.1))) == 2 * len(names)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "no picture or video in this folder"),
        ({"a.txt": b"text"}, r"its only file cannot be read \(a\.txt: is neither"),
        ({"a.jpg": b"no", "b.png": b""}, r"none of its 2 files can be read \(a\.jpg: "),
    ],
)
def test_folder_without_a_readable_file_is_refused(tmp_path: Path, files: dict[str, bytes], message: str) -> None:
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=message) as caught:
        open_folder(tmp_path).open()
    assert str(tmp_path) in str(caught.value)


def test_close_may_be_called_twice_and_ends_an_open_video(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", "mp4v", frames=5)
    source = open_folder(tmp_path)
    source.close()
    source.open()
    assert source.read() is not None
    source.close()
    source.close()
    assert source.read() is None


@pytest.mark.parametrize("name", ["tape.dv", "broadcast.mxf", "old.rm"])
def test_a_video_of_an_unknown_kind_counts_as_not_read(name: str, tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png")
    (tmp_path / name).write_bytes(b"nothing that anybody knows" * 40)
    source = open_folder(tmp_path)
    play(source)
    assert [(one.name, one.is_media) for one in source.left_out] == [(name, True)]
