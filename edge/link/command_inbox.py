"""Commands for the door that come from the broker: what is wrong with one, or the file that the door looks at.

A command is one JSON object on the topic `command`:

    {"command": "silence_buzzer", "minutes": 10, "time": 1764266400.5}
    {"command": "test_lamps", "time": 1764266400.5}

`time` is when it was sent, in seconds since 1970. The broker sends a retained message again at each connection, and one with
another clock may be old: neither is carried out.
"""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from .. import remote_commands
from ..errors import UnavailableError
from ..remote_commands import COMMAND_BURST, COMMAND_EVERY_S, MAX_SILENCE_MIN, Allowance, Commands, LampTest, Silence
from .door_state import DoorState

MAX_COMMAND_BYTES = 500
#: A command whose time differs more (seconds) from this machine's clock is old, or from a wrong clock.
MAX_CLOCK_DIFFERENCE_S = 30.0
#: A door that looks at the file logs what it has done within this time (seconds).
ANSWER_S = 5.0


class _SilenceBuzzer(msgspec.Struct, tag_field="command", tag="silence_buzzer", forbid_unknown_fields=True):
    minutes: int
    time: float


class _TestLamps(msgspec.Struct, tag_field="command", tag="test_lamps", forbid_unknown_fields=True):
    time: float


_DECODER: msgspec.json.Decoder[_SilenceBuzzer | _TestLamps] = msgspec.json.Decoder(_SilenceBuzzer | _TestLamps)


class CommandError(UnavailableError):
    """A command that is not carried out, and why."""


class CommandInbox:
    """Passes commands on to the door through the file `path`. The door's answer is in its log, which `state` follows."""

    def __init__(self, path: Path, state: DoorState) -> None:
        self._path = path
        self._state = state
        self._allowance = Allowance()
        self._commands = Commands()
        #: When the command was passed on that the door has not answered, and the newest event of the log before.
        self._asked_at: float | None = None
        self._asked_after = 0

    def take(self, payload: bytes, *, is_retained: bool) -> None:
        """Pass a command on to the door. Raises CommandError if it is not one, or must not be carried out."""
        try:
            self._pass_on(_parse(payload, is_retained))
        except CommandError as error:
            self._state.note_command(f"not carried out: {error}")
            raise

    def check_answer(self) -> None:
        """Raise CommandError once if the door has not answered the last command in time."""
        if self._asked_at is None:
            return
        if self._state.answered > self._asked_after:
            self._asked_at = None
        elif time.monotonic() - self._asked_at > ANSWER_S:
            self._asked_at = None
            error = CommandError("the door has not answered a command", "sudo systemctl restart doorlight")
            self._state.note_command(str(error))
            raise error

    def close(self) -> None:
        """Remove the file: a door that starts later has nothing to do with it."""
        self._path.unlink(missing_ok=True)

    def _pass_on(self, command: _SilenceBuzzer | _TestLamps) -> None:
        now = time.monotonic()
        if not self._allowance.take(now):
            raise CommandError(
                f"there are too many commands: {COMMAND_BURST} at once, then one every {COMMAND_EVERY_S:g} s", "wait"
            )
        if isinstance(command, _SilenceBuzzer):
            commands = msgspec.structs.replace(self._commands, silence=Silence(now, command.minutes))
        else:
            commands = msgspec.structs.replace(self._commands, lamp_test=LampTest(now))
        # Events that were logged before, and that the state has not read yet, answer nothing.
        self._asked_at, self._asked_after = now, self._state.newest_number()
        try:
            remote_commands.write(self._path, commands)
        except OSError as error:
            self._asked_at = None
            raise CommandError(
                f"{self._path}: a command cannot be written: {error.strerror}", f"ls -ld {self._path.parent}"
            ) from error
        # Not before: a command that was reported as not carried out must not come with the next one.
        self._commands = commands


def _parse(payload: bytes, is_retained: bool) -> _SilenceBuzzer | _TestLamps:
    """Return a command that is new. Raises CommandError; no message repeats the payload."""
    if is_retained:
        raise CommandError("a retained command is ignored: it may be old", "publish commands without retain")
    if len(payload) > MAX_COMMAND_BYTES:
        raise CommandError("a command is too long", "edge/link/README.md shows what a command is")
    try:
        command = _DECODER.decode(payload)
    except (msgspec.MsgspecError, ValueError, RecursionError):  # ValueError: not UTF-8
        raise CommandError("a message is no command", "edge/link/README.md shows what a command is") from None
    if not abs(time.time() - command.time) <= MAX_CLOCK_DIFFERENCE_S:
        raise CommandError(
            f"a command is ignored: its time differs by more than {MAX_CLOCK_DIFFERENCE_S:g} s from this machine's clock",
            "if it was a new one, set the clocks: timedatectl",
        )
    if isinstance(command, _SilenceBuzzer) and not 0 <= command.minutes <= MAX_SILENCE_MIN:
        raise CommandError(f"a silence lasts 1 to {MAX_SILENCE_MIN} minutes, or 0 to end it", "send fewer minutes")
    return command
