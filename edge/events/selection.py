"""Choose the events of a log by time span and kind, and name the played file that each comes from."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from itertools import chain
from pathlib import Path
from typing import BinaryIO, NamedTuple

from .reader import EventReader, follow, read, read_stream
from .record import EventRecord, ascii_text
from .summary import Summary, is_of_kind
from .time_span import window

#: Positions [begin, end) of the records of a time span.
Window = tuple[float, float]
EVERYTHING: Window = (0, float("inf"))


class Playing(NamedTuple):
    """One playing of a file: its name, and a number that no other playing in this log has."""

    file: str
    number: int


class Entry(NamedTuple):
    """A record, and the playing that it comes from; None for a camera."""

    record: EventRecord
    played: Playing | None


class Selection:
    """The records of a log in a time span that are of one of `kinds` (lower case; empty: all).

    `reader` knows what could not be read. `log` counts all records of the log, as far as `entries` and `follow` have
    read it.
    """

    def __init__(
        self, reader: EventReader, records: Iterator[EventRecord], window: Window, kinds: Collection[str]
    ) -> None:
        self.reader = reader
        self.log = Summary()
        self._records = records
        self._window = window
        self._kinds = kinds
        self._has_events = False
        self._played: Playing | None = None
        self._starts = 0

    @classmethod
    def of_log(cls, path: Path, since: float | None, until: float | None, kinds: Collection[str]) -> Selection:
        """Select from the log at `path`. `since` and `until` are seconds since the epoch; None: no limit.

        The time span depends on later records, so the log is read twice. Raises InputError if it cannot be read.
        """
        if since is None and until is None:
            reader = read(path)
            return cls(reader, reader, EVERYTHING, kinds)
        while True:
            scanned = read(path)
            first = next(scanned, None)
            span = window(chain([] if first is None else [first], scanned), since, until)
            reader = read(path)
            again = next(reader, None)
            # Otherwise the oldest file was deleted between the two. The texts are compared, because NaN differs from
            # itself.
            if ascii_text(again or {}) == ascii_text(first or {}):
                return cls(reader, chain([] if again is None else [again], reader), span, kinds)

    @classmethod
    def of_stream(
        cls, stream: BinaryIO, name: str, since: float | None, until: float | None, kinds: Collection[str]
    ) -> Selection:
        """Select from a stream, such as standard input. Raises InputError, with `name`, if it cannot be read."""
        reader = read_stream(stream, name)
        if since is None and until is None:
            return cls(reader, reader, EVERYTHING, kinds)
        records = list(reader)  # it cannot be read twice
        return cls(reader, iter(records), window(records, since, until), kinds)

    @property
    def is_of_a_log(self) -> bool:
        """Whether `entries` found an event, or nothing at all. Otherwise the file is not a log."""
        return self._has_events or not (self.reader.damaged or self.log.records)

    def entries(self) -> Iterator[Entry]:
        """Yield the selected records."""
        begin, end = self._window
        for position, entry in enumerate(self._with_playing(self._records)):
            if begin <= position < end and is_of_kind(entry.record, self._kinds):
                yield entry

    def follow(self, path: Path, poll_s: float, stop: Callable[[], bool]) -> Iterator[Entry]:
        """Yield the selected records that are written after those of `entries`, until `stop()` is true."""
        for entry in self._with_playing(follow(path, poll_s, stop, self.reader.last_seq)):
            if is_of_kind(entry.record, self._kinds):
                yield entry

    def _with_playing(self, records: Iterator[EventRecord]) -> Iterator[Entry]:
        """Count each record, and yield it with the playing that it comes from."""
        for record in records:
            event = record.get("event")
            if event == "started":
                self._starts += 1
                is_played = record.get("live") is False
                self._played = Playing(str(record.get("source", "?")), self._starts) if is_played else None
            self._has_events = self._has_events or isinstance(event, str)
            self.log.add(record)
            yield Entry(record, self._played)
            if event == "stopped":
                self._played = None
