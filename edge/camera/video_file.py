"""VideoFile: a video file in a folder of this machine."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from ..config import CameraSettings
from ..errors import InputError
from ..source_kind import VIDEO_SUFFIXES
from ..system.files import open_regular
from .source import NEITHER, SOURCE_KINDS
from .video import Video
from .video_formats import HEADER_BYTES, VideoFormat, describe_unsupported, recognise


class VideoFile(Video):
    """Every frame of the video file at `path`."""

    def __init__(self, path: Path, settings: CameraSettings) -> None:
        super().__init__(os.path.abspath(path), str(path), settings)
        self._path = path

    def _check(self) -> VideoFormat:
        path = self._path
        if not os.path.exists(path):
            hint = f"for a camera write /dev/video{path}" if self.name.isdigit() else f"give {SOURCE_KINDS}"
            raise InputError(f"{path}: no such file or folder", hint)
        if not os.path.isfile(path):
            raise InputError(f"{path}: is neither a file nor a folder", f"give {SOURCE_KINDS}")
        try:
            with open_regular(path) as file:
                start = file.read(HEADER_BYTES) or b""
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}", "check its permissions") from None
        video_format = recognise(start)
        if video_format is None and (kind := describe_unsupported(start)):
            raise InputError(f"{path}: is {kind}, which cannot be read here", self._conversion_hint())
        if video_format is None:
            is_named_video = path.suffix.lower() in VIDEO_SUFFIXES
            problem = "is not in a supported video format" if is_named_video else f"is {NEITHER}"
            problem = problem if start else "is empty"
            raise InputError(f"{path}: {problem}", f"give {SOURCE_KINDS}")
        return video_format

    def _conversion_hint(self) -> str:
        return f"convert it to H.264: ffmpeg -i {shlex.quote(self.name)} -c:v libx264 converted.mp4"
