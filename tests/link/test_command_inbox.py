"""Commands from the broker: which are passed on to the door, and what is said about the others."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge import remote_commands
from edge.events.record import encode, utc_text
from edge.events.writer import EventLog
from edge.link import command_inbox
from edge.link.command_inbox import ANSWER_S, MAX_CLOCK_DIFFERENCE_S, CommandError, CommandInbox
from edge.link.door_state import DoorState
from edge.link.host_figures import HostFigures
from edge.link.silence import silenced_until
from edge.records import Event
from edge.remote_commands import COMMAND_BURST, Commands
from support.wait import wait_until


class Inbox:
    """An inbox, and the log of its door."""

    def __init__(self, folder: Path, log: Path) -> None:
        self.path = folder / "runtime" / "commands.json"
        self.log = log
        self.state = DoorState(log, "0.1.0", HostFigures(folder, folder), has_commands=True)
        self.inbox = CommandInbox(self.path, self.state)

    def take(self, payload: bytes | dict[str, object], *, is_retained: bool = False) -> None:
        data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        self.inbox.take(data, is_retained=is_retained)

    @property
    def written(self) -> Commands:
        return remote_commands.read(self.path)

    @property
    def last(self) -> object:
        commands = self.state.as_json([])["commands"]
        assert isinstance(commands, dict)
        return commands["last"]


@pytest.fixture
def box(tmp_path: Path, log: Path) -> Iterator[Inbox]:
    made = Inbox(tmp_path, log)
    yield made
    made.state.close()


def silence(minutes: object = 10, **fields: object) -> dict[str, object]:
    return {"command": "silence_buzzer", "minutes": minutes, "time": time.time(), **fields}


def test_commands_reach_the_file_of_the_door(box: Inbox) -> None:
    before = time.monotonic()
    box.take(silence(15))
    box.take({"command": "test_lamps", "time": time.time()})
    found = box.written
    assert found.silence is not None
    assert found.lamp_test is not None, "the newest of each kind stays"
    assert found.silence.minutes == 15
    assert before <= found.silence.at_s <= found.lamp_test.at_s <= time.monotonic()
    box.inbox.close()
    assert not box.path.exists()
    box.inbox.close()


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"PRESS",
        b"null",
        b"[]",
        b"\xff\x00",
        b'{"command":"silence_buzzer"',
        b"[" * 400,
        json.dumps({"command": "silence_buzzer", "time": 1.0}).encode(),
        json.dumps({"command": "open_door", "time": 1.0}).encode(),
        json.dumps({"command": "test_lamps", "time": "now"}).encode(),
        json.dumps({"command": "test_lamps", "time": 1.0, "relay": True}).encode(),
        json.dumps({"command": "silence_buzzer", "minutes": 2.5, "time": 1.0}).encode(),
        b'{"command":"test_lamps","time":NaN}',
        json.dumps({"command": "test_lamps", "time": 1.0, "x": "y" * 600}).encode(),
    ],
)
def test_what_is_no_command_is_refused_without_repeating_it(box: Inbox, payload: bytes) -> None:
    with pytest.raises(CommandError, match=r"no command|too long") as caught:
        box.take(payload)
    assert "relay" not in str(caught.value)
    assert not box.path.exists()


@pytest.mark.parametrize("minutes", [-1, 241, 10**9, 10**300])
def test_a_silence_has_a_limit(box: Inbox, minutes: int) -> None:
    with pytest.raises(CommandError, match="1 to 240 minutes"):
        box.take(silence(minutes))
    assert not box.path.exists()


@pytest.mark.parametrize("off_s", [-MAX_CLOCK_DIFFERENCE_S - 5, MAX_CLOCK_DIFFERENCE_S + 5, -1e9, 1e300])
def test_an_old_command_is_refused(box: Inbox, off_s: float) -> None:
    with pytest.raises(CommandError, match="differs by more than 30 s"):
        box.take(silence(time=time.time() + off_s))
    assert not box.path.exists()
    assert "differs" in str(box.last), "Home Assistant shows it"


def test_a_retained_command_is_refused(box: Inbox) -> None:
    with pytest.raises(CommandError, match="retained"):
        box.take(silence(), is_retained=True)
    assert not box.path.exists()


def test_a_flood_is_refused(box: Inbox) -> None:
    for _ in range(COMMAND_BURST):
        box.take(silence())
    with pytest.raises(CommandError, match="too many commands"):
        box.take(silence())


def test_a_folder_that_cannot_be_written_is_said(box: Inbox, tmp_path: Path) -> None:
    (tmp_path / "runtime").write_text("a file")
    with pytest.raises(CommandError, match="cannot be written"):
        box.take(silence())
    box.inbox.check_answer()


def test_a_command_that_was_not_carried_out_does_not_come_later(box: Inbox, tmp_path: Path) -> None:
    (tmp_path / "runtime").write_text("a file")
    with pytest.raises(CommandError, match="cannot be written"):
        box.take(silence())
    (tmp_path / "runtime").unlink()
    box.take({"command": "test_lamps", "time": time.time()})
    assert box.written.silence is None
    assert box.written.lamp_test is not None


def test_a_door_that_does_not_answer_is_said_once(box: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(command_inbox.time, "monotonic", lambda: now)  # type: ignore[attr-defined]
    box.take(silence())
    box.inbox.check_answer()
    now += ANSWER_S + 1
    with pytest.raises(CommandError, match="has not answered") as caught:
        box.inbox.check_answer()
    assert "restart doorlight" in caught.value.hint
    box.inbox.check_answer()
    assert "has not answered" in str(box.last)


def test_the_answer_is_in_the_log(box: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.monotonic()
    monkeypatch.setattr(command_inbox.time, "monotonic", lambda: now)  # type: ignore[attr-defined]
    box.take({"command": "test_lamps", "time": time.time()})
    refusal = {"event": "command_refused", "command": "test_lamps", "reason": "a face is in view"}
    box.log.write_bytes(encode({"seq": 1, "time": utc_text(time.time()), "t": 0.0, **refusal}))
    box.state.update()
    now += ANSWER_S + 1
    box.inbox.check_answer()
    assert box.last == "a command from the network is refused: test_lamps (a face is in view)"


def test_an_answer_from_before_the_command_is_none(box: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.monotonic()
    monkeypatch.setattr(command_inbox.time, "monotonic", lambda: now)  # type: ignore[attr-defined]
    earlier = {"event": "lamps_tested", "seq": 1, "time": utc_text(time.time()), "t": 0.0}
    box.log.write_bytes(encode(earlier))
    box.take(silence())
    box.state.update()
    now += ANSWER_S + 1
    with pytest.raises(CommandError, match="has not answered"):
        box.inbox.check_answer()


def test_the_state_says_until_when_the_buzzer_is_silenced(box: Inbox, log: Path) -> None:
    def commands() -> dict[str, object]:
        box.state.update()
        found = box.state.as_json([])["commands"]
        assert isinstance(found, dict)
        return found

    def event(kind: str, **data: object) -> None:
        size = log.stat().st_size if log.exists() else 0
        door.write(Event(kind, 1.0, data))
        wait_until(lambda: log.stat().st_size > size)

    assert commands()["silenced_until"] is None
    until = utc_text(time.time() + 599)
    with EventLog(log, 1_000_000, 4) as door:
        event("started")
        event("buzzer_silenced", minutes=10, until=until)
        assert (commands()["silenced_min"], commands()["silenced_until"]) == (10, until[:19] + "+00:00")
        found = silenced_until(log)
        assert found is not None
        assert utc_text(found.timestamp()) == until
        event("buzzer_back")
        assert (commands()["silenced_min"], commands()["silenced_until"]) == (0, None)
        event("buzzer_silenced", minutes=10, until=until)
        event("started")
        assert commands()["silenced_until"] is None, "a restarted door sounds"
        event("buzzer_silenced", minutes=10, until="tomorrow")
        assert commands()["silenced_until"] is None
        event("buzzer_silenced", minutes=10, until=until)
    assert commands()["silenced_until"] is None, "a door that does not run is not silenced"


def test_without_commands_the_state_has_nothing_of_them(tmp_path: Path, log: Path) -> None:
    state = DoorState(log, "0.1.0", HostFigures(tmp_path, tmp_path))
    assert "commands" not in state.as_json([])
    state.close()
