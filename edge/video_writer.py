"""Write a video in the format that most programs show, with pictures at given times.

The name's ending chooses the container; the codec is the best that can be encoded here. OpenCV's packages on PyPI
contain no H.264 encoder, because of its licence. If the program ffmpeg is installed, it encodes H.264; nothing else
needs it.

The file has a constant frame rate, because OpenCV writes no time stamps: a picture is repeated until the next one is
due, and dropped if the next one is due in the same frame.
"""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple, Protocol

import cv2
import numpy as np

from .errors import OutputError
from .imaging.images import Picture
from .system.stderr import captured
from .system.terminal import is_utf8


class Format(NamedTuple):
    """A codec in a container. `note` says which programs do not show it; "" if all common ones do."""

    fourcc: str
    name: str
    note: str = ""


FOR_H264 = "For H.264: sudo apt install ffmpeg, then run this again"
H264 = Format("avc1", "H.264")
#: MPEG-4 Part 2, the predecessor of H.264.
MPEG4 = Format("mp4v", "MPEG-4", f"browsers do not show it. {FOR_H264}")
#: For each ending, what to try, the best first.
FORMATS = {
    ".mp4": (
        H264,
        Format("vp09", "VP9", f"QuickTime does not show it. {FOR_H264}"),
        MPEG4,
    ),
    ".m4v": (H264, MPEG4),
    ".mov": (H264, MPEG4),
    # Browsers show VP8 as well as VP9, and OpenCV's VP9 needs five times as long.
    ".webm": (Format("VP80", "VP8"), Format("VP90", "VP9")),
    ".mkv": tuple(
        Format(fourcc, name, "QuickTime and some browsers do not show .mkv. Use a name ending in .mp4")
        for fourcc, name in (("H264", "H.264"), ("VP90", "VP9"), ("mp4v", "MPEG-4"))
    ),
    ".avi": (Format("MJPG", "Motion JPEG", "QuickTime and browsers do not show .avi. Use a name ending in .mp4"),),
}
VIDEO_SUFFIXES = tuple(FORMATS)
#: H.264 encoders of the program ffmpeg, the best first.
H264_ENCODERS = ("libx264", "libopenh264")
FFMPEG_TIMEOUT_S = 60.0
#: OpenCV's video writers write beyond their buffers if a frame is narrower than 8 pixels.
MIN_SIDE_PX = 16
#: Larger pictures are made smaller. VP9 keeps 25 of them: 2 GB for pictures of 17 million pixels.
MAX_VIDEO_PIXELS = 1 << 22
#: Frame rates of what is written: a slower video is written with each picture several times, a faster one with some.
MIN_FPS, MAX_FPS, DEFAULT_FPS = 10.0, 60.0, 30.0
#: A longer time without a picture is shortened to this: it may come from a damaged time stamp.
MAX_GAP_S = 120.0


def output_fps(announced: float | None) -> float:
    """Return the frame rate to write for a video that announces this one, which may be absurd, or None.

    It is a multiple of a low rate, so that a constant rate stays exact.

    >>> output_fps(25.0), output_fps(4.0), output_fps(1000.0)
    (25.0, 12.0, 30.0)
    """
    if announced is None or not math.isfinite(announced) or not 0.1 <= announced <= MAX_FPS:
        return DEFAULT_FPS
    return announced * math.ceil(MIN_FPS / announced) if announced < MIN_FPS else announced


class _Encoder(Protocol):
    """What encodes the frames: a cv2.VideoWriter or the program ffmpeg."""

    def write(self, image: Picture) -> object: ...

    def release(self) -> None: ...


class _FfmpegProgram:
    """The program ffmpeg as an encoder of H.264. It reads BGR pixels from a pipe."""

    def __init__(self, program: str, codec: str, path: Path, fps: float, size: tuple[int, int]) -> None:
        pixels = ("-f", "rawvideo", "-pix_fmt", "bgr24", "-s", f"{size[0]}x{size[1]}", "-r", repr(fps), "-i", "pipe:0")
        # 4:2:0, as QuickTime and browsers need; the index at the start, so that a browser can begin before the end.
        encoding = ("-c:v", codec, "-pix_fmt", "yuv420p", "-movflags", "+faststart")
        self._process = subprocess.Popen(
            [program, "-nostdin", "-loglevel", "quiet", "-y", *pixels, *encoding, f"file:{path}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def write(self, image: Picture) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # the frames of the finished file are counted
            self._process.stdin.write(image.data)

    def release(self) -> None:
        """Wait until the file is complete. May be called twice."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(FFMPEG_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class VideoWriter:
    """A video file that is being written.

    `format` is what it contains; `shortened` counts the gaps that were too long.
    """

    def __init__(self, out: Path, temporary: Path, first: Picture, fps: float) -> None:
        """Write to `temporary`, in the format of the name of `out`, pictures of the size of `first`, or smaller ones.

        Raises OutputError if this OpenCV has no encoder for it.
        """
        if not is_utf8(str(out)):  # OpenCV segfaults on such a name
            raise OutputError(f"{out}: its name is not UTF-8", "choose another output name")
        # AV_LOG_QUIET. OpenCV reads it at the first use of FFmpeg.
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
        height, width = first.shape[:2]
        scale = min(1.0, math.sqrt(MAX_VIDEO_PIXELS / (width * height)))
        # Even numbers, because encoders halve the resolution of colour.
        self._size = int(scale * width) // 2 * 2, int(scale * height) // 2 * 2
        if min(self._size) < MIN_SIDE_PX:
            raise OutputError(f"{out}: {width} x {height} pixels are too few for a video")
        self.fps = fps
        self.shortened = 0
        self._temporary = temporary
        self._skipped_s = 0.0
        self._pending: Picture | None = None
        self._frames = 0
        self.format, self._writer = self._open(out)

    @property
    def seconds(self) -> float:
        """Return the duration of what was written."""
        return self._frames / self.fps

    def write(self, picture: Picture, t: float) -> None:
        """Show `picture`, (H, W, 3) uint8 RGB, from `t` (seconds) on. The times must not decrease."""
        gap_s = t - self._skipped_s - self.seconds
        if gap_s > MAX_GAP_S:
            self._skipped_s += gap_s - MAX_GAP_S
            self.shortened += 1
        due = round((t - self._skipped_s) * self.fps)
        if self._pending is None:
            self._pending = picture  # also from 0 until the first picture is due
        while self._frames < due:
            self._write_pending()
        self._pending = picture

    def close(self) -> bool:
        """Finish the file. Return whether every frame is in it: OpenCV does not report frames that the disk refused."""
        if self._pending is not None:
            self._write_pending()
            self._pending = None
        self._writer.release()
        return _count_frames(self._temporary) >= self._frames

    def abort(self) -> None:
        """Release the file without finishing it."""
        self._writer.release()

    def _write_pending(self) -> None:
        assert self._pending is not None
        width, height = self._size
        bgr = np.asarray(cv2.cvtColor(self._pending, cv2.COLOR_RGB2BGR), np.uint8)
        if bgr.shape[0] // 2 * 2 != height or bgr.shape[1] // 2 * 2 != width:  # too large, or another size than before
            bgr = np.asarray(cv2.resize(bgr, self._size, interpolation=cv2.INTER_AREA), np.uint8)
        self._writer.write(np.ascontiguousarray(bgr[:height, :width]))
        self._frames += 1

    def _open(self, out: Path) -> tuple[Format, _Encoder]:
        for candidate in FORMATS[out.suffix.lower()]:
            with captured():  # OpenCV reports each encoder that is missing
                code = cv2.VideoWriter.fourcc(*candidate.fourcc)
                # Not the built-in writer, which OpenCV prefers for .avi and which reports nothing.
                writer = cv2.VideoWriter(str(self._temporary), cv2.CAP_FFMPEG, code, self.fps, self._size)
            if writer.isOpened():
                return candidate, writer
            writer.release()
            if candidate.name == "H.264" and (found := _find_h264_encoder()) is not None:
                return candidate, _FfmpegProgram(*found, self._temporary, self.fps, self._size)
        raise OutputError(f"{out}: this OpenCV cannot write this kind of video", "use a name ending in .mp4 or .webm")


def _find_h264_encoder() -> tuple[str, str] | None:
    """Return the path of the program ffmpeg and the name of its H.264 encoder; None if there is none."""
    program = shutil.which("ffmpeg")
    if program is None:
        return None
    try:
        listed = subprocess.run(
            [program, "-hide_banner", "-encoders"], capture_output=True, timeout=FFMPEG_TIMEOUT_S, check=False
        ).stdout.decode(errors="replace")
    except (OSError, subprocess.TimeoutExpired):
        return None
    return next(((program, codec) for codec in H264_ENCODERS if f" {codec} " in listed), None)


def _count_frames(video: Path) -> int:
    """Return the number of frames in a video file."""
    capture = cv2.VideoCapture(str(video), cv2.CAP_FFMPEG)
    frames = 0
    while capture.grab():
        frames += 1
    capture.release()
    return frames
