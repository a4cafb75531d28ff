"""What of an event log the statistics use: its moments, in the order of the log, with corrected times."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple, overload

from ..events.record import EventRecord, parse_time, sequence_number, timestamp
from ..events.text import KINDS, MAX_PLAYED_S
from ..records import Signal
from .hour import MAX_SECONDS, Anchor

#: Events that count. Of all others, only the time counts: the door ran.
COUNTED = frozenset({"started", "stopped", "signal", "masked", "unmasked", "cleared", "ignored"})
#: The kind of the moment at which the statistics are made, while the door is running.
NOW = "now"
_KINDS = ["", NOW, *sorted(COUNTED)]
#: "" stands for any other.
_SIGNALS = ["", *(signal.value for signal in Signal)]
#: Person numbers count up from 1. A larger number is damage.
_MAX_PERSON = 1 << 32
#: The last moment that has a local time, in ms since the epoch: the end of the year 9998.
MAX_TIME_MS = 253_370_764_800_000


class Moment(NamedTuple):
    """One record. `position` counts the records of the log from 0.

    `kind` is "" if only the time counts. `name` is the signal of a `signal` event. `seconds` is `dwell_s` of a `cleared`, and `decision_s` of a verdict; None if
    there is none.
    """

    position: int
    seq: int
    kind: str
    person: int = 0
    name: str = ""
    seconds: float | None = None


class Moments(Sequence[Moment]):
    """Moments in the order of the log. `times_ms` are corrected, `written_ms` as written in the log; ms since the epoch.

    They are stored in columns: a log may have hundreds of thousands. `signal_before` is the signal that was shown when the
    log begins, in the middle of a run.
    """

    def __init__(self) -> None:
        self.times_ms = array("q")
        self.written_ms = array("q")
        self.positions = array("Q")
        self.signal_before = ""
        self._seqs = array("Q")
        self._kinds = array("B")  # indices in _KINDS
        self._names = array("B")  # indices in _SIGNALS
        self._people = array("Q")
        self._seconds = array("d")
        self._earliest_ms = MAX_TIME_MS

    def __len__(self) -> int:
        return len(self.times_ms)

    @overload
    def __getitem__(self, index: int) -> Moment: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Moment]: ...

    def __getitem__(self, index: int | slice) -> Moment | Sequence[Moment]:
        if isinstance(index, slice):
            return [self[k] for k in range(*index.indices(len(self)))]
        seconds = self._seconds[index]
        return Moment(
            self.positions[index],
            self._seqs[index],
            _KINDS[self._kinds[index]],
            self._people[index],
            _SIGNALS[self._names[index]],
            None if math.isnan(seconds) else seconds,
        )

    def append(self, moment: Moment, time_ms: int, written_ms: int) -> None:
        """Add a moment at the end."""
        self.times_ms.append(time_ms)
        self.written_ms.append(written_ms)
        self.positions.append(moment.position)
        self._seqs.append(moment.seq)
        self._kinds.append(_KINDS.index(moment.kind))
        self._names.append(_SIGNALS.index(moment.name))
        self._people.append(moment.person)
        self._seconds.append(math.nan if moment.seconds is None else moment.seconds)
        self._earliest_ms = min(self._earliest_ms, written_ms)

    def anchor(self, index: int) -> Anchor:
        """Return the record of a moment."""
        return Anchor(self._seqs[index], self.written_ms[index])

    def position_up_to(self, record: Anchor) -> int | None:
        """Return the position of `record`, or of the last moment before it that is there; None if there is none.

        A log whose numbers began again later has none.
        """
        if not self or record.time_ms < self._earliest_ms:
            return None
        index = bisect_right(self._seqs, record.seq) - 1
        while index >= 0 and self.written_ms[index] > record.time_ms:
            index -= 1
        return self.positions[index] if index >= 0 else None


class LogMoments:
    """The moments of a log, of cameras and of played files. A log of both is one of a developer.

    `played_files` counts the runs that played a file. `found` has the positions of the records that were `wanted`. `lost`
    counts the events that the door could not write, `unknown` those of kinds that this version does not know.
    `is_open` is True if the last run, of a camera, has no end.
    """

    def __init__(self, records: Iterable[EventRecord], wanted: Collection[Anchor] = ()) -> None:
        self.camera = Moments()
        self.played = Moments()
        self.played_files = self.count = self.lost = self.unknown = 0
        self.has_events = self.is_open = False
        self.found: dict[Anchor, int] = {}
        self._wanted = wanted
        self._set_by_ms: dict[int, int] = {}  # by index in `camera`
        self._has_start = False
        self._played_from_ms: int | None = None  # None: a camera
        self._last_ms: int | None = None
        for record in records:
            self._add(record)
        self._correct()

    def _add(self, record: EventRecord) -> None:
        position, self.count = self.count, self.count + 1
        kind = record.get("event")
        if not isinstance(kind, str):
            return
        self.has_events = True
        self.unknown += kind not in KINDS
        written = timestamp(record)
        written_ms = self._last_ms if written is None else _milliseconds(written)
        if written_ms is None:
            return  # without any time, nothing can be said about it
        self._last_ms = written_ms
        seq = sequence_number(record)
        anchor = Anchor(seq, written_ms)
        if anchor in self._wanted:
            self.found[anchor] = position
        if kind == "started":
            self._played_from_ms = _midnight_ms(written_ms) if record.get("live") is False else None
            self.played_files += self._played_from_ms is not None
        elif kind == "log_lost" and type(count := record.get("count")) is int:
            self.lost += count
        moment = _moment(record, kind, position, seq)
        if self._played_from_ms is not None:
            t = record.get("t")
            if isinstance(t, int | float) and 0 <= t < MAX_PLAYED_S:
                self.played.append(moment, self._played_from_ms + round(t * 1000), written_ms)
            if kind == "stopped":
                self._played_from_ms = None
            self.is_open = False
            return
        self.is_open = kind != "stopped"
        if kind == "clock_set" and written is not None and (before := parse_time(record.get("before"))) is not None:
            self._set_by_ms[len(self.camera)] = written_ms - _milliseconds(before)
        self._has_start = self._has_start or kind == "started"
        if kind == "signal" and not self._has_start and not self.camera.signal_before:
            self.camera.signal_before = str(record.get("before", ""))
        self.camera.append(moment, written_ms, written_ms)

    def _correct(self) -> None:
        """If the clock was set during a run, move what the run wrote before as if the clock had been right.

        Other runs keep their times: nothing says how wrong their clock was.
        """
        if not self._set_by_ms:
            return
        correction_ms = 0
        times = self.camera.times_ms
        for k in range(len(times) - 1, -1, -1):
            times[k] = min(max(times[k] + correction_ms, 0), MAX_TIME_MS)
            correction_ms += self._set_by_ms.get(k, 0)
            if self.camera[k].kind == "started":
                correction_ms = 0


def _moment(record: EventRecord, kind: str, position: int, seq: int) -> Moment:
    """Return the moment of a record. Values that are impossible count as missing."""
    if kind not in COUNTED:
        return Moment(position, seq, "")
    person = record.get("person")
    seconds = record.get("dwell_s" if kind == "cleared" else "decision_s")
    is_time = isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 <= seconds < MAX_SECONDS
    return Moment(
        position,
        seq,
        kind,
        person if type(person) is int and 0 < person < _MAX_PERSON else 0,
        str(signal) if kind == "signal" and (signal := record.get("signal")) in _SIGNALS else "",
        float(seconds) if is_time and seconds is not None else None,
    )


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _midnight_ms(time_ms: int) -> int:
    """Return the UTC midnight before a moment: there the clock of a played file begins."""
    midnight = datetime.fromtimestamp(time_ms / 1000, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return _milliseconds(midnight)
