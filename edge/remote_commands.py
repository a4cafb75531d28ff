"""Read and write the file by which the link passes commands from the network to the door. It is in the link's runtime folder.

The door has no network, and no socket for commands: it reads this file once a second, only with `[link] commands`. systemd
creates the folder for the user doorlight-link; only this user and root can write there. The door reads at most MAX_BYTES and
knows two commands. The event log has what it has done.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from .system.files import replace_file

#: RuntimeDirectory= of systemd/doorlight-link.service.
LINK_RUNTIME = Path("/run/doorlight-link")
FILE_NAME = "commands.json"
MAX_BYTES = 500
#: The longest silence of the buzzer, in minutes.
MAX_SILENCE_MIN = 240
#: A command that is older (seconds) is not carried out.
MAX_AGE_S = 10.0
#: Commands at once, and the time (seconds) after which another one is allowed: each writes a line of the event log.
BURST, EVERY_S = 5, 60.0

#: A moment on the monotonic clock, which all processes of a machine share.
Moment = Annotated[float, Meta(ge=0)]


class Silence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Silence the buzzer for `minutes`; 0 ends the silence."""

    at_s: Moment
    minutes: Annotated[int, Meta(ge=0, le=MAX_SILENCE_MIN)]


class LampTest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Light the lamps for a moment."""

    at_s: Moment


class Commands(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of the file: the newest command of each kind."""

    silence: Silence | None = None
    lamp_test: LampTest | None = None


class Allowance:
    """Allows BURST commands at once, and then one every EVERY_S seconds."""

    def __init__(self) -> None:
        self._left = float(BURST)
        self._at: float | None = None

    def take(self, now: float) -> bool:
        """Return whether another command is allowed at the monotonic time `now`, and count it."""
        passed_s = 0.0 if self._at is None else max(now - self._at, 0.0)
        self._left, self._at = min(float(BURST), self._left + passed_s / EVERY_S), now
        if self._left < 1:
            return False
        self._left -= 1
        return True


def commands_file(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return the file for a door or a link with this environment; None if there is no runtime folder.

    Both services use the folder of the link's unit. A door and a link that a user runs by hand use the user's folder.
    """
    if environ.get("RUNTIME_DIRECTORY"):
        return LINK_RUNTIME / FILE_NAME
    base = environ.get("XDG_RUNTIME_DIR", "")
    return Path(base) / "doorlight-link" / FILE_NAME if base.startswith("/") else None


def read(path: Path) -> Commands:
    """Return the content of the file. Raises OSError if it cannot be read, and ValueError if its content is invalid.

    Never blocks: an attacker who controls the link could replace the file by a pipe, or by a symbolic link.
    """
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise ValueError("it is not a regular file")
        data = os.read(file, MAX_BYTES + 1)
    finally:
        os.close(file)
    if len(data) > MAX_BYTES:
        raise ValueError("it is too long")
    try:
        return msgspec.json.decode(data, type=Commands)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def write(path: Path, commands: Commands) -> None:
    """Replace the file. The door sees the old content or the new one. Raises OSError."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    replace_file(path, msgspec.json.encode(commands), sync=False)
