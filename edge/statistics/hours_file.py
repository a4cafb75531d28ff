"""The file of hours beside a log: one line for each complete hour, kept for years.

The file can be made again from the log at any time, as far back as the log reaches. Older hours are kept as they are.
"""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from ..errors import InputError, OutputError
from ..events.record import MAX_LINE_BYTES
from ..system.files import open_regular, sync_folder, write_all
from .hour import HOUR_MS, QUARTER_MS, Anchor, Hour, decode, encode, is_certainly_outside
from .log_moments import LogMoments


@dataclass
class HoursFile:
    """The content of a file of hours. `damaged` and `newer` count lines that are not in `hours`."""

    path: Path
    hours: list[Hour] = field(default_factory=list)
    damaged: int = 0
    newer: int = 0

    @property
    def anchors(self) -> set[Anchor]:
        """The records of the log that the hours come from: the outermost ones of each hour."""
        return {anchor for hour in self.hours for anchor in (hour.first, hour.last)}


def hours_path(log: Path) -> Path:
    """Return the path of the file of hours beside a log: hours.jsonl beside events.jsonl."""
    if not log.name:
        return log / "hours.jsonl"  # a folder, which is no log
    if "events" in log.name:
        return log.with_name("hours".join(log.name.rsplit("events", 1)))
    # Not an ending: that would look like a rotated file of the log.
    return log.with_name(f"hours-{log.name}")


def read(path: Path, since_ms: int | None = None, until_ms: int | None = None) -> HoursFile:
    """Return the hours of the file at `path` that overlap a time span; none if there is no file.

    Raises InputError if it cannot be read.
    """
    found = HoursFile(path)
    by_start: dict[datetime, Hour] = {}
    try:
        with open_regular(path) as file:
            while line := file.readline(MAX_LINE_BYTES + 1):
                if is_certainly_outside(line, since_ms, until_ms):
                    continue
                try:
                    hour = decode(line)
                except ValueError:
                    found.damaged += 1
                    continue
                if hour is None:
                    found.newer += 1
                elif hour.overlaps(since_ms, until_ms):
                    by_start[hour.start] = hour  # of two, the later line: somebody has joined two files
    except FileNotFoundError:
        pass
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read: {error.strerror}", f"see who may read it: ls -ld {shlex.quote(str(path))}"
        ) from error
    found.hours = list(by_start.values())
    return found


def kept_hours(stored: HoursFile, log: LogMoments) -> tuple[list[Hour], dict[int, int]]:
    """Return the hours that cannot be counted again from `log`, because it has lost records that they come from.

    The second value has the quarters of those that overlap the log, see `Tally`.
    """
    kept: list[Hour] = []
    quarters: dict[int, int] = {}
    for hour in stored.hours:
        first, last = log.found.get(hour.first), log.found.get(hour.last)
        if first is not None and last is not None and last - first + 1 >= hour.records:
            continue
        kept.append(hour)
        position = log.camera.position_up_to(hour.last)
        if position is not None:
            begin = hour.start_ms // QUARTER_MS
            quarters.update((quarter, position) for quarter in range(begin, begin + HOUR_MS // QUARTER_MS))
    return kept, quarters


def complete_hours(kept: Collection[Hour], counted: Mapping[datetime, Hour], unfinished: datetime | None) -> list[Hour]:
    """Return the hours for the file, oldest first: those that are kept, and those counted from the log.

    `unfinished` is the hour of the log's last moment: it is left out, unless it was complete once.
    """
    merged = {hour.start: hour for hour in kept}
    for start, hour in counted.items():
        if start in merged:
            merged[start].add(hour)
        elif start != unfinished:
            merged[start] = hour
    return [merged[start] for start in sorted(merged)]


def write(stored: HoursFile, hours: Sequence[Hour]) -> bool:
    """Bring the file up to date: append new hours, or replace it if others have changed. Return False if it is up to date.

    A power cut leaves whole lines, and at most one torn line at the end, which is counted again. Raises OutputError if the
    file cannot be written, is not a file of hours, or is of a newer version.
    """
    path = stored.path
    if stored.newer:
        raise OutputError(
            f"{path}: was written by a newer version of Doorlight", "upgrade this one, or move the file away"
        )
    if stored.damaged and not stored.hours:
        raise OutputError(f"{path}: holds something else than hours", "move it away")
    try:
        count = _unchanged(path, hours)
        if count == len(hours):
            return False
        if count:
            _write(path, os.O_APPEND, hours[count:])
        else:
            _replace(path, hours)
        return True
    except OSError as error:
        hint = f"see who may write: {shlex.join(['ls', '-ld', str(path.parent), str(path)])}"
        raise OutputError(f"{path}: cannot be written: {error.strerror}", hint) from error


def _unchanged(path: Path, hours: Sequence[Hour]) -> int:
    """Return how many of `hours` the file has, if it has nothing else; otherwise 0."""
    count = 0
    try:
        with open_regular(path) as file:
            while line := file.readline(MAX_LINE_BYTES + 1):
                if count == len(hours) or line != encode(hours[count]):
                    return 0
                count += 1
    except FileNotFoundError:
        pass
    return count


def _replace(path: Path, hours: Iterable[Hour]) -> None:
    new = path.with_name(f".{path.name}.new")
    with contextlib.suppress(FileNotFoundError):
        new.unlink()  # of a run that was interrupted
    try:
        _write(new, os.O_CREAT | os.O_EXCL, hours)
        new.replace(path)
        sync_folder(path.parent)
    except OSError:
        with contextlib.suppress(OSError):
            new.unlink()
        raise


def _write(path: Path, flags: int, hours: Iterable[Hour]) -> None:
    """Write the lines of `hours` and sync them."""
    # In a folder of the service's user, root must not follow a link that leads elsewhere.
    file = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW | flags, 0o644)
    try:
        for hour in hours:
            write_all(file, encode(hour))
        os.fsync(file)
    finally:
        os.close(file)
