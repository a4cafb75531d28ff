"""The process of one case: make the input, call Doorlight's command line under limits, report to the parent."""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import json
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn, TextIO

from . import inputs
from .inputs import KINDS, Case, Material

REPOSITORY = Path(__file__).resolve().parents[2]
#: Limit of the address space, to protect the computer that runs the tests.
MAX_ADDRESS_SPACE_BYTES = 12 << 30
MAX_FILE_BYTES = 1 << 34
#: Memory of any Python child process with OpenCV, in KiB, and of a `doorlight` of its own with its models, in MiB.
CHILD_BASE_KIB = 100_000
DOORLIGHT_BASE_MIB = 150


def run(kind: str, number: int, seed: str, material: Material, folder: Path, channel: int) -> NoReturn:
    """Run a case in this process, which a fork has made for it. Write facts and results to `channel` as JSON lines."""
    os.setsid()
    resource.setrlimit(resource.RLIMIT_AS, (MAX_ADDRESS_SPACE_BYTES, MAX_ADDRESS_SPACE_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (MAX_FILE_BYTES, MAX_FILE_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.chdir(folder)
    case = KINDS[kind].make(random.Random(f"{seed}/{kind}/{number}"), material)
    argv = [os.fspath(argument) for argument in case.argv]
    limits = {"limit_s": case.limit_s, "max_mib": case.max_mib}
    allowed = {"codes": sorted(case.codes), "signals": sorted(case.signals)}
    _send(channel, argv=[repr(a)[1:-1][:200] for a in argv], **limits, **allowed)
    _redirect_output()
    if case.process:
        _run_program(case, argv, channel)
    faulthandler.enable(file=os.dup(2))
    if not KINDS[kind].fresh:
        _use_loaded_models()
    _fork_decoders()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _call_main(case, argv, channel)


def _redirect_output() -> None:
    for fd, name in ((1, "../out"), (2, "../err")):
        file = os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
        os.dup2(file, fd)
        os.close(file)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - stays open until the process ends
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115 - as above


def _call_main(case: Case, argv: list[str], channel: int) -> NoReturn:
    """Call `edge.cli.main` and end the process as Python does."""
    from edge import cli

    _reset_peak_memory()
    memory_before_kib = _memory_kib("VmRSS")
    began = time.monotonic()
    if case.stop_s is not None:
        _send_signals_later(os.getpid(), case.stop_s, case.stop_by)
    code = 1
    try:
        with case.around() if case.around else contextlib.nullcontext():
            code = cli.main(argv)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    seconds = time.monotonic() - began
    own_kib = _memory_kib("VmHWM") - memory_before_kib
    child_kib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss - CHILD_BASE_KIB
    faults = list(case.check()) if case.check and code in (0, *case.codes) else []
    _send(channel, code=code, seconds=seconds, peak_mib=max(own_kib, child_kib) / 1024, faults=faults)
    shutdown_threads = getattr(threading, "_shutdown")  # noqa: B009 - private: what the interpreter calls at its end
    shutdown_threads()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(0)


def _run_program(case: Case, argv: list[str], channel: int) -> NoReturn:
    """Run the case as a new `doorlight`, with start and end of the interpreter."""
    environ = os.environ | {"PYTHONPATH": str(REPOSITORY)} | case.environ
    began = time.monotonic()
    door = subprocess.Popen([sys.executable, "-m", "edge", *argv], env=environ, stdin=subprocess.DEVNULL)
    if case.stop_s is not None:
        _send_signals_later(door.pid, case.stop_s, case.stop_by)
    _, status, usage = os.wait4(door.pid, 0)
    faults = list(case.check()) if case.check else []
    code = os.waitstatus_to_exitcode(status)
    peak_mib = max(0.0, usage.ru_maxrss / 1024 - DOORLIGHT_BASE_MIB)
    _send(channel, code=code, seconds=time.monotonic() - began, peak_mib=peak_mib, faults=faults)
    os._exit(0)


def _send_signals_later(process: int, after_s: float, signals: Sequence[int]) -> None:
    def send() -> None:
        # A door handles SIGTERM only after it has opened its log; earlier, the signal simply ends the process.
        deadline = time.monotonic() + 15.0
        while signal.SIGTERM in signals and not os.path.exists("events.jsonl") and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(after_s)
        for number in signals:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, number)

    threading.Thread(target=send, daemon=True).start()


def _use_loaded_models() -> None:
    """Use the shipped models that the worker has loaded; only kinds with `fresh` test the loading of models."""
    from edge.inference import interpreter, perception

    real = interpreter.Model

    def model(manifest: Any, name: str, *args: Any, **settings: Any) -> Any:
        return inputs.LOADED.get(name) or real(manifest, name, *args, **settings)

    setattr(perception, "Model", model)  # noqa: B010 - replaces a class by a function, which mypy rejects as assignment


def _open_stdin() -> TextIO:
    return open(0, closefd=False)


class _ForkedDecoder:
    """Stands in for subprocess.Popen in edge.camera.picture_process: forks instead of starting a new Python."""

    def __init__(self, *_: Any, **__: Any) -> None:
        from edge.camera import ffmpeg_process

        (child_in, our_out), (our_in, child_out) = os.pipe(), os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            with contextlib.suppress(BaseException):
                for fd, target in ((child_in, 0), (child_out, 1), (os.open(os.devnull, os.O_WRONLY), 2)):
                    os.dup2(fd, target)
                os.closerange(3, 1000)
                stdin = _open_stdin()
                sys.stdin = stdin
                ffmpeg_process.serve(*json.loads(stdin.buffer.readline()))
            os._exit(0)
        os.close(child_in)
        os.close(child_out)
        self.stdin = open(our_out, "wb", buffering=0)  # noqa: SIM115 - the decoder process closes it
        self.stdout = open(our_in, "rb", buffering=0)  # noqa: SIM115 - as above
        self._code: int | None = None

    def kill(self) -> None:
        if self._code is None:
            os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        if self._code is None:
            self._code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self._code


def _fork_decoders() -> None:
    """Fork the decoder process: a new Python with OpenCV takes ten times as long as the case.

    The kind `process` tests it as a program.
    """
    setattr(subprocess, "Popen", _ForkedDecoder)  # noqa: B010 - see _use_loaded_models


def _send(channel: int, **facts: Any) -> None:
    os.write(channel, json.dumps(facts).encode() + b"\n")


def _memory_kib(field: str) -> int:
    """Return a field of /proc/self/status in KiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    raise AssertionError(field)


def _reset_peak_memory() -> None:
    Path("/proc/self/clear_refs").write_text("5")
