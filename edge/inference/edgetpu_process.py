"""The parent's side of the process that holds the Edge TPU: start it, probe it, run models in it, end it.

The child's side, and what travels between the two, is in `edgetpu_worker`. The process that passes the probe is the one
that is used afterwards: it has loaded the library, opened the device, loaded the real models and invoked each once, and
none of this is repeated. A call costs 0.1 to 0.4 ms on top of the model's own time.
"""

from __future__ import annotations

import collections
import contextlib
import json
import mmap
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Sequence
from typing import IO

from ..errors import UnavailableError
from ..system import child_process
from .edgetpu_worker import DONE, INPUT, NO_DEVICE, NO_LIBRARY, NOT_INSTALLED, OTHER, READY, map_tensors, memory_size
from .interpreter import EDGETPU_RUNTIMES, Pixels, RawOutput
from .manifest import Manifest

#: A probe starts Python and loads the firmware and three models, which takes several seconds on a Zero 2 W.
PROBE_S = 20.0
#: A model takes about 10 ms, and some 100 ms on its first call after another model. Together with the CPU's turn after
#: a timeout, a frame stays below one second.
CALL_S = 0.5
#: How long the child may take to release the device and end by itself.
CLOSE_S = 2.0
#: How long to wait for the child's exit status and last line of stderr after it has closed its end of the socket.
EXIT_S = 0.1
STDERR_S = 0.2

MAX_MESSAGE_BYTES = 65536


class EdgeTpuError(UnavailableError):
    """The Edge TPU cannot be used, or has stopped working. `kind` is one of the kinds in `edgetpu_worker`."""

    def __init__(self, message: str, hint: str = "", kind: str = OTHER) -> None:
        super().__init__(message, hint)
        self.kind = kind


class EdgeTpuProcess:
    """The process that holds the Edge TPU. One thread calls run(), another one wait()."""

    def __init__(self, manifest: Manifest, names: Sequence[str], runtime: str) -> None:
        """Start the process without waiting for it; call probe() next. Without `names` it only opens the device.

        Raises EdgeTpuError if no process can be started.
        """
        self.runtime = runtime
        self.library = ""
        self._stderr_lines: collections.deque[str] = collections.deque(maxlen=20)
        self._stderr_ended = threading.Event()
        size = memory_size(manifest, names)
        memory = os.memfd_create("edgetpu")
        self._channel, child_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            os.ftruncate(memory, size)
            self._tensors = map_tensors(mmap.mmap(memory, size), manifest, names)
            arguments = (str(manifest.folder.absolute()), runtime, str(child_end.fileno()), str(memory), *names)
            self._process = subprocess.Popen(
                child_process.command("edge.inference.edgetpu_worker", *arguments),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=(child_end.fileno(), memory),
                env=child_process.environment(),
            )
        except OSError as error:
            self._channel.close()
            raise EdgeTpuError(f"no process for the Edge TPU can be started: {error.strerror}") from None
        finally:
            child_end.close()
            os.close(memory)
        assert self._process.stderr is not None
        self._stderr: IO[bytes] = self._process.stderr

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def probe(self) -> None:
        """Wait until every model has run once. Raises EdgeTpuError if that fails or takes longer than PROBE_S."""
        self._channel.settimeout(PROBE_S)
        try:
            while (message := self._channel.recv(MAX_MESSAGE_BYTES)) != READY:
                if not message:
                    raise ConnectionResetError
                report = json.loads(message)
                self.library = report.get("library", self.library)
                if "reason" in report:
                    raise EdgeTpuError(report["reason"], report["hint"], report["kind"])
        except TimeoutError:
            raise EdgeTpuError(f"{self.runtime} hangs when it is probed (no answer in {PROBE_S:g} s)") from None
        except OSError:
            self.close()
            raise EdgeTpuError(f"{self.runtime} dies when it is probed: {self.wait()}") from None
        self._channel.settimeout(CALL_S)

    def run(self, name: str, pixels: Pixels) -> dict[str, RawOutput]:
        """Return copies of the raw outputs of model `name` for `pixels`, without batch axis.

        Raises EdgeTpuError if that fails or takes longer than CALL_S.
        """
        tensors = self._tensors[name]
        tensors[INPUT][0] = pixels
        try:
            self._channel.send(name.encode())
            answer = self._channel.recv(MAX_MESSAGE_BYTES)
        except TimeoutError:
            raise EdgeTpuError(f"{name} hangs (no answer in {CALL_S:g} s)") from None
        except OSError:
            answer = b""
        if answer == DONE:
            return {key: tensor[0].copy() for key, tensor in tensors.items() if key != INPUT}
        raise EdgeTpuError(f"{name} failed: {answer.decode(errors='replace') if answer else self._exit_reason()}")

    def wait(self) -> str:
        """Wait until the process has ended, and return why.

        Reads its stderr meanwhile, so that it does not block on a full pipe.
        """
        if not self._stderr_ended.is_set():
            with self._stderr:
                self._stderr_lines.extend(line.decode("utf-8", "replace").strip() for line in self._stderr)
            self._stderr_ended.set()
        self._process.wait()
        return self._exit_reason()

    def _exit_reason(self) -> str:
        """Return why the process exited: its exit status and the last line of stderr that is not empty."""
        self._stderr_ended.wait(STDERR_S)
        try:
            code = self._process.wait(EXIT_S)
        except subprocess.TimeoutExpired:
            return "it closed the connection"
        status = f"killed by signal {-code} ({signal.strsignal(-code)})" if code < 0 else f"ended with {code}"
        last_line = next(filter(None, reversed(self._stderr_lines)), "")
        return f"{status}: {last_line}" if last_line else status

    def kill(self) -> None:
        """Kill the process without waiting for its end."""
        self._process.kill()

    def close(self) -> bool:
        """Let the process end by itself, so that it releases the device properly; kill it after CLOSE_S.

        Returns False if even a killed process does not end, because the kernel holds it in a USB transfer.
        """
        self._channel.close()
        for _ in range(2):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(CLOSE_S)
                return True
            self.kill()
        return False


def start_edgetpu_process(
    manifest: Manifest, names: Sequence[str], stuck: list[EdgeTpuProcess], first: str = ""
) -> EdgeTpuProcess:
    """Start a process with the first runtime that passes the probe, and return it ready for use.

    The runtime `first` is tried before the others. A process that cannot be killed is appended to `stuck`. Raises
    EdgeTpuError if no runtime passes.
    """
    failures: list[EdgeTpuError] = []
    for runtime in sorted(EDGETPU_RUNTIMES, key=lambda name: name != first):
        process = EdgeTpuProcess(manifest, names, runtime)
        try:
            process.probe()
        except EdgeTpuError as error:
            process.kill()
            if process.close():
                process.wait()
            else:
                stuck.append(process)
            if error.kind in (NO_LIBRARY, NO_DEVICE) or stuck:
                raise
            failures.append(error)
        else:
            return process
    # Report missing runtimes only if none is installed.
    failures = [error for error in failures if error.kind != NOT_INSTALLED] or failures
    if len(failures) == 1:
        raise failures[0]
    raise EdgeTpuError("; ".join(map(str, failures)), next(filter(None, (error.hint for error in failures)), ""))
