"""Bring the totals of a log up to date, and keep them in a file from one run to the next.

Without that file, counters would decrease when the log rotates, and each run would read the whole log.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec

from ..errors import OutputError
from ..statistics import hours_file
from ..system.files import is_locked, read_regular, replace_file
from .new_records import first_time_s, records_after
from .totals import Totals

_VERSION = 1
_MAX_STATE_BYTES = 1 << 20
#: A longer time since the last event means that the clock was wrong.
_MAX_SILENCE_S = 400 * 86400.0


class Reading(msgspec.Struct):
    """What the metrics show: the totals, the times up to now, and whether the door runs now.

    `up_s` and `fault_s` include the time since the last event, and never decrease.
    """

    totals: Totals = msgspec.field(default_factory=Totals)
    up_s: float = 0.0
    fault_s: float = 0.0
    is_running: bool = False


class _State(msgspec.Struct):
    version: int
    reading: Reading


class TotalsKeeper:
    """Counts the log at `log`. `state` is the file that keeps the totals; None keeps them in memory only."""

    def __init__(self, log: Path, state: Path | None) -> None:
        self._log = log
        self._state = state
        self._stored_seq: int | None = None
        self._reading = Reading()
        self._is_new = True
        #: Why the totals of an earlier run are not used; None if they are, or there was none.
        self.problem: str | None = None
        if state is not None:
            self._load(state)

    @property
    def has_events(self) -> bool:
        """Whether any record has been counted."""
        return self._reading.totals.last_time_s > 0

    def update(self) -> Reading:
        """Count the new records of the log, and return what the metrics show. Raises InputError if it cannot be read."""
        totals = self._reading.totals
        if self._is_new:
            self._is_new = not self._count_lost_hours(totals)
        for record, damaged in records_after(self._log, totals.last_seq):
            totals.damaged += damaged
            totals.add(record)
        is_running = totals.is_running and is_locked(self._log)
        since_s = time.time() - totals.last_time_s
        live_s = since_s if is_running and 0 < since_s < _MAX_SILENCE_S else 0.0
        up_s = totals.up_s + live_s
        fault_s = totals.fault_s + (live_s if totals.signal == "FAULT" else 0.0)
        # The camera's clock and the wall clock differ a little.
        self._reading.up_s = max(self._reading.up_s, up_s)
        self._reading.fault_s = max(self._reading.fault_s, fault_s)
        self._reading.is_running = is_running
        return self._reading

    def store(self) -> None:
        """Write the totals into the file, if there are new records. Raises OutputError."""
        if self._state is not None and self._stored_seq != self._reading.totals.last_seq:
            replace(self._state, msgspec.json.encode(_State(_VERSION, self._reading)), sync=True)
            self._stored_seq = self._reading.totals.last_seq

    def _load(self, path: Path) -> None:
        try:
            state = msgspec.json.decode(read_regular(path, _MAX_STATE_BYTES), type=_State)
        except (FileNotFoundError, NotADirectoryError):
            return
        except (OSError, ValueError) as error:
            self.problem = (
                f"{path}: cannot be read ({getattr(error, 'strerror', None) or error}): counting starts again"
            )
            return
        times = (state.reading.totals.decision, state.reading.totals.dwell)
        if state.version != _VERSION or any(len(each.counts) != len(each.limits_s) + 1 for each in times):
            self.problem = f"{path}: is of another version: counting starts again"
            return
        self._reading = state.reading
        self._is_new = not self.has_events
        self._stored_seq = state.reading.totals.last_seq

    def _count_lost_hours(self, totals: Totals) -> bool:
        """Count the hours that only the file of hours has. Return False if there is no log yet."""
        begin_s = first_time_s(self._log)
        if begin_s is None:
            return False
        hours = hours_file.read(hours_file.hours_path(self._log), None, round(begin_s * 1000)).hours
        totals.add_hours(hour for hour in hours if hour.end_ms <= begin_s * 1000)
        return True


def replace(path: Path, data: bytes, sync: bool = False) -> None:
    """Write a file so that a reader sees the old or the new content, and never a part. Raises OutputError.

    What is there already must be a regular file, and no link: replacing /dev/stdout would take it from every other program.
    """
    if os.path.lexists(path) and (path.is_symlink() or not path.is_file()):
        raise OutputError(f"{path}: is not a regular file", "name a file, not a link to one")
    try:
        replace_file(path, data, sync=sync)
    except OSError as error:
        hint = f"mkdir -p {path.parent}" if not path.parent.exists() else f"see who may write: ls -ld {path.parent}"
        raise OutputError(f"{path}: cannot be written: {error.strerror}", hint) from error
