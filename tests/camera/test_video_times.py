"""Frame.t of a video is the presentation time of the frame, whatever rate the header claims."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from edge.camera.video_file import VideoFile
from edge.records import Frame
from support.camera import quick_settings, read_all, write_video
from support.clip import EMPTY_S, frame_at
from support.video_bytes import RAW_H264, RAW_H265, jpeg, mkv, mp4, numbered

#: Milliseconds: 30/s while something moves, a pause of 5 s, 30/s again, a picture that stands for 15 s.
VARIABLE_MS = [0, 33, 66, 5066, 5100, 5133, 20500]
#: A browser's recording: milliseconds without any regularity.
BROWSER_MS = [0, 41, 73, 107, 149, 170, 211, 260, 301, 330, 371, 399, 441, 483, 20500]


def play(tmp_path: Path, name: str, data: bytes, fps: float = 8) -> tuple[VideoFile, list[Frame]]:
    (tmp_path / name).write_bytes(data)
    source = VideoFile(tmp_path / name, quick_settings(fps=fps))
    return source, read_all(source)


def brightness(frame: Frame) -> int:
    return round(float(frame.picture.mean()))


@pytest.mark.parametrize(
    ("kind", "times_ms"),
    [
        ("mkv", VARIABLE_MS),
        ("mov", VARIABLE_MS),
        ("live webm", BROWSER_MS),
        ("mkv that claims 600/s", VARIABLE_MS),
        ("mkv that claims 600/s", BROWSER_MS),
    ],
)
def test_frames_have_the_times_in_the_file(tmp_path: Path, kind: str, times_ms: list[int]) -> None:
    pictures = numbered(len(times_ms))
    if kind == "mov":
        durations = [later - t for t, later in zip(times_ms, [*times_ms[1:], times_ms[-1] + 40], strict=True)]
        data = mp4(pictures, durations)
    else:
        claim_ms = 1000 / 600 if "600" in kind else None
        data = mkv(pictures, times_ms, unknown_size="live" in kind, frame_ms=claim_ms)
    source, frames = play(tmp_path, "film", data)
    assert [frame.t for frame in frames] == [t / 1000 for t in times_ms]
    assert [brightness(frame) for frame in frames] == [40 + k for k in range(len(times_ms))], "the right picture"
    assert (source.note, source.damage) == (None, None)
    gaps = [later - t for t, later in itertools.pairwise(times_ms)]
    assert [round(1000 * frame.still_s) for frame in frames] == [0, *gaps]


@pytest.mark.parametrize("fps", [12.5, 240.0])
def test_steady_rate_is_believed_up_to_slow_motion(tmp_path: Path, fps: float) -> None:
    source, frames = play(tmp_path, "film.mov", mp4(numbered(20), [round(12000 / fps)] * 20, timescale=12000))
    assert [frame.t for frame in frames] == pytest.approx([k / fps for k in range(20)])
    assert (source.fps, source.length, source.note) == (pytest.approx(fps), 20, None)


@pytest.mark.parametrize("claim", [300, 1000])
def test_absurd_rate_is_not_believed(tmp_path: Path, claim: int) -> None:
    source, frames = play(tmp_path, "film.mov", mp4(numbered(40), [1] * 40, timescale=claim))
    assert [frame.t for frame in frames] == [k / 8 for k in range(40)]
    assert source.fps == 8
    assert source.note == f"{source.name}: claims {claim} frames/s; it is played at 8 frames/s, see [camera] fps"


def test_absurd_rate_in_an_avi_header(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.avi", "MJPG", frames=12, fps=600)
    source = VideoFile(path, quick_settings(fps=8))
    assert [frame.t for frame in read_all(source)] == [k / 8 for k in range(12)]
    assert source.note is not None
    assert "claims 600 frames/s" in source.note


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("film.mjpeg", b"".join(numbered(3))),
        ("film", b"".join(numbered(3))),
        ("film.h264", RAW_H264),
        ("film.mp4", RAW_H264),
        ("film", RAW_H265),
    ],
)
def test_video_without_time_stamps_is_played_at_the_rate_of_the_settings(
    tmp_path: Path, name: str, data: bytes
) -> None:
    source, frames = play(tmp_path, name, data)
    assert [frame.t for frame in frames] == [0, 1 / 8, 2 / 8]
    assert source.note == f"{source.name}: has no time stamps; it is played at 8 frames/s, see [camera] fps"
    assert source.damage is None


def test_time_stamps_out_of_order_repeated_and_reset(tmp_path: Path) -> None:
    hour_ms = 3_600_000
    times_ms = [0, 100, 200, 150, 300, 300, 400, 3 * hour_ms, 3 * hour_ms + 100, 0, 100]
    _, frames = play(tmp_path, "film.mkv", mkv(numbered(11), times_ms, frame_ms=100))
    expected = [0, 0.1, 0.2, 0.201, 0.3, 0.4, 0.401, 0.501, 0.601, 0.701, 0.801]
    assert [frame.t for frame in frames] == pytest.approx(expected)


def test_picture_that_stands_for_minutes_says_nothing_about_the_time_after(tmp_path: Path) -> None:
    _, frames = play(tmp_path, "film.mkv", mkv(numbered(3), [0, 60_000, 120_001]))
    assert [frame.t for frame in frames] == [0, 60, 120.001]
    assert [frame.still_s for frame in frames] == [0, 60, 0]


def test_length_that_is_only_an_estimate_is_no_damage(tmp_path: Path) -> None:
    """FFmpeg announces duration x rate: here 615 frames, of which the file has 7."""
    source, frames = play(tmp_path, "film.mkv", mkv(numbered(7), VARIABLE_MS, frame_ms=33.3, duration_ms=20_533))
    assert (len(frames), source.damage) == (7, None)
    source, frames = play(tmp_path, "film.mkv", mkv(numbered(6), VARIABLE_MS[:6], frame_ms=33.3, duration_ms=20_533))
    assert len(frames) == 6
    assert source.damage is not None
    assert "6 of 61" in source.damage


def test_frames_are_jpeg_of_the_clip(tmp_path: Path) -> None:
    """The videos of these tests show what was put into them."""
    picture = frame_at(EMPTY_S)
    _, frames = play(tmp_path, "film.mkv", mkv([jpeg(picture)], [0], size=(640, 480)))
    assert abs(frames[0].picture.astype(int) - picture).mean() < 3


@pytest.mark.parametrize("start_ms", [1500, 100_000])
def test_length_is_counted_from_the_first_time_stamp(tmp_path: Path, start_ms: int) -> None:
    """A recording that was cut out of a longer one: the duration in its header includes the time before it."""
    times_ms = [start_ms + 100 * k for k in range(20)]
    data = mkv(numbered(20), times_ms, frame_ms=100, duration_ms=start_ms + 2000)
    source, frames = play(tmp_path, "film.mkv", data)
    assert (len(frames), source.length, source.damage) == (20, 20, None)
    data = mkv(numbered(12), times_ms[:12], frame_ms=100, duration_ms=start_ms + 2000)
    source, frames = play(tmp_path, "film.mkv", data)
    assert len(frames) == 12
    assert source.damage is not None
    assert "12 of 20" in source.damage
