"""Write a video as network cameras compress it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from pathlib import Path
from types import TracebackType

from ..arrays import Picture
from ..rendering.video import Video

H264, MPEG4 = "H.264", "MPEG-4"
#: Time (seconds) after which a camera sends a complete picture again.
KEY_FRAME_S = 2.0
FINISH_TIMEOUT_S = 60.0


def codec() -> str:
    """Return the codec that is used here: H.264 if the program ffmpeg is installed, MPEG-4 otherwise."""
    return H264 if shutil.which("ffmpeg") else MPEG4


class H264Video:
    """An .mp4 file that appears at `path` when it is complete. Frames are (H, W, 3) uint8 RGB.

    `crf` is the constant rate factor of x264: 23 is good, 35 has visible blocks. It encodes on one thread, so that
    equal frames give equal files. Use it as a context manager. Raises OSError if ffmpeg fails.
    """

    def __init__(self, path: Path, fps: float, size: tuple[int, int], crf: int) -> None:
        self.path = path
        self._size = size
        self._part = path.with_name(f".{path.stem}.part{path.suffix}")
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{size[0]}x{size[1]}", "-r", repr(fps), "-i", "pipe:0")
        # Cameras send no B-frames: they would delay the picture.
        coding = ("-c:v", "libx264", "-preset", "veryfast", "-profile:v", "main", "-bf", "0", "-crf", str(crf))
        group = ("-g", str(max(1, round(KEY_FRAME_S * fps))), "-threads", "1", "-pix_fmt", "yuv420p")
        self._process = subprocess.Popen(
            ["ffmpeg", "-nostdin", "-loglevel", "error", "-y", *pixels, *coding, *group, f"file:{self._part}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def write(self, frame: Picture) -> None:
        """Append a frame. Raises ValueError if its size is not that of the video."""
        if frame.shape != (self._size[1], self._size[0], 3):
            raise ValueError(f"frame is {frame.shape}, the video is {self._size[0]}x{self._size[1]}")
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # reported at the end, with ffmpeg's message
            self._process.stdin.write(frame.tobytes())

    def __enter__(self) -> H264Video:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            _, message = self._process.communicate(timeout=FINISH_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            _, message = self._process.communicate()
        if kind is not None:
            self._part.unlink(missing_ok=True)
            return
        if self._process.returncode:
            self._part.unlink(missing_ok=True)
            raise OSError(f"{self.path}: ffmpeg cannot write this video: {message.decode(errors='replace').strip()}")
        os.replace(self._part, self.path)


def open_video(path: Path, fps: float, size: tuple[int, int], crf: int) -> H264Video | Video:
    """Return a video to write at `path`, in the codec of `codec()`; `size` is (width, height)."""
    return H264Video(path, fps, size, crf) if codec() == H264 else Video(path, fps, *size)
