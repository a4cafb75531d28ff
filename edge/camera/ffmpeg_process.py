"""FfmpegProcess: OpenCV's FFmpeg in a child process, for videos and streams from untrusted sources.

OpenCV 4.11 reads beyond its buffers, and may crash, if a stream changes its picture size or announces a wrong one.
FFmpeg allocates the memory that a file announces, and can be kept busy for ever. Here only the child process is at risk:
its memory is limited, it is killed when it is late, and its messages are discarded.

The protocol, over stdin and stdout of the child:

1. parent: one line of JSON, [source, open timeout in ms, read timeout in ms]. The source may contain a password, so it
   must not be a command-line argument, which every user can see.
2. child: _INFO, whether the source is open and what it announces.
3. parent: closes its end of the pipe, to request the pictures.
4. child: for each picture _SIZE and the RGB pixels; at the end a _SIZE of 0, 0.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import struct
import subprocess
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..imaging.image_header import MAX_PIXELS
from ..imaging.images import Picture
from ..system import child_process

if TYPE_CHECKING:
    import cv2

#: Limit of the child's data segment: enough for pictures of 64 million pixels.
MAX_MEMORY_BYTES = 1 << 30
#: FFmpeg reads an RTSP camera for 5 s, or 20 frames, to estimate its frame rate, which nobody needs. OpenCV 4.11 ignores
#: the options for that, but if its timeout ends the search, a camera whose picture size is known counts as open.
RTSP_PROBE_S = 1.2
#: The child has timeouts of its own. It is killed this much later. Opening includes the start of the child.
OPEN_GRACE_S, READ_GRACE_S = 5.0, 1.0
_INFO = struct.Struct("<?dddd")  # is open, width, height, frames per second, number of frames
_SIZE = struct.Struct("<ii")  # height, width


class StreamInfo(NamedTuple):
    """What a video announces about itself. Any value may be absurd."""

    width: float
    height: float
    fps: float
    frames: float


class FfmpegProcess:
    """A video or stream that a child process opens and decodes. Used by one thread.

    `failure` says why decoding stopped early; it is "" after a video has played to its end.
    """

    def __init__(self, source: str, open_timeout_s: float, read_timeout_s: float) -> None:
        """Start the child. `source` is a path or an address; the timeouts (seconds) limit open() and each read()."""
        self.failure = ""
        self._request = (
            json.dumps([source, round(1000 * open_timeout_s), round(1000 * read_timeout_s)]).encode() + b"\n"
        )
        self._open_timeout_s, self._read_timeout_s = open_timeout_s + OPEN_GRACE_S, read_timeout_s + READ_GRACE_S
        # The first picture of a stream may have to wait for a key frame.
        self._first_timeout_s = self._open_timeout_s if "://" in source else self._read_timeout_s
        self._child = subprocess.Popen(
            self._command(),
            env=child_process.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        )

    def _command(self) -> list[str]:
        return child_process.command("edge.camera.ffmpeg_process")

    def open(self) -> StreamInfo | None:
        """Open the source and return what it announces; None if it cannot be opened."""
        assert self._child.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._child.stdin.write(self._request)
        info = bytearray(_INFO.size)
        if not self._receive(memoryview(info), self._open_timeout_s):
            return None
        is_open, *announced = _INFO.unpack(info)
        return StreamInfo(*announced) if is_open else None

    def read(self) -> Picture | None:
        """Return the next picture, (H, W, 3) uint8 RGB; None at the end and after a failure."""
        assert self._child.stdin is not None
        if not self._child.stdin.closed:
            self._child.stdin.close()  # requests the pictures
        size = bytearray(_SIZE.size)
        timeout_s, self._first_timeout_s = self._first_timeout_s, self._read_timeout_s
        if not self._receive(memoryview(size), timeout_s):
            return None
        height, width = _SIZE.unpack(size)
        if not height:
            return None
        if not 0 < height * width <= MAX_PIXELS:
            self.failure = f"has a picture of {width} x {height} pixels"
            return None
        picture = np.empty((height, width, 3), np.uint8)
        return picture if self._receive(picture.data.cast("B"), self._read_timeout_s) else None

    def close(self) -> None:
        """Kill the child. May be called twice."""
        self._child.kill()
        self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout):
            assert pipe is not None
            pipe.close()

    def _receive(self, buffer: memoryview, timeout_s: float) -> bool:
        """Fill `buffer` from the child's stdout. Return False and set `failure` if it is late or ends."""
        assert self._child.stdout is not None
        deadline = time.monotonic() + timeout_s
        ready = select.poll()
        ready.register(self._child.stdout, select.POLLIN)
        while buffer:
            if not ready.poll(1000 * max(0.0, deadline - time.monotonic())):
                self.failure = f"gives no picture within {timeout_s:g} s"
                self._child.kill()
                return False
            count = os.readv(self._child.stdout.fileno(), [buffer])
            if not count:
                code = self._child.wait()
                self.failure = (
                    f"its decoder crashed ({signal.Signals(-code).name})" if code < 0 else "cannot be decoded"
                )
                return False
            buffer = buffer[count:]
        return True


# ---- Child process ---------------------------------------------------------------------------------------------------


def serve(source: str, open_timeout_ms: int, read_timeout_ms: int) -> None:
    """Open `source`, announce it on stdout, then decode as fast as the parent reads."""
    protect_process()
    os.environ["OPENCV_FFMPEG_LOGLEVEL"] = "-8"  # AV_LOG_QUIET: nobody reads the messages
    import cv2

    from .opencv import read_rgb

    with os.fdopen(os.dup(1), "wb", buffering=0) as out:
        capture = cv2.VideoCapture()
        is_open = _open(capture, source, open_timeout_ms, read_timeout_ms)
        size = capture.get(cv2.CAP_PROP_FRAME_WIDTH), capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
        out.write(_INFO.pack(is_open, *size, capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        sys.stdin.buffer.read()  # until the parent requests pictures: it may reject the announced size
        while (picture := read_rgb(capture)) is not None:
            out.write(_SIZE.pack(*picture.shape[:2]))
            rest = picture.data.cast("B")
            while rest:
                rest = rest[os.write(out.fileno(), rest) :]
        out.write(_SIZE.pack(0, 0))


def _open(capture: cv2.VideoCapture, source: str, open_timeout_ms: float, read_timeout_ms: float) -> bool:
    """Open `source` and return whether it is open."""
    import cv2

    if "://" in source:
        read_timeout_ms = max(open_timeout_ms, read_timeout_ms)  # the parent has shorter timeouts
    is_rtsp = source.lower().startswith(("rtsp://", "rtsps://"))
    probe_ms = 1000 * RTSP_PROBE_S if is_rtsp else 0.0
    for timeout_ms in filter(None, (probe_ms, open_timeout_ms - probe_ms)):
        begin = time.monotonic()
        timeouts = (
            *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, round(timeout_ms)),
            *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, round(read_timeout_ms)),
        )
        if capture.open(source, cv2.CAP_FFMPEG, timeouts):
            return True
        if time.monotonic() - begin < timeout_ms / 1000:
            break  # a refusal is quick, and final
    return False


def protect_process() -> None:
    """Protect the door from this process: stop signals, memory limit, no core file."""
    child_process.set_up()
    with contextlib.suppress(OSError, ValueError):  # a sandbox may forbid it, and sets a limit of its own
        resource.setrlimit(resource.RLIMIT_DATA, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):  # the parent has closed the pipe
        serve(*json.loads(sys.stdin.buffer.readline()))
    os._exit(0)
