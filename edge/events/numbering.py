"""Find the highest number that a log may have used, in the files that are left."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from ..system.files import open_regular
from .compressed import decompression_errors, open_decompressed
from .log_files import externally_rotated_files, lines_from_end, not_a_log, rotated_files
from .record import MAX_LINE_BYTES, EventRecord, parse, parse_complete, sequence_number

if TYPE_CHECKING:
    import io

#: Compressed files have to be read from their beginning. Reading more than this (decompressed) would delay the door's
#: start.
MAX_SEARCHED_BYTES = 1 << 26
_BLOCK_BYTES = 1 << 16


def last_used_number(path: Path, counted: int | None, skipped: int, known: int = 0) -> int:
    """Return the highest number that may have been used in the log at `path`; 0 if there is none.

    `counted` is the number of the log's counter. Without one, all rotated files are searched, also those that other
    programs have compressed. `skipped` numbers are added after an end without `stopped`, because a power cut may have
    removed lines that were read; not if the end is within `known`, the numbers of this process.

    Raises OSError if a file cannot be read, OutputError if no event can be found in one.
    """
    newest = newest_record(path)
    if counted is None:
        newest = max(newest or {}, *_last_records_of_rotated_files(path), {}, key=sequence_number)
    if not newest:
        return counted or 0
    number = sequence_number(newest)
    is_complete = newest.get("event") == "stopped" or number <= known
    return max(counted or 0, number if is_complete else number + skipped)


def newest_record(path: Path) -> EventRecord | None:
    """Return the last record with a number, in the log's current file or else in one that the door rotated.

    Raises OSError if a file cannot be read, OutputError if no event can be found in one.
    """
    newest_first = (path, *(rotated for _, rotated in reversed(rotated_files(path))))
    for candidate in newest_first:
        with contextlib.suppress(FileNotFoundError), open_regular(candidate) as file:
            size = os.fstat(file.fileno()).st_size
            searched_from = size
            for offset, line in lines_from_end(file.fileno(), size):
                searched_from = offset
                record = parse_complete(line)
                if record is not None and sequence_number(record):
                    return record
            if searched_from > 0:
                raise not_a_log(candidate)
    return None


def _last_records_of_rotated_files(path: Path) -> Iterator[EventRecord]:
    """Yield the last record of each rotated file, newest first; of compressed ones within MAX_SEARCHED_BYTES."""
    room = MAX_SEARCHED_BYTES
    for file in reversed([*externally_rotated_files(path), *(rotated for _, rotated in rotated_files(path))]):
        try:
            opened, is_compressed = open_decompressed(file)
            with opened:
                if not is_compressed:
                    lines = lines_from_end(opened.fileno(), os.fstat(opened.fileno()).st_size)
                    yield next(filter(None, (_numbered(line) for _, line in lines)), {})
                elif room > 0:
                    record, size = _last_record_of_compressed(opened, room)
                    room -= size
                    yield record
        except decompression_errors():
            continue  # damaged, or not a log


def _last_record_of_compressed(file: BinaryIO, max_bytes: int) -> tuple[EventRecord, int]:
    """Return the last record of a compressed file, as far as it can be read, and the number of decompressed bytes."""
    size, end = 0, b""
    # Where the file breaks off, read() loses what it has decompressed of its block; read1() returns it.
    read1 = cast("io.BufferedIOBase", file).read1
    with contextlib.suppress(*decompression_errors()):  # its end is missing
        while size < max_bytes and (data := read1(_BLOCK_BYTES)):
            size += len(data)
            end = (end + data)[-MAX_LINE_BYTES:]
    complete = end[: end.rfind(b"\n") + 1]
    return next(filter(None, map(_numbered, reversed(complete.splitlines()))), {}), size


def _numbered(line: bytes) -> EventRecord:
    """Return the record of a line; an empty one if it is damaged or has no number."""
    record = parse(line)
    return record if record is not None and sequence_number(record) else {}
