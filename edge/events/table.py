"""Write events as CSV, for spreadsheets: one row an event, safe to open."""

from __future__ import annotations

import csv
import re
from typing import TextIO

from ..system.terminal import printable
from .record import EventRecord, ascii_text, timestamp
from .text import describe_event

COLUMNS = ("seq", "time", "local_time", "t", "event", "signal", "person", "text", "details")
#: A spreadsheet runs a cell as a formula if it begins so; a semicolon begins a cell where it separates columns.
_FORMULA = re.compile(r"""(^|;)([\s"']*)(?=[=+\-@＝＋－＠])""")


class TableWriter:
    """Writes a heading and rows to `file`. `local_time` is empty for events of a played file."""

    def __init__(self, file: TextIO) -> None:
        self._writer = csv.writer(file, lineterminator="\n")
        self._writer.writerow(COLUMNS)

    def write(self, record: EventRecord, is_played: bool) -> None:
        """Write the row of a record. Fields without a column of their own are in `details`, as JSON."""
        moment = None if is_played else timestamp(record)
        details = {key: value for key, value in record.items() if key not in COLUMNS}
        row = {key: record.get(key) for key in ("seq", "time", "t", "event", "signal", "person")}
        row["local_time"] = f"{moment.astimezone():%Y-%m-%d %H:%M:%S}" if moment else None
        row["text"] = describe_event(record)
        row["details"] = ascii_text(details) if details else None
        self._writer.writerow([_cell(row[column]) for column in COLUMNS])


def _cell(value: object) -> object:
    """Return a value for a cell: a number as it is, text without control characters and formulas."""
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    return _FORMULA.sub(r"\1'\2", printable(str(value)))
