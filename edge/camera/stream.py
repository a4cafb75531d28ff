"""NetworkCamera: a camera with an rtsp://, http:// or udp:// address, decoded in a child process.

JPEG pictures over HTTP are read by HttpProcess, everything else by FFmpeg.
"""

from __future__ import annotations

import numpy as np

from ..config import CameraSettings
from ..errors import CameraError
from ..imaging.image_header import MAX_PIXELS
from ..imaging.images import Picture
from . import address, rtsp_probe
from .address import Address
from .adjust import adjust
from .decoder_process import DecoderProcess
from .device import CameraDevice, Capture, open_timeout_s
from .ffmpeg_process import FfmpegProcess
from .http_process import HttpProcess
from .network_errors import DOWNLOAD_HINT, PATH_HINT, too_large

#: A still scene may repeat one picture while the encoder sends only "no change", until the next key frame: seconds to a
#: minute later. After this time the stream counts as frozen. JPEG has no "no change": each picture has the sensor's noise.
MAX_STILL_S = 120.0
NO_VIDEO = "is neither a video nor JPEG pictures", PATH_HINT


class EarlierVideo:
    """The first picture of the last connection to an HTTP video, and whether the video has ended.

    A file whose server tells nothing about it begins like a stream, but begins with the same picture again after its end.
    """

    def __init__(self) -> None:
        self.has_ended = False
        self._first: Picture | None = None

    def is_repeated_by(self, first: Picture) -> bool:
        """Return whether the video begins again with `first`, (H, W, 3) uint8 RGB. Otherwise remember it."""
        if self.has_ended and self._first is not None and np.array_equal(first, self._first):
            return True
        self.has_ended, self._first = False, first
        return False


class NetworkCamera(CameraDevice):
    """A camera on the network."""

    repeat_allowed_s = MAX_STILL_S

    def __init__(self, source: str, settings: CameraSettings, earlier: EarlierVideo | None = None) -> None:
        """`earlier` is shared by all connections to one HTTP address."""
        self._earlier = EarlierVideo() if earlier is None else earlier
        self._is_first_of_video = False
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
            self._earlier.has_ended = not self._decoder.failure
            problem = self._decoder.failure or "the stream has stopped"
            raise CameraError(f"{self._name}: {problem}", "check power and network of the camera")
        if self._is_first_of_video:
            self._is_first_of_video = False
            if self._earlier.is_repeated_by(picture):
                raise CameraError(f"{self._name}: is a video file, not a camera: it has ended", DOWNLOAD_HINT)
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
            self._is_first_of_video = True
        video = self._decoder = FfmpegProcess(camera.encoded if camera is not None else self._source, *timeouts)
        info = video.open()
        return None if info is None else (info.width, info.height)
