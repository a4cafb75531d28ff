"""Every sentence of the statistics, in English, to be translated, and how numbers, times and names of days are written.

A translation is a function from the English text to that of another language, such as gettext's. Values in braces stay.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple

from .figures import By, Figures, Group, Statistics, percentile_s

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

TITLE = "Door statistics"
PERIOD = "{begin} to {end}"
NOTHING_KNOWN = "no events"
OF_VIDEOS = "played videos; hours are hours of the video"

PEOPLE_TITLE = "People"
PEOPLE = "people judged"
MASKED = "with a mask"
UNMASKED = "without a mask"
ALARMS = "alarms"
DWELL = "time at the door"
DECISION = "time to decide"
UPTIME = "uptime"
FAULT = "FAULT"
INTERVAL = "{count} of {people}; 95 % interval {low} to {high}"
MEDIAN = "median"
NINETY = "median; 90 % within {time}"
OF_PERIOD = "{share} of the time"
OF_UPTIME = "{share} of the uptime"
UNKNOWN = "unknown"

BY: dict[By, str] = {
    "hour": "By hour of the day",
    "day": "By day",
    "weekday": "By weekday",
    "week": "By week",
    "month": "By month",
}
BY_HOUR_OF_VIDEO = "By hour of the video"
NO_CHART = "Nobody was judged in this time."

PASSAGES = (
    "People are passages, not persons: a person who comes twice counts twice. The last verdict about a person counts."
)
CHANCE = "The interval covers chance only, not the errors of the mask model."
DAMAGED = "Damaged lines of the log that were skipped: {count}."
LOST = "Events that could not be written to the log: {count}."
UNKNOWN_EVENTS = "Events of kinds that this version does not know: {count}."
UNREAD = "{file}: is left out: {reason}."
LEFT_OUT = "Played videos that are left out: {count}."
WHOLE_HOURS = "Hours at the limits of the time that are counted whole, as the log no longer has their events: {count}."
FROM_HOURS = "Hours from the file of hours, as the log no longer has their events: {count}."
NO_LOG = "There is no log; all hours come from the file of hours."
DAMAGED_HOURS = "Damaged lines of the file of hours that were skipped: {count}."
NEWER_HOURS = "Hours that are left out, as a newer version of Doorlight has written them: {count}."
UNFINISHED = "The last run has no end in the log: its uptime counts up to its last event."
MADE = "Made by Doorlight on {date}. No picture and no name is stored."

#: Every text above, for catalogues.
MESSAGES = (
    *(text for name, text in list(globals().items()) if name.isupper() and isinstance(text, str)),
    *BY.values(),
    *WEEKDAYS,
    *MONTHS,
)

Translate = Callable[[str], str]


class Fact(NamedTuple):
    """A figure in words: what it is, its value, and what else is known about it ("" for nothing)."""

    label: str
    value: str
    detail: str


@dataclass(frozen=True)
class Phrases:
    """Writes statistics in one language. `decimal` and `thousands` are its separators."""

    translate: Translate = str
    decimal: str = "."
    thousands: str = ","

    def __call__(self, text: str, **values: object) -> str:
        """Return a text of this module in this language, with its values."""
        translated = self.translate(text)
        return translated.format(**values) if values else translated

    def number(self, value: int) -> str:
        """Return a whole number: 2,630."""
        return f"{value:,}".replace(",", self.thousands)

    def percent(self, share: float) -> str:
        """Return a share: 72.0 %. Only all is 100 %, and only nothing is 0 %."""
        tenths = round(share * 1000)
        if 0 < share < 1:
            tenths = min(max(tenths, 1), 999)
        return f"{tenths // 10}{self.decimal}{tenths % 10} %" if 0 < tenths < 1000 else f"{tenths // 10} %"

    def seconds(self, seconds: float) -> str:
        """Return a short time: 4.33 s, 12.3 s, 127 s."""
        digits = 2 if seconds < 10 else 1 if seconds < 100 else 0
        return f"{seconds:.{digits}f}".replace(".", self.decimal) + " s"

    def duration(self, time_ms: int) -> str:
        """Return a long time in its two largest units: 12 s, 3 min 5 s, 23 h 58 min, 29 d 4 h."""
        seconds = (time_ms + 500) // 1000
        if seconds < 60:
            return f"{seconds} s"
        for unit, name, smaller, smaller_name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
            if seconds >= unit:
                # Round to the smaller unit, which may fill up the larger one.
                rounded = (seconds + smaller // 2) // smaller * smaller
                rest = rounded % unit // smaller
                return f"{rounded // unit} {name}" + (f" {rest} {smaller_name}" if rest else "")
        raise AssertionError("unreachable")

    def moment(self, moment: datetime) -> str:
        """Return a time to the minute: 2026-11-20 14:30."""
        return f"{moment:%Y-%m-%d %H:%M}"

    def label(self, group: Group, by: By) -> str:
        """Return the name of a group in full."""
        if isinstance(group.key, int):
            return f"{group.key:02}:00" if by == "hour" else self(WEEKDAYS[group.key])
        return f"{group.key:%Y-%m}" if by == "month" else group.key.isoformat()

    def short_label(self, group: Group, by: By) -> str:
        """Return the name of a group for an axis."""
        if isinstance(group.key, date):
            month = self(MONTHS[group.key.month - 1])
            return f"{month} {group.key.year}" if by == "month" else f"{group.key.day} {month}"
        return str(group.key) if by == "hour" else self(WEEKDAYS[group.key])[:3]

    def heading(self, by: By, statistics: Statistics) -> str:
        """Return the heading of the groups."""
        return self(BY_HOUR_OF_VIDEO if by == "hour" and statistics.is_played else BY[by])

    def period(self, statistics: Statistics) -> str:
        """Return the time span of the statistics."""
        if statistics.begin is None or statistics.end is None:
            return self(NOTHING_KNOWN)
        if statistics.is_played:
            return self(OF_VIDEOS)
        return self(PERIOD, begin=self.moment(statistics.begin), end=self.moment(statistics.end))

    def facts(self, statistics: Statistics) -> list[Fact]:
        """Return the figures of all hours."""
        total = statistics.total
        interval = total.interval
        masked = unmasked = ""
        if interval is not None:
            low, high = self.percent(interval.low), self.percent(interval.high)
            masked = self(
                INTERVAL, count=self.number(total.masked), people=self.number(total.people), low=low, high=high
            )
        share = self.percent(total.share_masked) if total.share_masked is not None else "–"
        return [
            Fact(self(PEOPLE), self.number(total.people), ""),
            Fact(self(MASKED), share, masked),
            Fact(self(UNMASKED), self.number(total.people - total.masked), unmasked),
            Fact(self(ALARMS), self.number(total.alarms), ""),
            self._times(DWELL, total, is_dwell=True),
            self._times(DECISION, total, is_dwell=False),
            Fact(self(UPTIME), self.duration(total.up_ms), self._uptime_detail(statistics, total)),
            Fact(
                self(FAULT),
                self.duration(total.fault_ms),
                self(OF_UPTIME, share=self.percent(total.fault_ms / total.up_ms)) if total.up_ms else "",
            ),
        ]

    def _times(self, label: str, total: Figures, is_dwell: bool) -> Fact:
        times = total.dwell if is_dwell else total.decision
        median, ninety = percentile_s(times, 0.5), percentile_s(times, 0.9)
        if median is None or ninety is None:
            return Fact(self(label), "–", self(UNKNOWN) if total.people else "")
        return Fact(self(label), self.seconds(median), self(NINETY, time=self.seconds(ninety)))

    def _uptime_detail(self, statistics: Statistics, total: Figures) -> str:
        if statistics.is_played or not statistics.span_ms:
            return ""
        share = self.percent(min(total.up_ms / statistics.span_ms, 1))
        return self(OF_PERIOD, share=share)

    def explanations(self, statistics: Statistics) -> list[str]:
        """Return how the figures are meant, a sentence each."""
        return [self(PASSAGES), self(CHANCE)] if statistics.total.people else []

    def notes(self, statistics: Statistics) -> list[str]:
        """Return what is missing in the figures, or from where they come, a sentence each."""
        counted = (
            (DAMAGED, statistics.damaged),
            (LOST, statistics.lost),
            (UNKNOWN_EVENTS, statistics.unknown),
            (LEFT_OUT, statistics.left_out_files),
            (WHOLE_HOURS, statistics.whole_hours),
            (FROM_HOURS, statistics.from_hours if statistics.has_log else 0),
            (DAMAGED_HOURS, statistics.damaged_hours),
            (NEWER_HOURS, statistics.newer_hours),
        )
        lines = [self(text, count=self.number(count)) for text, count in counted if count]
        lines += [self(UNREAD, file=file, reason=reason) for file, reason in statistics.unread.items()]
        if statistics.is_unfinished and not statistics.is_played:
            lines.append(self(UNFINISHED))
        if statistics.hours and not statistics.has_log:
            lines.append(self(NO_LOG))
        return lines
