"""HttpVideo: a video file on a web server. Unlike a camera with an http:// address, it has an end."""

from __future__ import annotations

import base64
import urllib.parse
from pathlib import Path

from ..config import CameraSettings
from .source import without_password
from .video_file import VideoFile
from .video_formats import HEADER_BYTES, recognise

#: Endings of an address that may be a file. The server is asked only for these: some cameras serve one client at a time.
VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".3gp", ".mkv", ".webm", ".avi", ".wmv", ".flv", ".ogv", ".gif"}
    | {".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".mjpeg", ".mjpg", ".h264", ".h265"}
)
#: How long (seconds) the server may take to answer.
ANSWER_TIMEOUT_S = 3.0


class HttpVideo(VideoFile):
    """Every frame of a video file with an http:// or https:// address."""

    def __init__(self, address: str, settings: CameraSettings) -> None:
        super().__init__(Path(urllib.parse.urlsplit(address).path), settings)
        self.name = without_password(address)
        self._location = address

    def _check(self) -> bool:
        video_format = recognise(read_start(self._location))
        return video_format is None or video_format.has_clock


def is_http_video(address: str) -> bool:
    """Return whether `address` is a video file: it is named like one, the server tells its size, and it begins like one.

    A camera may have such a name, too ("stream.mp4"), but its stream has no size. False if the server does not answer.
    """
    try:
        suffix = Path(urllib.parse.urlsplit(address).path).suffix.lower()
    except ValueError:
        return False
    return suffix in VIDEO_SUFFIXES and recognise(read_start(address)) is not None


def read_start(address: str) -> bytes:
    """Return the first HEADER_BYTES of a file on a web server; b"" if there is none or the server tells no size."""
    import http.client
    import urllib.request

    try:
        parts = urllib.parse.urlsplit(address)
        # urllib takes the user for a part of the host's name.
        user_info, at, host = parts.netloc.rpartition("@")
        request = urllib.request.Request(urllib.parse.urlunsplit(parts._replace(netloc=host)))
        if at:
            token = base64.b64encode(urllib.parse.unquote(user_info).encode()).decode()
            request.add_unredirected_header("Authorization", f"Basic {token}")
        request.add_header("Range", f"bytes=0-{HEADER_BYTES - 1}")
        with urllib.request.urlopen(request, timeout=ANSWER_TIMEOUT_S) as answer:
            total = answer.headers.get("Content-Range", "").rpartition("/")[2] or answer.headers.get("Content-Length")
            return bytes(answer.read(HEADER_BYTES)) if total and total.isdigit() else b""
    except (OSError, ValueError, http.client.HTTPException):
        return b""
