"""Carry out commands from the network: silence the buzzer for some minutes, test the lamps. Only with `[link] commands`.

The rules, whatever a command says:

- A silence ends after its minutes (MAX_SILENCE_MIN at most), and when the door stops: it is not stored, so that the buzzer
  of a restarted door sounds. It silences the buzzer only; red stays lit.
- A lamp test is refused while a face is in view, while the door is blind, and while it shows anything but IDLE. It ends with
  the first frame that has a face. It lights red and green together, which no signal does, so it cannot be mistaken for PASS.
  It changes neither buzzer nor relay.
- A command that is in the file when the door starts is ignored. So are old commands, and those beyond the limit of `Allowance`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from . import remote_commands
from .config import Config
from .events.record import utc_text
from .lights.lights import Lights
from .lights.pin_process import PinProcess
from .pipeline import Decision
from .records import Event, Frame, Signal
from .remote_commands import MAX_AGE_S, Allowance, Commands

#: How often (seconds) the file is looked at.
LOOK_EVERY_S = 1.0
#: How long (seconds) a test lights the lamps.
LAMP_TEST_S = 3.0

_now = time.monotonic


class RemoteControl:
    """Shows the signals on the lights of a door, and carries out commands between two frames.

    Use it in place of the lights, and call `on_decision` with every decision after its signal is shown.
    """

    def __init__(
        self,
        config: Config,
        lights: Lights | PinProcess,
        path: Path,
        write: Callable[[Event], None],
        report: Callable[[str], None],
    ) -> None:
        """`path` is the file of the commands, `write` logs an event, and `report` prints a note."""
        self._lights = lights
        self._path = path
        self._write = write
        self._report = report
        self._has_buzzer, self._has_green = "buzzer" in config.lights.pins, "green" in config.lights.pins
        self._allowance = Allowance()
        self._look_at = 0.0
        self._silent_until_s: float | None = None
        #: When the silence ends, as the log says it; None if the buzzer is not silenced.
        self.silenced_until: str | None = None
        self._testing_until_s: float | None = None
        self._problem = ""
        self._version = self._version_of_file()
        #: The newest known commands. Those in the file at the start were for an earlier run of the door.
        self._known = self._read() or Commands()

    @property
    def simulated(self) -> bool:
        """True if no real pin is driven."""
        return self._lights.simulated

    def show(self, signal: Signal, known: bool = False) -> None:
        """Show a signal, with a silent buzzer during a silence. A lamp test goes on while it is IDLE.

        `known` is as for `Lights.show`.
        """
        if self._testing_until_s is not None and signal is Signal.IDLE and _now() < self._testing_until_s:
            self._lights.test_lamps()
        else:
            self._testing_until_s = None
            self._lights.show(signal, known, is_silent=self._silent_until_s is not None)

    def followed_by(
        self, on_decision: Callable[[Frame | None, Decision], None]
    ) -> Callable[[Frame | None, Decision], None]:
        """Return a function that calls `on_decision` of this object, and then `on_decision`."""

        def both(frame: Frame | None, decision: Decision) -> None:
            self.on_decision(decision)
            on_decision(frame, decision)

        return both

    def on_decision(self, decision: Decision) -> None:
        """End a silence and a lamp test that are over, and carry out new commands."""
        now = _now()
        if self._silent_until_s is not None and now >= self._silent_until_s:
            self._end_silence(decision)
        if self._testing_until_s is not None and (now >= self._testing_until_s or _reason_against_test(decision)):
            self._testing_until_s = None
            self.show(decision.signal, decision.everyone_known)
        if now < self._look_at:
            return
        self._look_at = now + LOOK_EVERY_S
        version = self._version_of_file()
        if version is not None and version != self._version:
            self._carry_out(self._read(), decision)
        self._version = version

    def _carry_out(self, commands: Commands | None, decision: Decision) -> None:
        """Carry out the new ones of `commands`."""
        if commands is None:
            return
        now = _now()  # after the file was read: a command must not be from the future
        silence, lamp_test, known = commands.silence, commands.lamp_test, self._known
        self._known = commands
        if silence is not None and silence != known.silence and self._is_allowed(silence.at_s, now):
            self._silence(silence.minutes, decision, now)
        if lamp_test is not None and lamp_test != known.lamp_test and self._is_allowed(lamp_test.at_s, now):
            self._test_lamps(decision, now)

    def _is_allowed(self, at_s: float, now: float) -> bool:
        return 0 <= now - at_s <= MAX_AGE_S and self._allowance.take(now)

    def _silence(self, minutes: int, decision: Decision, now: float) -> None:
        if not self._has_buzzer:
            self._refuse("silence_buzzer", "the door has no buzzer", decision)
        elif minutes:
            self._silent_until_s = now + 60 * minutes
            self.silenced_until = utc_text(time.time() + 60 * minutes)
            data: dict[str, object] = {"minutes": minutes, "until": self.silenced_until}
            self._write(Event("buzzer_silenced", decision.t, data))
        elif self._silent_until_s is not None:
            self._end_silence(decision)
        else:
            self._refuse("silence_buzzer", "the buzzer is not silenced", decision)

    def _end_silence(self, decision: Decision) -> None:
        self._silent_until_s = self.silenced_until = None
        self._write(Event("buzzer_back", decision.t))

    def _test_lamps(self, decision: Decision, now: float) -> None:
        reason = _reason_against_test(decision) if self._has_green else "without a green lamp, red alone would say STOP"
        if reason:
            self._refuse("test_lamps", reason, decision)
            return
        self._testing_until_s = now + LAMP_TEST_S
        self._write(Event("lamps_tested", decision.t, {"seconds": LAMP_TEST_S}))

    def _refuse(self, command: str, reason: str, decision: Decision) -> None:
        self._write(Event("command_refused", decision.t, {"command": command, "reason": reason}))

    def _version_of_file(self) -> tuple[int, int] | None:
        """Return a value that changes with each version of the file; None without a file."""
        try:
            status = os.lstat(self._path)
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino

    def _read(self) -> Commands | None:
        """Return the commands; None if they cannot be read. A problem is printed once."""
        try:
            commands = remote_commands.read(self._path)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            problem = f"note: {self._path}: the commands are ignored: {reason}"
            if problem != self._problem:
                self._report(problem)
            self._problem = problem
            return None
        self._problem = ""
        return commands


def _reason_against_test(decision: Decision) -> str:
    """Return why the lamps may not be tested now; "" if they may."""
    if decision.fault is not None or decision.signal is Signal.FAULT:
        return "the door is blind: someone may be there"
    uncounted = {*decision.outside, *decision.still}
    if decision.tracks or decision.signal is not Signal.IDLE or not uncounted.issuperset(decision.found or ()):
        return "a face is in view"
    return ""
