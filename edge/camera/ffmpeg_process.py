"""FfmpegProcess: OpenCV's FFmpeg in a child process, for videos and streams from untrusted sources.

The protocol, over stdin and stdout of the child:

1. parent: one line of JSON, [source, open timeout in ms, read timeout in ms, is it a file].
2. child: _INFO, whether the source is open and what it announces.
3. parent: closes its end of the pipe, to request the pictures.
4. child: for each picture _PICTURE and the RGB pixels, upright; at the end a _PICTURE without pixels.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import struct
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

from ..imaging.image_header import MAX_PIXELS
from ..imaging.images import Picture, orient
from ..system import child_process
from ..system.files import write_all
from .container_header import ContainerHeader, read_header
from .decoder_process import DecoderProcess
from .picture_process import protect_process, run_child

if TYPE_CHECKING:
    import cv2

#: FFmpeg reads an RTSP camera for 5 s, or 20 frames, to estimate its frame rate, which nobody needs. OpenCV 4.11 ignores
#: the options for that, but if its timeout ends the search, a camera whose picture size is known counts as open.
RTSP_PROBE_S = 1.2
#: Above this rate a header is wrong: the fastest phones record 240 frames/s.
MAX_FPS = 250.0
#: How many time stamps are looked at if the header's rate is wrong.
PACE_FRAMES = 32
#: Is open, width, height, frames per second, number of frames, pace, has an index, codec.
_INFO = struct.Struct("<?ddddd?32s")
#: A later start is an unknown one: FFmpeg marks it with a huge negative number.
MAX_START_S = 1e9
_PICTURE = struct.Struct("<iidd")  # height, width, time stamp in seconds, time stamp of the video's start


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


class FfmpegProcess(DecoderProcess):
    """A video or stream that FFmpeg opens and decodes. Used by one thread.

    After open(), also after it failed, `codec` names the codec ("" if unknown), and `has_index` is False for an incomplete
    MP4 file. `stamp_s` is the time stamp (seconds) of the last picture, as OpenCV reports it; NaN if there is none.
    `start_s` is what OpenCV has subtracted from it, the first time stamp in the file; 0 if that is unknown.
    """

    def __init__(self, source: str, open_timeout_s: float, read_timeout_s: float, is_file: bool = False) -> None:
        """Start the child. `source` is a path or an address; the timeouts (seconds) limit open() and each read().

        `is_file`: the source can be opened twice, to look at its time stamps first.
        """
        milliseconds = round(1000 * open_timeout_s), round(1000 * read_timeout_s)
        request = [source, *milliseconds, is_file]
        command = child_process.command("edge.camera.ffmpeg_process")
        super().__init__(command, request, open_timeout_s, read_timeout_s)
        self.codec = ""
        self.has_index = True
        self.stamp_s, self.start_s = math.nan, 0.0
        if "://" not in source:
            self._first_timeout_s = self._read_timeout_s

    def open(self) -> StreamInfo | None:
        """Open the source and return what it announces; None if it cannot be opened."""
        info = bytearray(_INFO.size)
        if not self._receive(memoryview(info), self._open_timeout_s):
            return None
        is_open, *announced, self.has_index, codec = _INFO.unpack(info)
        self.codec = codec.rstrip(b"\0").decode("ascii", "replace")
        return StreamInfo(*announced) if is_open else None

    def read(self) -> Picture | None:
        self._close_stdin()  # requests the pictures
        header = self._receive_header(_PICTURE)
        if header is None:
            return None
        height, width, self.stamp_s, self.start_s = header
        if not height:
            return None
        if not 0 < height * width <= MAX_PIXELS:
            self.failure = f"has a picture of {width} x {height} pixels"
            return None
        return self._receive_picture(height, width)


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
        start_s: float | None = None
        while (picture := read_rgb(capture)) is not None:
            # After a picture was read, the position is that picture's time stamp, relative to the start of the video.
            stamp_s = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            if start_s is None:
                start_s = _start(capture, stamp_s)
            picture = orient(picture, rotate, mirror)
            out.write(_PICTURE.pack(*picture.shape[:2], stamp_s, start_s))
            write_all(out.fileno(), picture.data.cast("B"))
        out.write(_PICTURE.pack(0, 0, 0.0, 0.0))


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


def _start(capture: cv2.VideoCapture, stamp_s: float) -> float:
    """Return the time stamp (seconds) at which the file begins; 0 if it is unknown.

    The first picture has been read; its time, relative to that start, is `stamp_s`.
    """
    import cv2

    # The stamp as it is in the file, in frames. OpenCV before 4.11 has no such property and returns 0.
    frames, fps = capture.get(getattr(cv2, "CAP_PROP_PTS", 71)), capture.get(cv2.CAP_PROP_FPS)
    start_s = frames / fps - stamp_s if is_plausible_fps(fps) else 0.0
    return start_s if 0 < start_s < MAX_START_S else 0.0


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


if __name__ == "__main__":
    run_child(serve)
