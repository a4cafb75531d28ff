"""People, masks and alarms of the local day, counted as the events come."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time

from ..events.record import EventRecord, timestamp


class DayCounts:
    """The counts of the day of the newest event, by the rules of the statistics (see statistics/tally.py).

    A person counts on the day of the first verdict, with the last verdict. `today` returns the local date.
    """

    def __init__(self, today: Callable[[], date] = date.today) -> None:
        self._today = today
        self.day = today()
        self.people = self.masked = self.alarms = 0
        self._verdicts: dict[object, str] = {}  # of the people of this day who are still there

    @property
    def share_masked(self) -> float | None:
        """Share of the people with a mask, 0..1; None without people."""
        return self.masked / self.people if self.people else None

    @property
    def since(self) -> datetime:
        """The local midnight at which the day began, with its UTC offset."""
        return datetime.combine(self.day, time()).astimezone()

    def refresh(self) -> None:
        """Begin a new day if there is one: also without an event."""
        if (today := self._today()) != self.day:
            self.day = today
            self.people = self.masked = self.alarms = 0
            self._verdicts.clear()

    def add(self, record: EventRecord) -> None:
        """Count an event of today; ignore those of other days."""
        self.refresh()
        moment = timestamp(record)
        if moment is None or moment.astimezone().date() != self.day:
            return
        person = record.get("person")
        match record.get("event"):
            case "started" | "stopped":
                self._verdicts.clear()
            case "signal" if record.get("signal") == "ALARM":
                self.alarms += 1
            case "masked" | "unmasked" as verdict if isinstance(person, int):
                before = self._verdicts.get(person)
                self.people += before is None
                self.masked += (verdict == "masked") - (before == "masked")
                self._verdicts[person] = verdict
            case "ignored" if isinstance(person, int) and person in self._verdicts:
                self.people -= 1
                self.masked -= self._verdicts.pop(person) == "masked"
            case "cleared" if isinstance(person, int):
                self._verdicts.pop(person, None)
