"""HttpVideo: a video file on a web server. Unlike a camera with an http:// address, it has an end."""

from __future__ import annotations

import posixpath

from ..config import CameraSettings
from ..source_kind import VIDEO_SUFFIXES
from . import address
from .video import Video
from .video_formats import HEADER_BYTES, VideoFormat, recognise

#: Endings of an address that may be a file. The server is asked only for these: some cameras serve one client at a time.
#: Without .mjpg and .mjpeg, the usual names of a camera's stream.
ADDRESS_SUFFIXES = VIDEO_SUFFIXES - {".mjpg", ".mjpeg"}
#: How long (seconds) the server may take to answer.
ANSWER_TIMEOUT_S = 3.0


class HttpVideo(Video):
    """Every frame of a video file with an http:// or https:// address."""

    def __init__(self, location: address.Address, video_format: VideoFormat, settings: CameraSettings) -> None:
        super().__init__(location.encoded, address.without_password(location.encoded), settings)
        self._format = video_format

    def _check(self) -> VideoFormat:
        return self._format

    def _conversion_hint(self) -> str:
        return "give a copy of the video in H.264"


def find_http_video(source: str, settings: CameraSettings) -> HttpVideo | None:
    """Return the video file with the address `source`, None if it is a camera or the server does not answer.

    It is a file if it is named like one, and http_client.is_video_file. The stream of a camera may have such a name, too
    ("stream.mp4"). A file with another name is refused by http_pictures.
    """
    try:
        location = address.split(source)
    except ValueError:
        return None
    if posixpath.splitext(location.rest.partition("?")[0])[1].lower() not in ADDRESS_SUFFIXES:
        return None
    # Not at the top: Python's HTTP client takes a while to import.
    from http.client import HTTPException

    from .http_client import HttpCameraError, HttpClient, is_video_file

    try:
        with HttpClient(location, ANSWER_TIMEOUT_S).get() as response:
            start = response.read(HEADER_BYTES)
            is_file = is_video_file(response, start)
    except (HttpCameraError, OSError, HTTPException):
        return None
    video_format = recognise(start)
    return HttpVideo(location, video_format, settings) if is_file and video_format is not None else None
