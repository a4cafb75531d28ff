"""Up to which event a target has received the log: a small file for each target, which survives a power cut."""

from __future__ import annotations

import contextlib
import json
import shlex
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from ..errors import OutputError
from ..system.files import read_regular, replace_file

_MAX_BYTES = 4096
#: A cursor that moves all the time is written this often. What was received in between is sent again after a power cut.
STORE_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last event that a target has received, by its number `seq` (0: none), and where the line after it begins.

    The place is a hint, which saves a search: `device` and `inode` of the file, and `offset` in bytes. An offset of 0 means
    that the place is unknown.
    """

    seq: int = 0
    device: int = 0
    inode: int = 0
    offset: int = 0


class CursorFile:
    """The cursor of one target, in the file at `path`. Used by one thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stored: Cursor | None = None
        self._stored_at = 0.0

    def load(self) -> Cursor | None:
        """Return the cursor; None if there is none. Raises OutputError if the file is damaged or cannot be read.

        A damaged cursor is an error, and not the beginning of the log: that could send a year of alarms again. Nor is it the
        end: without a file, a new webhook begins with the next event.
        """
        try:
            data = read_regular(self.path, _MAX_BYTES)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be read: {error.strerror}", f"ls -l {self.path}") from error
        self._stored = _parse(data)
        if self._stored is None:
            raise OutputError(
                f"{self.path}: is damaged",
                "write the number of the last event that was received, or 0 to send the whole log again: "
                f"echo '{{\"seq\": 0}}' | sudo tee {shlex.quote(str(self.path))}",
            )
        return self._stored

    def store(self, cursor: Cursor, *, now: bool = False) -> None:
        """Write and sync the cursor, at most every STORE_EVERY_S seconds unless `now`. Raises OutputError."""
        is_due = now or time.monotonic() - self._stored_at >= STORE_EVERY_S
        if cursor == self._stored or not is_due:
            return
        try:
            replace_file(self.path, json.dumps(asdict(cursor)).encode() + b"\n")
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be written: {error.strerror}", f"df {self.path.parent}") from error
        self._stored, self._stored_at = cursor, time.monotonic()


def _parse(data: bytes) -> Cursor | None:
    with contextlib.suppress(ValueError, TypeError):
        cursor = Cursor(**json.loads(data))
        if all(type(value) is int and 0 <= value < 1 << 64 for value in asdict(cursor).values()):
            return cursor
    return None
