"""Count the moments of a log into local hours.

The counts of an hour depend only on records of the log, never on the time at which they are counted. Each hour remembers the
outermost of these records: while the log has them, the hour can be counted again, with the same result.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from .hour import HOUR_MS, QUARTER_MS, Hour, LocalHours, rounded_ms
from .log_moments import Moment, Moments

#: A longer time between two events of a run is no uptime: the clock was wrong.
MAX_SILENCE_MS = 400 * 24 * HOUR_MS


class _Passage(NamedTuple):
    """A person in view: the moment of the first verdict, and the last verdict."""

    first: int
    verdict: str


class Tally:
    """Counts the moments from `since_ms` up to `until_ms` into `hours`, by their begin.

    `kept` has the hours of the file of hours that overlap the log, by their quarters: the position in the log up to which
    such a quarter is counted already. The records up to there are read for the state of the door only.
    """

    def __init__(
        self,
        moments: Moments,
        local: LocalHours,
        kept: Mapping[int, int],
        since_ms: int | None = None,
        until_ms: int | None = None,
    ) -> None:
        self.hours: dict[datetime, Hour] = {}
        self._moments = moments
        self._local = local
        self._kept = kept
        self._since_ms = since_ms
        self._until_ms = until_ms
        self._outermost: dict[datetime, tuple[int, int]] = {}
        self._is_running = bool(moments)
        self._signal = moments.signal_before
        self._state_from = 0  # the moment that tells whether the door runs, and its signal
        self._people: dict[int, _Passage] = {}
        for index, moment in enumerate(moments):
            self._count(index, moment)
        for start, (first, last) in self._outermost.items():
            hour = self.hours[start]
            hour.first, hour.last = moments.anchor(first), moments.anchor(last)
            hour.records = moments.positions[last] - moments.positions[first] + 1
            hour.clip()

    def _count(self, index: int, moment: Moment) -> None:
        if index and self._is_running and moment.kind != "started":
            self._add_uptime(index)
        match moment.kind:
            case "started" | "stopped":
                self._is_running = moment.kind == "started"
                self._signal = ""
                self._state_from = index
                self._people.clear()
            case "signal":
                self._signal = moment.name
                self._state_from = index
                if moment.name == "ALARM" and (hour := self._hour(index, index, index)) is not None:
                    hour.alarms += 1
            case "masked" | "unmasked" if moment.person:
                self._add_verdict(index, moment)
            case "ignored":
                self._withdraw(index, moment)
            case "cleared":
                self._people.pop(moment.person, None)
                if moment.seconds is not None and (hour := self._hour(index, index, index)) is not None:
                    hour.dwell.append(rounded_ms(moment.seconds))

    def _add_verdict(self, index: int, moment: Moment) -> None:
        before = self._people.get(moment.person)
        if before is None:
            self._people[moment.person] = _Passage(index, moment.kind)
            if (hour := self._hour(index, index, index)) is not None:
                hour.people += 1
                hour.masked += moment.kind == "masked"
                if moment.seconds is not None:
                    hour.decision.append(rounded_ms(moment.seconds))
        elif before.verdict != moment.kind:
            self._people[moment.person] = before._replace(verdict=moment.kind)
            if (hour := self._hour(before.first, before.first, index)) is not None:
                hour.masked += 1 if moment.kind == "masked" else -1
            # Without the first verdict, this hour would take the change for another person.
            self._hour(index, before.first, index)

    def _withdraw(self, index: int, moment: Moment) -> None:
        """Take back a face that never moves, such as a poster: it was no person."""
        passage = self._people.pop(moment.person, None)
        if passage is None or (hour := self._hour(passage.first, passage.first, index)) is None:
            return
        hour.people -= 1
        hour.masked -= passage.verdict == "masked"
        seconds = self._moments[passage.first].seconds
        # In an hour that was kept before the face was ignored, the time stays: single times cannot be taken back there.
        if seconds is not None and (time_ms := rounded_ms(seconds)) in hour.decision:
            hour.decision.remove(time_ms)
        self._hour(index, passage.first, index)

    def _add_uptime(self, index: int) -> None:
        """Count the time from the moment before `index`, quarter by quarter: each lies in one local hour."""
        begin, end = self._moments.times_ms[index - 1], self._moments.times_ms[index]
        if end - begin > MAX_SILENCE_MS:
            return
        earliest = min(self._state_from, index - 1)
        if self._since_ms is not None:
            begin = max(begin, self._since_ms)
        if self._until_ms is not None:
            end = min(end, self._until_ms)
        while begin < end:
            piece_end = min(end, (begin // QUARTER_MS + 1) * QUARTER_MS)
            if (hour := self._hour_at(begin, earliest, index)) is not None:
                hour.up_ms += piece_end - begin
                hour.fault_ms += piece_end - begin if self._signal == "FAULT" else 0
            begin = piece_end

    def _hour(self, index: int, earliest: int, latest: int) -> Hour | None:
        return self._hour_at(self._moments.times_ms[index], earliest, latest)

    def _hour_at(self, time_ms: int, earliest: int, latest: int) -> Hour | None:
        """Return the hour in which `time_ms` counts; None if it does not count.

        The count depends on the moments `earliest` to `latest` (indices).
        """
        if self._since_ms is not None and time_ms < self._since_ms:
            return None
        if self._until_ms is not None and time_ms >= self._until_ms:
            return None
        if self._moments.positions[latest] <= self._kept.get(time_ms // QUARTER_MS, -1):
            return None
        start = self._local.start(time_ms)
        first, last = self._outermost.get(start, (earliest, latest))
        self._outermost[start] = min(first, earliest), max(last, latest)
        hour = self.hours.get(start)
        if hour is None:
            hour = self.hours[start] = Hour(start)
        return hour
