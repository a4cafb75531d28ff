"""PictureProcess: a child process that sends pictures, and its parent's end of the pipe.

A library that decodes or captures pictures may crash, hang, or use up the memory. Here only the child process is at risk:
its memory is limited, and it is killed when it is late.

The protocol begins with one line of JSON on the child's stdin, the arguments of its function `serve`. They may contain a
password, so they must not be command-line arguments, which every user can see. The subclasses describe the rest.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from ..system import child_process

if TYPE_CHECKING:  # its module loads OpenCV, which not every child needs
    from ..imaging.images import Picture

#: Limit of the child's data segment: enough for pictures of 64 million pixels.
MAX_MEMORY_BYTES = 1 << 30
#: The child has timeouts of its own. It is killed this much later. Opening includes the start of the child.
OPEN_GRACE_S, READ_GRACE_S = 5.0, 1.0


class PictureProcess:
    """A child process that sends pictures. Used by one thread.

    `failure` says why the pictures stopped early; it is "" while they come, and after a video has played to its end.
    """

    #: How `failure` begins if the child is killed by a signal, and what it is if the child ends.
    crashed, ended = "its decoder crashed", "cannot be decoded"

    def __init__(
        self,
        command: Sequence[str],
        request: Sequence[object],
        open_timeout_s: float,
        read_timeout_s: float,
        variables: Mapping[str, str] | None = None,
        stderr: int | None = subprocess.DEVNULL,
    ) -> None:
        """Start `command`, whose `serve` gets `request`. The timeouts (seconds) limit the opening and each picture.

        `variables` are added to the environment. `stderr` is as in Popen.
        """
        self.failure = ""
        self._request = json.dumps(request).encode() + b"\n"
        self._open_timeout_s, self._read_timeout_s = open_timeout_s + OPEN_GRACE_S, read_timeout_s + READ_GRACE_S
        #: For the first picture: that of a stream may have to wait for a key frame.
        self._first_timeout_s = self._open_timeout_s
        self._child = subprocess.Popen(
            command,
            env=child_process.environment() | dict(variables or {}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            bufsize=0,
        )

    def close(self) -> None:
        """Kill the child. May be called twice."""
        self._child.kill()
        self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout):
            assert pipe is not None
            pipe.close()

    def _send_request(self) -> None:
        assert self._child.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # the child has died: reading from it gives the reason
            self._child.stdin.write(self._request)

    def _close_stdin(self) -> None:
        assert self._child.stdin is not None
        self._child.stdin.close()

    def _receive_header(self, header: struct.Struct) -> tuple[Any, ...] | None:
        """Return the fields of a picture's header; None, and set `failure`, if it is late or the child ends."""
        timeout_s, self._first_timeout_s = self._first_timeout_s, self._read_timeout_s
        data = bytearray(header.size)
        return header.unpack(data) if self._receive(memoryview(data), timeout_s) else None

    def _receive_picture(self, height: int, width: int) -> Picture | None:
        """Return a picture, (height, width, 3) uint8 RGB; None, and set `failure`, as above."""
        picture = np.empty((height, width, 3), np.uint8)
        return picture if self._receive(picture.data.cast("B"), self._read_timeout_s) else None

    def _receive(self, buffer: memoryview, timeout_s: float, late: str = "gives no picture") -> bool:
        """Fill `buffer` from the child's stdout. Return False and set `failure` if it is late or ends.

        `late` says what a late child does not do.
        """
        assert self._child.stdout is not None
        deadline = time.monotonic() + timeout_s
        ready = select.poll()
        ready.register(self._child.stdout, select.POLLIN)
        while buffer:
            if not ready.poll(1000 * max(0.0, deadline - time.monotonic())):
                self.failure = f"{late} within {timeout_s:g} s"
                self._child.kill()
                return False
            count = os.readv(self._child.stdout.fileno(), [buffer])
            if not count:
                code = self._child.wait()
                self.failure = f"{self.crashed} ({signal.Signals(-code).name})" if code < 0 else self.ended
                return False
            buffer = buffer[count:]
        return True


# ---- Child process ---------------------------------------------------------------------------------------------------


def run_child(serve: Callable[..., None]) -> NoReturn:
    """Call `serve` with the arguments that the parent sends, and end this process."""
    with contextlib.suppress(BrokenPipeError):  # the parent has closed the pipe
        serve(*json.loads(sys.stdin.buffer.readline()))
    os._exit(0)


def protect_process() -> None:
    """Protect the door from this process: ignore stop signals, limit the memory, write no core file."""
    child_process.set_up()
    with contextlib.suppress(OSError, ValueError):  # a sandbox may forbid it, and sets a limit of its own
        resource.setrlimit(resource.RLIMIT_DATA, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
