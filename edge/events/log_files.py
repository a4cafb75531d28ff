"""The files of an event log: current and rotated names, their order, inodes, and lines read from the end.

The door rotates a log at `events.jsonl` to `events.jsonl.1` (the newest), `.2`, and so on. Other programs may rotate it
too: logrotate makes `events.jsonl.2.gz`, `events.jsonl-20261120`, `events-20261120.jsonl.xz` and the like, as it is
configured. For the many other names that it can give (`addextension`, `dateformat`, `compressext`), and for copies, the
content decides.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from ..errors import OutputError
from .compressed import (
    COMPRESSED_SUFFIXES,
    UnsupportedCompressionError,
    decompression_errors,
    is_compressed_name,
    open_decompressed,
)
from .record import MAX_LINE_BYTES, parse, sequence_number, timestamp

#: A log is searched for a complete line this far from its end. A power cut leaves a few thousand bytes of garbage.
MAX_SEARCH_BYTES = 1 << 23
_BLOCK_BYTES = 1 << 16
#: A file may begin with damaged lines.
_LINES_SEARCHED_FOR_FIRST = 20


def lines_from_end(file: int, size: int) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of an open file of `size` bytes, last line first, as (offset, bytes with line feed).

    A line longer than MAX_LINE_BYTES is cut and has no line feed. The search ends MAX_SEARCH_BYTES before the end.
    """
    # Read, not mmap: with mmap, a bad sector of a card ends the process by SIGBUS instead of raising OSError.
    rest = b""  # the end of the line that begins before `position`
    position = size
    while position > 0:
        if size - position > MAX_SEARCH_BYTES:
            return
        count = min(position, _BLOCK_BYTES)
        position -= count
        data = os.pread(file, count, position) + rest
        end = len(data)
        while (start := data.rfind(b"\n", 0, max(end - 1, 0)) + 1) > 0:
            yield position + start, data[start:end]
            end = start
        rest = data[: min(end, MAX_LINE_BYTES)]
    if size:
        yield 0, rest


def not_a_log(path: Path) -> OutputError:
    """Return the error for a file without any readable event near its end."""
    return OutputError(
        f"{path}: no event can be read in its last {MAX_SEARCH_BYTES >> 20} MB",
        "move it away, or name another file after --events",
    )


def is_same_file(file: int, path: Path) -> bool:
    """Return whether the open `file` is still the one at `path`, not moved or deleted."""
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(file), path.stat())
    return False


def rotated_path(path: Path, number: int) -> Path:
    """Return the path of the rotated file with that number."""
    return path.with_name(f"{path.name}.{number}")


def rotated_files(path: Path) -> list[tuple[int, Path]]:
    """Return the rotated files of the log at `path` with their numbers, oldest (highest number) first."""
    pattern = re.compile(re.escape(path.name) + r"\.([1-9]\d*)")
    found = []
    with contextlib.suppress(OSError):
        for name in os.listdir(path.parent):
            if match := pattern.fullmatch(name):
                found.append((int(match[1]), path.parent / name))
    return sorted(found, reverse=True)


def externally_rotated_files(path: Path, first_number: Callable[[Path], int] | None = None) -> list[Path]:
    """Return the files of the log at `path` that another program has rotated, oldest first as far as names say.

    A file with an unusual name belongs to them if it begins with events; `first_number` returns the number of the first
    one.
    """
    others = [file for file in files_of_other_names(path) if (first_number or _first_number)(file)]
    return [*others, *_files_of_known_names(path)]


def files_of_other_names(path: Path) -> list[Path]:
    """Return the files beside the log at `path` whose names continue its name in an unusual way, oldest first."""
    if not path.name:  # "." or "/": a folder
        return []
    pattern = re.compile(re.escape(path.name) + r"[^A-Za-z].*", re.DOTALL)
    known = {*_files_of_known_names(path), *(rotated for _, rotated in rotated_files(path))}
    found: list[tuple[float, Path]] = []
    with contextlib.suppress(OSError):
        for entry in os.listdir(path.parent):
            if pattern.fullmatch(entry) and (file := path.parent / entry) not in known:
                with contextlib.suppress(OSError):
                    found.append((file.stat().st_mtime, file))
    return [file for _, file in sorted(found)]


def unread_files(path: Path) -> dict[str, str]:
    """Return the non-empty files that are named like files of the log at `path` but are not read, with the reasons."""
    unread = {}
    for file in files_of_other_names(path):
        try:
            if file.is_file() and file.stat().st_size and not _first_number(file):
                open_decompressed(file).file.close()
                is_brotli = file.suffix == ".br"  # such a file has no mark of its own
                unread[str(file)] = "is compressed with Brotli" if is_brotli else "has no events at its beginning"
        except UnsupportedCompressionError as error:
            unread[str(file)] = error.reason
        except OSError as error:
            unread[str(file)] = str(error.strerror or error)
    return unread


def _first_number(file: Path) -> int:
    with contextlib.suppress(OSError):
        return _read_first_event(file)[0]
    return 0


def _files_of_known_names(path: Path) -> list[Path]:
    """Return the files with names that rotating programs usually give, oldest first as far as names say."""
    pattern = _pattern_of_external_names(path)
    own = {rotated for _, rotated in rotated_files(path)}
    found: list[tuple[bool, int, str, bool, Path]] = []
    with contextlib.suppress(OSError):
        for entry in os.listdir(path.parent):
            match = pattern.fullmatch(entry)
            if match is None or (file := path.parent / entry) in own:
                continue
            groups = match.groupdict("")
            mark = (groups["end"] or groups.get("date") or groups.get("number") or "").rstrip(".")
            is_number = mark.isascii() and mark.isdigit() and len(mark) < 8  # otherwise it is a date
            # A high number is old, a late date is new. Of two files of one name, the last is the one not yet
            # compressed.
            found.append((not is_number, -int(mark) if is_number else 0, mark, not groups["compressed"], file))
    return [file for *_, file in sorted(found)]


def _pattern_of_external_names(path: Path) -> re.Pattern[str]:
    """Return the pattern of the names that other programs give to rotated files of the log at `path`."""
    name, stem, suffix = re.escape(path.name), re.escape(path.stem), re.escape(path.suffix)
    mark = r"\d[\d._:TZ+-]*"
    week_or_month = r"\d{4}-?W\d\d|\d{1,2}[-._]?[A-Z][a-z]{2}[-._]?\d{4}|\d{4}[-._]?[A-Z][a-z]{2}[-._]?\d{1,2}"
    day = r"(?=\d{4}[-._]?\d\d[-._]?\d\d)"
    forms = [
        rf"{name}[-._](?P<end>{mark}|{week_or_month})",  # events.jsonl.2, events.jsonl-20261120
        rf"{name}(?=\.)",  # events.jsonl.gz
    ]
    if path.suffix:
        forms += [
            rf"{stem}[-._](?P<date>{day}{mark}|{week_or_month}){suffix}",  # events-20261120.jsonl
            rf"{stem}\.(?P<number>\d{{1,3}}){suffix}",  # events.2.jsonl
        ]
    return re.compile(rf"(?:{'|'.join(forms)})(?P<compressed>\.(?:{COMPRESSED_SUFFIXES}))?")


class LogFiles:
    """The files of the log at `path`. Remembers how they begin, so that they are opened only once for that."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._first: dict[tuple[int, int, int], tuple[int, datetime | None]] = {}

    def snapshot(self, compressed: bool = True) -> list[tuple[tuple[int, int], Path]]:
        """Return inode and path of each file, oldest first.

        Without `compressed`, files with the name of a compressed file are left out.
        """
        names = [rotated for _, rotated in rotated_files(self.path)]
        external = externally_rotated_files(self.path, self.first_number)
        if external := [file for file in external if compressed or not is_compressed_name(file)]:
            names = self._in_order([*external, *names])
        found = []
        for name in (*names, self.path):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                found.append((inode(name.stat()), name))
        return found

    def first_number(self, file: Path) -> int:
        """Return the number of the first event in a file of the log; 0 if it has none."""
        return self._first_event(file)[0]

    def _in_order(self, names: list[Path]) -> list[Path]:
        """Sort rotated files by their first event: the door and other programs may have rotated in turns."""
        firsts = {name: self._first_event(name) for name in (*names, self.path)}
        # While a file is compressed or copied, it is there twice. The last of them is complete.
        last_of = {first: name for name, first in firsts.items() if first[0]}
        names = [name for name in names if last_of.get(firsts[name], name) == name]
        by_number = sorted(names, key=lambda name: firsts[name][0])
        times = [moment for name in (*by_number, self.path) if (moment := firsts[name][1]) is not None]
        numbers = [number for name in (*by_number, self.path) if (number := firsts[name][0])]
        # An old version started with 1 again when another program had rotated its log: then only the names tell.
        is_consistent = times == sorted(times) and numbers == sorted(set(numbers))
        return by_number if is_consistent else names

    def _first_event(self, file: Path) -> tuple[int, datetime | None]:
        """Return number and time of the first event of a file; (0, None) if none is found at its beginning."""
        try:
            status = file.stat()
            key = (*inode(status), status.st_mtime_ns)
            if key not in self._first:
                self._first[key] = _read_first_event(file)
            return self._first[key]
        except OSError:
            return 0, None


def _read_first_event(file: Path) -> tuple[int, datetime | None]:
    try:
        with open_decompressed(file).file as opened:
            for _ in range(_LINES_SEARCHED_FOR_FIRST):
                record = parse(opened.readline(MAX_LINE_BYTES))
                if record is not None and (number := sequence_number(record)):
                    return number, timestamp(record)
    except decompression_errors():
        pass
    return 0, None


def inode(status: os.stat_result) -> tuple[int, int]:
    """Return what identifies a file under any name: device and inode number."""
    return status.st_dev, status.st_ino
