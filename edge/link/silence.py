"""Until when a command from the network has silenced the buzzer, as the event log says it."""

from __future__ import annotations

import contextlib
import time
from datetime import datetime
from pathlib import Path

from ..events.record import parse_time
from ..remote_commands import MAX_SILENCE_MIN
from .log_tail import LogTail
from .log_time import begin_of

#: As for the statistics of an hour: a much larger file would be searched for too long.
MAX_LINES = 300_000


def silenced_until(log: Path) -> datetime | None:
    """Return when the silence of a running door ends; None if there is none. Raises InputError if the log is unreadable."""
    until = None
    begin = begin_of(log, time.time() - 60 * MAX_SILENCE_MIN)
    with contextlib.closing(LogTail(log, begin)) as tail:
        for _ in range(MAX_LINES):
            if (line := tail.next()) is None:
                break
            match line.record.get("event"):
                case "buzzer_silenced":
                    until = parse_time(line.record.get("until"))
                case "buzzer_back" | "started" | "stopped":
                    until = None
    return until
