"""FFmpeg, as OpenCV brings it, in a process of its own: for videos and streams that somebody else may have made.

OpenCV 4.11 reads beyond its buffers where a stream changes the size of its pictures, or announces another than it has, and
then crashes or not; FFmpeg takes what memory a file announces, and may be kept busy for ever. All of this happens to a
child process alone, which has a limit on its memory, and which is killed when it is late. Its messages go nowhere.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import struct
import subprocess
import sys
import time
from typing import NamedTuple

import numpy as np

from . import ourselves
from .images import Picture
from .pictures import MOST_PIXELS

#: What the child may take for its data (bytes): pictures of 64 million pixels still fit.
MEMORY = 1 << 30
#: The child's own time limits come first; it is killed this much later (seconds). Opening includes the child's start.
OPEN_GRACE_S, READ_GRACE_S = 5.0, 1.0
#: Parent to child: a line of JSON, what to open; not as an argument, which everybody sees, as a password may be in it.
#: Child to parent: whether it is open, width, height, frames a second, frames. The parent lets go of its pipe: go on. Then
#: for every picture height and width and the pixels, RGB; 0, 0 at the end.
_OPENED = struct.Struct("<?dddd")
_PICTURE = struct.Struct("<ii")


class Opened(NamedTuple):
    """What a video announces of itself; any of it may be absurd."""

    width: float
    height: float
    fps: float
    frames: float


class Decoder:
    """A video or stream, opened and decoded by a child. Used by one thread.

    `failure` says why it ended before its time: "" for a video that was played to its end.
    """

    def __init__(self, source: str, open_s: float, read_s: float) -> None:
        """`source` is a path or an address. Opening takes no longer than `open_s` (seconds), a picture than `read_s`."""
        self.failure = ""
        self._order = json.dumps([source, round(1000 * open_s), round(1000 * read_s)]).encode() + b"\n"
        self._open_s, self._read_s = open_s + OPEN_GRACE_S, read_s + READ_GRACE_S
        self._child = subprocess.Popen(
            ourselves.command("edge.decoder"),
            env=ourselves.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        )

    def open(self) -> Opened | None:
        """What is there to be read; None where nothing can be."""
        assert self._child.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._child.stdin.write(self._order)
        head = bytearray(_OPENED.size)
        if not self._receive(memoryview(head), self._open_s):
            return None
        opened, *announced = _OPENED.unpack(head)
        return Opened(*announced) if opened else None

    def read(self) -> Picture | None:
        """The next picture, (H, W, 3) uint8 RGB; None at the end, and where it breaks off."""
        assert self._child.stdin is not None
        if not self._child.stdin.closed:
            self._child.stdin.close()  # go on
        head = bytearray(_PICTURE.size)
        if not self._receive(memoryview(head), self._read_s):
            return None
        height, width = _PICTURE.unpack(head)
        if not height:
            return None
        if not 0 < height * width <= MOST_PIXELS:
            self.failure = f"has a picture of {width} x {height} pixels"
            return None
        picture = np.empty((height, width, 3), np.uint8)
        return picture if self._receive(picture.data.cast("B"), self._read_s) else None

    def close(self) -> None:
        """End the child; may be called twice."""
        self._child.kill()
        self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout):
            assert pipe is not None
            pipe.close()

    def _receive(self, into: memoryview, within_s: float) -> bool:
        assert self._child.stdout is not None
        end = time.monotonic() + within_s
        ready = select.poll()
        ready.register(self._child.stdout, select.POLLIN)
        while into:
            if not ready.poll(1000 * max(0.0, end - time.monotonic())):
                self.failure = f"gives no picture within {within_s:g} s"
                self._child.kill()
                return False
            count = os.readv(self._child.stdout.fileno(), [into])
            if not count:
                code = self._child.wait()
                self.failure = (
                    f"its decoder crashes ({signal.Signals(-code).name})" if code < 0 else "cannot be decoded"
                )
                return False
            into = into[count:]
        return True


# ---- The child's side ------------------------------------------------------------------------------------------------


def _child(source: str, open_ms: int, read_ms: int) -> None:
    """Open, announce, and from then on decode as fast as the parent reads."""
    # Ctrl-C and systemd's SIGTERM go to the whole group; the door says when it is over.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    pr_set_pdeathsig, pr_set_dumpable = 1, 4
    libc = ctypes.CDLL(None)
    # Should the door die without a word while FFmpeg waits here, nobody else would end us.
    libc.prctl(pr_set_pdeathsig, signal.SIGKILL)
    # The memory holds pictures of people, and a crash here is to be expected: no core file.
    libc.prctl(pr_set_dumpable, 0)
    with contextlib.suppress(OSError, ValueError):  # a sandbox may forbid it, and has a limit of its own
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    os.environ["OPENCV_FFMPEG_LOGLEVEL"] = "-8"  # AV_LOG_QUIET: what nobody reads need not be written
    import cv2

    with os.fdopen(os.dup(1), "wb", buffering=0) as out:
        capture = cv2.VideoCapture()
        limits = (cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, open_ms, cv2.CAP_PROP_READ_TIMEOUT_MSEC, read_ms)
        opened = capture.open(source, cv2.CAP_FFMPEG, limits)
        size = capture.get(cv2.CAP_PROP_FRAME_WIDTH), capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
        out.write(_OPENED.pack(opened, *size, capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        sys.stdin.buffer.read()  # pictures of such a size may not be wanted
        while True:
            ok, picture = capture.read()
            if not ok or picture is None or picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
                break
            out.write(_PICTURE.pack(*picture.shape[:2]))
            rest = np.ascontiguousarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)).data.cast("B")
            while rest:
                rest = rest[os.write(out.fileno(), rest) :]
        out.write(_PICTURE.pack(0, 0))


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):  # the parent has had enough
        _child(*json.loads(sys.stdin.buffer.readline()))
    os._exit(0)
