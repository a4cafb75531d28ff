"""Write the log of a whole day at a door whose figures are known, and logs of single passages."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from edge.events.record import EventRecord, encode, utc_text

#: People of the day that scripts/virtual_door plays.
PEOPLE = 2630


class LogWriter:
    """Makes records with their numbers, as the door writes them. `now_s` is what the clock shows, in s since the epoch."""

    def __init__(self, begin: datetime, seq: int = 0) -> None:
        self.now_s = begin.timestamp()
        self.seq = seq
        self.records: list[EventRecord] = []
        self._people = 0
        self._signal = "IDLE"
        self._started_s = self.now_s

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self.now_s, UTC)

    def wait(self, seconds: float) -> None:
        self.now_s = round(self.now_s + seconds, 3)

    def write(self, event: str, **fields: object) -> None:
        self.seq += 1
        t = round(self.now_s - self._started_s, 3)
        self.records.append({"seq": self.seq, "time": utc_text(self.now_s), "t": t, "event": event, **fields})

    def start(self, **fields: object) -> None:
        self._people, self._signal, self._started_s = 0, "IDLE", self.now_s
        self.write("started", **({"source": "/dev/video0", "live": True} | fields))

    def stop(self) -> None:
        self.write("stopped", reason="terminated", frames=1)

    def signal(self, signal: str) -> None:
        self.write("signal", signal=signal, before=self._signal, people=1)
        self._signal = signal

    def judge(self, verdict: str, decision_s: float | None = 0.9) -> int:
        """Write the first verdict about the next person. Return the person's number."""
        self._people += 1
        times = {} if decision_s is None else {"decision_s": decision_s}
        self.write(verdict, person=self._people, evidence=2.0, **times)
        return self._people

    def clear(self, person: int, verdict: str = "masked", dwell_s: float = 4.0) -> None:
        self.write("cleared", person=person, verdict=verdict, dwell_s=dwell_s)

    def set_clock(self, seconds: float) -> None:
        """Set the clock forward (or back)."""
        before = utc_text(self.now_s)
        self.wait(seconds)
        self.write("clock_set", before=before)

    def passage(self, verdict: str = "masked", dwell_s: float = 4.0, decision_s: float = 0.9) -> None:
        """Write a passage that begins now and ends `dwell_s` later."""
        person = self.judge(verdict, decision_s)
        self.wait(dwell_s)
        self.clear(person, verdict, dwell_s)


def write_log(path: Path, records: Iterable[EventRecord]) -> Path:
    """Write a log of one file."""
    path.write_bytes(b"".join(map(encode, records)))
    return path


@dataclass
class Day:
    """A day's records, and its figures as they were when it was made: by UTC hour people, masked and alarms."""

    records: list[EventRecord]
    people: Counter[datetime] = field(default_factory=Counter)
    masked: Counter[datetime] = field(default_factory=Counter)
    alarms: Counter[datetime] = field(default_factory=Counter)
    dwell: list[float] = field(default_factory=list)
    decision: list[float] = field(default_factory=list)
    up_s: float = 0.0
    fault_s: float = 0.0


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _visits(rng: random.Random, begin: datetime) -> Iterator[tuple[datetime, float, float, bool, bool]]:
    """Yield begin, dwell, decision time, whether first with a mask, and whether that changes: PEOPLE of them in a day."""
    starts = sorted(rng.randrange(86_000_000) for _ in range(PEOPLE))
    for start_ms in starts:
        dwell_s = round(rng.lognormvariate(1.5, 0.6), 3)
        decision_s = round(min(0.3 + rng.random(), dwell_s), 3)
        yield begin + timedelta(milliseconds=start_ms), dwell_s, decision_s, rng.random() < 0.72, rng.random() < 0.1


def play_day(begin: datetime) -> Day:
    """Return a day of PEOPLE people from `begin`, with alarms, changed verdicts, people at once, and two blind times."""
    rng = random.Random(15)
    log = LogWriter(begin)
    log.start()
    day = Day(log.records)
    moments: list[tuple[datetime, int, str, int]] = []
    visits = list(_visits(rng, begin))
    verdicts: dict[int, tuple[datetime, str]] = {}
    numbers: dict[int, int] = {}
    for k, (start, dwell_s, decision_s, _, changes) in enumerate(visits):
        moments.append((start + timedelta(seconds=decision_s), 0, "judge", k))
        if changes:
            moments.append((start + timedelta(seconds=decision_s + 0.5), 1, "change", k))
        moments.append((start + timedelta(seconds=max(dwell_s, decision_s + 0.6) + 2), 2, "clear", k))
    for hours, minutes in ((3, 95), (17, 7)):
        blind = begin + timedelta(hours=hours, minutes=11)
        moments += [(blind, 3, "blind", 0), (blind + timedelta(minutes=minutes), 3, "sees", 0)]
        day.fault_s += minutes * 60
    for moment, _, what, k in sorted(moments):
        log.now_s = moment.timestamp()
        if what in ("blind", "sees"):
            log.signal("FAULT" if what == "blind" else "IDLE")
            continue
        _, dwell_s, decision_s, is_masked, _ = visits[k]
        if what == "judge":
            verdict = "masked" if is_masked else "unmasked"
            verdicts[k] = _hour(log.now), verdict
            numbers[k] = log.judge(verdict, decision_s)
            day.people[_hour(log.now)] += 1
            day.decision.append(decision_s)
        elif what == "change":
            hour, verdict = verdicts[k]
            verdicts[k] = hour, "unmasked" if verdict == "masked" else "masked"
            log.write(verdicts[k][1], person=numbers[k], evidence=1.0)
        else:
            hour, verdict = verdicts[k]
            day.masked[hour] += verdict == "masked"
            log.clear(numbers[k], verdict, dwell_s)
            day.dwell.append(dwell_s)
        if what == "judge" and k % 40 == 0:
            log.write("agitated", person=numbers[k], agitation=0.9)
            if log._signal != "FAULT":
                log.signal("ALARM")
                day.alarms[_hour(log.now)] += 1
                log.signal("STOP")
    log.now_s = (begin + timedelta(hours=24)).timestamp()
    log.stop()
    day.up_s = 86_400.0
    return day
