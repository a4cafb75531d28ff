"""Find a Coral Edge TPU, run the models on it, and fall back to the CPU when it fails.

A child process holds the Edge TPU (`edgetpu_process`, `edgetpu_worker`). A thread that is abandoned when it hangs, as
the camera uses it, is not enough, because libedgetpu can end the process that loads it or stop all of its threads:

- Built for another TFLite version, it segfaults.
- If a USB transfer fails (stick unplugged, bad cable, too little power), its driver logs a fatal line and calls abort().
- If a transfer gets lost, the call never returns. The delegate is loaded through ctypes.pydll, which keeps the GIL.

In a child process, all of this ends that process only, and a child that hangs can be killed.

The CPU models stay loaded in the door. If a call fails, the CPU answers it in the same frame, and a background thread
then tries to get the Edge TPU back.
"""

from __future__ import annotations

import collections
import contextlib
import os
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from ..config import AcceleratorMode
from ..errors import ModelError
from .edgetpu_process import CLOSE_S, PROBE_S, EdgeTpuError, EdgeTpuProcess, start_edgetpu_process
from .edgetpu_worker import NO_LIBRARY
from .interpreter import EDGETPU_LIBRARY, EDGETPU_RUNTIMES, Pixels, RawOutput
from .manifest import MODEL_NAMES, Manifest

#: USB ids of a Coral, and whether it has its firmware: libedgetpu loads the firmware on first use, which changes the
#: ids.
USB_IDS = {("1a6e", "089a"): False, ("18d1", "9302"): True}
#: Pause after the first failure. Each further failure doubles it, up to the maximum; it starts over once the Edge TPU
#: has been in use for STABLE_AFTER_S.
RETRY_MIN_S = 1.0
RETRY_MAX_S = 300.0
STABLE_AFTER_S = 60.0
#: Interval of the search for a Coral on the USB, which costs next to nothing.
USB_POLL_S = 1.0


@dataclass(frozen=True, slots=True)
class EdgeTpuDevice:
    """A Coral that the kernel knows.

    `initialised` is True if its firmware is loaded, which the first use after power-on does; a PCIe device needs none.
    `usable` is True if this user may read and write its device file.
    """

    name: str
    initialised: bool
    usable: bool


def find_devices(root: Path = Path("/")) -> list[EdgeTpuDevice]:
    """Return every Coral of this machine: PCIe ones from /dev/apex_*, then USB ones from /sys/bus/usb/devices.

    `root` is the folder that holds `dev` and `sys`.
    """

    def is_usable(node: Path) -> bool:
        return os.access(node, os.R_OK | os.W_OK)

    found = [EdgeTpuDevice(f"PCIe {node.name}", True, is_usable(node)) for node in sorted(root.glob("dev/apex_*"))]
    for vendor in sorted(root.glob("sys/bus/usb/devices/*/idVendor")):
        folder = vendor.parent
        # The files of a device that is unplugged disappear between two reads.
        with contextlib.suppress(OSError, ValueError):
            ids = (vendor.read_text().strip(), (folder / "idProduct").read_text().strip())
            if ids in USB_IDS:
                bus, number = (int((folder / name).read_text()) for name in ("busnum", "devnum"))
                node = root / f"dev/bus/usb/{bus:03}/{number:03}"
                found.append(EdgeTpuDevice(f"USB {folder.name}", USB_IDS[ids], is_usable(node)))
    return found


class Accelerator:
    """Runs models on the Edge TPU while one works. A context manager: it starts and stops the background search.

    One thread calls run(). `active_runtime` is the runtime that drives the Edge TPU now, or None while the CPU runs the
    models. `problem` says why the Edge TPU is not in use although it should be: the settings ask for it, it is plugged
    in, or it worked before. Otherwise `problem` is None.
    """

    def __init__(self, mode: AcceleratorMode, manifest: Manifest, names: Sequence[str], root: Path = Path("/")) -> None:
        """Prepare to run the models `names`, all or none: they are compiled together for one Coral.

        mode "auto" uses an Edge TPU if there is one, "edgetpu" reports a problem if there is none, and "cpu" never uses
        one. `root` is the folder that holds /sys and /dev.
        """
        self._mode, self._manifest, self._names, self._root = mode, manifest, tuple(names), root
        self._lock = threading.Lock()  # guards the next six
        self._process: EdgeTpuProcess | None = None
        self._has_worked = False
        self._is_loss_reported = False
        self.active_runtime: str | None = None
        self.problem: str | None = None
        self._events: collections.deque[tuple[str, dict[str, object]]] = collections.deque()
        self._stuck: list[EdgeTpuProcess] = []  # killed, but still held by the kernel; for the thread only
        self._closed, self._first_attempt_done = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._search, name="edgetpu", daemon=True)

    def __enter__(self) -> Self:
        if self._mode != "cpu":
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        with self._lock:
            process, self._process, self.active_runtime = self._process, None, None
        if process is not None:
            process.close()
        if self._thread.ident is not None:
            self._thread.join(CLOSE_S)

    def wait_for_first_attempt(self) -> None:
        """Wait until the first attempt has succeeded or failed, so that a video file is processed on one device."""
        if self._thread.ident is not None:
            self._first_attempt_done.wait(len(EDGETPU_RUNTIMES) * (PROBE_S + 2 * CLOSE_S))

    def run(self, name: str, pixels: Pixels) -> dict[str, RawOutput] | None:
        """Return the raw outputs of model `name`, without batch axis, for `pixels` (height, width, channels) uint8.

        Returns None if the CPU has to run the model. Takes at most about CALL_S, and never raises.
        """
        process = self._process
        if process is None:
            return None
        try:
            return process.run(name, pixels)
        except EdgeTpuError as error:
            process.kill()
            self._fall_back(str(error), process)
            return None

    def take_events(self) -> Iterator[tuple[str, dict[str, object]]]:
        """Return, as (kind, data), the events since the last call: "accelerator_lost" and "accelerator_back"."""
        while self._events:
            yield self._events.popleft()

    def _fall_back(self, reason: str, process: EdgeTpuProcess | None = None) -> None:
        """Use the CPU because `process` has failed; a loss is one event, however many attempts fail after it."""
        with self._lock:
            if self._closed.is_set() or process is not self._process:
                return
            self._process, self.active_runtime, self.problem = None, None, reason
            if not self._is_loss_reported:
                self._events.append(("accelerator_lost", {"reason": reason}))
            self._is_loss_reported = True

    def _use(self, process: EdgeTpuProcess, device: str) -> bool:
        """Run the models in `process` from the next call on. Return False if this accelerator has been closed."""
        with self._lock:
            if self._closed.is_set():
                return False
            self._process, self.active_runtime, self.problem = process, process.runtime, None
            self._has_worked, self._is_loss_reported = True, False
            self._events.append(("accelerator_back", {"device": device, "runtime": process.runtime}))
            return True

    def _search(self) -> None:
        """Background thread: find an Edge TPU, use it until its process ends, and start again.

        The kernel ends the process together with this thread, see child_process.set_up.
        """
        pause_s, runtime = RETRY_MIN_S, ""
        while not self._closed.is_set():
            found = self._find()
            began = time.monotonic()
            process = self._start(found, runtime)
            is_used = process is not None and self._use(process, found[0].name)
            self._first_attempt_done.set()
            if process is not None:
                runtime = process.runtime
                if not is_used:
                    process.close()
                    process.wait()
                    return
                reason = process.wait()
                self._fall_back(reason, process)  # does nothing if run() was first
                process.close()
                if time.monotonic() - began >= STABLE_AFTER_S:
                    pause_s = RETRY_MIN_S
            if found:
                self._pause(pause_s, found)
                pause_s = min(2 * pause_s, RETRY_MAX_S)
            else:
                self._closed.wait(USB_POLL_S)

    def _find(self) -> list[EdgeTpuDevice]:
        """Return every Coral; none if that cannot be found out, as with too many open files: the search goes on."""
        try:
            return find_devices(self._root)
        except OSError:
            return []

    def _start(self, found: list[EdgeTpuDevice], runtime: str) -> EdgeTpuProcess | None:
        """Return a process that is ready for use; without success, set `problem` and return None."""
        try:
            if missing := self._manifest.without_edgetpu(self._names):
                raise EdgeTpuError(_not_compiled(missing))
            if not found:
                raise EdgeTpuError("no Coral is plugged in")
            self._stuck = [process for process in self._stuck if not process.close()]
            if self._stuck:
                raise EdgeTpuError("a process that hangs in its driver cannot be ended; unplug the Coral")
            return start_edgetpu_process(self._manifest, self._names, self._stuck, runtime)
        except (EdgeTpuError, ModelError, OSError) as error:
            if found or self._has_worked or self._mode == "edgetpu":
                self._fall_back(str(error))
            else:
                self.problem = None
            return None

    def _pause(self, pause_s: float, known: list[EdgeTpuDevice]) -> None:
        """Wait for `pause_s`, or until a Coral appears or changes: it was plugged in, or has got its firmware."""
        until = time.monotonic() + pause_s
        while (rest_s := until - time.monotonic()) > 0 and not self._closed.wait(min(rest_s, USB_POLL_S)):
            now = self._find()
            if set(now) - set(known):
                return
            known = now


@dataclass(frozen=True, slots=True)
class EdgeTpuStatus:
    """Result of `check_edgetpu`.

    `library` is the file of the libedgetpu that loads and `runtime` the runtime that works with it; both are ""
    otherwise. `without_edgetpu` names the models that are not compiled for the Edge TPU.
    """

    devices: tuple[EdgeTpuDevice, ...]
    without_edgetpu: tuple[str, ...]
    library: str
    runtime: str
    problem: str
    hint: str

    @property
    def ready(self) -> bool:
        """True if the models would run on the Edge TPU."""
        return not self.problem


def check_edgetpu(manifest: Manifest, names: Sequence[str] = MODEL_NAMES, root: Path = Path("/")) -> EdgeTpuStatus:
    """Find out by a try whether the models `names` would run on an Edge TPU here.

    Takes a second, or up to a minute if the driver hangs. A Coral serves one process: while the door uses it, this
    function finds a device that cannot be opened.
    """
    found, missing = find_devices(root), manifest.without_edgetpu(names)
    library = runtime = problem = hint = ""
    try:
        # Without a device or compiled models, the attempt still shows whether the library loads.
        process = start_edgetpu_process(manifest, [] if missing else names, [])
    except EdgeTpuError as error:
        problem, hint = str(error), error.hint
        library = "" if error.kind == NO_LIBRARY else EDGETPU_LIBRARY
    else:
        library, runtime = process.library, process.runtime
        process.close()
        process.wait()
    if not found:
        problem, hint = "no Coral is plugged in", "plug it into a USB 3 port, with the cable that came with it"
    elif missing and not problem:
        problem, hint = _not_compiled(missing), "compile them: scripts/compile_edgetpu.sh"
    return EdgeTpuStatus(tuple(found), tuple(missing), library, runtime, problem, hint)


def _not_compiled(names: Sequence[str]) -> str:
    return f"no model compiled for it: {', '.join(names)}"
