"""The files of an event log: current and rotated names, inodes, and lines read from the end.

A log at `events.jsonl` has rotated files `events.jsonl.1` (the newest), `.2`, and so on.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from ..errors import OutputError
from .record import MAX_LINE_BYTES

#: A log is searched for a complete line this far from its end. A power cut leaves a few thousand bytes of garbage.
MAX_SEARCH_BYTES = 1 << 23
_BLOCK_BYTES = 1 << 16


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
                found.append((int(match[1]), path.with_name(name)))
    return sorted(found, reverse=True)


def snapshot(path: Path) -> list[tuple[tuple[int, int], Path]]:
    """Return inode and path of each file of the log, oldest first."""
    found = []
    for name in (*(rotated for _, rotated in rotated_files(path)), path):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            found.append((inode(name.stat()), name))
    return found


def inode(status: os.stat_result) -> tuple[int, int]:
    """Return what identifies a file whatever its name: device and inode number."""
    return status.st_dev, status.st_ino
