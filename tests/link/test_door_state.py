"""The state that the network sees: of the log, of a door that runs or does not, of the day."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from edge.events.record import encode, utc_text
from edge.events.writer import EventLog
from edge.link import door_state
from edge.link.discovery import discovery_payload
from edge.link.door_state import DoorState
from edge.link.host_figures import Figures
from edge.link.hourly import HourlyStats
from edge.link.topics import Topics
from edge.records import Event


class NoFigures:
    """Figures of a machine without sensors."""

    def __init__(self) -> None:
        self.figures = Figures()

    def read(self, is_running: bool) -> Figures:
        return self.figures


MakeState = Callable[[], DoorState]


@pytest.fixture
def make_state(log: Path) -> Iterator[MakeState]:
    states: list[DoorState] = []

    def make() -> DoorState:
        states.append(DoorState(log, "0.1.0", NoFigures()))  # type: ignore[arg-type]
        return states[-1]

    yield make
    for state in states:
        state.close()


@pytest.fixture
def door(log: Path) -> Iterator[EventLog]:
    with EventLog(log, 1_000_000, 4) as writer:
        writer.write(Event("started", 0.0, {"source": "x", "live": True}))
        yield writer


def read(state: DoorState, seq: int) -> dict[str, Any]:
    """Return the state once it has read up to `seq`, as JSON."""
    from support.wait import wait_until

    def is_read() -> bool:
        state.update()
        return bool(state.as_json([])["seq"] == seq)

    wait_until(is_read)
    return json.loads(json.dumps(state.as_json([])))  # type: ignore[no-any-return]


def test_the_fields_are_those_that_are_documented(make_state: MakeState, door: EventLog) -> None:
    state = read(make_state(), 1)
    readme = Path(door_state.__file__).with_name("README.md").read_text(encoding="utf-8")
    documented = next(text for text in map(str.strip, readme.split("\n\n")) if '"signal"' in text and text[0] == "{")
    assert set(state) == set(json.loads(documented))
    assert (state["signal"], state["running"], state["blind"], state["problem"]) == ("IDLE", True, False, None)


def test_home_assistant_reads_fields_that_the_state_has(make_state: MakeState, door: EventLog) -> None:
    state = read(make_state(), 1)
    for component in discovery_payload("door", Topics("door"), "0.1.0")["components"].values():
        for text in (component.get("value_template", ""), component.get("last_reset_value_template", "")):
            assert set(re.findall(r"value_json\.(\w+)", text)) <= set(state)


def test_signals(make_state: MakeState, door: EventLog) -> None:
    state = make_state()
    door.write(Event("signal", 1.0, {"signal": "STOP", "before": "IDLE", "people": 2}))
    found = read(state, 2)
    assert (found["signal"], found["people"], found["blind"], found["since"]) == ("STOP", 2, False, found["time"])
    door.write(Event("camera_lost", 2.0, {"reason": "no picture for 2 s"}))
    door.write(Event("signal", 2.0, {"signal": "FAULT", "before": "STOP", "people": 0}))
    found = read(state, 4)
    assert (found["signal"], found["blind"], found["problem"]) == ("FAULT", True, "no picture for 2 s")
    door.write(Event("camera_back", 3.0))
    door.write(Event("signal", 3.0, {"signal": "IDLE", "before": "FAULT", "people": 0}))
    assert read(state, 6)["problem"] is None


def test_a_door_that_does_not_run_shows_no_light(make_state: MakeState, log: Path) -> None:
    """It was killed while it showed green: the log has no `stopped`."""
    with EventLog(log, 1_000_000, 4) as writer:
        writer.write(Event("started", 0.0, {"live": True}))
        writer.write(Event("signal", 1.0, {"signal": "PASS", "before": "IDLE", "people": 1}))
    found = read(make_state(), 2)
    assert (found["signal"], found["people"], found["running"], found["blind"]) == ("OFF", 0, False, True)
    assert found["problem"] == "the door does not run"


def test_problems_of_door_and_link_are_named(make_state: MakeState, door: EventLog) -> None:
    state = make_state()
    read(state, 1)
    state._figures.figures = Figures(problem="event log: disk full")  # type: ignore[attr-defined]
    assert state.as_json(["the log has lost the events 1 to 2"])["problem"] == (
        "the log has lost the events 1 to 2; event log: disk full"
    )


def test_a_door_that_cannot_write_its_log_does_not_stay_green(make_state: MakeState, door: EventLog) -> None:
    state = make_state()
    door.write(Event("signal", 1.0, {"signal": "PASS", "before": "IDLE", "people": 1}))
    assert read(state, 2)["signal"] == "PASS"
    state._figures.figures = Figures(problem="event log: disk full", signal="FAULT")  # type: ignore[attr-defined]
    found = state.as_json([])
    assert (found["signal"], found["blind"]) == ("FAULT", True)
    state._figures.figures = Figures(problem="Edge TPU: is lost", signal="FAULT")  # type: ignore[attr-defined]
    assert state.as_json([])["signal"] == "PASS", "the log is newer than the status"


def test_only_alarms_of_this_moment_are_told(make_state: MakeState, door: EventLog) -> None:
    def alarm(t: float) -> None:
        door.write(Event("signal", t, {"signal": "ALARM", "before": "STOP", "people": 1}))
        door.write(Event("signal", t, {"signal": "STOP", "before": "ALARM", "people": 1}))

    alarm(1.0)
    read(make_state(), 3)
    state = make_state()
    read(state, 3)
    assert state.take_alarms() == []
    alarm(2.0)
    assert read(state, 5)["today"]["alarms"] == 2
    assert [record["seq"] for record in state.take_alarms()] == [4]
    assert state.take_alarms() == []


def test_an_old_alarm_in_a_log_that_comes_late_is_history(make_state: MakeState, log: Path) -> None:
    log.touch()
    state = make_state()
    old = {"seq": 1, "time": utc_text(time.time() - 3600), "t": 1.0, "event": "signal", "signal": "ALARM"}
    log.write_bytes(encode(old))
    read(state, 1)
    assert state.take_alarms() == []


@pytest.mark.parametrize(
    "fields", [{"signal": "RED"}, {"signal": 3}, {"signal": "STOP", "people": "x"}, {"signal": None}, {}]
)
def test_impossible_records_change_nothing_that_shows(
    fields: dict[str, object], make_state: MakeState, log: Path
) -> None:
    log.write_bytes(encode({"seq": 1, "time": 5, "t": 0, "event": "signal", **fields}))
    found = read(make_state(), 1)
    assert found["signal"] == "OFF"
    assert found["people"] == 0


def hours_of(log: Path) -> dict[str, Any]:
    found = HourlyStats(log).newest()
    assert found is not None
    return found


def test_the_last_complete_hour(log: Path) -> None:
    hour = datetime.now().astimezone().replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
    if datetime.now().minute == 0:  # the hour before counts for ten seconds more
        pytest.skip("the hour has just begun")
    events: list[tuple[int, dict[str, object]]] = [
        (-30, {"event": "started", "live": True}),
        (-5, {"event": "masked", "person": 1, "decision_s": 0.4}),
        (5, {"event": "unmasked", "person": 2, "decision_s": 0.5}),
        (6, {"event": "signal", "signal": "ALARM", "before": "STOP"}),
        (7, {"event": "masked", "person": 3, "decision_s": 0.4}),
        (61, {"event": "masked", "person": 4}),
    ]
    log.write_bytes(
        b"".join(
            encode({"seq": k, "time": (hour + timedelta(minutes=minutes)).astimezone(UTC).isoformat(), "t": k, **event})
            for k, (minutes, event) in enumerate(events, 1)
        )
    )
    found = hours_of(log)
    assert found["hour"] == hour.isoformat(timespec="minutes")
    assert (found["people"], found["masked"], found["alarms"]) == (2, 1, 1)
    assert "log" not in found
    stats = HourlyStats(log)
    assert stats.newest() is not None
    assert stats.newest() is None
    stats.forget()
    assert stats.newest() is not None


def test_an_hour_without_events_or_without_a_log(log: Path) -> None:
    assert hours_of(log)["people"] == 0
