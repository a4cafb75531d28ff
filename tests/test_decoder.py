"""Videos and streams through a process of their own: what it gives, and what its death or delay leaves behind."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge import decoder
from edge.camera import VideoFile
from edge.config import load
from edge.decoder import Decoder
from edge.errors import InputMissing

CLIP = Path(__file__).resolve().parents[1] / "scripts" / "demo_data" / "door.mp4"


def child_of(made: Decoder) -> int:
    return made._child.pid


@pytest.fixture
def clip() -> Iterator[Decoder]:
    made = Decoder(str(CLIP), 30, 30)
    yield made
    made.close()
    assert not os.path.exists(f"/proc/{child_of(made)}")


def test_it_gives_what_opencv_gives(clip: Decoder) -> None:
    found = clip.open()
    assert found == (640, 480, 15, 309)
    capture = cv2.VideoCapture(str(CLIP))
    for _ in range(3):
        ok, expected = capture.read()
        picture = clip.read()
        assert ok
        assert picture is not None
        assert picture.dtype == np.uint8
        assert (picture == expected[:, :, ::-1]).all(), "RGB, and every pixel of it"


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL])
def test_a_crash_is_an_end_with_a_reason(clip: Decoder, number: signal.Signals) -> None:
    assert clip.open()
    assert clip.read() is not None
    os.kill(child_of(clip), number)
    for _ in range(309):  # what was on its way still comes
        if clip.read() is None:
            break
    assert clip.failure == f"its decoder crashes ({number.name})"


def test_a_hang_is_an_end_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder, "READ_GRACE_S", 0.1)
    made = Decoder(str(CLIP), 30, 0.1)
    assert made.open()
    os.kill(child_of(made), signal.SIGSTOP)
    assert made.read() is None
    assert made.failure == "gives no picture within 0.2 s"
    made.close()


def test_nobody_sees_a_password() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        made = Decoder(f"rtsp://me:secret@127.0.0.1:{server.getsockname()[1]}/", 1, 1)
        arguments = b""
        while not arguments:  # for a moment the new program has none yet
            arguments = Path(f"/proc/{child_of(made)}/cmdline").read_bytes()
            assert made._child.poll() is None
        assert b"decoder" in arguments
        assert b"secret" not in arguments
        made.close()


def test_the_child_has_little_memory(clip: Decoder) -> None:
    assert clip.open()
    limits = Path(f"/proc/{child_of(clip)}/limits").read_text().splitlines()
    (line,) = [line for line in limits if line.startswith("Max data size")]
    assert line.split()[3] == str(decoder.MEMORY)


def test_the_child_ends_with_the_parent() -> None:
    """Even without close: its pipe has nobody at the other end."""
    made = Decoder(str(CLIP), 30, 30)
    assert made.open()
    assert made.read() is not None
    assert made._child.stdout is not None
    made._child.stdout.close()
    made._child.wait(timeout=30)
    made.close()


def test_sizes_that_change_do_not_take_the_door_with_them(tmp_path: Path) -> None:
    """OpenCV 4.11 reads beyond the smaller pictures; what it makes of them, and whether it survives that, is its own."""
    path = tmp_path / "x.mjpeg"
    jpegs = [cv2.imencode(".jpg", np.full((h, w, 3), 99, np.uint8))[1] for h, w in ((16, 8000), (2000, 8), (8, 8))]
    path.write_bytes(b"".join(jpeg.tobytes() for jpeg in jpegs))
    with VideoFile(path, load().camera) as source:
        frames = 0
        while (frame := source.read()) is not None:
            assert frame.picture.shape == (16, 8000, 3)
            frames += 1
    assert 1 <= frames <= 3


def test_enormous_videos_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    path = tmp_path / "x.y4m"
    path.write_bytes(b"YUV4MPEG2 W9000 H9000 F10:1 C420jpeg\nFRAME\n" + bytes(1000))
    with pytest.raises(InputMissing, match="9000 x 9000 pixels"):
        VideoFile(path, load().camera).open()
