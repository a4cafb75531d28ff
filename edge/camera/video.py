"""Video: every frame of a video file, wherever it lies, decoded in a child process."""

from __future__ import annotations

import math
from abc import abstractmethod

import cv2

from ..config import CameraSettings
from ..counted import counted
from ..errors import InputError
from ..imaging.image_header import MAX_PIXELS
from ..imaging.images import Picture
from ..records import Frame
from .adjust import adjust
from .ffmpeg_process import MAX_FPS, FfmpegProcess, StreamInfo, is_plausible_fps
from .source import Source
from .video_clock import SteadyClock, VideoClock
from .video_codecs import COMMON, ENCRYPTED, codec_name
from .video_formats import VideoFormat

#: Timeout for opening a video file, and for each picture.
DECODE_TIMEOUT_S = 30.0
#: A picture that stands for longer says nothing about the time until the next one: the recorder was off.
MAX_STILL_S = 60.0
#: Some containers only estimate the number of frames from the duration: ignore as many missing frames.
MAX_MISSING_FRAMES = 2


class Video(Source):
    """Every frame of a video file, upright, at the time that its time stamp says.

    The settings `rotate`, `mirror` and `grey` apply to the upright picture. A file without time stamps, and one that
    claims more than MAX_FPS, is played at settings.fps; `note` then says so. A truncated file plays as far as possible
    and ends normally; `damage` then says how much is missing.
    """

    live = False
    damage: str | None = None

    def __init__(self, location: str, name: str, settings: CameraSettings) -> None:
        """`location` is the absolute path or the address that FFmpeg opens; `name` is the same for messages."""
        self.name = name
        self._location = location
        self._settings = settings
        self._decoder: FfmpegProcess | None = None
        self._prepared: FfmpegProcess | None = None
        self._first: Picture | None = None
        self._clock: VideoClock | SteadyClock = SteadyClock(settings.fps)
        self._duration_s: float | None = None
        self._number = 0
        self._t = self._longest_gap_s = 0.0

    def prepare(self) -> None:
        # Starting the decoder takes a third of the time to the first light; the models may load meanwhile.
        if self._prepared is None:
            self._prepared = FfmpegProcess(self._location, DECODE_TIMEOUT_S, DECODE_TIMEOUT_S, is_file=True)

    def open(self) -> None:
        self.prepare()
        prepared, self._prepared = self._prepared, None
        self.close()
        decoder = self._decoder = prepared
        assert decoder is not None
        try:
            video_format = self._check()
        except InputError:
            self.close()
            raise
        info = decoder.open()
        if info is not None and info.width * info.height > MAX_PIXELS:
            self.close()
            raise InputError(
                f"{self.name}: has {info.width:.0f} x {info.height:.0f} pixels, "
                f"more than the limit of {MAX_PIXELS / 1e6:.0f} million",
                "make it smaller: the door needs no more than 640 x 480",
            )
        # Decode one frame now: some files can be opened but not decoded.
        self._first = decoder.read() if info is not None else None
        if info is None or self._first is None:
            self.close()
            raise self._explain(decoder)
        self._set_clock(info, video_format.has_clock)
        if video_format.counts_from_zero and self.fps is not None and self._duration_s is not None:
            self._duration_s -= decoder.start_s
            if decoder.start_s:
                self.length = max(1, round(self._duration_s * self.fps))
        self._number, self._t, self._longest_gap_s, self.damage = 0, 0.0, 0.0, None

    def read(self) -> Frame | None:
        if self._decoder is None:
            return None
        picture = self._decoder.read() if self._first is None else self._first
        self._first = None
        if picture is None:
            self.damage = self._missing(self._decoder.failure)
            self.close()
            return None
        before, self._t = self._t, self._clock.time(self._decoder.stamp_s)
        gap_s = self._t - before
        self._longest_gap_s = max(self._longest_gap_s, gap_s)
        # A video shows each picture until the next one.
        still_s = gap_s if self._number and gap_s <= MAX_STILL_S else 0.0
        frame = Frame(self._number, self._t, adjust(picture, self._settings), still_s=still_s)
        self._number += 1
        return frame

    def close(self) -> None:
        for decoder in (self._decoder, self._prepared):
            if decoder is not None:
                decoder.close()
        self._decoder = self._prepared = self._first = None

    def _set_clock(self, info: StreamInfo, has_clock: bool) -> None:
        """Choose the clock, and set `fps`, `length` and `note`."""
        announced = info.frames if math.isfinite(info.frames) and info.frames > 0 else 0.0
        self.length, self._duration_s, self.note = int(announced) or None, None, None
        if has_clock and is_plausible_fps(info.fps):
            self.fps = info.fps
            self._clock = VideoClock(1 / info.fps)
            self._duration_s = announced / info.fps or None
        elif has_clock and info.pace_s >= 1 / MAX_FPS:
            # The header has no rate, or a wrong one. The time stamps are right: many browsers write such files.
            self.fps = round(1 / info.pace_s, 2)
            self._clock = VideoClock(info.pace_s)
            self.length = None
        else:
            self.fps = self._settings.fps
            self._clock = SteadyClock(self.fps)
            problem = f"claims {info.fps:g} frames/s" if has_clock else "has no time stamps"
            self.note = f"{self.name}: {problem}; it is played at {self.fps:g} frames/s, see [camera] fps"

    def _missing(self, failure: str) -> str | None:
        """Return what is missing of a video that has ended; None if it is complete."""
        if failure:
            return f"{self.name}: {failure} after {counted(self._number, 'frame')}"
        if self.length is None or self._number >= self.length - MAX_MISSING_FRAMES:
            return None
        # The length may be an estimate from the duration and a typical rate. The last picture may stand for a while.
        if self._duration_s is not None and self.fps is not None:
            slack_s = max(self._longest_gap_s, MAX_MISSING_FRAMES / self.fps)
            if self._t + slack_s >= self._duration_s:
                return None
        return f"{self.name}: {self._number} of {self.length} announced frames could be decoded"

    @abstractmethod
    def _check(self) -> VideoFormat:
        """Return the format of the file. Raise InputError if it cannot be a video, with a reason: OpenCV gives none."""

    @abstractmethod
    def _conversion_hint(self) -> str:
        """Return the hint for a video whose codec OpenCV cannot decode."""

    def _explain(self, decoder: FfmpegProcess) -> InputError:
        """Return the error for a video of which not even the first picture could be decoded."""
        if not decoder.has_index:
            return InputError(
                f"{self.name}: is not a complete video: it has no index",
                "the recording ended before its index was written (common with .mp4): record it again",
            )
        codec = codec_name(decoder.codec)
        if codec == ENCRYPTED:
            return InputError(f"{self.name}: is copy-protected: its pictures are encrypted", "give a video without it")
        if codec and codec not in COMMON and decoder.failure in ("", "cannot be decoded"):
            return InputError(
                f"{self.name}: OpenCV {cv2.__version__} cannot decode its video, which is coded as {codec}",
                self._conversion_hint(),
            )
        return InputError(
            f"{self.name}: {decoder.failure or 'no picture of this video can be decoded'}",
            "it may be damaged: copy or record it again",
        )
