"""The cursor of a target while it works: a disk that refuses it is a problem of the target, and no end."""

from __future__ import annotations

from pathlib import Path

from ..errors import OutputError
from .cursor import Cursor, CursorFile
from .status import LinkStatus


class CursorKeeper:
    """Loads and stores the cursor of the target `name`, in the file at `path`."""

    def __init__(self, path: Path, name: str, status: LinkStatus) -> None:
        self._file = CursorFile(path)
        self._name = name
        self._status = status
        self._problem: OutputError | None = None

    def load(self) -> Cursor | None:
        """Return the cursor; None if there is none. Raises OutputError if it is damaged."""
        return self._file.load()

    def store(self, cursor: Cursor, *, now: bool = False) -> bool:
        """Store the cursor. Return False if that is impossible: what is sent now would be sent again after a restart."""
        try:
            self._file.store(cursor, now=now)
        except OutputError as error:
            self._problem = error
            self._status.report_failure(self._name, error, is_connected=True)
            return False
        if self._problem is not None:
            self._status.report_solved(self._name, self._problem)
            self._problem = None
        return True
