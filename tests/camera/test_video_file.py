"""Video files: every frame is played, always the same ones; other files are refused with a reason."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from edge.camera.factory import open_source
from edge.camera.ffmpeg_process import is_plausible_fps
from edge.camera.source import Source
from edge.camera.video_file import VideoFile
from edge.errors import InputError
from support.camera import is_red, quick_settings, read_all, write_video


@pytest.mark.parametrize(("name", "fourcc"), [("a.mp4", "mp4v"), ("a.avi", "MJPG"), ("a.mkv", "MJPG")])
def test_every_frame_is_played_at_the_rate_of_the_file(tmp_path: Path, name: str, fourcc: str) -> None:
    path = write_video(tmp_path / name, fourcc)
    source = open_source(quick_settings(fps=7), str(path))
    frames = read_all(source)
    assert isinstance(source, VideoFile)
    assert (source.name, source.live, source.length, source.fps, source.damage) == (str(path), False, 30, 20.0, None)
    assert [frame.number for frame in frames] == list(range(30))
    assert [frame.t for frame in frames] == [k / 20 for k in range(30)]
    for frame in frames:
        assert frame.picture.shape == (120, 160, 3)
        assert frame.picture.dtype == np.uint8
        assert frame.picture.flags.c_contiguous
        assert is_red(frame.picture)


@pytest.mark.parametrize(("name", "fourcc"), [("a.mp4", "mp4v"), ("a.avi", "MJPG")])
def test_same_file_gives_the_same_frames(tmp_path: Path, name: str, fourcc: str) -> None:
    path = write_video(tmp_path / name, fourcc)

    def fingerprint(source: Source) -> list[tuple[int, float, str]]:
        return [(f.number, f.t, hashlib.sha256(f.picture.tobytes()).hexdigest()) for f in read_all(source)]

    source = open_source(quick_settings(), str(path))
    first = fingerprint(source)
    assert len({digest for _, _, digest in first}) == 30
    assert fingerprint(source) == first, "the same source, reopened"
    assert fingerprint(open_source(quick_settings(), str(path))) == first, "another source"


def test_truncated_video_ends_normally_and_reports_the_damage(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "whole.avi", "MJPG", frames=40).read_bytes()
    path = tmp_path / "cut.avi"
    path.write_bytes(whole[: len(whole) // 2])
    source = VideoFile(path, quick_settings())
    frames = read_all(source)
    assert 5 < len(frames) < 35
    assert source.damage is not None
    assert f"{len(frames)} of 40" in source.damage
    assert str(path) in source.damage


@pytest.mark.parametrize("fps", [0.0, -1.0, float("nan"), float("inf"), 600.0, 1000.0, 90000.0])
def test_absurd_rate_is_recognised(fps: float) -> None:
    assert not is_plausible_fps(fps)
    assert is_plausible_fps(29.97)
    assert is_plausible_fps(240), "slow motion"


def test_file_with_an_absurd_rate_is_played(tmp_path: Path) -> None:
    """The header of this AVI says that a frame takes no time."""
    path = write_video(tmp_path / "a.avi", "MJPG", frames=3)
    data = bytearray(path.read_bytes())
    at = data.find(b"strh") + 8 + 20  # dwScale, dwRate
    data[at : at + 8] = bytes(8)
    data[32:36] = bytes(4)  # dwMicroSecPerFrame
    path.write_bytes(data)
    times = [frame.t for frame in read_all(VideoFile(path, quick_settings(fps=8)))]
    assert len(times) == 3
    assert 0 < times[1] <= 1


def test_y4m_is_played_although_it_begins_as_text(tmp_path: Path) -> None:
    path = tmp_path / "a.y4m"
    frame = b"FRAME\n" + bytes([120]) * (64 * 48 * 3 // 2)
    path.write_bytes(b"YUV4MPEG2 W64 H48 F10:1 Ip A1:1 C420jpeg\n" + 4 * frame)
    assert len(read_all(open_source(quick_settings(), str(path)))) == 4


@pytest.mark.parametrize("name", ["text.mp4", "text.txt", "list.m3u8", "garbage.mp4", "empty.mp4", "cut.mp4"])
def test_other_files_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    whole = write_video(tmp_path / "whole.mp4", "mp4v").read_bytes()
    path.write_bytes(
        {
            "text": b"Dear diary, today I was a film.\n" * 100,
            "list": b"#EXTM3U\n#EXTINF:5,\nhttp://127.0.0.1:1/a.ts\n",
            "garbage": np.random.default_rng(1).bytes(20_000),
            "empty": b"",
            "cut": whole[: len(whole) // 2],  # the index is at the end
        }[path.stem]
    )
    source = open_source(quick_settings(), str(path))
    with pytest.raises(InputError, match=r"video|is empty") as caught:
        source.open()
    assert str(path) in str(caught.value)
    assert caught.value.hint
    assert caught.value.exit_code == 66


@pytest.mark.parametrize("name", ["nothing.mp4", "nothing", "no/folder/", "x" * 300])
def test_missing_file(tmp_path: Path, name: str) -> None:
    source = open_source(quick_settings(), str(tmp_path / name))
    with pytest.raises(InputError, match="no such file or folder") as caught:
        source.open()
    assert str(tmp_path) in str(caught.value)


def test_hint_for_a_bare_number_names_the_camera_device() -> None:
    with pytest.raises(InputError) as caught:
        open_source(quick_settings(), "0").open()
    assert "/dev/video0" in caught.value.hint


def test_pipe_is_refused(tmp_path: Path) -> None:
    """Reading from it would block for ever."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="neither a file nor a folder"):
        open_source(quick_settings(), str(tmp_path / "pipe")).open()


def test_enormous_video_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "x.y4m"
    path.write_bytes(b"YUV4MPEG2 W9000 H9000 F10:1 C420jpeg\nFRAME\n" + bytes(1000))
    with pytest.raises(InputError, match="9000 x 9000 pixels"):
        VideoFile(path, quick_settings()).open()


def test_close_may_be_called_twice_and_a_closed_source_has_no_frames(tmp_path: Path) -> None:
    source = open_source(quick_settings(), str(write_video(tmp_path / "a.avi", "MJPG")))
    source.close()
    source.open()
    source.close()
    source.close()
    assert source.read() is None
