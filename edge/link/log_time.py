"""Where in a log a moment is."""

from __future__ import annotations

import contextlib
from pathlib import Path

from ..events.compressed import decompression_errors, open_decompressed
from ..events.log_files import LogFiles
from ..events.record import MAX_LINE_BYTES, parse, sequence_number, timestamp
from .cursor import Cursor

#: A file may begin with damaged lines.
_FIRST_LINES = 20


def begin_of(path: Path, since_s: float) -> Cursor:
    """Return the cursor before the last file of the log that begins before `since_s`, else before the oldest file.

    `since_s` is in seconds since the epoch.
    """
    begin = Cursor()
    with contextlib.suppress(OSError):
        for _, name in LogFiles(path).snapshot():
            number, time_s = _first_event(name)
            if number and time_s < since_s:
                begin = Cursor(number - 1)
    return begin


def _first_event(path: Path) -> tuple[int, float]:
    """Return number and time (seconds since the epoch) of the first event of a file; (0, 0.0) if there is none."""
    with contextlib.suppress(*decompression_errors()), open_decompressed(path).file as file:
        for _ in range(_FIRST_LINES):
            record = parse(file.readline(MAX_LINE_BYTES))
            if record is not None and sequence_number(record) and (moment := timestamp(record)) is not None:
                return sequence_number(record), moment.timestamp()
    return 0, 0.0
