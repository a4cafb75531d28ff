"""The loop: acknowledge after the commit, wait out what is away, and never more in memory than a limit."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import psycopg
import pytest

from edge.fleet import collector
from edge.fleet.broker import Broker, BrokerError
from edge.fleet.collector import Collector
from edge.fleet.database import Address, DatabaseError
from edge.fleet.messages import Content, Message, Rejected
from edge.fleet.store import Written
from support.wait import wait_until

BROKER = Broker("broker.example", 1883, "office", "doorlight", "user", "hunter2")


class World:
    """A broker and a database that do what a test wants. `log` has what happened, in its order."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.waiting: list[Message] = []
        self.stored: list[Content] = []
        self.acknowledged: list[int] = []
        self.broker_errors: list[BrokerError | None] = []
        self.connect_errors: list[DatabaseError | None] = []
        self.write_errors: list[psycopg.Error | None] = []
        self.brokers = [BROKER]
        self.connected: list[str] = []
        self.stop = threading.Event()

    def publish(self, *numbers: int, payload: bytes | None = None) -> None:
        for number in numbers:
            line = json.dumps({"seq": number, "time": "2026-11-20T12:00:00Z", "event": "view"}).encode()
            self.waiting.append(Message("doorlight/a/events", payload or line, number=number))

    def connection(self, broker: Broker, leave: bool = False) -> FakeConnection:
        self.log.append("connect")
        self.connected.append(broker.host)
        if self.broker_errors and (error := self.broker_errors.pop(0)) is not None:
            raise error
        return FakeConnection(self)

    def database(self, _address: Address) -> FakeDatabase:
        if self.connect_errors and (error := self.connect_errors.pop(0)) is not None:
            raise error
        return FakeDatabase()

    def run(self) -> list[str]:
        """Run a collector until everything is acknowledged, and return what it reported."""
        reports: list[str] = []
        Collector(self.brokers, Address("postgresql://db/x"), reports.append).run(self.stop)
        return reports


class FakeDatabase:
    def close(self) -> None:
        pass


class FakeConnection:
    is_shared = True

    def __init__(self, world: World) -> None:
        self.received: list[Message] = []
        self._world = world
        self._open = [each for each in world.waiting if each.number not in world.acknowledged]

    def wait(self, timeout_s: float) -> None:
        world = self._world
        if world.broker_errors and isinstance(world.broker_errors[0], LostError):
            raise world.broker_errors.pop(0)  # type: ignore[misc]
        self.received += self._open[:10]
        del self._open[:10]
        if {each.number for each in world.waiting} <= {*world.acknowledged, 0}:
            world.stop.set()

    def acknowledge(self, messages: Sequence[Message]) -> None:
        self._world.log.append(f"acknowledge {len(messages)}")
        if self._world.broker_errors and isinstance(self._world.broker_errors[0], LostError):
            raise self._world.broker_errors.pop(0)  # type: ignore[misc]
        self._world.acknowledged += [each.number for each in messages]

    def close(self, end_session: bool = False) -> None:
        self._world.log.append("end the session" if end_session else "close")


class LostError(BrokerError):
    """The connection ends."""


class FakeStore:
    def __init__(self, world: World) -> None:
        self._world = world

    def write(self, batch: Sequence[Content]) -> Written:
        world = self._world
        if world.write_errors and (error := world.write_errors.pop(0)) is not None:
            world.log.append("fail")
            raise error
        world.log.append(f"commit {len(batch)}")
        world.stored += batch
        return Written(len(batch), 0, 0)


class NoWait(collector.RetryTimer):
    """Attempts without a wait."""

    @property
    def rest_s(self) -> float:
        return 0.0


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    replacements: dict[str, Callable[..., Any]] = {
        "Connection": world.connection,
        "connect": world.database,
        "prepare": lambda *_: None,
        "Store": lambda _: FakeStore(world),
        "RetryTimer": NoWait,
    }
    for name, replacement in replacements.items():
        monkeypatch.setattr(collector, name, replacement)
    return world


def test_a_commit_comes_before_the_acknowledgement(world: World) -> None:
    world.publish(*range(1, 26))
    assert world.run() == ["connected: database x at db", "connected: broker broker.example:1883"]
    assert world.log == ["connect", "commit 25", "acknowledge 25", "close"]
    assert world.acknowledged == list(range(1, 26)), "in the order in which they came"


def test_a_batch_has_a_limit(world: World) -> None:
    world.publish(*range(1, 3001))
    world.run()
    commits = [int(each.split()[1]) for each in world.log if each.startswith("commit")]
    assert sum(commits) == 3000
    assert max(commits) <= collector.MAX_IN_FLIGHT + 10


def test_a_database_that_is_away_is_waited_out(world: World) -> None:
    """Nothing is acknowledged meanwhile, and the same messages are written later."""
    world.publish(*range(1, 6))
    world.write_errors = [psycopg.OperationalError("connection failed: server closed"), psycopg.errors.DiskFull("full")]
    world.connect_errors = [None, *[DatabaseError("away")] * 3]
    reports = world.run()
    assert world.log == ["connect", "fail", "fail", "commit 5", "acknowledge 5", "close"]
    assert [each.partition(":")[0] for each in reports] == [
        "connected",
        "connected",
        "database x at db",  # the connection is lost
        "away; trying again ()",
        "connected",
        "database x at db",  # its disk is full
        "writing again",
    ]


def test_a_full_disk_is_told_once(world: World) -> None:
    """It accepts connections all the time, and no rows."""
    world.publish(1)
    world.write_errors = [psycopg.errors.DiskFull("no space left") for _ in range(5)]
    reports = world.run()
    assert [each.partition(":")[0] for each in reports] == ["connected"] * 2 + ["database x at db", "writing again"]
    assert world.acknowledged == [1]


def test_what_was_not_acknowledged_comes_again(world: World) -> None:
    world.publish(*range(1, 6))
    world.broker_errors = [None, LostError("lost", "wait")]
    reports = world.run()
    assert world.acknowledged == [1, 2, 3, 4, 5]
    assert "lost; trying again (wait)" in reports
    assert world.log.count("connect") == 2


def test_a_connection_that_ends_before_the_acknowledgement(world: World) -> None:
    """The events are written twice; the key of the table recognises them."""
    world.publish(1, 2)
    lost = LostError("lost")

    class Store(FakeStore):
        def write(self, batch: Sequence[Content]) -> Written:
            if not world.stored:
                world.broker_errors = [lost]
            return super().write(batch)

    collector.Store = lambda _: Store(world)  # type: ignore[assignment,misc,return-value]
    world.run()
    assert world.log == [
        "connect",
        "commit 2",
        "acknowledge 2",
        "close",
        "connect",
        "commit 2",
        "acknowledge 2",
        "close",
    ]


def test_connections_that_end_at_once_again_and_again_end_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another collector has the same name. The messages that each connection begins with are written, as retained ones."""
    fails: list[bool] = []
    collecting: Collector
    monkeypatch.setattr(NoWait, "fail", lambda _: fails.append(True))
    monkeypatch.setattr(NoWait, "reset", lambda self: fails.append(False) if self is collecting._broker_retry else None)

    class Connection(FakeConnection):
        def wait(self, timeout_s: float) -> None:
            if world.log[-1].startswith("acknowledge"):
                raise BrokerError("lost", "wait", is_lost=True)
            self.received.append(Message("doorlight/a/availability", b"online", is_retained=True, number=1))

    monkeypatch.setattr(collector, "Connection", lambda *_: world.connection(BROKER) and Connection(world))
    collecting = Collector([BROKER], Address("postgresql://db/x"), lambda _: None)
    with pytest.raises(BrokerError, match="another collector seems to have the same name") as caught:
        collecting.run(world.stop)
    assert caught.value.exit_code == 69
    assert "--name" in caught.value.hint
    assert world.connected == [BROKER.host] * collector.MAX_SHORT_SESSIONS
    assert False not in fails, "the back-off goes on"


@pytest.mark.parametrize("lasted_s", [0.0, 30.0])
def test_a_broker_that_is_away_or_lasts_is_tried_again(
    lasted_s: float, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collector, "SHORT_SESSION_S", 20.0 - lasted_s)
    world.publish(1)
    lost = LostError("lost", is_lost=True)
    away = [] if lasted_s else [BrokerError("away")]
    world.broker_errors = [each for _ in range(20) for each in (*away, None, lost)]
    world.run()
    assert world.acknowledged == [1]


def test_the_machines_of_a_cluster_are_tried_in_turn(world: World) -> None:
    world.publish(1)
    world.brokers = [dataclasses.replace(BROKER, host=host) for host in ("one", "two", "three")]
    away = BrokerError("away")
    world.broker_errors = [away, away, away, away, None, LostError("lost")]
    world.run()
    assert world.connected == ["one", "two", "three", "one", "two", "three"]


def test_a_collector_that_leaves_stores_what_waits(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "LEAVE_AFTER_S", 0.0)
    world.publish(1, 2)
    reports: list[str] = []
    Collector([BROKER], Address("postgresql://db/x"), reports.append, leave=True).run(threading.Event())
    assert world.log == ["connect", "commit 2", "acknowledge 2", "end the session"]
    assert reports[-1].startswith("left: broker broker.example:1883")


def test_nothing_is_received_before_the_database_answers(world: World) -> None:
    world.publish(1)
    world.connect_errors = [DatabaseError("away")] * 3
    world.run()
    assert world.log[0] == "connect"
    assert world.acknowledged == [1]


@pytest.mark.parametrize("error", [BrokerError("wrong", is_permanent=True), DatabaseError("wrong", is_permanent=True)])
def test_what_no_attempt_mends_ends_it(world: World, error: BrokerError | DatabaseError) -> None:
    if isinstance(error, BrokerError):
        world.broker_errors = [error]
    else:
        world.connect_errors = [error]
    with pytest.raises(type(error), match="wrong"):
        world.run()


def test_memory_has_a_limit_while_the_database_is_away(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages of QoS 0 have no flow control."""
    monkeypatch.setattr(collector, "MAX_WAITING_BYTES", 10_000)
    world.publish(*[0] * 50, payload=b"x" * 1000)
    world.publish(1)
    world.write_errors = [psycopg.OperationalError("away")]
    world.connect_errors = [None, *[DatabaseError("away")] * 4]
    reports = world.run()
    assert any("more waits for the database than fits" in each for each in reports)
    assert world.acknowledged[-1] == 1


def test_hostile_messages_are_acknowledged_too(world: World) -> None:
    """Otherwise they would come again for ever."""
    world.publish(1, payload=b"\0\xff{")
    world.run()
    assert isinstance(world.stored[0], Rejected)
    assert world.acknowledged == [1]


def test_no_report_has_a_password(world: World) -> None:
    world.publish(1)
    world.broker_errors = [LostError("lost")]
    assert "hunter2" not in " ".join(world.run())
    assert "hunter2" not in repr(BROKER)


@pytest.fixture
def stop_in_the_end() -> Iterator[threading.Event]:
    stop = threading.Event()
    yield stop
    stop.set()


def test_it_stops_while_everything_is_away(stop_in_the_end: threading.Event) -> None:
    stop = stop_in_the_end
    reports: list[str] = []
    thread = threading.Thread(
        target=lambda: Collector([BROKER], Address("postgresql:///x?host=/nonexistent"), reports.append).run(stop)
    )
    thread.start()
    wait_until(lambda: reports)
    stop.set()
    thread.join(60)
    assert not thread.is_alive()
    assert len(reports) == 1
