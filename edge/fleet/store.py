"""Write a batch of messages in one transaction. A message that was written before changes nothing."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from typing import NamedTuple

import psycopg

from ..system.terminal import printable
from .database import Database
from .messages import Availability, Content, Document, EventRow, Gap, Rejected

#: A payload that is put aside is cut to this, and topics to this length: they may contain anything.
MAX_KEPT_BYTES = 4096
_MAX_TOPIC_LENGTH = 200
#: No more rejected messages than this are kept: a door that sends garbage must not fill the disk.
MAX_REJECTED = 10_000

_LOCK = "SELECT FROM doorlight.doors WHERE door = ANY(%s) ORDER BY door FOR UPDATE"
_EVENTS = """
INSERT INTO doorlight.events (door, seq, time, event, signal, person, record)
SELECT door, seq, time, event, signal, person, record::json
FROM unnest(%s::text[], %s::bigint[], %s::timestamptz[], %s::text[], %s::text[], %s::bigint[], %s::text[])
    AS row (door, seq, time, event, signal, person, record)
ON CONFLICT DO NOTHING
"""
_DOORS = """
INSERT INTO doorlight.doors AS old (door, last_seen, last_seq, last_time, signal, signal_time)
SELECT door, now(), seq, time, signal, signal_time
FROM unnest(%s::text[], %s::bigint[], %s::timestamptz[], %s::text[], %s::timestamptz[])
    AS row (door, seq, time, signal, signal_time)
ON CONFLICT (door) DO UPDATE SET
    last_seen = now(),
    last_seq = CASE WHEN excluded.last_time >= old.last_time OR old.last_seq IS NULL OR excluded.last_seq > old.last_seq
        THEN excluded.last_seq ELSE old.last_seq END,
    last_time = greatest(excluded.last_time, old.last_time),
    signal = CASE WHEN excluded.signal_time >= old.signal_time OR old.signal IS NULL
        THEN coalesce(excluded.signal, old.signal) ELSE old.signal END,
    signal_time = greatest(excluded.signal_time, old.signal_time)
"""
_GAP = "INSERT INTO doorlight.gaps (door, first_seq, last_seq) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"
_AVAILABILITY = """
INSERT INTO doorlight.doors AS old (door, online, online_since, last_seen)
VALUES (%(door)s, %(online)s, now(), CASE WHEN %(retained)s THEN NULL ELSE now() END)
ON CONFLICT (door) DO UPDATE SET
    online_since = CASE WHEN old.online IS DISTINCT FROM excluded.online THEN now() ELSE old.online_since END,
    online = excluded.online,
    last_seen = coalesce(excluded.last_seen, old.last_seen)
"""
_DOCUMENT = """
INSERT INTO doorlight.doors AS old (door, {0}, {0}_at, last_seen)
VALUES (%(door)s, %(text)s::json, now(), CASE WHEN %(retained)s THEN NULL ELSE now() END)
ON CONFLICT (door) DO UPDATE SET
    {0} = excluded.{0},
    {0}_at = CASE WHEN %(retained)s AND old.{0} IS NOT NULL THEN old.{0}_at ELSE now() END,
    last_seen = coalesce(excluded.last_seen, old.last_seen)
"""
_REJECTED = """
INSERT INTO doorlight.rejected AS old (topic, digest, reason, bytes, payload)
SELECT %s, %s, %s, %s, %s WHERE (SELECT count(*) FROM doorlight.rejected) < %s
ON CONFLICT (topic, digest) DO UPDATE SET count = old.count + 1, last_seen = now()
"""


class Written(NamedTuple):
    """How many events of a batch are new, how many were there before, and how many messages were put aside."""

    new: int = 0
    known: int = 0
    rejected: int = 0

    def __add__(self, other: object) -> Written:
        assert isinstance(other, Written)
        return Written(self.new + other.new, self.known + other.known, self.rejected + other.rejected)


class Store:
    """Writes into a database whose schema is right."""

    def __init__(self, database: Database) -> None:
        self._database = database
        #: Months that have a partition, or get none today.
        self._months: set[tuple[int, int]] = set()
        self._months_of = date.min

    def write(self, batch: Sequence[Content]) -> Written:
        """Write a batch, and commit it. Raises psycopg.Error; then nothing of it is written.

        A message that PostgreSQL refuses for what it contains is put aside.
        """
        try:
            with self._database.transaction(), self._forget_months():
                return self._write(batch)
        except (psycopg.DataError, psycopg.IntegrityError, UnicodeEncodeError) as error:
            if len(batch) > 1:
                half = len(batch) // 2
                return self.write(batch[:half]) + self.write(batch[half:])
            if not isinstance(batch[0], EventRow | Document):
                raise
            reason = f"refused by the database: {getattr(error, 'sqlstate', None) or type(error).__name__}"
            return self.write([_put_aside(batch[0], reason)])

    def _write(self, batch: Sequence[Content]) -> Written:
        events = [each for each in batch if isinstance(each, EventRow)]
        rejected = [each for each in batch if isinstance(each, Rejected)]
        newest = _newest(batch)
        if events and newest:
            # Two statements that lock doors could wait for those of another collector.
            doors = sorted({each.door for each in (*events, *newest)})
            self._database.execute(_LOCK, (doors,))
        new = self._write_events(events) if events else 0
        for content in newest:
            self._write_newest(content)
        for gap in batch:
            if isinstance(gap, Gap):
                self._database.execute(_GAP, gap)
        for each in rejected:
            self._database.execute(_REJECTED, (*_kept(each), MAX_REJECTED))
        return Written(new, len(events) - new, len(rejected))

    @contextlib.contextmanager
    def _forget_months(self) -> Iterator[None]:
        """If the transaction fails, the partitions that it made are gone."""
        try:
            yield
        except BaseException:
            self._months.clear()
            raise

    def _write_events(self, events: Sequence[EventRow]) -> int:
        if self._months_of != (today := datetime.now(UTC).date()):
            self._months.clear()
            self._months_of = today
        for row in events:
            month = (row.time.year, row.time.month)
            if month not in self._months:
                self._database.execute("SELECT doorlight.add_month(%s)", (row.time,))
                self._months.add(month)
        new = self._database.execute(_EVENTS, [list(column) for column in zip(*events, strict=True)]).rowcount
        self._database.execute(_DOORS, [list(column) for column in zip(*_doors(events), strict=True)])
        return new

    def _write_newest(self, content: Availability | Document) -> None:
        if isinstance(content, Availability):
            values = {"door": content.door, "online": content.is_online, "retained": content.is_retained}
            self._database.execute(_AVAILABILITY, values)
        else:
            assert content.kind in ("state", "stats")
            values = {"door": content.door, "text": content.text, "retained": content.is_retained}
            self._database.execute(_DOCUMENT.format(content.kind), values)


def _doors(events: Sequence[EventRow]) -> list[tuple[object, ...]]:
    """Return door, number and time of the newest event, signal and its time, by door. Two collectors lock doors in this order."""
    newest: dict[str, EventRow] = {}
    signals: dict[str, EventRow] = {}
    for row in events:
        if row.door not in newest or row.seq > newest[row.door].seq:
            newest[row.door] = row
        if row.signal is not None and (row.door not in signals or row.seq > signals[row.door].seq):
            signals[row.door] = row
    return [
        (door, row.seq, row.time, *((signals[door].signal, signals[door].time) if door in signals else (None, None)))
        for door, row in sorted(newest.items())
    ]


def _newest(batch: Sequence[Content]) -> list[Availability | Document]:
    """Return the last availability, state and stats of each door, in the order in which collectors lock doors."""
    found: dict[tuple[str, str], Availability | Document] = {}
    for content in batch:
        if isinstance(content, Availability):
            found[content.door, ""] = content
        elif isinstance(content, Document):
            found[content.door, content.kind] = content
    return [found[key] for key in sorted(found)]


def _put_aside(content: EventRow | Document, reason: str) -> Rejected:
    if isinstance(content, EventRow):
        return Rejected(f"doorlight/{content.door}/events", content.record.encode("utf-8", "replace"), reason)
    return Rejected(f"doorlight/{content.door}/{content.kind}", content.text.encode("utf-8", "replace"), reason)


def _kept(rejected: Rejected) -> tuple[object, ...]:
    payload = rejected.payload
    topic = printable(rejected.topic, _MAX_TOPIC_LENGTH)
    return topic, hashlib.sha256(payload).digest(), rejected.reason, len(payload), payload[:MAX_KEPT_BYTES]
