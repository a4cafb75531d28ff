"""Writing batches into a real PostgreSQL: each event once, hostile ones put aside, and what the schema promises."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from edge.errors import UsageError
from edge.events.record import utc_text
from edge.fleet import database
from edge.fleet.database import Address, Database, DatabaseError
from edge.fleet.messages import Availability, Content, Document, EventRow, Gap, Message, Rejected, read_message
from edge.fleet.store import MAX_KEPT_BYTES, Store, Written
from fleet.servers import Postgres
from support.paths import SCRIPTS

pytestmark = pytest.mark.postgres
NOW = datetime.now(UTC).replace(microsecond=0)


def event(door: str, seq: int, kind: str = "view", moment: datetime = NOW, **fields: object) -> EventRow:
    record = {"seq": seq, "time": utc_text(moment.timestamp()), "event": kind, **fields}
    found = read_message(Message(f"doorlight/{door}/events", json.dumps(record).encode()))
    assert isinstance(found, EventRow)
    return found


@pytest.fixture
def address(cluster: Postgres) -> Address:
    return Address(cluster.new_database())


@pytest.fixture
def db(address: Address) -> Iterator[Database]:
    with database.connect(address) as connection:
        database.prepare(connection, address)
        yield connection


def rows(db: Database, query: str) -> list[tuple[object, ...]]:
    return db.execute(f"SELECT {query}").fetchall()  # type: ignore[arg-type,unused-ignore]


def test_each_event_is_there_once(db: Database) -> None:
    batch: list[Content] = [event(f"d{k % 3}", k) for k in range(1, 100)]
    store = Store(db)
    assert store.write(batch) == Written(99, 0, 0)
    assert store.write(batch[50:] + batch[:50]) == Written(0, 99, 0)
    assert Store(db).write([*batch[:1], event("d1", 100), event("d1", 100)]) == Written(1, 2, 0)
    assert rows(db, "count(*), count(DISTINCT (door, seq)) FROM doorlight.events") == [(100, 100)]


def test_the_line_stays_as_it_was(db: Database) -> None:
    line = '{"seq":5,  "time":"2026-11-20T12:00:00.123Z", "x":1.50, "x":"\\u0000é", "event":"odd"}'
    found = read_message(Message("doorlight/front/events", line.encode()))
    Store(db).write([found])
    assert rows(db, "record::text, time, event FROM doorlight.events") == [
        (line, datetime(2026, 11, 20, 12, 0, 0, 123000, UTC), "odd")
    ]


def test_months_have_partitions_and_odd_times_share_one(db: Database) -> None:
    moments = [NOW, NOW - timedelta(days=62), NOW + timedelta(days=200)]
    moments += [datetime(1970, 1, 1, tzinfo=UTC), datetime(9998, 5, 1, tzinfo=UTC)]
    batch = [event("a", k + 1, moment=moment) for k, moment in enumerate(moments)]
    assert Store(db).write(batch) == Written(5, 0, 0)
    found = rows(
        db,
        "relname::text, count(*) FROM doorlight.events JOIN pg_class c ON c.oid = events.tableoid GROUP BY 1 ORDER BY 1",
    )
    months = sorted(f"events_{moment:%Y_%m}" for moment in moments[:2])
    assert found == [*((month, 1) for month in months), ("events_other", 3)]


def test_a_month_takes_what_came_before_its_partition(db: Database) -> None:
    """A door whose clock is ahead writes into a month that has no partition yet."""
    with db.transaction():
        db.execute("INSERT INTO doorlight.events VALUES ('a', 1, '2025-03-05', now(), 'x', NULL, NULL, '{}')")
    assert Store(db).write([event("a", 2, moment=datetime(2025, 3, 9, tzinfo=UTC))]) == Written(1, 0, 0)
    assert rows(db, "count(*) FROM doorlight.events_2025_03") == [(2,)]
    assert rows(db, "count(*) FROM doorlight.events_other") == [(0,)]


def test_a_failed_batch_writes_nothing_and_forgets_its_partitions(db: Database) -> None:
    store = Store(db)
    db.execute("ALTER TABLE doorlight.doors RENAME TO elsewhere")
    with pytest.raises(psycopg.errors.UndefinedTable):
        store.write([event("a", 1)])
    assert rows(db, "count(*) FROM doorlight.events") == [(0,)]
    db.execute("ALTER TABLE doorlight.elsewhere RENAME TO doors")
    assert store.write([event("a", 1)]) == Written(1, 0, 0)
    assert rows(db, "count(*) FROM doorlight.events_other") == [(0,)]


def test_what_the_database_refuses_is_put_aside_alone(db: Database) -> None:
    batch: list[Content] = [event("a", k) for k in range(1, 21)]
    batch[7] = event("a", 8)._replace(record="{bad}")
    batch[12] = Document("a", "state", "{bad}", False)
    assert Store(db).write(batch) == Written(18, 0, 2)
    assert rows(db, "topic, reason FROM doorlight.rejected ORDER BY 1") == [
        ("doorlight/a/events", "refused by the database: 22P02"),
        ("doorlight/a/state", "refused by the database: 22P02"),
    ]


def test_rejected_messages_are_kept_once_and_cut(db: Database) -> None:
    store = Store(db)
    huge = Rejected("x\0\x1b[2J" + "y" * 60_000, b"\0\xff" * 40_000, "too long")
    for _ in range(3):
        store.write([huge, huge, Rejected("t", b"", "unknown topic")])
    assert rows(db, "length(topic), bytes, length(payload), count FROM doorlight.rejected ORDER BY 2") == [
        (1, 0, 0, 3),
        (200, 80_000, MAX_KEPT_BYTES, 6),
    ]


def test_garbage_does_not_fill_the_disk(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.fleet.store.MAX_REJECTED", 5)
    assert Store(db).write([Rejected("t", bytes([k]), "x") for k in range(50)]).rejected == 50
    assert rows(db, "count(*) FROM doorlight.rejected") == [(5,)]


def test_the_newest_of_a_door_wins_in_any_order(db: Database) -> None:
    store = Store(db)
    later = event("a", 9, "signal", NOW + timedelta(seconds=9), signal="FAULT")
    store.write([later])
    store.write([event("a", 8, "signal", NOW + timedelta(seconds=8), signal="PASS"), event("a", 3)])
    assert rows(db, "last_seq, signal FROM doorlight.doors") == [(9, "FAULT")]
    store.write([event("a", 10, moment=NOW + timedelta(seconds=10))])
    assert rows(db, "last_seq, signal FROM doorlight.doors") == [(10, "FAULT")]
    # A new card counts from 1 again, at a later time.
    store.write([event("a", 1, "signal", NOW + timedelta(days=1), signal="STOP")])
    assert rows(db, "last_seq, signal FROM doorlight.doors") == [(1, "STOP")]


def test_availability_state_and_gaps(db: Database) -> None:
    store = Store(db)
    store.write([Availability("a", True, True), Document("a", "state", '{"signal": "PASS"}', True)])
    assert rows(db, "online, last_seen, state->>'signal' FROM doorlight.doors") == [(True, None, "PASS")]
    since = rows(db, "online_since, state_at FROM doorlight.doors")
    store.write([Availability("a", True, True), Document("a", "state", '{"signal": "PASS"}', True)])
    assert rows(db, "online_since, state_at FROM doorlight.doors") == since, "what the broker repeats is not news"
    store.write([Availability("a", False, False), Availability("a", True, False), Availability("a", False, False)])
    assert rows(db, "online, last_seen IS NULL FROM doorlight.doors") == [(False, False)]
    for _ in range(2):
        store.write([Gap("a", 3, 7), Gap("a", 3, 7), Document("a", "stats", "{}", False)])
    assert rows(db, "door, first_seq, last_seq FROM doorlight.gaps") == [("a", 3, 7)]


def test_a_collector_needs_few_rights(cluster: Postgres, db: Database, address: Address) -> None:
    db.execute((SCRIPTS / "fleet/roles.sql").read_bytes())
    db.execute("DROP ROLE IF EXISTS office; DROP ROLE IF EXISTS reception; DROP ROLE IF EXISTS stranger")
    db.execute("CREATE ROLE office LOGIN; CREATE ROLE reception LOGIN; CREATE ROLE stranger LOGIN")
    db.execute("GRANT doorlight_collector TO office; GRANT doorlight_reader TO reception")
    name = str(address.parameters["dbname"])
    with database.connect(office := Address(cluster.address(name, "office"))) as connection:
        database.prepare(connection, office)
        batch: list[Content] = [event("a", 1), Availability("a", True, False), Gap("a", 1, 2), Rejected("t", b"", "x")]
        assert Store(connection).write(batch) == Written(1, 0, 1)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("DELETE FROM doorlight.events")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("UPDATE doorlight.events SET seq = 2")
    with database.connect(stranger := Address(cluster.address(name, "stranger"))) as connection:
        with pytest.raises(DatabaseError, match="permission denied") as caught:
            database.check_version(connection, stranger)
        assert caught.value.is_permanent
        assert "roles.sql" in caught.value.hint


def test_a_newer_schema_is_refused(db: Database, address: Address) -> None:
    db.execute("UPDATE doorlight.schema_version SET version = 2")
    for refuse in (database.prepare, database.check_version):
        with pytest.raises(DatabaseError, match="is of version 2, and this doorlight knows version 1") as caught:
            refuse(db, address)
        assert caught.value.is_permanent


def test_no_tables(address: Address) -> None:
    with database.connect(address) as connection, pytest.raises(DatabaseError, match="has no tables"):
        database.check_version(connection, address)


def test_two_collectors_make_the_tables_at_once(address: Address) -> None:
    with database.connect(address) as one, database.connect(address) as two:
        database.prepare(one, address)
        database.prepare(two, address)


def test_texts_that_are_not_utf8(cluster: Postgres) -> None:
    address = Address(cluster.new_database("ENCODING SQL_ASCII TEMPLATE template0"))
    with pytest.raises(DatabaseError, match="its texts are SQL_ASCII"):
        database.connect(address)


def test_a_commit_is_on_the_disk_before_it_is_acknowledged(cluster: Postgres) -> None:
    address = Address(cluster.new_database())
    with database.connect(address) as connection:
        connection.execute(f"ALTER DATABASE {address.parameters['dbname']} SET synchronous_commit = off")
    with database.connect(address) as connection:
        assert connection.execute("SHOW synchronous_commit").fetchone() == ("on",)


@pytest.mark.parametrize(
    ("text", "expected", "is_permanent"),
    [
        ("postgresql://127.0.0.1:1/x", "cannot be reached: Connection refused", False),
        ("postgresql:///x?host=/nonexistent", "cannot be reached: No such file or directory", False),
        ("{cluster}missing", 'database "missing" does not exist', True),
        ("{cluster}postgres&user=nobody_there", 'role "nobody_there" does not exist', True),
    ],
)
def test_databases_that_cannot_be_used(cluster: Postgres, text: str, expected: str, is_permanent: bool) -> None:
    text = text.replace("{cluster}", f"postgresql:///?host={cluster.folder}&user=doorlight&dbname=")
    with pytest.raises(DatabaseError, match=expected) as caught:
        database.connect(Address(text))
    assert caught.value.is_permanent is is_permanent
    assert caught.value.hint


def test_a_password_on_the_command_line_is_refused() -> None:
    for text in (
        "postgresql://u:hunter2@db/x",
        "host=db password=hunter2",
        "postgresql://db/x?password=hunter2",
        "hunter2",
    ):
        with pytest.raises(UsageError) as caught:
            Address(text)
        assert "hunter2" not in f"{caught.value} {caught.value.hint}"


def test_a_full_disk_is_waited_out(address: Address) -> None:
    error = database.explain(address, psycopg.errors.DiskFull("could not extend file: No space left on device"))
    assert "No space left" in str(error)
    assert error.hint == "make room on its disk"
    assert not error.is_permanent


def test_the_schema_is_in_the_package() -> None:
    assert database.schema_text() == (Path(database.__file__).with_name("schema.sql")).read_text()
