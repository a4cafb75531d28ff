"""A door with its pin process, in a child process on a fake Raspberry Pi."""

from __future__ import annotations

import contextlib
import os
import signal
import textwrap
import threading
from pathlib import Path

from support.pi import pi_process

#: Green, red, buzzer; and the relay before them.
LAMPS = ("17", "27", "24")
WITH_RELAY = ("23", *LAMPS)
#: Levels of (green, red, buzzer).
GREEN, RED, OFF = (1, 0, 0), (0, 1, 0), (0, 0, 0)
IMPORTS = """
    import signal, time
    from edge.lights import pin_process
    from edge.lights.pin_process import PinProcess
    # A child process inherits ignored signals, for example from nohup.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
"""


class PiDoor:
    """A door in a child process on a fake Raspberry Pi, and the levels of its pins as the fake lgpio prints them."""

    def __init__(self, folder: Path, code: str) -> None:
        self.process = pi_process(folder, textwrap.dedent(IMPORTS) + textwrap.dedent(code))
        self.printed: list[str] = []
        self._seen = 0  # how many of the lines printed `wait_for_levels` has passed
        self._new_line = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._new_line:
                self.printed.append(line.strip())
                self._new_line.notify_all()

    def levels(self, pins: tuple[str, ...] = LAMPS) -> tuple[int, ...]:
        """Return the last level of each pin."""
        return _levels(self.printed, pins)

    def wait_for_levels(self, levels: tuple[int, ...]) -> None:
        """Wait until the door is ready and the pins, with the relay's first if there are four levels, have these levels.

        Levels that lasted for a moment count, so that a busy machine misses none. They are searched for from where the
        last call found its own.
        """
        pins = WITH_RELAY[-len(levels) :]
        with self._new_line:
            assert self._new_line.wait_for(lambda: "ready" in self.printed and self._pass(levels, pins), 60), (
                self.printed
            )

    def _pass(self, levels: tuple[int, ...], pins: tuple[str, ...]) -> bool:
        for end in range(max(1, self._seen), len(self.printed) + 1):
            if _levels(self.printed[:end], pins) == levels:
                self._seen = end
                return True
        return False

    def wait_for_end(self) -> list[str]:
        """Wait until the door and its pin process have exited, and return the lines of both."""
        self._reader.join(60)
        assert not self._reader.is_alive(), self.printed
        return self.printed

    def close(self) -> None:
        """Kill both processes if they still run."""
        for number in (signal.SIGKILL, signal.SIGCONT):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)
        self.process.wait()
        self._reader.join()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()


def _levels(printed: list[str], pins: tuple[str, ...]) -> tuple[int, ...]:
    """Return the last level of each pin in these lines; -1: none was written yet."""
    written = dict(line.split() for line in printed if line[:1].isdigit())
    return tuple(int(written.get(pin, -1)) for pin in pins)


#: Show PASS with a pin process that shows FAULT after {timeout} seconds of silence; then run {then}.
SHOW_GREEN = """
    with PinProcess(settings, {timeout}).connect() as shown:
        shown.show(Signal.PASS)
        print("ready", flush=True)
        {then}
"""
FOREVER = "while True: time.sleep(0.02); shown.show(Signal.PASS)"
