"""The last complete hour of the door, for the topic `stats`: counted by the rules of `doorlight stats`."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from ..errors import DoorlightError
from ..events.record import EventRecord, timestamp
from ..statistics.hour import Hour, LocalHours, encode
from ..statistics.log_moments import LogMoments
from ..statistics.tally import Tally
from .log_tail import LogTail
from .log_time import begin_of

#: The hour is counted this long after its end: the door writes its last events within a second.
DELAY_S = 10.0
#: People are counted in the hour of their first verdict: events up to this time (seconds) before the hour are read.
_BEFORE_S = 3600.0
#: More records of two hours than this are not counted: it bounds memory.
MAX_RECORDS = 100_000
#: A file of the log has some ten thousand lines. In a much larger one, the hour would be searched for too long.
MAX_LINES = 300_000


class HourlyStats:
    """`newest` returns the last complete hour of the log at `path` once, and again after `forget`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._sent: datetime | None = None

    def forget(self) -> None:
        """Return the last hour again, because a broker may have lost it."""
        self._sent = None

    def newest(self) -> dict[str, Any] | None:
        """Return the last complete hour, as in the file of hours; None if it was returned before."""
        now = datetime.fromtimestamp(time.time() - DELAY_S).astimezone()
        end = now.replace(minute=0, second=0, microsecond=0)
        start = end - timedelta(hours=1)
        if start == self._sent:
            return None
        self._sent = start
        with contextlib.suppress(DoorlightError, OSError):
            return _as_json(self._count(start, end))
        return None

    def _count(self, start: datetime, end: datetime) -> Hour:
        since, until = round(start.timestamp() * 1000), round(end.timestamp() * 1000)
        moments = LogMoments(self._records(start.timestamp() - _BEFORE_S)).camera
        hours = Tally(moments, LocalHours(), {}, since, until).hours
        return next(iter(hours.values()), Hour(start))

    def _records(self, since_s: float) -> Iterator[EventRecord]:
        """Yield the records from about `since_s` on (seconds since the epoch)."""
        count = 0
        with contextlib.closing(LogTail(self._path, begin_of(self._path, since_s))) as tail:
            for _ in range(MAX_LINES):
                if count == MAX_RECORDS or (line := tail.next()) is None:
                    return
                moment = timestamp(line.record)
                if moment is not None and moment.timestamp() >= since_s:
                    count += 1
                    yield line.record


def _as_json(hour: Hour) -> dict[str, Any]:
    line: dict[str, Any] = json.loads(encode(hour))
    line.pop("log", None)
    return line
