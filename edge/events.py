"""The event log: JSON lines that survive a power cut, a full disk and a restart; and the reading of them.

Writing. `EventLog.write` puts an event into a short queue and returns; a thread appends what is there to the file and
syncs it to the disk. While the disk refuses, the queue fills, the oldest events are dropped and counted, and the
thread tries again and again.

Reading. `read` and `follow` know about rotated files, damaged lines, and a last line that is still being written.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import json
import math
import os
import re
import stat
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from .errors import InputMissing, OutputError, UsageError
from .files import open_plain
from .records import Event
from .terminal import printable

Line = dict[str, Any]

MOST_PENDING = 1000
MOST_AT_ONCE = 100  # lines to a write: no more than this is encoded in vain while the disk is full
#: What happens in one moment (somebody is decided, and with that the light) is written together: each time that a card is
#: made to write, the file system adds four blocks to the one that the lines are in.
GATHER_S = 0.1
RETRY_S = 2.0
CLOSE_S = 10.0
#: A line is on the disk within a second: a write that takes longer (seconds) is a disk in trouble.
SLOW_S = 1.0
#: After an end without `stopped` so many numbers are left out. Whoever follows the log sees lines some milliseconds before
#: they are synced; a power cut may take those from the disk, and new lines must not go by their numbers.
SKIPPED = MOST_PENDING

#: The clock on the wall has been set if it is off by more than this (seconds) from what it showed and how long that is ago;
#: more than a leap second. Looked at with every event, and this often (seconds) without any.
CLOCK_SET_S = 2.0
CLOCK_LOOK_S = 1.0

# A full disk stops the log, not the door, when the door starts too; else what hinders opening is a mistake to mend.
_FULL = {errno.ENOSPC, errno.EDQUOT}

#: No line of a log is longer (bytes): ours have some hundred. Beyond it, memory is not spent on finding out.
MOST_LINE = 1 << 20
#: How far back from its end (bytes) a log is searched for a whole line. A power cut leaves some thousand bytes of rubbish.
MOST_RUBBISH = 1 << 23
#: How deep an event may be nested: ours are flat, and what is not would exhaust the stack where it is shown.
MOST_DEPTH = 8


class EventLog:
    """Appends events to `path`, one JSON object a line.

    A line has `seq` (integer, strictly rising, across restarts too, in the order of the calls of `write`; no number is
    given twice, and after a power cut or a crash SKIPPED of them are left out), `time`
    (UTC of that call by `clock`, a function like time.time), `t` (seconds on the source's clock), `event` (the kind),
    and the event's data. It is on the disk within a second of `write`.

    A file that would grow beyond `rotate_bytes` is renamed to `path`.1, the one before to .2, and so on; `keep` of
    them are kept.

    A torn last line, as a power cut leaves it, is cut off when the log is opened, and a `log_repaired` event says so.

    When the clock on the wall is set, `clock_set` says what it would show otherwise (`before`; `time` is what it shows now).

    While the disk is full, failing or slow, `problem` says so and up to 1000 events wait in memory; beyond that the oldest
    are lost, and a `log_lost` event with their `count` stands in their place once the disk is back. So too where a log
    that is there cannot be opened because its disk is full or has become read-only, as old SD cards do.

    Raises OutputError if `path` cannot be a log: its folder is missing or not writable, it is a folder or another kind
    of file, its disk is read-only, or another process is writing to it.
    """

    def __init__(self, path: Path, rotate_bytes: int, keep: int, clock: Callable[[], float] = time.time) -> None:
        self.path = path
        self._rotate_bytes = rotate_bytes
        self._keep = keep
        self._clock = clock
        # The file belongs to the writer thread as soon as that runs. Up to `_size` it is whole and synced.
        self._file: int | None = None
        self._size = 0
        # What both threads use, guarded by `_wake`: the events not yet written, those lost but not yet told of, the
        # last of them, and those lost altogether.
        self._wake = threading.Condition()
        self._pending: deque[Line] = deque()
        self._untold = 0
        self._last_lost: Line = {}
        self._lost = 0
        self._t = 0.0
        self._power_on: float | None = None  # when the machine was switched on, by the clock on the wall
        self._closing = False
        self._problem: str | None = None
        self._locked_out = False
        self._writing_since: float | None = None  # monotonic: since when the disk has been busy for us
        try:
            self._seq = _last_seq(path)
            self._open()
        except OSError as error:
            failing = error.errno == errno.EROFS and path.exists() and not _only_to_us_read_only(path)
            if error.errno not in _FULL and not failing:
                raise _opening_error(path, error) from error
            self._problem = _reason(path, error)
        self._writer = threading.Thread(target=self._run, name="events", daemon=True)
        self._writer.start()

    @property
    def problem(self) -> str | None:
        """What keeps events from the disk, in one line for people; None while all is well."""
        problem, since, lost = self._problem, self._writing_since, self._lost
        if problem is None and since is not None and (busy_s := time.monotonic() - since) > SLOW_S:
            problem = f"{self.path}: the disk has not answered for {busy_s:.0f} s"
        return f"{problem}; {lost} events lost" if problem and lost else problem

    @property
    def locked_out(self) -> bool:
        """Whether the disk can be written, but not by this process: only a new one can.

        A service has its own view of the mounts, as they were when it started: if its disk was read-only then and is
        remounted writable, the view stays read-only.
        """
        return self._locked_out

    @property
    def lost(self) -> int:
        """How many events have been lost since the log was opened."""
        return self._lost

    def write(self, event: Event) -> None:
        """Log `event`; returns at once, whatever the disk does.

        Raises ValueError once the log is closed.
        """
        with self._wake:
            if self._closing:
                raise ValueError(f"{self.path}: the event log is closed")
            self._add(event)

    def close(self) -> None:
        """Write and sync what is waiting, then close the file; may be called again and again, and never raises.

        With the disk in trouble it tries once more; what then cannot be written is lost, and `problem` says so.
        """
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._writer.join(CLOSE_S)
        if self._writer.is_alive():  # in a system call that does not come back, and the file with it
            self._problem = f"{self.path}: the disk does not answer"
            return
        with self._wake:
            self._drop_oldest(keep=0)
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def __enter__(self) -> EventLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _add(self, event: Event) -> None:
        with self._wake:
            wall = self._clock()
            self._look_at_clock(wall, event.t)
            self._queue(event, wall)

    def _look_at_clock(self, wall: float, t: float) -> None:
        power_on = wall - _uptime()
        before, self._power_on = self._power_on, power_on
        if before is not None and abs(power_on - before) >= CLOCK_SET_S:
            self._queue(Event("clock_set", t, {"before": _utc(wall - (power_on - before))}), wall)

    def _queue(self, event: Event, wall: float) -> None:
        self._seq += 1
        self._t = event.t
        line = {"seq": self._seq, "time": _utc(wall), "t": round(float(event.t), 3), "event": event.kind}
        self._pending.append({**line, **event.data, **line})  # ours first, and ours whatever the data says
        self._drop_oldest()
        self._wake.notify()

    def _drop_oldest(self, keep: int = MOST_PENDING) -> None:
        while len(self._pending) > keep:
            line = self._pending.popleft()
            told = line["event"] == "log_lost"  # stands for events that have been counted already
            self._untold += line["count"] if told else 1
            self._lost += 0 if told else 1
            # Not always the newest so far: those that could not be written come back after newer ones were dropped.
            self._last_lost = max(self._last_lost, line, key=_seq)

    def _run(self) -> None:
        """The writer thread."""
        failed = False
        while True:
            with self._wake:
                if failed and not self._closing:
                    self._wake.wait(RETRY_S)
                if not self._wake.wait_for(lambda: self._pending or self._closing or self._problem, CLOCK_LOOK_S):
                    self._look_at_clock(self._clock(), self._t)
                if self._pending:
                    self._wake.wait_for(lambda: self._closing or len(self._pending) >= MOST_AT_ONCE, GATHER_S)
                last_time = self._closing
                lines = self._take()
            failed = not self._append(lines)
            with self._wake:
                self._pending.extendleft(reversed(lines))
                self._drop_oldest()
                if last_time and (failed or not self._pending):
                    return

    def _take(self) -> deque[Line]:
        """All that waits, headed by a log_lost event in the place (seq, time, t) of the last one lost."""
        lines, self._pending = self._pending, deque()
        if self._untold:
            place = {key: self._last_lost[key] for key in ("seq", "time", "t")}
            lines.appendleft({**place, "event": "log_lost", "count": self._untold})
            self._untold = 0
        return lines

    def _append(self, lines: deque[Line]) -> bool:
        """Move `lines` to the disk, and say whether that worked; what did not get there stays in `lines`."""
        try:
            self._writing_since = time.monotonic()
            if self._file is None or not _same_file(self._file, self.path):
                self._open()
            while lines:
                self._writing_since = time.monotonic()
                self._append_some(lines)
        except (OSError, OutputError) as error:
            self._problem = _reason(self.path, error)
            read_only = isinstance(error, OSError) and error.errno == errno.EROFS
            self._locked_out = read_only and _only_to_us_read_only(self.path)
            return False
        finally:
            self._writing_since = None
        self._problem, self._locked_out = None, False
        return True

    def _append_some(self, lines: deque[Line]) -> None:
        """Write and sync some lines, as many as this file has room for; rotate it if that is none."""
        room = self._rotate_bytes - self._size
        block = bytearray()
        count = 0
        for line in itertools.islice(lines, MOST_AT_ONCE):
            encoded = _encode(line)
            if len(block) + len(encoded) > room and (block or self._size):
                break
            block += encoded
            count += 1
        if not count:
            self._rotate()
            return
        assert self._file is not None
        self._cut()  # in case it failed the last time
        try:
            rest = memoryview(block)
            while rest:
                rest = rest[os.write(self._file, rest) :]
            os.fsync(self._file)
        except OSError:
            # Half a line, or lines of which nobody knows whether they reached the disk: away with them for now.
            with contextlib.suppress(OSError):
                self._cut()
            raise
        self._size += len(block)
        for _ in range(count):
            lines.popleft()

    def _cut(self) -> None:
        assert self._file is not None
        if os.fstat(self._file).st_size > self._size:
            os.ftruncate(self._file, self._size)
            os.fsync(self._file)

    def _rotate(self) -> None:
        for number, path in _numbered(self.path):
            if number >= self._keep:
                path.unlink()
            else:
                path.rename(_rotated(self.path, number + 1))
        self.path.rename(_rotated(self.path, 1))
        self._open()

    def _open(self) -> None:
        """Open the file, for us alone, and make it end with a whole line."""
        file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK, 0o644)
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise OutputError(f"{self.path}: is not a regular file", "name another file after --events")
            _lock(file, self.path)
            size = os.fstat(file).st_size
            whole = _whole(file, self.path)
            if whole < size:
                os.ftruncate(file, whole)
                os.fsync(file)
            _sync_folder(self.path)
        except BaseException:
            os.close(file)
            raise
        if self._file is not None:
            os.close(self._file)
        self._file, self._size = file, whole
        if whole < size:
            self._add(Event("log_repaired", self._t, {"bytes": size - whole}))


def _opening_error(path: Path, error: OSError) -> OutputError:
    folder, named = path.parent, error.filename or path
    if os.path.isdir(path):
        return OutputError(f"{path}: is a folder", f"name a file: --events {path / 'doorlight-events.jsonl'}")
    if not os.path.isdir(folder):
        return OutputError(f"{path}: there is no folder {folder}", f"mkdir -p {folder}")
    return OutputError(
        f"{named}: cannot be written: {error.strerror}", f"see who may write there: ls -ld {folder} {named}"
    )


def _only_to_us_read_only(path: Path) -> bool:
    """Whether the folder of `path` is read-only in this process' view of the mounts alone, and its disk is not.

    The kernel tells the two apart in /proc/self/mountinfo, see proc(5): options of the mount, and of the file system. A disk
    that has failed refuses writes, too, and may be read-only in neither.
    """
    try:
        if not os.statvfs(path.parent).f_flag & os.ST_RDONLY:
            return False
        device = os.stat(path.parent).st_dev
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as mounts:
            rows = [line.split() for line in mounts]
    except OSError:
        return False
    number = f"{os.major(device)}:{os.minor(device)}"
    return not any("ro" in row[-1].split(",") for row in rows if row[2] == number)


def _reason(path: Path, error: OSError | OutputError) -> str:
    return f"{path}: {error.strerror}" if isinstance(error, OSError) else str(error)


def _lock(file: int, path: Path) -> None:
    """Two doors in one file would tear each other's lines apart and repeat each other's numbers."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OutputError(
            f"{path}: another doorlight is writing to it", f"stop it (fuser -v {path}), or name another file"
        ) from None
    except OSError:
        pass  # a file system without locks


def _whole(file: int, path: Path) -> int:
    """Length in bytes of an open log without its last line, if that is torn.

    Raises OutputError for a file that never was an event log: cutting that would destroy somebody's work.
    """
    size = os.fstat(file).st_size
    if size == 0:
        return 0
    # A power cut may leave zeros where data should be; our lines are objects.
    if os.pread(file, 1, 0) not in (b"{", b"\0"):
        raise OutputError(f"{path}: holds something else than events", "name another file after --events")
    last = next(_from_end(file, size), None)
    if last is None:
        raise _rubbish(path)
    start, line = last
    return size if _whole_line(line) is not None else start


def _last_seq(path: Path) -> int:
    """The highest number that may have been given to an event in the log at `path`; 0 without one."""
    for candidate in (path, *(rotated for _, rotated in reversed(_numbered(path)))):  # the newest first
        try:
            with open_plain(candidate) as file:
                size = os.fstat(file.fileno()).st_size
                first = size
                for first, data in _from_end(file.fileno(), size):  # noqa: B007
                    if (line := _whole_line(data)) is not None and (seq := _seq(line)):
                        return seq if line.get("event") == "stopped" else seq + SKIPPED
                if first > 0:
                    raise _rubbish(candidate)
        except FileNotFoundError:
            continue
    return 0


def _from_end(file: int, size: int) -> Iterator[tuple[int, bytes]]:
    """The lines of an open file of `size` bytes, the last one first: where it begins, and its bytes with their end.

    Of a line longer than MOST_LINE come some bytes, without an end. Nothing more comes from further than MOST_RUBBISH
    before the end. By reads, not mmap: a bad sector of a card is then an error, and not the end of the process by SIGBUS.
    """
    rest = b""  # the end of a line whose beginning lies before `position`
    position = size
    while position > 0:
        if size - position > MOST_RUBBISH:
            return
        count = min(position, 1 << 16)
        position -= count
        data = os.pread(file, count, position) + rest
        end = len(data)
        while (start := data.rfind(b"\n", 0, max(end - 1, 0)) + 1) > 0:
            yield position + start, data[start:end]
            end = start
        rest = data[: min(end, MOST_LINE)]
    if size:
        yield 0, rest


def _rubbish(path: Path) -> OutputError:
    return OutputError(
        f"{path}: no event can be read in its last {MOST_RUBBISH >> 20} MB",
        "move it away, or name another file after --events",
    )


def _whole_line(data: bytes) -> Line | None:
    """A line with its end; None if that is missing, or the line is damaged."""
    return _parse(data) if data.endswith(b"\n") else None


def _sync_folder(path: Path) -> None:
    """Make a new name as durable as what the file holds."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _same_file(file: int, path: Path) -> bool:
    """False if somebody has moved the open file away, or deleted it."""
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(file), path.stat())
    return False


def _rotated(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")


def _numbered(path: Path) -> list[tuple[int, Path]]:
    """The rotated files with their numbers, the oldest (highest number) first."""
    pattern = re.compile(re.escape(path.name) + r"\.([1-9]\d*)")
    found = []
    with contextlib.suppress(OSError):
        for name in os.listdir(path.parent):
            if match := pattern.fullmatch(name):
                found.append((int(match[1]), path.with_name(name)))
    return sorted(found, reverse=True)


def _uptime() -> float:
    """Seconds since power-on, time asleep included, whatever becomes of the clock on the wall."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _utc(wall_s: float) -> str:
    return datetime.fromtimestamp(wall_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _encode(line: Line) -> bytes:
    # Lone surrogates, as they come from file names that are not UTF-8, have no place in UTF-8: they become "?".
    text = json.dumps(_json_value(line), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "replace") + b"\n"


def _json_value(value: object) -> object:
    """`value` in what JSON has: it knows no NaN and no infinity, and whatever else comes must not stop the log."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): _json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(item) for item in value]
    return str(value)


def _parse(line: bytes) -> Line | None:
    """A line of the log, None if it is damaged."""
    if not line.startswith(b"{") or len(line) > MOST_LINE:  # at once: of rubbish there may be much
        return None
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and _flat(value, MOST_DEPTH) else None


def _flat(value: object, most: int) -> bool:
    """Whether no more than `most` objects and lists lie within one another."""
    if not isinstance(value, dict | list):
        return True
    return most > 0 and all(_flat(item, most - 1) for item in (value.values() if isinstance(value, dict) else value))


def _seq(line: Line) -> int:
    """The number of an event; 0 where it has none, or one that never was ours: 2**53 and more is not exact everywhere."""
    seq = line.get("seq")
    return seq if type(seq) is int and 0 < seq < 1 << 53 else 0


class Reading(Iterator[Line]):
    """Goes through the lines of a log; `damaged` counts those left out so far, `last_seq` is the highest number."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines = lines
        self.damaged = 0
        self.last_seq = 0

    def __next__(self) -> Line:
        for raw in self._lines:
            line = _parse(raw)
            if line is not None:
                self.last_seq = max(self.last_seq, _seq(line))
                return line
            self.damaged += 1
        raise StopIteration


def read(path: Path) -> Reading:
    """All events of the log at `path`: the rotated files, oldest first, then the current one.

    Raises InputMissing if there is none, or it cannot be read.
    """
    try:
        found = _snapshot(path)
        if not found:
            # In the middle of a log's first rotation, for a moment, there is no file of any name that was listed.
            time.sleep(0.1)
            found = _snapshot(path)
    except OSError as error:
        raise _reading_error(path, error) from error
    if not found:
        raise InputMissing(f"{path}: there is no event log", "'doorlight run' writes one; name it if it is elsewhere")
    return Reading(_raw_lines(path))


def _raw_lines(path: Path) -> Iterator[bytes]:
    with contextlib.ExitStack() as opened:
        file = _next_file(path, None)
        while file is not None:
            opened.enter_context(file)
            # Asked before reading: a file with a successor has all its lines.
            successor = _next_file(path, file)
            try:
                yield from _lines(file)
            except OSError as error:
                raise _reading_error(path, error) from error
            file.close()
            file = successor


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """The lines of a file; of one longer than MOST_LINE an empty one, and nothing after one longer than MOST_RUBBISH."""
    while line := file.readline(MOST_LINE):
        if len(line) < MOST_LINE or line.endswith(b"\n"):
            yield line
            continue
        for _ in range(MOST_RUBBISH // MOST_LINE):
            if not line or line.endswith(b"\n"):
                break
            line = file.readline(MOST_LINE)
        else:
            return
        yield b""


def follow(path: Path, poll_s: float, stop: Callable[[], bool], after: int | None = None) -> Iterator[Line]:
    """Events as they come, looked for every `poll_s` seconds until `stop()` is true; the log need not be there yet.

    Without `after`, it begins with the next event to come; with it, with the oldest one whose `seq` is higher (0: all
    there are). Damaged lines are left out; a last line without its end is waited for; rotation leaves nothing out.

    Raises InputMissing if a file of the log cannot be read.
    """
    file: BinaryIO | None = None
    position = 0  # where the next line begins
    if after is None:
        while (successor := _next_file(path, file)) is not None:
            if file is not None:
                file.close()
            file = successor
        if file is not None:
            # Where the last line ends: one that is half there is still to come.
            size = os.fstat(file.fileno()).st_size
            start, last = next(_from_end(file.fileno(), size), (size, b""))
            position = size if last.endswith(b"\n") else start
    try:
        while True:
            # Asked before looking, so that what was written before the stop is still handed out.
            stopping = stop()
            while True:
                # Likewise: a file with a successor has all its lines.
                successor = _next_file(path, file)
                if file is not None:
                    # The door may have cut a torn line off.
                    position = min(position, os.fstat(file.fileno()).st_size)
                    while True:
                        file.seek(position)
                        data = file.read(MOST_LINE) or b""  # None: a file of /proc that has nothing yet
                        end = data.rfind(b"\n") + 1
                        position += end
                        if not end and len(data) == MOST_LINE:
                            # None of our lines is so long; whatever this is, it is no log from here on.
                            position = os.fstat(file.fileno()).st_size
                        for raw in data[:end].split(b"\n"):
                            line = _parse(raw) if raw else None
                            if line is not None and (after is None or _seq(line) > after):
                                yield line
                        if not end:
                            break
                if successor is None:
                    break
                if file is not None:
                    file.close()
                file, position = successor, 0
            if stopping:
                return
            time.sleep(poll_s)
    finally:
        if file is not None:
            file.close()


def _next_file(path: Path, file: BinaryIO | None) -> BinaryIO | None:
    """The file of the log that comes after `file`, opened; after None comes the oldest one. None if there is none.

    Files are known by inode, as the door may rename them at any time: even between two looks at the folder.
    """
    try:
        if file is not None and _same_file(file.fileno(), path):
            return None
        ours = _inode(os.fstat(file.fileno())) if file is not None else None
        while True:
            files = _snapshot(path)
            if files != _snapshot(path):
                continue
            inodes = [inode for inode, _ in files]
            # A file that is not there any more was the oldest: that is the end at which the door deletes.
            following = inodes.index(ours) + 1 if ours in inodes else 0
            if following == len(files):
                return None
            inode, name = files[following]
            with contextlib.suppress(FileNotFoundError):
                successor = open_plain(name)
                if _inode(os.fstat(successor.fileno())) == inode:
                    return successor
                successor.close()
    except OSError as error:
        raise _reading_error(path, error) from error


def _reading_error(path: Path, error: OSError) -> InputMissing:
    name = Path(error.filename or path)
    return InputMissing(f"{name}: cannot be read: {error.strerror}", f"see who may: ls -ld {name}")


def _snapshot(path: Path) -> list[tuple[tuple[int, int], Path]]:
    """Inode and name of each file of the log, the oldest first."""
    found = []
    for name in (*(rotated for _, rotated in _numbered(path)), path):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            found.append((_inode(name.stat()), name))
    return found


def _inode(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def parse_since(text: str) -> float:
    """Seconds in "90s", "30m", "1h" or "2d".

    Raises UsageError for anything else.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhd])\s*", text, re.ASCII)
    if match is None:
        raise UsageError(f"'{text}' is not a span of time", "write a number and s, m, h or d: 90s, 30m, 1h, 2d")
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]]


def when(line: Line) -> datetime | None:
    """The moment of a line, in UTC; None if it has none that can be read."""
    return _moment(line.get("time"))


def _moment(text: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)  # type: ignore[arg-type]
        moment = found.astimezone(UTC) if found.tzinfo else None
    except (TypeError, ValueError, OverflowError):
        return None
    # Other years are on nobody's clock, and some have no local time.
    return moment if moment and 1970 <= moment.year < 9999 else None


_SIGNALS = {
    "IDLE": "nobody to judge",
    "PASS": "everyone wears a mask",
    "STOP": "someone wears no mask",
    "ALARM": "someone without a mask looks agitated",
    "FAULT": "the door is blind",
}
_WORDS = {
    "started": "the door has started",
    "stopped": "the door has stopped",
    "masked": "person {person} wears a mask",
    "unmasked": "person {person} wears no mask",
    "agitated": "person {person} looks agitated",
    "calm": "person {person} is calm again",
    "cleared": "person {person} has gone, after {dwell_s} s",
    "camera_lost": "the camera is lost",
    "camera_back": "the camera is back",
    "accelerator_lost": "the Edge TPU is not in use, the CPU does the work",
    "accelerator_back": "the Edge TPU does the work",
    "fault": "the door has failed",
    "source_damaged": "the source could not be read whole",
    "clock_set": "the clock was set; it would show {before}",
    "log_lost": "{count} events are missing here: the log could not be written",
    "log_repaired": "{bytes} bytes of a torn line were cut off the log",
}


def describe(line: Line) -> str:
    """One event in plain words: local time, the new signal, what happened, and in brackets what else is known.

        10:00:03         person 3 wears no mask (evidence -1.83)
        10:00:03  STOP   someone wears no mask (faces 1)

    A kind of event that is not known here is shown as it is.
    """
    moment = when(line)
    return f"{moment.astimezone().strftime('%H:%M:%S') if moment else '--:--:--'}  {words(line)}"


def words(line: Line) -> str:
    """The same without the time."""
    kind = str(line.get("event", "?"))
    data = {key: value for key, value in line.items() if key not in ("seq", "time", "t", "event")}
    label = ""
    if kind == "signal":
        label = str(data.pop("signal", "?"))
        text = _SIGNALS.get(label, "")
    elif kind in _WORDS:
        used = set(re.findall(r"{(\w+)}", _WORDS[kind]))
        text = _WORDS[kind].format(**{key: _short(data.pop(key, "?")) for key in used})
    else:
        return printable(f"{kind} {json.dumps(data, ensure_ascii=False)}")
    rest = ", ".join(f"{key} {_short(value)}" for key, value in data.items())
    return printable(f"{label:5}  {text}{f' ({rest})' if rest else ''}".rstrip())


def _short(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)


@dataclass(frozen=True, slots=True)
class Summary:
    """What some lines tell: how many of each kind, how often each signal was shown, from when to when (UTC)."""

    lines: int
    events: dict[str, int]
    signals: dict[str, int]
    first: datetime | None
    last: datetime | None


def summarise(lines: Iterable[Line]) -> Summary:
    """Count lines; the counts are in the order of their first appearance."""
    count = 0
    events: Counter[str] = Counter()
    signals: Counter[str] = Counter()
    first = last = None
    for line in lines:
        count += 1
        events[str(line.get("event", "?"))] += 1
        if line.get("event") == "signal":
            signals[str(line.get("signal", "?"))] += 1
        last = when(line) or last
        first = first or last
    return Summary(count, dict(events), dict(signals), first, last)


def last_before(lines: Iterable[Line], since: float) -> int:
    """Of all lines of a log, oldest first, the `seq` of the last that is older than `since` (seconds since the epoch), or 0.

    Where the clock was set while the door ran, the lines before that count as if it had been right from the start of the
    run. And no line is newer than one that follows it, whatever their times say.
    """
    known: list[tuple[float, float, bool, int]] = []
    for line in lines:
        if (moment := when(line)) is not None:
            kind = line.get("event")
            before = _moment(line.get("before")) if kind == "clock_set" else None
            set_by = (moment - before).total_seconds() if before is not None else 0.0
            known.append((moment.timestamp(), set_by, kind == "started", _seq(line)))
    wrong_by, newest = 0.0, math.inf
    for time_s, set_by, started, seq in reversed(known):
        newest = min(newest, time_s + wrong_by)
        if newest < since and seq:
            return seq
        wrong_by = 0.0 if started else wrong_by + set_by
    return 0


def select(lines: Iterable[Line], after: int, kinds: Collection[str]) -> Iterator[Line]:
    """Lines after the one with the `seq` `after`, and whose event or signal is one of `kinds` (lower case).

    0 and an empty collection leave nothing out. A line without a number counts as new.
    """
    for line in lines:
        names = {str(line.get("event", "")).lower(), str(line.get("signal", "")).lower()}
        if (not kinds or names & set(kinds)) and not 0 < _seq(line) <= after:
            yield line
