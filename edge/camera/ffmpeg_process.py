"""FfmpegProcess: OpenCV's FFmpeg in a child process, for videos and streams from untrusted sources.

OpenCV 4.11 reads beyond its buffers, and may crash, if a stream changes its picture size or announces a wrong one.
FFmpeg allocates the memory that a file announces, and can be kept busy for ever. Here only the child process is at risk:
its memory is limited, it is killed when it is late, and its messages are discarded.

The protocol, over stdin and stdout of the child:

1. parent: one line of JSON, [source, open timeout in ms, read timeout in ms, is it a file]. The source may contain a
   password, so it must not be a command-line argument, which every user can see.
2. child: _INFO, whether the source is open and what it announces.
3. parent: closes its end of the pipe, to request the pictures.
4. child: for each picture _PICTURE and the RGB pixels, upright; at the end a _PICTURE without pixels.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
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
from ..imaging.images import Picture, orient
from ..system import child_process
from ..system.files import write_all
from .container_header import ContainerHeader, read_header

if TYPE_CHECKING:
    import cv2

#: Limit of the child's data segment: enough for pictures of 64 million pixels.
MAX_MEMORY_BYTES = 1 << 30
#: FFmpeg reads an RTSP camera for 5 s, or 20 frames, to estimate its frame rate, which nobody needs. OpenCV 4.11 ignores
#: the options for that, but if its timeout ends the search, a camera whose picture size is known counts as open.
RTSP_PROBE_S = 1.2
#: The child has timeouts of its own. It is killed this much later. Opening includes the start of the child.
OPEN_GRACE_S, READ_GRACE_S = 5.0, 1.0
#: Above this rate a header is wrong: the fastest phones record 240 frames/s.
MAX_FPS = 250.0
#: How many time stamps are looked at if the header's rate is wrong.
PACE_FRAMES = 32
#: Is open, width, height, frames per second, number of frames, pace, has an index, codec.
_INFO = struct.Struct("<?ddddd?32s")
_PICTURE = struct.Struct("<iid")  # height, width, time stamp in seconds


class StreamInfo(NamedTuple):
    """What a video announces about itself. Any value may be absurd.

    `pace_s` is the usual gap (seconds) between the first time stamps of a file whose `fps` is_plausible_fps rejects; NaN
    for all others.
    """

    width: float
    height: float
    fps: float
    frames: float
    pace_s: float = math.nan


def is_plausible_fps(fps: float) -> bool:
    """Return whether a video can have this frame rate. Some recorders write none, others the unit of their clock."""
    return math.isfinite(fps) and 0 < fps <= MAX_FPS


class FfmpegProcess:
    """A video or stream that a child process opens and decodes. Used by one thread.

    `failure` says why decoding stopped early; it is "" after a video has played to its end. After open(), also after it
    failed, `codec` names the codec ("" if unknown), and `has_index` is False for an incomplete MP4 file. `stamp_s` is
    the time stamp (seconds) of the last picture, as OpenCV reports it; NaN if there is none.
    """

    def __init__(self, source: str, open_timeout_s: float, read_timeout_s: float, is_file: bool = False) -> None:
        """Start the child. `source` is a path or an address; the timeouts (seconds) limit open() and each read().

        `is_file`: the source can be opened twice, to look at its time stamps first.
        """
        self.failure = self.codec = ""
        self.has_index = True
        self.stamp_s = math.nan
        milliseconds = round(1000 * open_timeout_s), round(1000 * read_timeout_s)
        self._request = json.dumps([source, *milliseconds, is_file]).encode() + b"\n"
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
        is_open, *announced, self.has_index, codec = _INFO.unpack(info)
        self.codec = codec.rstrip(b"\0").decode("ascii", "replace")
        return StreamInfo(*announced) if is_open else None

    def read(self) -> Picture | None:
        """Return the next picture, (H, W, 3) uint8 RGB, upright; None at the end and after a failure."""
        assert self._child.stdin is not None
        if not self._child.stdin.closed:
            self._child.stdin.close()  # requests the pictures
        header = bytearray(_PICTURE.size)
        timeout_s, self._first_timeout_s = self._first_timeout_s, self._read_timeout_s
        if not self._receive(memoryview(header), timeout_s):
            return None
        height, width, self.stamp_s = _PICTURE.unpack(header)
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


def serve(source: str, open_timeout_ms: int, read_timeout_ms: int, is_file: bool) -> None:
    """Open `source`, announce it on stdout, then decode as fast as the parent reads."""
    protect_process()
    os.environ["OPENCV_FFMPEG_LOGLEVEL"] = "-8"  # AV_LOG_QUIET: nobody reads the messages
    import cv2

    from .opencv import read_rgb

    with os.fdopen(os.dup(1), "wb", buffering=0) as out, contextlib.ExitStack() as files:
        header = ContainerHeader()
        if source.startswith("/"):
            with contextlib.suppress(OSError):
                file = files.enter_context(open(source, "rb"))
                header = read_header(file)
                # Under this name FFmpeg sees no suffix: it would play "film.jpg" as a picture.
                source = f"/proc/self/fd/{file.fileno()}"
        capture = cv2.VideoCapture()
        is_open = _open(capture, source, open_timeout_ms, read_timeout_ms)
        size = capture.get(cv2.CAP_PROP_FRAME_WIDTH), capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
        rates = capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)
        pace_s = math.nan
        if is_open and is_file and not is_plausible_fps(rates[0]):
            pace_s = _pace(capture)
            is_open = _open(capture, source, open_timeout_ms, read_timeout_ms)
        rotate, mirror = _orientation(capture, header)
        codec = header.codec or _fourcc(capture)
        out.write(_INFO.pack(is_open, *size, *rates, pace_s, header.has_index, codec.encode("ascii", "replace")))
        sys.stdin.buffer.read()  # until the parent requests pictures: it may reject the announced size
        while (picture := read_rgb(capture)) is not None:
            # After a picture was read, the position is that picture's time stamp, relative to the start of the video.
            stamp_s = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            picture = orient(picture, rotate, mirror)
            out.write(_PICTURE.pack(*picture.shape[:2], stamp_s))
            write_all(out.fileno(), picture.data.cast("B"))
        out.write(_PICTURE.pack(0, 0, 0.0))


def _orientation(capture: cv2.VideoCapture, header: ContainerHeader) -> tuple[int, bool]:
    """Return how to rotate (degrees clockwise) and mirror the pictures; keep OpenCV from rotating them itself."""
    import cv2

    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 0)
    if capture.get(cv2.CAP_PROP_ORIENTATION_AUTO):
        return 0, False
    if header.rotate is not None:
        return header.rotate, header.mirror
    rotate = capture.get(cv2.CAP_PROP_ORIENTATION_META)
    return (int(rotate) if rotate in (90, 180, 270) else 0), False


def _pace(capture: cv2.VideoCapture) -> float:
    """Return the median gap (seconds) between the next time stamps, NaN without a second one."""
    import cv2

    stamps: list[float] = []
    while len(stamps) < PACE_FRAMES and capture.grab():
        stamps.append(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
    gaps = sorted(later - earlier for earlier, later in itertools.pairwise(stamps))
    return gaps[len(gaps) // 2] if gaps else math.nan


def _fourcc(capture: cv2.VideoCapture) -> str:
    import cv2

    code = int(capture.get(cv2.CAP_PROP_FOURCC))
    text = code.to_bytes(4, "little").decode("latin-1") if 0 < code < 1 << 32 else ""
    return text if text.isascii() and text.isprintable() else ""


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
