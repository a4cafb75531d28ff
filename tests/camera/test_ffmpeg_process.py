"""FfmpegProcess: its pictures, and what happens when the child crashes, hangs or loses its parent."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.camera import decoder_process, picture_process
from edge.camera.ffmpeg_process import FfmpegProcess
from edge.camera.video_file import VideoFile
from edge.config import load
from support.paths import CLIP


def child_pid(decoder: FfmpegProcess) -> int:
    return decoder._child.pid


@pytest.fixture
def clip() -> Iterator[FfmpegProcess]:
    decoder = FfmpegProcess(str(CLIP), 30, 30)
    yield decoder
    decoder.close()
    assert not os.path.exists(f"/proc/{child_pid(decoder)}")


def test_pictures_equal_those_of_opencv(clip: FfmpegProcess) -> None:
    info = clip.open()
    assert info is not None
    assert info[:4] == (640, 480, 15, 309)
    assert (clip.codec, clip.has_index) == ("mp4v", True)
    capture = cv2.VideoCapture(str(CLIP))
    for _ in range(3):
        ok, expected = capture.read()
        picture = clip.read()
        assert ok
        assert picture is not None
        assert picture.dtype == np.uint8
        assert (picture == expected[:, :, ::-1]).all(), "RGB, bit-identical"


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL])
def test_crash_ends_the_video_with_a_reason(clip: FfmpegProcess, number: signal.Signals) -> None:
    assert clip.open()
    assert clip.read() is not None
    os.kill(child_pid(clip), number)
    for _ in range(309):  # pictures that are already in the pipe still arrive
        if clip.read() is None:
            break
    assert clip.failure == f"its decoder crashed ({number.name})"


def test_hang_ends_the_video_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder_process, "READ_GRACE_S", 0.1)
    decoder = FfmpegProcess(str(CLIP), 30, 0.1)
    assert decoder.open()
    os.kill(child_pid(decoder), signal.SIGSTOP)
    assert decoder.read() is None
    assert decoder.failure == "gives no picture within 0.2 s"
    decoder.close()


def test_password_is_not_in_the_arguments() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        decoder = FfmpegProcess(f"rtsp://me:secret@127.0.0.1:{server.getsockname()[1]}/", 1, 1)
        arguments = b""
        while not arguments:  # empty until exec
            arguments = Path(f"/proc/{child_pid(decoder)}/cmdline").read_bytes()
            assert decoder._child.poll() is None
        assert b"ffmpeg_process" in arguments
        assert b"secret" not in arguments
        decoder.close()


def test_memory_of_the_child_is_limited(clip: FfmpegProcess) -> None:
    assert clip.open()
    limits = Path(f"/proc/{child_pid(clip)}/limits").read_text().splitlines()
    (line,) = [line for line in limits if line.startswith("Max data size")]
    assert line.split()[3] == str(picture_process.MAX_MEMORY_BYTES)


def test_child_ends_when_its_pipe_is_closed() -> None:
    """It ends even if the parent dies without calling close()."""
    decoder = FfmpegProcess(str(CLIP), 30, 30)
    assert decoder.open()
    assert decoder.read() is not None
    assert decoder._child.stdout is not None
    decoder._child.stdout.close()
    decoder._child.wait(timeout=30)
    decoder.close()


def test_changing_picture_size_does_not_crash_the_door(tmp_path: Path) -> None:
    """OpenCV 4.11 reads beyond the buffers of the smaller pictures, and may crash. That is limited to the child."""
    path = tmp_path / "x.mjpeg"
    jpegs = [cv2.imencode(".jpg", np.full((h, w, 3), 99, np.uint8))[1] for h, w in ((16, 8000), (2000, 8), (8, 8))]
    path.write_bytes(b"".join(jpeg.tobytes() for jpeg in jpegs))
    with VideoFile(path, load().camera) as source:
        frames = 0
        while (frame := source.read()) is not None:
            assert frame.picture.shape == (16, 8000, 3)
            frames += 1
    assert 1 <= frames <= 3
