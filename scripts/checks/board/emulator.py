"""Run QEMU with a time limit, read its serial console, and watch the board's pins in the emulated chip.

Everything ends with the `with` block, with Ctrl-C and with the program that started it.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from .pins import GPFSEL0, GPLEV0, SELECT_WORDS, PinChange, decode

#: Time between two reads of the pins: shorter than the shortest sound of the buzzer.
POLL_S = 0.03
MONITOR_TIMEOUT_S = 20.0


class EmulatorError(Exception):
    """The emulator has ended, or an answer or a line of the console did not come within the time limit."""


class Line(NamedTuple):
    """A line of the serial console, and when it was complete, in seconds since power-on."""

    t: float
    text: str


class Monitor:
    """QEMU's monitor (QMP over a Unix socket). Reads words of the guest's physical memory."""

    def __init__(self, path: Path, is_running: Callable[[], bool]) -> None:
        """Connect to `path`, which QEMU makes when it starts. Raises EmulatorError."""
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(MONITOR_TIMEOUT_S)
        deadline = time.monotonic() + MONITOR_TIMEOUT_S
        while True:
            try:
                self._socket.connect(str(path))
                break
            except OSError as error:
                if not is_running() or time.monotonic() > deadline:
                    self._socket.close()
                    raise EmulatorError(f"QEMU's monitor does not answer: {error}") from error
                time.sleep(0.05)
        self._file = self._socket.makefile("rw", encoding="utf-8")
        try:
            self._file.readline()  # the greeting
            self._ask("qmp_capabilities")
        except (EmulatorError, OSError) as error:
            self.close()
            raise EmulatorError(f"QEMU's monitor: {error}") from error

    def words(self, address: int, count: int) -> list[int]:
        """Return `count` 32-bit words of physical memory. Raises EmulatorError."""
        answer = self._ask("human-monitor-command", {"command-line": f"xp /{count}wx {address:#x}"})
        words = parse_words(str(answer))
        if len(words) != count:
            raise EmulatorError(f"QEMU's monitor: {answer!r} is not an answer to 'xp'")
        return words

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._file.close()
        self._socket.close()

    def _ask(self, command: str, arguments: dict[str, str] | None = None) -> object:
        """Return the answer to a command. Events, which QEMU sends in between, are skipped."""
        try:
            self._file.write(json.dumps({"execute": command, "arguments": arguments or {}}) + "\n")
            self._file.flush()
            while text := self._file.readline():
                answer: dict[str, Any] = json.loads(text)
                if "error" in answer:
                    raise EmulatorError(f"QEMU's monitor: {answer['error']}")
                if "return" in answer:
                    return answer["return"]
        except (OSError, ValueError) as error:
            raise EmulatorError(f"QEMU's monitor: {error}") from error
        raise EmulatorError("QEMU has closed its monitor")


def parse_words(text: str) -> list[int]:
    """Return the words in the answer to `xp /6wx …`: "000000003f200000: 0x00000000 0x00040000 …"."""
    return [int(word, 16) for line in text.splitlines() if ":" in line for word in line.split(":", 1)[1].split()]


class Emulator:
    """A board that is switched on. Threads append to `lines` and `changes` while it runs."""

    def __init__(self, command: Sequence[str | Path], registers: int, console_log: Path) -> None:
        """Start QEMU.

        `command` is its command line without the monitor; its standard output is the serial console. `registers` is the
        physical address of the GPIO block. The console is copied to `console_log`, the changes of the pins to a file
        beside it (.pins).
        """
        self.lines: list[Line] = []
        self.changes: list[PinChange] = []
        #: How many times the pins were read.
        self.polls = 0
        #: Why the pins are no longer read, although QEMU runs; "" if they are.
        self.pins_error = ""
        self._registers = registers
        self._new_line = threading.Condition()
        self._has_read_all = False
        self._scratch = tempfile.TemporaryDirectory(prefix="doorlight-board-")
        monitor = Path(self._scratch.name) / "qmp"
        self.powered_at = time.monotonic()
        self._process = subprocess.Popen(
            [*map(str, command), "-qmp", f"unix:{monitor},server=on,wait=off"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # QEMU keeps the changes of the SD card in $TMPDIR.
            env=os.environ | {"TMPDIR": self._scratch.name},
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )
        # A higher priority than other programs of this computer, where permitted: the door on the board is what is measured.
        with contextlib.suppress(OSError):
            Path(f"/proc/{self._process.pid}/autogroup").write_text("-10")
        self._reader = threading.Thread(target=self._read_console, args=(console_log,), daemon=True)
        self._watcher = threading.Thread(
            target=self._watch_pins, args=(monitor, console_log.with_suffix(".pins")), daemon=True
        )
        self._reader.start()
        self._watcher.start()

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def now(self) -> float:
        """Return the seconds since power-on."""
        return time.monotonic() - self.powered_at

    def wait_for(self, pattern: str, within_s: float, since: int = 0) -> Line:
        """Return the first line that matches a regular expression, from the line number `since` on.

        Raises EmulatorError if there is none within the time, or if QEMU ends.
        """
        deadline = time.monotonic() + within_s
        checked = since
        with self._new_line:
            while True:
                for line in self.lines[checked:]:
                    if re.search(pattern, line.text):
                        return line
                checked = len(self.lines)
                left_s = deadline - time.monotonic()
                last = self.lines[-1].text if self.lines else "nothing"
                # Its last lines may be read after it has ended.
                if self._has_read_all and not self.is_running:
                    raise EmulatorError(f"QEMU has ended ({self._process.returncode}); the console's last line: {last}")
                if left_s <= 0:
                    raise EmulatorError(f"not within {within_s:.0f} s; the console's last line: {last}")
                self._new_line.wait(min(left_s, 1.0))

    def close(self) -> None:
        """Switch the board off. Can be called more than once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join(10)
        self._watcher.join(MONITOR_TIMEOUT_S + 5)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._scratch.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read_console(self, log: Path) -> None:
        assert self._process.stdout is not None
        with log.open("w", encoding="utf-8") as copy:
            for raw in self._process.stdout:
                line = Line(self.now(), clean_line(raw.decode(errors="replace")))
                copy.write(f"{line.t:8.2f}  {line.text}\n")
                copy.flush()
                with self._new_line:
                    self.lines.append(line)
                    self._new_line.notify_all()
        with self._new_line:
            self._has_read_all = True
            self._new_line.notify_all()

    def _watch_pins(self, path: Path, log: Path) -> None:
        try:
            monitor = Monitor(path, lambda: self.is_running)
            with contextlib.closing(monitor), log.open("w") as copy:
                while self.is_running:
                    select = monitor.words(self._registers + GPFSEL0, SELECT_WORDS)
                    pins = decode(select, monitor.words(self._registers + GPLEV0, 1)[0])
                    self.polls += 1
                    if not self.changes or self.changes[-1].pins != pins:
                        self.changes.append(PinChange(self.now(), pins))
                        copy.write(f"{self.changes[-1].t:8.2f}  {pins}\n")
                        copy.flush()
                    time.sleep(POLL_S)
        except EmulatorError as error:
            if self.is_running:
                self.pins_error = f"the pins were not read after {self.now():.1f} s: {error}"


def clean_line(text: str) -> str:
    """Return a line without what the kernel and systemd send before it: a broken character, or sequences for a terminal."""
    return re.sub(r"\x1b(?:\[[\d;?!]*[A-Za-z]|\][^\x07]*\x07)|[\0\N{REPLACEMENT CHARACTER}]", "", text).strip("\r\n")


def _die_with_parent() -> None:
    """Let the kernel send SIGKILL to this new process when its parent dies (prctl PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
