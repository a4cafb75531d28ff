"""Counters that grow with each record of an event log, and the state of the door between two records.

Counters never decrease, because Prometheus takes a decrease for a restart. So a person counts when the visit ends: until
then the verdict may change, or the face may turn out to be a poster.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from ..events.record import EventRecord, sequence_number, timestamp
from ..records import SIGNAL_NAMES, Signal

if TYPE_CHECKING:
    from ..statistics.hour import Hour

#: Upper limits of the histograms, in seconds. A decision takes min_decide_s or longer.
DECISION_LIMITS_S = (0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
DWELL_LIMITS_S = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0)
VERDICTS = ("masked", "unmasked")
#: A longer time in a log, or between two events of a run, is damage.
MAX_SECONDS = 1e6
#: More people than ever stand at a door. Records without an end, in a damaged log, must not fill the memory.
MAX_PRESENT = 1000
#: Records before which numbers may be missing without a loss: a start after a crash skips some.
_AFTER_A_CRASH = frozenset({"started", "log_repaired"})


class Histogram(msgspec.Struct):
    """Times counted by size. `counts` has a number for each limit, and one for longer times."""

    limits_s: tuple[float, ...]
    counts: list[int]
    sum_s: float = 0.0

    def add(self, seconds: float, count: int = 1) -> None:
        """Count a time `count` times."""
        self.counts[bisect_left(self.limits_s, seconds)] += count
        self.sum_s += seconds * count


def _histogram(limits_s: tuple[float, ...]) -> Histogram:
    return Histogram(limits_s, [0] * (len(limits_s) + 1))


class Totals(msgspec.Struct):
    """What is counted of a log up to the record `last_seq`.

    `signals` counts changes to each signal, `people` visits by their last verdict. `signal` is what the door shows after that
    record, "" if it does not run; `present` has the last verdicts of the people in view by their number. `missing` counts
    numbers that no record of the log has, `damaged` lines that are no records, `lost` events that the door could not write.
    """

    last_seq: int = 0
    last_time_s: float = 0.0
    last_t: float = 0.0
    is_running: bool = False
    is_played: bool = False
    signal: str = ""
    present: dict[int, str] = {}
    signals: dict[str, int] = msgspec.field(default_factory=lambda: dict.fromkeys(sorted(SIGNAL_NAMES), 0))
    people: dict[str, int] = msgspec.field(default_factory=lambda: dict.fromkeys(VERDICTS, 0))
    decision: Histogram = msgspec.field(default_factory=lambda: _histogram(DECISION_LIMITS_S))
    dwell: Histogram = msgspec.field(default_factory=lambda: _histogram(DWELL_LIMITS_S))
    ignored: int = 0
    up_s: float = 0.0
    fault_s: float = 0.0
    starts: int = 0
    crashes: int = 0
    camera_lost: int = 0
    clock_set: int = 0
    lost: int = 0
    missing: int = 0
    damaged: int = 0
    repaired: int = 0

    def add(self, record: EventRecord) -> None:
        """Count the next record of the log."""
        kind = str(record.get("event", ""))
        if seq := sequence_number(record):
            if self.last_seq and seq > self.last_seq:
                self.missing += _missing_before(kind, seq - self.last_seq - 1, record)
            self.last_seq = seq
        if (moment := timestamp(record)) is not None:
            self.last_time_s = moment.timestamp()
        if kind == "started":
            self._start(record)
        elif kind == "log_lost":
            self.lost += _count(record.get("count"))
        elif kind == "log_repaired":
            self.repaired += 1
        if self.is_played:
            # A played file says nothing about the door.
            self.is_played = kind != "stopped"
            return
        self._add_time(record)
        self._add_event(kind, record)

    def _start(self, record: EventRecord) -> None:
        self.crashes += self.is_running
        self._end_run()
        self.is_played = record.get("live") is False
        self.is_running = not self.is_played
        self.starts += self.is_running
        self.last_t = 0.0

    def _end_run(self) -> None:
        for verdict in self.present.values():
            self.people[verdict] += 1
        self.present = {}
        self.is_running, self.signal = False, ""

    def _add_time(self, record: EventRecord) -> None:
        """Count the time since the last record, by the clock of the camera, which nobody sets."""
        t = _seconds(record.get("t"))
        if t is None:
            return
        elapsed_s, self.last_t = t - self.last_t, t
        if self.is_running and 0 < elapsed_s < MAX_SECONDS:
            self.up_s += elapsed_s
            self.fault_s += elapsed_s if self.signal == Signal.FAULT.value else 0.0

    def _add_event(self, kind: str, record: EventRecord) -> None:
        match kind:
            case "stopped":
                self._end_run()
            case "signal" if str(record.get("signal")) in SIGNAL_NAMES:
                self.signal = str(record["signal"])
                self.signals[self.signal] += 1
                self.is_running = True  # the log may begin within a run
            case "masked" | "unmasked":
                if (seconds := _seconds(record.get("decision_s"))) is not None:
                    self.decision.add(seconds)
                if len(self.present) < MAX_PRESENT and type(person := record.get("person")) is int:
                    self.present[person] = kind
            case "cleared":
                self._clear(record)
            case "ignored":
                self._forget(record)
                self.ignored += 1
            case "camera_lost":
                self.camera_lost += 1
            case "clock_set":
                self.clock_set += 1

    def _clear(self, record: EventRecord) -> None:
        verdict = self._forget(record) or record.get("verdict")
        if verdict in VERDICTS:
            self.people[str(verdict)] += 1
        if (seconds := _seconds(record.get("dwell_s"))) is not None:
            self.dwell.add(seconds)

    def _forget(self, record: EventRecord) -> str | None:
        """Remove a person from those in view, and return the last verdict; None if it is unknown."""
        person = record.get("person")
        return self.present.pop(person, None) if type(person) is int else None

    def add_hours(self, hours: Iterable[Hour]) -> None:
        """Count hours that the log no longer has."""
        for hour in hours:
            self.people["masked"] += hour.masked
            self.people["unmasked"] += hour.people - hour.masked
            self.signals[Signal.ALARM.value] += hour.alarms
            self.up_s += hour.up_ms / 1000
            self.fault_s += hour.fault_ms / 1000
            for time_ms in hour.dwell:
                self.dwell.add(time_ms / 1000)
            for time_ms in hour.decision:
                self.decision.add(time_ms / 1000)


def _missing_before(kind: str, skipped: int, record: EventRecord) -> int:
    """Return how many of `skipped` numbers before a record are missing. `log_lost` has the number of the last lost event."""
    if kind in _AFTER_A_CRASH:
        return 0
    return max(skipped + 1 - _count(record.get("count")), 0) if kind == "log_lost" else skipped


def _count(value: object) -> int:
    return value if type(value) is int and 0 < value < 1 << 53 else 0


def _seconds(value: object) -> float | None:
    """Return a time of a record; None if it is missing or impossible."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < MAX_SECONDS:
        return None
    return float(value)
