"""NetworkCamera: a camera with an rtsp://, http:// or udp:// address, decoded in a child process.

JPEG pictures over HTTP are read by HttpProcess, everything else by FFmpeg.
"""

from __future__ import annotations

from ..config import CameraSettings
from ..errors import CameraError
from ..imaging.image_header import MAX_PIXELS
from . import address, rtsp_probe
from .address import Address
from .adjust import adjust
from .decoder_process import DecoderProcess
from .device import CameraDevice, Capture, open_timeout_s
from .ffmpeg_process import FfmpegProcess
from .http_process import HttpProcess
from .network_errors import PATH_HINT, too_large

#: A still scene may repeat one picture while the encoder sends only "no change", until the next key frame: seconds to a
#: minute later. After this time the stream counts as frozen. JPEG has no "no change": each picture has the sensor's noise.
MAX_STILL_S = 120.0
NO_VIDEO = "is neither a video nor JPEG pictures", PATH_HINT


class NetworkCamera(CameraDevice):
    """A camera on the network."""

    repeat_allowed_s = MAX_STILL_S

    def __init__(self, source: str, settings: CameraSettings) -> None:
        self._source = source
        self._name = address.without_password(source)
        self._settings = settings
        self._decoder: DecoderProcess | None = None

    def open(self) -> None:
        try:
            camera = address.split(self._source) if not self._source.lower().startswith("udp:") else None
        except ValueError as error:
            raise CameraError(
                f"{self._name}: is not a valid address: it {error}", "write it as rtsp://USER:PASSWORD@HOST:PORT/PATH"
            ) from None
        size = self._connect(camera)
        if size is None:
            problem, hint = "no stream arrives here", "check that the sender uses this address and port"
            if camera is not None:
                problem, hint = rtsp_probe.problem(camera) if "rtsp" in camera.scheme else NO_VIDEO
            raise CameraError(f"{self._name}: {problem}", hint)
        if size[0] * size[1] > MAX_PIXELS:
            problem, hint = too_large(*size)
            raise CameraError(f"{self._name}: {problem}", hint)

    def read(self) -> Capture:
        assert self._decoder is not None
        picture = self._decoder.read()
        if picture is None:
            problem = self._decoder.failure or "the stream has stopped"
            raise CameraError(f"{self._name}: {problem}", "check power and network of the camera")
        return Capture(adjust(picture, self._settings))

    def close(self) -> None:
        if self._decoder is not None:
            self._decoder.close()

    def _connect(self, camera: Address | None) -> tuple[float, float] | None:
        """Start the decoder and return width and height; None if it cannot open the stream. Raises CameraError."""
        timeouts = open_timeout_s(self._settings), self._settings.timeout_s
        if camera is not None and camera.scheme in ("http", "https"):
            pictures = self._decoder = HttpProcess(camera.encoded, self._name, *timeouts, self._settings.fps)
            if (size := pictures.open()) is not None:
                self.repeat_allowed_s = 0.0
                return size
            pictures.close()
        video = self._decoder = FfmpegProcess(camera.encoded if camera is not None else self._source, *timeouts)
        info = video.open()
        return None if info is None else (info.width, info.height)
