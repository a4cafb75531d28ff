"""PicameraProcess: Picamera2 in a child process, because libcamera hangs with the GIL held if its kernel driver hangs.

Killing the process frees all that a hanging camera holds: descriptors, picture buffers, the camera itself.

The protocol, over stdin and stdout of the child:

1. parent: one line of JSON, the fields of a PicameraRequest.
2. child: once Picamera2 is imported, and again once the camera is open, a _HEADER without height and a message in JSON:
   {"imported": true}, then {"streams": fields of PicameraStreams}. At any time {"problem": …, "hint": …}; it ends after it.
3. parent: for each frame a _REQUEST. child: a _HEADER and the bytes of a RawCapture.
4. parent: closes the pipe, to end the child.
"""

from __future__ import annotations

import contextlib
import json
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import CameraError
from ..system.files import write_all
from .device import PREPARE_TIMEOUT_S
from .picamera_driver import CHECK_HINT, PicameraDriver, PicameraStreams, RawCapture
from .picamera_request import PicameraRequest, start
from .picture_process import READ_GRACE_S, PictureProcess, protect_process, run_child

#: How long the child may take to close the camera. Picamera2 needs up to 0.3 s.
CLOSE_S = 1.0
#: Height and width of the large picture, rows and stride of the small one (0 without); or 0, length of a message, 0, 0.
_HEADER = struct.Struct("<iiii")
#: How long the frame may take, in seconds.
_REQUEST = struct.Struct("<d")
#: Longest message; most characters of an error in it.
MAX_MESSAGE_BYTES, MAX_PROBLEM = 1 << 16, 2000
#: Shown by `ps`, and for the user of a device.
PROCESS_NAME = "doorlight-cam"


class PicameraProcess(PictureProcess):
    """Camera 0 of Picamera2. Used by one thread, which must live as long as the child."""

    crashed, ended = "its process crashed", "its process has ended"

    def __init__(self, request: PicameraRequest) -> None:
        """Start the child, which imports Picamera2 and opens the camera."""
        super().__init__(start(request))

    def prepare(self) -> None:
        """Wait until Picamera2 is imported. Raises CameraError if it is missing or unusable."""
        self._receive_message(PREPARE_TIMEOUT_S, "has not imported Picamera2")

    def open(self, timeout_s: float) -> PicameraStreams:
        """Wait until the camera is open. Raises CameraError, also after `timeout_s` (seconds)."""
        return PicameraStreams(*self._receive_message(timeout_s, "has not opened")["streams"])

    def read(self, timeout_s: float) -> RawCapture:
        """Return the next frame. Raises CameraError if none arrives within `timeout_s` (seconds)."""
        assert self._child.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # the child has died: reading from it gives the reason
            self._child.stdin.write(_REQUEST.pack(timeout_s))
        limit_s = timeout_s + READ_GRACE_S
        height, width, rows, stride = self._receive_fields(limit_s, "gives no picture")
        if not height:
            raise _problem(self._receive_json(width))
        main = np.empty((height, width, 3), np.uint8)
        lores = np.empty((rows, stride), np.uint8) if rows else None
        for picture in (main, lores):
            if picture is not None and not self._receive(picture.data.cast("B"), limit_s):
                raise self._failed()
        return RawCapture(main, lores)

    def close(self) -> None:
        """Let the child close the camera; kill it after CLOSE_S. May be called twice."""
        self._close_stdin()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(CLOSE_S)
        super().close()

    def _receive_fields(self, timeout_s: float, late: str) -> tuple[Any, ...]:
        """Return the fields of a _HEADER. Raises CameraError if the child is `late` or ends."""
        data = bytearray(_HEADER.size)
        if not self._receive(memoryview(data), timeout_s, late):
            raise self._failed()
        return _HEADER.unpack(data)

    def _receive_message(self, timeout_s: float, late: str) -> dict[str, Any]:
        """Return a message. Raises CameraError if the child is `late`, ends, or reports a problem."""
        message = self._receive_json(self._receive_fields(timeout_s, late)[1])
        if "problem" in message:
            raise _problem(message)
        return message

    def _receive_json(self, length: int) -> dict[str, Any]:
        text = bytearray(min(length, MAX_MESSAGE_BYTES))
        if not self._receive(memoryview(text), READ_GRACE_S):
            raise self._failed()
        message: dict[str, Any] = json.loads(text)
        return message

    def _failed(self) -> CameraError:
        return CameraError(f"picamera: {self.failure}", CHECK_HINT)


def _problem(message: dict[str, Any]) -> CameraError:
    return CameraError(message["problem"], message["hint"])


# ---- Child process ---------------------------------------------------------------------------------------------------


def serve(*request: Any) -> None:
    """Open the camera, then write a frame to stdout for each _REQUEST on stdin."""
    # Before protect_process: a process that writes no core file may not write its own files in /proc.
    with contextlib.suppress(OSError):
        Path("/proc/self/comm").write_text(PROCESS_NAME)
    protect_process()
    out = os.dup(1)
    os.dup2(2, 1)  # what a library prints must not get between the pictures
    driver = PicameraDriver(PicameraRequest(*request))
    try:
        driver.prepare()
        _send_message(out, {"imported": True})
        _send_message(out, {"streams": driver.open()})
        while len(data := sys.stdin.buffer.read(_REQUEST.size)) == _REQUEST.size:
            _send_capture(out, driver.read(*_REQUEST.unpack(data)))
    except CameraError as error:
        _send_message(out, {"problem": str(error)[:MAX_PROBLEM], "hint": error.hint})
    except BrokenPipeError:
        raise
    except Exception as error:
        problem = f"picamera: {type(error).__name__}: {error}"
        _send_message(out, {"problem": problem[:MAX_PROBLEM], "hint": CHECK_HINT})
    finally:
        driver.close()


def _send_message(out: int, message: dict[str, object]) -> None:
    text = json.dumps(message).encode()
    write_all(out, _HEADER.pack(0, len(text), 0, 0) + text)


def _send_capture(out: int, capture: RawCapture) -> None:
    main, lores = capture
    write_all(out, _HEADER.pack(*main.shape[:2], *(lores.shape if lores is not None else (0, 0))))
    for picture in (main, lores):
        if picture is not None:
            write_all(out, picture.data.cast("B"))


if __name__ == "__main__":
    run_child(serve)
