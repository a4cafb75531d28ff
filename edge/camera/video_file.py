"""VideoFile: every frame of a video file, decoded in a child process."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path

from ..config import CameraSettings
from ..errors import InputError
from ..imaging.image_header import MAX_PIXELS
from ..imaging.images import Picture
from ..records import Frame
from ..system.files import open_regular
from ..system.terminal import is_utf8
from .ffmpeg_process import FfmpegProcess
from .source import SOURCE_KINDS, Source

#: Timeout for opening a video file, and for each picture.
DECODE_TIMEOUT_S = 30.0
#: Above this rate a header is wrong.
MAX_FPS = 1000.0
#: First bytes of the supported formats. FFmpeg accepts nearly any file as a video: it renders text, opens the files and
#: addresses in a playlist, and listens on the ports in a session description.
VIDEO_SIGNATURES = re.compile(
    b"|".join(
        (
            rb"....(ftyp|moov|mdat|free|skip|wide|pnot|styp|sidx|moof|uuid|udta)",  # MP4, QuickTime
            rb"\x1aE\xdf\xa3",  # Matroska, WebM
            rb"RIFF....AVI ",
            rb"\0\0\1|\0\0\0\1",  # MPEG program streams, H.264, H.265
            rb"G.{187}G.{187}G|....G.{191}G.{191}G",  # MPEG transport streams, plain and with time stamps
            rb"OggS\0",
            rb"FLV\1",
            rb"GIF8[79]a",
            rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff",  # a sequence of PNG or JPEG pictures
            rb"0&\xb2u\x8ef\xcf\x11",  # Windows Media
            rb"YUV4MPEG2 ",
            rb"DKIF\0\0",  # IVF
        )
    ),
    re.DOTALL,
)


class VideoFile(Source):
    """Every frame of a video file, at the rate in its header (settings.fps if that is absurd).

    A truncated file plays as far as possible and ends normally; `damage` then says how much is missing.
    """

    live = False
    damage: str | None = None

    def __init__(self, path: Path, settings: CameraSettings) -> None:
        self.name = str(path)
        self._path = path
        self._default_fps = settings.fps
        self._fps = settings.fps
        self._decoder: FfmpegProcess | None = None
        self._first: Picture | None = None
        self._number = 0

    def open(self) -> None:
        self.close()
        self._check()
        decoder = self._decoder = FfmpegProcess(os.path.abspath(self._path), DECODE_TIMEOUT_S, DECODE_TIMEOUT_S)
        info = decoder.open()
        if info is not None and info.width * info.height > MAX_PIXELS:
            self.close()
            raise InputError(
                f"{self._path}: has {info.width:.0f} x {info.height:.0f} pixels, "
                f"more than the limit of {MAX_PIXELS / 1e6:.0f} million",
                "make it smaller: the door needs no more than 640 x 480",
            )
        # Decode one frame now: some files can be opened but not decoded.
        self._first = decoder.read() if info is not None else None
        if info is None or self._first is None:
            self.close()
            raise InputError(
                f"{self._path}: {decoder.failure or 'is not a readable video or picture'}",
                "a recording that ended before its index was written (common with .mp4) cannot be played",
            )
        self._fps = self.fps = plausible_fps(info.fps, self._default_fps)
        self.length = int(info.frames) if math.isfinite(info.frames) and info.frames > 0 else None
        self._number, self.damage = 0, None

    def read(self) -> Frame | None:
        if self._decoder is None:
            return None
        picture = self._decoder.read() if self._first is None else self._first
        self._first = None
        if picture is None:
            if self._decoder.failure:
                self.damage = f"{self.name}: {self._decoder.failure} after {self._number} frames"
            elif self.length is not None and self._number < self.length - 2:
                # Some containers only estimate the length from the duration: ignore two missing frames.
                self.damage = f"{self.name}: {self._number} of {self.length} announced frames could be decoded"
            self.close()
            return None
        frame = Frame(self._number, self._number / self._fps, picture)
        self._number += 1
        return frame

    def close(self) -> None:
        if self._decoder is not None:
            self._decoder.close()
        self._decoder = self._first = None

    def _check(self) -> None:
        """Raise InputError for a file that cannot be a video, with a reason. OpenCV would give none."""
        path = self._path
        if not os.path.exists(path):
            hint = f"for a camera write /dev/video{path}" if self.name.isdigit() else f"give {SOURCE_KINDS}"
            raise InputError(f"{path}: no such file or folder", hint)
        if not os.path.isfile(path):
            raise InputError(f"{path}: is neither a file nor a folder", f"give {SOURCE_KINDS}")
        if not is_utf8(os.path.abspath(path)):
            raise InputError(f"{path}: its name is not UTF-8", "rename it")
        try:
            with open_regular(path) as file:
                start = file.read(1024) or b""
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}", "check its permissions") from None
        if not VIDEO_SIGNATURES.match(start):
            problem = "is not in a supported video format" if start else "is empty"
            raise InputError(f"{path}: {problem}", f"give {SOURCE_KINDS}")


def plausible_fps(announced: float, default: float) -> float:
    """Return the frame rate that a video announces, or `default` if that is absurd: some recorders write it wrong."""
    return announced if math.isfinite(announced) and 0 < announced <= MAX_FPS else default
