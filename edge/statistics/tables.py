"""Statistics as text for a terminal of 80 columns, as CSV, and as JSON."""

from __future__ import annotations

import csv
import json
import textwrap
from collections.abc import Iterator
from datetime import datetime
from typing import TextIO

from ..system.terminal import printable
from .figures import By, Figures, Group, Statistics, percentile_s
from .phrases import ALARMS, FAULT, MASKED, PEOPLE_TITLE, TITLE, Phrases

#: Columns for the name of a group, at most 10, a blank and the bar. A row has 79 columns.
_LABEL_WIDTH, _BAR_COLUMNS = 22, 11
_COLUMNS = (
    "people",
    "masked",
    "share_masked",
    "share_low",
    "share_high",
    "alarms",
    "dwell_median_s",
    "dwell_90_s",
    "decision_median_s",
    "decision_90_s",
    "fault_s",
    "up_s",
)


def render(statistics: Statistics, by: By, phrases: Phrases) -> Iterator[str]:
    """Yield the lines of the statistics: the figures, a row for each group, and notes."""
    yield f"{phrases(TITLE)}, {phrases.period(statistics)}"
    yield printable(statistics.source)
    yield ""
    for label, value, detail in phrases.facts(statistics):
        yield f"  {label:<18}{value:>11}   {detail}".rstrip()
    groups = statistics.by(by)
    if statistics.is_played:
        # The hours after the end of a video say nothing.
        used = [k for k, group in enumerate(groups) if group.figures.up_ms]
        groups = groups[: max(used, default=-1) + 1]
    if any(group.figures.up_ms or group.figures.people for group in groups):
        yield ""
        yield from _rows(groups, phrases.heading(by, statistics), by, phrases)
    for note in (*phrases.explanations(statistics), *phrases.notes(statistics)):
        yield ""
        yield from textwrap.wrap(printable(note), 79, break_on_hyphens=False)


def _rows(groups: list[Group], heading: str, by: By, phrases: Phrases) -> Iterator[str]:
    """Yield a heading, and a row for each group: its name, a bar, and figures. Where the door was off, there are none."""
    most = max(group.figures.people for group in groups)
    people, masked, alarms, fault = (phrases(text) for text in (PEOPLE_TITLE, MASKED, ALARMS, FAULT))
    yield f"{heading:<{_LABEL_WIDTH}}{people.lower():>8}{masked:>13}{'95 %':>16}{alarms:>8}{fault:>12}"
    widest = max(len(phrases.label(group, by)) for group in groups)
    for group in groups:
        figures, interval = group.figures, group.figures.interval
        label = f"{phrases.label(group, by):<{widest}} {_bar(figures.people, most)}"
        if not (figures.up_ms or figures.people):
            yield label.rstrip()
            continue
        share = limits = ""
        if interval is not None and figures.share_masked is not None:
            share = phrases.percent(figures.share_masked)
            limits = f"{phrases.percent(interval.low).removesuffix(' %')} – {phrases.percent(interval.high)}"
        blind = phrases.duration(figures.fault_ms) if figures.fault_ms else ""
        counts = f"{phrases.number(figures.people):>8}{share:>13}{limits:>16}{phrases.number(figures.alarms):>8}"
        yield f"{label:<{_LABEL_WIDTH}}{counts}{blind:>12}".rstrip()


def _bar(count: int, most: int) -> str:
    """Return a bar of # whose length shows `count`. Everything above 0 has at least one."""
    return "#" * max(round(count / most * _BAR_COLUMNS), 1) if count else ""


def write_csv(statistics: Statistics, by: By, file: TextIO) -> None:
    """Write a heading, and a row for each group."""
    phrases = Phrases()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow((by, *_COLUMNS))
    for group in statistics.by(by):
        values = as_dict(group.figures)
        writer.writerow((phrases.label(group, by), *(values[column] for column in _COLUMNS)))


def as_json(statistics: Statistics, by: By) -> str:
    """Return the statistics as one JSON object in ASCII, which no terminal interprets."""
    phrases = Phrases()
    return json.dumps(
        {
            "version": 1,
            "log": statistics.source,
            "begin": _time(statistics.begin),
            "end": _time(statistics.end),
            "is_played": statistics.is_played,
            "total": as_dict(statistics.total),
            "by": by,
            "groups": [{by: phrases.label(group, by), **as_dict(group.figures)} for group in statistics.by(by)],
            "explanations": phrases.explanations(statistics),
            "notes": phrases.notes(statistics),
        },
        indent=1,
    )


def as_dict(figures: Figures) -> dict[str, float | int | None]:
    """Return figures by name. Shares are 0..1 with four digits, None is unknown."""
    interval = figures.interval
    share = figures.share_masked
    return {
        "people": figures.people,
        "masked": figures.masked,
        "share_masked": None if share is None else round(share, 4),
        "share_low": None if interval is None else round(interval.low, 4),
        "share_high": None if interval is None else round(interval.high, 4),
        "alarms": figures.alarms,
        "dwell_median_s": percentile_s(figures.dwell, 0.5),
        "dwell_90_s": percentile_s(figures.dwell, 0.9),
        "decision_median_s": percentile_s(figures.decision, 0.5),
        "decision_90_s": percentile_s(figures.decision, 0.9),
        "fault_s": figures.fault_ms / 1000,
        "up_s": figures.up_ms / 1000,
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="milliseconds")
