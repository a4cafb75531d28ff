"""Write the event log: a queue, and a thread that appends what is in it and syncs it to the disk.

`EventLog.write` returns at once. While the disk refuses writes, the queue fills, the oldest events are dropped and
counted, and the thread retries.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from ..counted import counted
from ..errors import OutputError
from ..records import Event
from ..system.files import is_mount_read_only
from .appender import DISK_FULL_ERRORS, Appender, opening_error
from .counter import Counter, counter_path
from .numbering import last_used_number
from .record import EventRecord, encode, sequence_number, utc_text

#: Events that wait in memory while the disk refuses writes.
MAX_PENDING = 1000
#: Lines of one write. More would be encoded in vain while the disk is full.
MAX_LINES_PER_WRITE = 100
#: Events of one moment (a person is decided, and with that the signal changes) are written together: for each write,
#: ext4 adds about four blocks of its journal to the block that holds the lines.
GATHER_S = 0.1
RETRY_S = 2.0
CLOSE_TIMEOUT_S = 10.0
#: A record is on the disk within a second. If a write takes longer, the disk is reported as a problem.
SLOW_S = 1.0
#: Numbers skipped after an end without `stopped`. A reader sees a line some milliseconds before it is synced; a power
#: cut may remove that line, and its number must not be used again.
SKIPPED_AFTER_CRASH = MAX_PENDING
#: A write of a counter reserves this number of numbers ahead, so that the next events need none.
RESERVED_AHEAD = MAX_PENDING

#: The wall clock counts as set if it jumps by more than this against the time since power-on; more than a leap second.
CLOCK_SET_S = 2.0
#: How often the clock is checked while there are no events.
CLOCK_CHECK_S = 1.0


class EventLog:
    """Append events to `path`, one JSON object a line.

    A record has `seq` (integer, strictly increasing in the order of `write`, also across restarts; no number is used
    twice, and at most 2000 numbers are skipped after a power cut or crash), `time` (UTC, from `clock`, a function like
    time.time), `t` (seconds on the source's clock), `event` (the kind), and the event's data. It is on the disk within
    a second of `write`.

    A counter beside the log keeps `seq` unique if the log is compressed, moved away or deleted. `machine_counter`, the
    path of a counter that all logs of a door share, does so if the log is on another disk or has another name. Counters
    are written ahead, RESERVED_AHEAD numbers at a time; if that fails, only they are missing.

    A file that would exceed `rotate_bytes` becomes `path`.1, the one before it `path`.2, and so on; `keep_files` are
    kept.

    A torn last line, as a power cut leaves it, is removed when the log is opened, and a `log_repaired` event says so.
    When the wall clock is set, a `clock_set` event says what it would show otherwise (`before`).

    While the disk is full, failing or slow, `problem` says so and MAX_PENDING events wait in memory. Beyond that the
    oldest are lost, and a `log_lost` event with their `count` takes their place when the disk is back. The same holds
    if an existing log cannot be opened because its disk is full or has become read-only, as old SD cards do.

    Raises OutputError if `path` cannot be a log: its folder is missing or not writable, it is a folder or not a regular
    file, its disk is read-only, or another process is writing to it.
    """

    def __init__(
        self,
        path: Path,
        rotate_bytes: int,
        keep_files: int,
        clock: Callable[[], float] = time.time,
        machine_counter: Path | None = None,
    ) -> None:
        if path.is_dir():  # a folder such as / has no name for a counter beside it
            raise opening_error(path, IsADirectoryError())
        self.path = path
        self._clock = clock
        self._file = Appender(path, rotate_bytes, keep_files)  # belongs to the writer thread once that has started
        self._counter = Counter(counter_path(path))  # these, too
        self._machine_counter = None if machine_counter is None else Counter(machine_counter)
        self._written = 0  # the last number in the log that comes from this process
        # Shared by both threads, guarded by `_wake`.
        self._wake = threading.Condition()
        self._pending: deque[EventRecord] = deque()
        self._seq = 0
        self._unreported = 0  # events lost, and not yet covered by a `log_lost` record
        self._last_lost: EventRecord = {}
        self._lost = 0
        self._t = 0.0
        self._power_on: float | None = None  # wall time at which the machine was switched on
        self._closing = False
        self._problem: str | None = None
        self._locked_out = False
        self._writing_since: float | None = None  # monotonic; None while the disk is idle
        try:
            machine_number = self._machine_counter.read() if self._machine_counter else None
            self._seq = max(last_used_number(path, self._counter.read(), SKIPPED_AFTER_CRASH), machine_number or 0)
            removed_bytes = self._file.open()
            # It may have restored lines that a power cut had taken.
            self._seq = max(self._seq, last_used_number(path, self._counter.read(), SKIPPED_AFTER_CRASH))
            self._report_repair(removed_bytes)
        except OSError as error:
            is_failing = error.errno == errno.EROFS and path.exists() and not is_mount_read_only(path.parent)
            if error.errno not in DISK_FULL_ERRORS and not is_failing:
                raise opening_error(path, error) from error
            self._problem = _reason(path, error)
        self._writer = threading.Thread(target=self._run, name="events", daemon=True)
        self._writer.start()

    @property
    def problem(self) -> str | None:
        """Why events do not reach the disk, in one line; None if they do."""
        problem, since, lost = self._problem, self._writing_since, self._lost
        if problem is None and since is not None and (busy_s := time.monotonic() - since) > SLOW_S:
            problem = f"{self.path}: the disk has not answered for {busy_s:.0f} s"
        return f"{problem}; {counted(lost, 'event')} lost" if problem and lost else problem

    @property
    def locked_out(self) -> bool:
        """True if the disk is writable, but not for this process, only for a new one.

        A service keeps the view of the mounts that it started with: if its disk was read-only then and is remounted
        writable later, the view stays read-only.
        """
        return self._locked_out

    @property
    def lost(self) -> int:
        """Number of events lost since the log was opened."""
        return self._lost

    def write(self, event: Event) -> None:
        """Log `event` without waiting for the disk. Raises ValueError if the log is closed."""
        with self._wake:
            if self._closing:
                raise ValueError(f"{self.path}: the event log is closed")
            self._add(event)

    def close(self) -> None:
        """Write and sync the pending events and close the file. May be called again, and never raises.

        If the disk fails, it retries once; what cannot be written then is lost, and `problem` says so.
        """
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._writer.join(CLOSE_TIMEOUT_S)
        if self._writer.is_alive():  # in a system call that does not return; it keeps the file
            self._problem = f"{self.path}: the disk does not answer"
            return
        with self._wake:
            self._drop_oldest(keep=0)
        self._file.close()

    def __enter__(self) -> EventLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _add(self, event: Event) -> None:
        with self._wake:
            wall_s = self._clock()
            self._check_clock(wall_s, event.t)
            self._queue(event, wall_s)

    def _check_clock(self, wall_s: float, t: float) -> None:
        power_on = wall_s - _uptime_s()
        before, self._power_on = self._power_on, power_on
        if before is not None and abs(power_on - before) >= CLOCK_SET_S:
            self._queue(Event("clock_set", t, {"before": utc_text(wall_s - (power_on - before))}), wall_s)

    def _queue(self, event: Event, wall_s: float) -> None:
        self._seq += 1
        self._t = event.t
        own = {"seq": self._seq, "time": utc_text(wall_s), "t": round(float(event.t), 3), "event": event.kind}
        self._pending.append({**own, **event.data, **own})  # first in the line, and not replaced by the event's data
        self._drop_oldest()
        self._wake.notify()

    def _report_repair(self, removed_bytes: int) -> None:
        if removed_bytes:
            self._add(Event("log_repaired", self._t, {"bytes": removed_bytes}))

    def _drop_oldest(self, keep: int = MAX_PENDING) -> None:
        while len(self._pending) > keep:
            record = self._pending.popleft()
            is_report = record["event"] == "log_lost"  # its events have been counted already
            self._unreported += record["count"] if is_report else 1
            self._lost += 0 if is_report else 1
            # Records that could not be written return to the queue after newer ones were dropped, so compare numbers.
            self._last_lost = max(self._last_lost, record, key=sequence_number)

    def _run(self) -> None:
        """Run the writer thread."""
        failed = False
        while True:
            with self._wake:
                if failed and not self._closing:
                    self._wake.wait(RETRY_S)
                if not self._wake.wait_for(lambda: self._pending or self._closing or self._problem, CLOCK_CHECK_S):
                    self._check_clock(self._clock(), self._t)
                if self._pending:
                    self._wake.wait_for(lambda: self._closing or len(self._pending) >= MAX_LINES_PER_WRITE, GATHER_S)
                is_last = self._closing
                records = self._take()
            failed = not self._append(records)
            with self._wake:
                self._pending.extendleft(reversed(records))
                self._drop_oldest()
                is_last = is_last and (failed or not self._pending)
            if is_last:
                self._release_numbers()
                return

    def _take(self) -> deque[EventRecord]:
        """Return all pending records. A `log_lost` record comes first, with seq, time and t of the last lost event."""
        records, self._pending = self._pending, deque()
        if self._unreported:
            place = {key: self._last_lost[key] for key in ("seq", "time", "t")}
            records.appendleft({**place, "event": "log_lost", "count": self._unreported})
            self._unreported = 0
        return records

    def _open_again(self, records: deque[EventRecord]) -> None:
        """Open the log after it was moved, deleted or emptied. If it is another one now, continue its numbers."""
        counted = self._counter.read()
        own = counted is not None and counted == self._counter.stored
        used = last_used_number(self.path, 0 if own else counted, SKIPPED_AFTER_CRASH, self._written)
        self._file.close()  # or its own lock would refuse an emptied file
        self._report_repair(self._file.open())
        self._counter.close()  # it may have been moved or deleted, too
        with self._wake:
            waiting = (*records, *self._pending)
            first = waiting[0]["seq"] if waiting else self._seq + 1
            shift = used + 1 - first
            if used <= self._written or shift <= 0:
                return
            for record in waiting:
                record["seq"] += shift
            self._seq += shift
            if self._last_lost:
                self._last_lost = {**self._last_lost, "seq": self._last_lost["seq"] + shift}

    def _reserve_numbers(self, records: deque[EventRecord]) -> None:
        """Before the numbers of `records` can be seen, let the counters say that they are used."""
        for counter in filter(None, (self._counter, self._machine_counter)):
            with contextlib.suppress(OSError):  # a log without counters is better than none
                if records:
                    counter.reserve(records[-1]["seq"], RESERVED_AHEAD)

    def _release_numbers(self) -> None:
        """Let the counters say which numbers are used, without those that were written ahead."""
        for counter in filter(None, (self._counter, self._machine_counter)):
            with contextlib.suppress(OSError):
                if counter.stored is not None:
                    counter.store(self._seq)
            counter.close()

    def _append(self, records: deque[EventRecord]) -> bool:
        """Move `records` to the disk and return whether that worked.

        Records that are not on the disk stay in `records`.
        """
        try:
            self._writing_since = time.monotonic()
            if not self._file.is_open():
                self._open_again(records)
            self._reserve_numbers(records)
            while records:
                self._writing_since = time.monotonic()
                written = self._file.append(map(encode, itertools.islice(records, MAX_LINES_PER_WRITE)))
                for _ in range(written):
                    self._written = records.popleft()["seq"]
        except (OSError, OutputError) as error:
            self._problem = _reason(self.path, error)
            is_read_only = isinstance(error, OSError) and error.errno == errno.EROFS
            self._locked_out = is_read_only and is_mount_read_only(self.path.parent)
            return False
        finally:
            self._writing_since = None
        self._problem, self._locked_out = None, False
        return True


def _reason(path: Path, error: OSError | OutputError) -> str:
    return f"{path}: {error.strerror}" if isinstance(error, OSError) else str(error)


def _uptime_s() -> float:
    """Return the seconds since power-on, including sleep. The wall clock does not affect it."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
