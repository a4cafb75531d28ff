"""Count events, and choose those of a kind."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from ..errors import UsageError
from .record import EventRecord, timestamp
from .text import KINDS


@dataclass(slots=True)
class Summary:
    """Counts of some records: of all, by event, by signal shown; first and last time (UTC).

    The counts are in the order of first appearance.
    """

    records: int = 0
    events: Counter[str] = field(default_factory=Counter)
    signals: Counter[str] = field(default_factory=Counter)
    first: datetime | None = None
    last: datetime | None = None

    def add(self, record: EventRecord) -> None:
        """Count a record."""
        self.records += 1
        self.events[str(record.get("event", "?"))] += 1
        if record.get("event") == "signal":
            self.signals[str(record.get("signal", "?"))] += 1
        self.last = timestamp(record) or self.last
        self.first = self.first or self.last


def summarise(records: Iterable[EventRecord]) -> Summary:
    """Count records."""
    summary = Summary()
    for record in records:
        summary.add(record)
    return summary


def is_of_kind(record: EventRecord, kinds: Collection[str]) -> bool:
    """Return whether event or signal of a record is one of `kinds` (lower case).

    An empty collection selects everything.
    """
    names = {str(record.get("event", "")).lower(), str(record.get("signal", "")).lower()}
    return not kinds or bool(names & set(kinds))


def check_kinds(kinds: Iterable[str], records: Iterable[EventRecord]) -> None:
    """Raise UsageError, with the nearest names, if one of `kinds` is neither of this version nor in `records`.

    `kinds` are in lower case.
    """
    unknown = set(kinds) - {name.lower() for name in KINDS}
    if not unknown:
        return
    for record in records:
        unknown -= {str(record.get("event", "")).lower(), str(record.get("signal", "")).lower()}
    for kind in sorted(unknown):
        nearest = [name for name in KINDS if len(kind) > 2 and kind in name.lower()]
        nearest += difflib.get_close_matches(kind, [name.lower() for name in KINDS], n=3, cutoff=0.6)
        by_name = {name.lower(): name for name in KINDS}
        names = dict.fromkeys(by_name[name.lower()] for name in nearest)
        hint = f"did you mean {', '.join(names)}?" if names else f"choose from: {', '.join(KINDS)}"
        raise UsageError(f"--kind {kind}: there is no such kind of event", hint)
