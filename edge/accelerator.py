"""The Edge TPU, held by a process of its own: probed, put to use, watched, and given up without harm to the door.

Why a process, and not a thread that is written off, as camera.py does it: libedgetpu ends the process that it lives in.
Built for another TFLite it segfaults; a USB transfer that fails (stick pulled out, bad cable, too little power) is a
fatal log line and abort() in its driver; a transfer that gets lost never returns, and loading the delegate goes through
ctypes.pydll, which keeps the GIL while it hangs and would stop every thread of the door. All of these happen to a child
process alone, and a child that hangs can be killed.

The process that passes the probe is the one that serves: it has loaded the library, opened the device, loaded the real
models and invoked each once, and nothing of this is done a second time. Pixels and results lie in memory that both
share, a few bytes on a socket say whose turn it is: 0.1 to 0.4 ms a call on top of the model's own time.

The CPU models stay loaded in the door. A call that is not answered ends the child and is answered by the CPU, in the same
frame. From then on one background thread tries to get the Edge TPU back.
"""

from __future__ import annotations

import collections
import contextlib
import ctypes
import json
import mmap
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import numpy as np
import numpy.typing as npt

from . import manifest as manifests
from . import ourselves
from .config import AcceleratorMode
from .errors import DoorlightError, ModelError, Unavailable
from .interpreter import EDGETPU_LIBRARY, EDGETPU_RUNTIMES, Network, Raw, edgetpu_interpreter
from .manifest import Manifest, Tensor

#: USB ids of a Coral: as it comes from power-on, and once libedgetpu has loaded the firmware into it.
USB_IDS = {("1a6e", "089a"): False, ("18d1", "9302"): True}
#: A probe starts Python, loads the firmware and three models: several seconds on a Zero 2 W.
PROBE_S = 20.0
#: A model takes about 10 ms, a first one after another model's some 100 ms. With the CPU's turn this stays below a second.
CALL_S = 0.5
#: After a failure it is tried again after this long, then twice that, up to the second; served for so long, it starts over.
RETRY_S = 1.0
RETRY_MOST_S = 300.0
STEADY_S = 60.0
#: How often USB is looked at for a Coral that appears; that costs next to nothing.
LOOK_S = 1.0
#: How long a child may take to let go of the device by itself.
CLOSE_S = 2.0

NOT_INSTALLED = "not installed"
NO_LIBRARY = "no library"
NO_DEVICE = "no device"
OTHER = "other"


@dataclass(frozen=True, slots=True)
class Device:
    """A Coral that the kernel sees.

    `initialised`: whether its firmware is loaded, which the first use after power-on does (a PCIe one needs none).
    `usable`: whether this user may read and write its device file.
    """

    name: str
    initialised: bool
    usable: bool


def devices(root: Path = Path("/")) -> list[Device]:
    """Every Coral of this machine: USB ones by /sys/bus/usb/devices, PCIe ones by /dev/apex_*, below `root`."""

    def usable(node: Path) -> bool:
        return os.access(node, os.R_OK | os.W_OK)

    found = [Device(f"PCIe {node.name}", True, usable(node)) for node in sorted(root.glob("dev/apex_*"))]
    for vendor in sorted(root.glob("sys/bus/usb/devices/*/idVendor")):
        folder = vendor.parent
        # What is pulled out while we read vanishes between two files.
        with contextlib.suppress(OSError, ValueError):
            ids = (vendor.read_text().strip(), (folder / "idProduct").read_text().strip())
            if ids in USB_IDS:
                bus, number = (int((folder / name).read_text()) for name in ("busnum", "devnum"))
                node = root / f"dev/bus/usb/{bus:03}/{number:03}"
                found.append(Device(f"USB {folder.name}", USB_IDS[ids], usable(node)))
    return found


class EdgeTpuError(Unavailable):
    """The Edge TPU cannot be used, or not any more.

    `kind` is NO_LIBRARY or NO_DEVICE where no other runtime would fare better.
    """

    def __init__(self, message: str, hint: str = "", kind: str = OTHER) -> None:
        super().__init__(message, hint)
        self.kind = kind


def _views(memory: mmap.mmap | None, of: Manifest, names: Sequence[str]) -> dict[str, dict[str, Raw]]:
    """The shared memory as arrays with batch axis, by model and tensor, the input under ""; all are of single bytes.

    Without memory, arrays of their own: to learn the size.
    """
    offset = 0
    found: dict[str, dict[str, Raw]] = {}
    for name in names:
        tensors: dict[str, Tensor] = {"": of[name].input, **of[name].outputs}
        found[name] = {}
        for key, tensor in tensors.items():
            found[name][key] = np.ndarray(tensor.shape, tensor.dtype, buffer=memory, offset=offset if memory else 0)
            offset += found[name][key].nbytes
    return found


class _Child:
    """The process that holds the Edge TPU, seen from the door. One thread calls run(), another one watch()."""

    def __init__(self, of: Manifest, names: Sequence[str], runtime: str) -> None:
        """Start it; probe() waits until it is ready. With no `names` it only opens the device."""
        self.runtime = runtime
        self.library = ""
        self._last_words: collections.deque[str] = collections.deque(maxlen=20)
        self._silent = threading.Event()
        size = sum(array.nbytes for arrays in _views(None, of, names).values() for array in arrays.values())
        memory = os.memfd_create("edgetpu")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            os.ftruncate(memory, max(size, 1))
            self._views = _views(mmap.mmap(memory, max(size, 1)), of, names)
            arguments = (str(of.folder.absolute()), runtime, str(theirs.fileno()), str(memory), *names)
            self._process = subprocess.Popen(
                ourselves.command("edge.accelerator", *arguments),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=(theirs.fileno(), memory),
                env=ourselves.environment(),
            )
        except OSError as error:
            ours.close()
            raise EdgeTpuError(f"no process for the Edge TPU can be started: {error.strerror}") from None
        finally:
            theirs.close()
            os.close(memory)
        assert self._process.stderr is not None
        self._stderr: IO[bytes] = self._process.stderr
        self._channel = ours

    def probe(self) -> None:
        """Wait until every model has run once. Raises EdgeTpuError where that fails or takes too long."""
        self._channel.settimeout(PROBE_S)
        try:
            while (message := self._channel.recv(65536)) != b"ready":
                if not message:
                    raise ConnectionResetError
                told = json.loads(message)
                self.library = told.get("library", self.library)
                if "reason" in told:
                    raise EdgeTpuError(told["reason"], told["hint"], told["kind"])
        except TimeoutError:
            raise EdgeTpuError(f"{self.runtime} hangs when it is probed (no answer in {PROBE_S:g} s)") from None
        except OSError:
            self.close()
            raise EdgeTpuError(f"{self.runtime} dies when it is probed: {self.watch()}") from None
        self._channel.settimeout(CALL_S)

    def run(self, name: str, pixels: npt.NDArray[np.uint8]) -> dict[str, Raw]:
        """The raw outputs of a model without batch axis; copies. Raises EdgeTpuError after at most about CALL_S."""
        views = self._views[name]
        views[""][0] = pixels
        try:
            self._channel.send(name.encode())
            answer = self._channel.recv(4096)
        except TimeoutError:
            raise EdgeTpuError(f"{name} hangs (no answer in {CALL_S:g} s)") from None
        except OSError:
            answer = b""
        if answer == b"done":
            return {key: view[0].copy() for key, view in views.items() if key}
        raise EdgeTpuError(f"{name} failed: {answer.decode(errors='replace') if answer else self._death()}")

    def watch(self) -> str:
        """Wait until the process has ended, reading what it writes meanwhile, lest it wait for us; returns why."""
        if not self._silent.is_set():
            with self._stderr:
                self._last_words.extend(line.decode("utf-8", "replace").strip() for line in self._stderr)
            self._silent.set()
        self._process.wait()
        return self._death()

    def _death(self) -> str:
        """Of what a process that has hung up died."""
        self._silent.wait(0.2)
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = self._process.wait(0.1)
            how = f"killed by signal {-code} ({signal.strsignal(-code)})" if code < 0 else f"ended with {code}"
            return ": ".join(filter(None, [how, next(filter(None, reversed(self._last_words)), "")]))
        return "it hung up"

    def kill(self) -> None:
        """End it without waiting."""
        self._process.kill()

    def close(self) -> bool:
        """Let it end by itself, which leaves the device in order; else kill it. False where even that cannot end it."""
        self._channel.close()
        for _ in range(2):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(CLOSE_S)
                return True
            self.kill()
        return False


def _start(of: Manifest, names: Sequence[str], stuck: list[_Child], first: str = "") -> _Child:
    """A child that is ready to serve, of the first runtime that passes the probe; `first` is tried before the others.

    Raises EdgeTpuError where there is none. Children that cannot even be killed (the kernel holds them in a USB
    transfer) go into `stuck`.
    """
    failures: list[EdgeTpuError] = []
    for runtime in sorted(EDGETPU_RUNTIMES, key=lambda name: name != first):
        child = _Child(of, names, runtime)
        try:
            child.probe()
        except EdgeTpuError as error:
            child.kill()
            if not child.close():
                stuck.append(child)
            else:
                child.watch()
            if error.kind in (NO_LIBRARY, NO_DEVICE) or stuck:
                raise
            failures.append(error)
        else:
            return child
    # What is not installed is of interest only where nothing is.
    failures = [error for error in failures if error.kind != NOT_INSTALLED] or failures
    if len(failures) == 1:
        raise failures[0]
    raise EdgeTpuError("; ".join(map(str, failures)), next(filter(None, (error.hint for error in failures)), ""))


class Accelerator:
    """Runs models on the Edge TPU while there is one; a context manager that starts and ends the search for it.

    run() is for one thread. `serving` is the runtime that drives the Edge TPU now, None while the CPU serves. `problem`
    says why it does not serve although it should: it was asked for, is plugged in, or has served before.
    """

    def __init__(self, mode: AcceleratorMode, of: Manifest, names: Sequence[str], root: Path = Path("/")) -> None:
        """`names` are the models to run; all or none, as they are compiled for one Coral together.

        mode "auto" takes the Edge TPU where there is one, "edgetpu" finds it a problem where there is none, "cpu"
        leaves it alone. `root` is where /sys and /dev are.
        """
        self._mode, self._manifest, self._names, self._root = mode, of, tuple(names), root
        self._lock = threading.Lock()  # guards the next five
        self._child: _Child | None = None
        self._served = self._told = False
        self.serving: str | None = None
        self.problem: str | None = None
        self._news: collections.deque[tuple[str, dict[str, object]]] = collections.deque()
        self._closed, self._tried = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._keep, name="edgetpu", daemon=True)

    def __enter__(self) -> Self:
        if self._mode != "cpu":
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        with self._lock:
            child, self._child, self.serving = self._child, None, None
        if child is not None:
            child.close()
        if self._thread.ident is not None:
            self._thread.join(CLOSE_S)

    def settle(self) -> None:
        """Wait until the first try has succeeded or failed: for sources that want the same beginning every time."""
        if self._thread.ident is not None:
            self._tried.wait(len(EDGETPU_RUNTIMES) * (PROBE_S + 2 * CLOSE_S))

    def run(self, name: str, pixels: npt.NDArray[np.uint8]) -> dict[str, Raw] | None:
        """The raw outputs of model `name`, without batch axis, for `pixels` (height, width, channels) uint8.

        None where the CPU has to do it. Returns within about CALL_S, and never raises.
        """
        child = self._child
        if child is None:
            return None
        try:
            return child.run(name, pixels)
        except EdgeTpuError as error:
            child.kill()
            self._lost(str(error), child)
            return None

    def news(self) -> Iterator[tuple[str, dict[str, object]]]:
        """What has happened since it was last asked: "accelerator_lost" and "accelerator_back", with their data."""
        while self._news:
            yield self._news.popleft()

    def _lost(self, why: str, child: _Child | None = None) -> None:
        """The CPU serves from now on, as `child` does no longer; told once, however many tries fail after it."""
        with self._lock:
            if self._closed.is_set() or child is not self._child:
                return
            self._child, self.serving, self.problem = None, None, why
            if not self._told:
                self._news.append(("accelerator_lost", {"reason": why}))
            self._told = True

    def _serve(self, child: _Child, device: str) -> bool:
        """The Edge TPU serves from now on; False where nobody wants it any more."""
        with self._lock:
            if self._closed.is_set():
                return False
            self._child, self.serving, self.problem = child, child.runtime, None
            self._served, self._told = True, False
            self._news.append(("accelerator_back", {"device": device, "runtime": child.runtime}))
            return True

    def _keep(self) -> None:
        """The background thread: find it, start it, wait for its end, and again."""
        pause_s, runtime = RETRY_S, ""
        stuck: list[_Child] = []
        while not self._closed.is_set():
            found = devices(self._root)
            began = time.monotonic()
            child = None
            try:
                if missing := self._manifest.without_twin(self._names):
                    raise EdgeTpuError(f"no model compiled for it: {', '.join(missing)}")
                if not found:
                    raise EdgeTpuError("no Coral is plugged in")
                if stuck := [each for each in stuck if not each.close()]:
                    raise EdgeTpuError("a process that hangs in its driver cannot be ended; unplug the Coral")
                child = _start(self._manifest, self._names, stuck, runtime)
            except (EdgeTpuError, ModelError, OSError) as error:
                if found or self._served or self._mode == "edgetpu":
                    self._lost(str(error))
                else:
                    self.problem = None
            serves = child is not None and self._serve(child, found[0].name)
            self._tried.set()
            if child is not None:
                runtime = child.runtime
                if not serves:
                    child.close()
                    child.watch()
                    return
                why = child.watch()
                self._lost(why, child)  # run() was first, unless it died between two calls
                child.close()
                if time.monotonic() - began >= STEADY_S:
                    pause_s = RETRY_S
            if found:
                self._wait(pause_s, found)
                pause_s = min(2 * pause_s, RETRY_MOST_S)
            else:
                self._closed.wait(LOOK_S)

    def _wait(self, pause_s: float, known: list[Device]) -> None:
        """Wait for `pause_s`, less where a Coral appears or turns into another: plugged in anew, or come to life."""
        until = time.monotonic() + pause_s
        while (rest_s := until - time.monotonic()) > 0 and not self._closed.wait(min(rest_s, LOOK_S)):
            now = devices(self._root)
            if set(now) - set(known):
                return
            known = now


@dataclass(frozen=True, slots=True)
class Report:
    """What a person needs to know of the Edge TPU. `runtime` and `library` (its file) are what works, else ""."""

    devices: tuple[Device, ...]
    without_twin: tuple[str, ...]
    library: str
    runtime: str
    problem: str
    hint: str

    @property
    def ready(self) -> bool:
        """Whether the models would run on the Edge TPU."""
        return not self.problem


def report(of: Manifest, names: Sequence[str] = manifests.NAMES, root: Path = Path("/")) -> Report:
    """Find out whether `names` would run on an Edge TPU here, by trying it; takes a second, or many where it hangs.

    A Coral serves one process: while the door runs with it, this finds a device that cannot be opened.
    """
    found, missing = devices(root), of.without_twin(names)
    library = runtime = problem = hint = ""
    try:
        # Also without a device or compiled models, to learn of the library.
        child = _start(of, [] if missing else names, [])
    except EdgeTpuError as error:
        problem, hint = str(error), error.hint
        library = "" if error.kind == NO_LIBRARY else EDGETPU_LIBRARY
    else:
        library, runtime = child.library, child.runtime
        child.close()
        child.watch()
    if not found:
        problem, hint = "no Coral is plugged in", "plug it into a USB 3 port, by the cable that came with it"
    elif missing and not problem:
        problem, hint = f"no model compiled for it: {', '.join(missing)}", "scripts/compile_edgetpu.sh makes them"
    return Report(tuple(found), tuple(missing), library, runtime, problem, hint)


# ---- The child's side ------------------------------------------------------------------------------------------------


def _child(folder: Path, runtime: str, channel: socket.socket, memory: int, names: Sequence[str]) -> None:
    """What the process does that holds the Edge TPU: until the door hangs up, run what it asks for."""
    # Ctrl-C and systemd's SIGTERM go to the whole group; the door says when it is over.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    libc, pr_set_pdeathsig, pr_set_dumpable = ctypes.CDLL(None), 1, 4
    # Should the door die without a word while a call hangs here, nobody else would end us.
    libc.prctl(pr_set_pdeathsig, signal.SIGKILL)
    # The memory holds pictures of people, and a crash here is to be expected: no core file.
    libc.prctl(pr_set_dumpable, 0)

    def tell(**what: str) -> None:
        channel.send(json.dumps({key: value[:1000] for key, value in what.items()}).encode())

    kind, hint = NO_LIBRARY, "install Coral's libedgetpu1-std, in a build that fits the TFLite here (README: Coral)"
    networks: dict[str, Network] = {}
    contents = []  # LiteRT keeps no copy
    try:
        ctypes.CDLL(EDGETPU_LIBRARY)
        loaded = re.search(r"/\S*libedgetpu\S*", Path("/proc/self/maps").read_text())
        tell(library=loaded[0] if loaded else EDGETPU_LIBRARY)
        # libedgetpu gives no reason for a device that it cannot open.
        kind, hint = NO_DEVICE, "is it plugged in, may this user use it (group plugdev), does another program hold it?"
        delegate = edgetpu_interpreter(runtime, None)
        kind, hint = OTHER, ""
        of = manifests.load(folder)
        views = _views(mmap.mmap(memory, 0), of, names)
        for name in names:
            content = of.read(name, edgetpu=True)
            interpreter = edgetpu_interpreter(runtime, content)
            interpreter.allocate_tensors()
            network = networks[name] = Network(of.folder / f"{name} for the Edge TPU", of[name], interpreter)
            network.invoke(views[name][""][0])
            contents.append(content)
        del delegate  # it kept the device open between one model and the next
    except DoorlightError as error:
        tell(reason=str(error), hint=error.hint, kind=OTHER if isinstance(error, ModelError) else NOT_INSTALLED)
        return
    except (OSError, RuntimeError, ValueError) as error:
        why = " ".join(str(error).split()) or type(error).__name__
        tell(reason=f"{runtime}: {why}", hint=hint, kind=kind)
        return
    channel.send(b"ready")
    while name := channel.recv(256).decode():
        try:
            networks[name].invoke(views[name][""][0])
            for key in of[name].outputs:
                views[name][key][0] = networks[name].raw(key)
            answer = "done"
        except (RuntimeError, ValueError) as error:
            answer = " ".join(str(error).split()) or type(error).__name__
        channel.send(answer.encode()[:4096])


if __name__ == "__main__":
    _folder, _runtime, _channel, _memory, *_names = sys.argv[1:]
    _child(Path(_folder), _runtime, socket.socket(fileno=int(_channel)), int(_memory), _names)
