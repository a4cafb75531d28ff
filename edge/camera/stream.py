"""NetworkCamera: a camera with an rtsp://, http:// or udp:// address, decoded in a child process."""

from __future__ import annotations

import socket
import urllib.parse

from ..config import CameraSettings
from ..errors import CameraError
from ..imaging.image_header import MAX_PIXELS
from ..imaging.images import orient
from .device import CameraDevice, Capture, open_timeout_s
from .ffmpeg_process import FfmpegProcess
from .source import without_password

#: A still scene may repeat one picture while the encoder sends only "no change", until the next key frame: seconds to a
#: minute later. After this time the stream counts as frozen.
MAX_STILL_S = 120.0
DEFAULT_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
CONNECT_TIMEOUT_S = 2.0


class NetworkCamera(CameraDevice):
    """A camera on the network, through OpenCV's FFmpeg."""

    repeat_allowed_s = MAX_STILL_S

    def __init__(self, address: str, settings: CameraSettings) -> None:
        self._address = address
        self._name = without_password(address)
        self._settings = settings
        self._decoder: FfmpegProcess | None = None

    def open(self) -> None:
        self._decoder = FfmpegProcess(self._address, open_timeout_s(self._settings), self._settings.timeout_s)
        info = self._decoder.open()
        if info is None:
            raise CameraError(
                f"{self._name}: {self._connection_problem()}", "check address, user, password and network of the camera"
            )
        if info.width * info.height > MAX_PIXELS:
            raise CameraError(
                f"{self._name}: sends pictures of {info.width:.0f} x {info.height:.0f} pixels",
                "set the camera to a smaller size: the door needs no more than 640 x 480",
            )

    def read(self) -> Capture:
        assert self._decoder is not None
        picture = self._decoder.read()
        if picture is None:
            problem = self._decoder.failure or "the stream has stopped"
            raise CameraError(f"{self._name}: {problem}", "check power and network of the camera")
        return Capture(orient(picture, self._settings.rotate, self._settings.mirror))

    def close(self) -> None:
        if self._decoder is not None:
            self._decoder.close()

    def _connection_problem(self) -> str:
        """Find out why the stream cannot be opened, which FFmpeg does not report: try to connect to the address."""
        try:
            parts = urllib.parse.urlsplit(self._address)
            scheme = parts.scheme.lower()
            port = parts.port or DEFAULT_PORTS.get(scheme)
            if parts.hostname and port and scheme != "udp":
                socket.create_connection((parts.hostname, port), timeout=CONNECT_TIMEOUT_S).close()
        except ValueError:
            return "is not a valid address"
        except OSError as error:
            return f"cannot be reached: {error.strerror or error}"
        return "cannot be opened as a stream"
