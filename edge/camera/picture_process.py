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
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

from ..system import child_process

#: Limit of the child's data segment: enough for pictures of 64 million pixels.
MAX_MEMORY_BYTES = 1 << 30
#: The child has timeouts of its own. It is killed this much later.
READ_GRACE_S = 1.0


def start(
    command: Sequence[str],
    request: Sequence[object],
    variables: Mapping[str, str] | None = None,
    stderr: int | None = subprocess.DEVNULL,
) -> subprocess.Popen[bytes]:
    """Start `command`, whose `serve` gets `request`. `variables` are added to the environment; `stderr` is as in Popen."""
    child = subprocess.Popen(
        command,
        env=child_process.environment() | dict(variables or {}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        bufsize=0,
    )
    assert child.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # the child has died: reading from it gives the reason
        child.stdin.write(json.dumps(request).encode() + b"\n")
    return child


class PictureProcess:
    """A child process that sends pictures. Used by one thread.

    `failure` says why the pictures stopped early; it is "" while they come, and after a video has played to its end.
    """

    #: How `failure` begins if the child is killed by a signal, and what it is if the child ends.
    crashed, ended = "its decoder crashed", "cannot be decoded"

    def __init__(self, child: subprocess.Popen[bytes]) -> None:
        """Use a child whose stdin and stdout are unbuffered pipes."""
        self.failure = ""
        self._child = child

    def close(self) -> None:
        """Kill the child. May be called twice."""
        self._child.kill()
        self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout):
            assert pipe is not None
            pipe.close()

    def _close_stdin(self) -> None:
        assert self._child.stdin is not None
        self._child.stdin.close()

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
