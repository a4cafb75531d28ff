"""HttpProcess: a child process that reads the JPEG pictures of an HTTP camera and decodes them.

The protocol, over stdin and stdout of the child:

1. parent: one line of JSON, [address, timeout in ms, pictures per second].
2. child: for each picture a _HEADER and the RGB pixels. A _HEADER without height is followed by a message in JSON:
   {"video": true} if FFmpeg must play the address, or {"problem": …, "hint": …}. The child ends after a message.
"""

from __future__ import annotations

import json
import os
import struct

import numpy as np

from ..errors import CameraError
from ..imaging.image_header import MAX_PIXELS, read_size
from ..imaging.images import Picture
from ..system import child_process
from ..system.files import write_all
from . import address
from .decoder_process import DecoderProcess
from .network_errors import too_large
from .picture_process import protect_process, run_child

_HEADER = struct.Struct("<ii")  # height, width; or 0, length of the message
MAX_MESSAGE_BYTES = 1 << 16


class HttpProcess(DecoderProcess):
    """A camera with an http:// or https:// address that sends JPEG pictures. Used by one thread."""

    def __init__(self, source: str, name: str, open_timeout_s: float, read_timeout_s: float, fps: float) -> None:
        """Start the child. `name` is the address without its password, for errors.

        The timeouts (seconds) limit open() and each read(); `fps` is the maximum rate of snapshots.
        """
        request = [source, round(1000 * max(open_timeout_s, read_timeout_s)), fps]
        command = child_process.command("edge.camera.http_process")
        super().__init__(command, request, open_timeout_s, read_timeout_s)
        self._name = name
        self._first: Picture | None = None
        self._is_video = False

    def open(self) -> tuple[int, int] | None:
        """Wait for the first picture and return its width and height; None if FFmpeg must play the address.

        Raises CameraError.
        """
        self._close_stdin()
        first = self._first = self._next()
        if self._is_video:
            return None
        if first is None:
            raise CameraError(f"{self._name}: {self.failure}", "check power and network of the camera")
        return first.shape[1], first.shape[0]

    def read(self) -> Picture | None:
        """Return the next picture, (H, W, 3) uint8 RGB; None, and set `failure`, if none arrives. Raises CameraError."""
        picture, self._first = self._first, None
        return self._next() if picture is None else picture

    def _next(self) -> Picture | None:
        """Return the next picture; None if none arrives, or if it is a video instead. Raises CameraError."""
        header = self._receive_header(_HEADER)
        if header is None:
            return None
        height, width = header
        if height:
            return self._receive_picture(height, width)
        text = bytearray(min(width, MAX_MESSAGE_BYTES))
        if not self._receive(memoryview(text), self._read_timeout_s):
            return None
        message = json.loads(text)
        if "video" in message:
            self._is_video = True
            return None
        raise CameraError(f"{self._name}: {message['problem']}", message["hint"])


# ---- Child process ---------------------------------------------------------------------------------------------------


def serve(source: str, timeout_ms: int, fps: float) -> None:
    """Write the pictures of `source` to stdout as fast as the parent reads."""
    # Not at the top, because the door imports this module, too, and does not need Python's HTTP client.
    from . import http_pictures
    from .http_client import HttpCameraError

    protect_process()
    with os.fdopen(os.dup(1), "wb", buffering=0) as out:
        try:
            pictures = http_pictures.jpegs(address.split(source), timeout_ms / 1000, fps)
            for jpeg in pictures or ():
                picture = _decode(jpeg)
                if picture is not None:
                    write_all(out.fileno(), _HEADER.pack(*picture.shape[:2]))
                    write_all(out.fileno(), picture.data.cast("B"))
            message: dict[str, object] = {"video": True}
        except HttpCameraError as error:
            message = {"problem": str(error), "hint": error.hint}
        text = json.dumps(message).encode()
        write_all(out.fileno(), _HEADER.pack(0, len(text)) + text)


def _decode(jpeg: bytes) -> Picture | None:
    """Return the picture, (H, W, 3) uint8 RGB; None for a damaged one, as poor connections give now and then."""
    import cv2

    from .http_client import HttpCameraError

    try:
        width, height = read_size(jpeg)
    except ValueError:
        return None
    if width * height > MAX_PIXELS:
        raise HttpCameraError(*too_large(width, height))
    bgr = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    return None if bgr is None else np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB, dst=bgr), np.uint8)


if __name__ == "__main__":
    run_child(serve)
