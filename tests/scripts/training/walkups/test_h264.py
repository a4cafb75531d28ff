"""Videos as cameras compress them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from training.walkups import h264

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs the program ffmpeg")


def frames(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    rows = rng.integers(40, 200, (12, 16, 3), np.uint8)
    return [np.roll(np.asarray(cv2.resize(rows, (64, 48)), np.uint8), k, axis=1) for k in range(count)]


def count_frames(path: Path) -> tuple[int, float]:
    capture = cv2.VideoCapture(str(path))
    count = 0
    while capture.read()[0]:
        count += 1
    rate = capture.get(cv2.CAP_PROP_FPS)
    capture.release()
    return count, rate


def test_without_ffmpeg_it_is_mpeg4(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert h264.codec() == h264.MPEG4
    with h264.open_video(tmp_path / "a.mp4", 5.0, (64, 48), 28) as video:
        for frame in frames(7):
            video.write(frame)
    assert count_frames(tmp_path / "a.mp4") == (7, 5.0)


@needs_ffmpeg
def test_equal_frames_give_equal_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        with h264.open_video(tmp_path / f"{name}.mp4", 3.0, (64, 48), 28) as video:
            for frame in frames(5):
                video.write(frame)
    assert count_frames(tmp_path / "a.mp4") == (5, 3.0)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_a_failure_of_ffmpeg_is_reported_and_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "ffmpeg"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 'no such encoder' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    with (
        pytest.raises(OSError, match=r"a\.mp4: ffmpeg cannot write this video: no such encoder"),
        h264.open_video(tmp_path / "a.mp4", 3.0, (64, 48), 28) as video,
    ):
        video.write(frames(1)[0])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bin"]


def test_a_frame_of_another_size_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="the video is 64x48"),
        h264.open_video(tmp_path / "a.mp4", 3.0, (64, 48), 28) as video,
    ):
        video.write(np.zeros((10, 10, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []
