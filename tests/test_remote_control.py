"""Commands from the network at the door: what they do, when they are refused, and how they end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge import config, remote_commands, remote_control
from edge.lights.lights import Lights
from edge.pipeline import Decision
from edge.records import Box, Event, Signal, Track
from edge.remote_commands import BURST, MAX_AGE_S, Commands, LampTest, Silence
from edge.remote_control import LAMP_TEST_S, RemoteControl
from support.lights import QUICK, LightBox
from support.view import decision

CONFIG = config.load()
FACE = Box(10, 10, 30, 40)
TRACK = Track(1, FACE, 0.4, 0.9, 1.0)
NOBODY = decision()


class Door:
    """A door with a remote control, whose clock the test sets. `step` is one frame."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, settings: config.Config = CONFIG) -> None:
        self.now = 1000.0
        monkeypatch.setattr(remote_control, "_now", lambda: self.now)
        self.path = folder / "commands.json"
        self.box = LightBox(QUICK)
        self.events: list[Event] = []
        self.notes: list[str] = []
        self._settings = settings
        self.restart()

    def restart(self) -> None:
        self.control = RemoteControl(self._settings, self.box.lights, self.path, self.events.append, self.notes.append)

    def send(self, **commands: Silence | LampTest) -> None:
        remote_commands.write(self.path, Commands(**commands))  # type: ignore[arg-type]

    def step(self, shown: Decision = NOBODY, after_s: float = 1.1) -> None:
        self.now += after_s
        self.control.show(shown.signal)
        self.control.on_decision(shown)

    @property
    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]


@pytest.fixture
def door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    made = Door(tmp_path, monkeypatch)
    yield made
    made.box.lights.close()


ALARM = decision(signal=Signal.ALARM, tracks=(TRACK,), found=(FACE,))


def buzzer(door: Door) -> str:
    """Return how the buzzer is in an alarm now."""
    door.control.show(Signal.ALARM)
    return "silent" if door.box.lights._is_silent else "sounds"


def test_a_silence_lasts_its_minutes_and_ends_by_itself(door: Door) -> None:
    door.send(silence=Silence(door.now, 10))
    door.step(ALARM)
    assert door.kinds == ["buzzer_silenced"]
    assert door.events[0].data["minutes"] == 10
    assert door.control.silenced_until == door.events[0].data["until"]
    assert buzzer(door) == "silent"
    door.step(ALARM, 599.0)
    assert buzzer(door) == "silent"
    door.step(ALARM, 1.0)
    assert door.kinds == ["buzzer_silenced", "buzzer_back"]
    assert (buzzer(door), door.control.silenced_until) == ("sounds", None)


def test_a_silence_can_be_ended_early(door: Door) -> None:
    door.send(silence=Silence(door.now, 240))
    door.step()
    door.send(silence=Silence(door.now, 0))
    door.step()
    assert door.kinds == ["buzzer_silenced", "buzzer_back"]
    assert buzzer(door) == "sounds"


def test_a_second_silence_counts_from_its_own_moment(door: Door) -> None:
    door.send(silence=Silence(door.now, 240))
    door.step()
    door.send(silence=Silence(door.now, 1))
    door.step()
    door.step(after_s=61.0)
    assert door.kinds == ["buzzer_silenced", "buzzer_silenced", "buzzer_back"]


def test_a_restarted_door_sounds_and_repeats_nothing(door: Door) -> None:
    door.send(silence=Silence(door.now, 10), lamp_test=LampTest(door.now))
    door.restart()
    for _ in range(3):
        door.step()
    assert not door.events
    assert buzzer(door) == "sounds"


@pytest.mark.parametrize("age_s", [MAX_AGE_S + 1, 1e9, -5.0])
def test_an_old_command_and_one_of_the_future_are_ignored(door: Door, age_s: float) -> None:
    door.send(silence=Silence(max(door.now - age_s, 0.0), 10), lamp_test=LampTest(max(door.now - age_s, 0.0)))
    door.step()
    assert not door.events


def test_a_command_that_arrives_while_the_file_is_read_is_carried_out(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    door.send(silence=Silence(door.now, 0))
    read = remote_commands.read

    def slow_read(path: Path) -> Commands:
        door.now += 0.01
        door.send(silence=Silence(door.now, 10))
        return read(path)

    monkeypatch.setattr(remote_commands, "read", slow_read)
    door.step()
    assert door.kinds == ["buzzer_silenced"]


def test_a_lamp_test_lights_both_lamps_for_a_moment(door: Door) -> None:
    door.step()
    door.send(lamp_test=LampTest(door.now))
    door.step()
    assert door.kinds == ["lamps_tested"]
    door.step(after_s=0.1)
    assert door.box.active == {"green", "red"}
    door.step(after_s=LAMP_TEST_S)
    assert not door.box.active
    door.step()
    assert door.kinds == ["lamps_tested"], "once"


@pytest.mark.parametrize(
    ("there", "reason"),
    [
        (decision(tracks=(TRACK,)), "a face is in view"),
        (decision(found=(FACE,)), "a face is in view"),
        (decision(signal=Signal.PASS, tracks=(TRACK,)), "a face is in view"),
        (decision(signal=Signal.STOP), "a face is in view"),
        (ALARM, "a face is in view"),
        (decision(signal=Signal.FAULT, fault="covered", found=None), "the door is blind: someone may be there"),
        (decision(signal=Signal.IDLE, fault="covered", found=None), "the door is blind: someone may be there"),
    ],
)
def test_no_lamp_test_while_somebody_may_be_there(door: Door, there: Decision, reason: str) -> None:
    door.send(lamp_test=LampTest(door.now))
    door.step(there)
    assert [event.data for event in door.events] == [{"command": "test_lamps", "reason": reason}]
    door.step(there, 0.1)
    assert ("green" in door.box.active) is (there.signal is Signal.PASS)


def test_a_face_that_does_not_count_stops_no_lamp_test(door: Door) -> None:
    poster = decision(outside=(FACE,), found=(FACE,))
    door.step(poster)
    door.send(lamp_test=LampTest(door.now))
    door.step(poster)
    assert door.kinds == ["lamps_tested"]


@pytest.mark.parametrize(
    "there", [decision(tracks=(TRACK,)), decision(found=(FACE,)), decision(fault="covered", found=None)]
)
def test_a_lamp_test_ends_with_the_first_frame_that_has_a_face(door: Door, there: Decision) -> None:
    door.step()
    door.send(lamp_test=LampTest(door.now))
    door.step()
    door.step(after_s=0.1)
    assert door.box.active == {"green", "red"}
    door.step(there, 0.1)
    assert not door.box.active
    door.step(after_s=0.1)
    assert not door.box.active, "it does not begin again"


def test_green_is_never_alone_during_a_test(door: Door) -> None:
    lit: set[str] = set()
    door.step()
    door.send(lamp_test=LampTest(door.now))
    for signal in (Signal.IDLE, Signal.IDLE, Signal.STOP, Signal.IDLE):
        door.step(decision(signal=signal))
    for output, is_on in door.box.changes():
        lit = lit | {output} if is_on else lit - {output}
        assert lit != {"green"}


def test_a_flood_writes_few_lines_into_the_log(door: Door) -> None:
    for k in range(120):
        door.send(silence=Silence(door.now, 1 + k % 240))
        door.step()
    assert len(door.events) <= BURST + 3
    assert door.now - 1000.0 > 120


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"x" * 10_000, b'{"silence":{"at_s":1,"minutes":10000}}'])
def test_what_is_no_command_is_ignored_and_said_once(door: Door, content: bytes) -> None:
    for _ in range(3):
        door.path.write_bytes(content)
        os.utime(door.path, ns=(0, int(door.now * 1e9)))
        door.step()
    assert not door.events
    assert len(door.notes) == 1
    assert "the commands are ignored" in door.notes[0]
    door.send(silence=Silence(door.now, 1))
    door.step()
    assert door.kinds == ["buzzer_silenced"], "it recovers"


def test_a_pipe_in_its_place_does_not_hold_the_door(door: Door) -> None:
    os.mkfifo(door.path)
    door.step()
    assert len(door.notes) == 1


def test_the_file_is_looked_at_once_a_second(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[Path] = []
    real = os.lstat
    monkeypatch.setattr(remote_control.os, "lstat", lambda path: (looks.append(path), real(path))[1])  # type: ignore[attr-defined, func-returns-value]
    for _ in range(100):
        door.step(after_s=0.1)
    assert 9 <= len(looks) <= 11


def test_a_door_without_a_buzzer_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    door = Door(tmp_path, monkeypatch, config.replaced(CONFIG, "lights", buzzer="none"))
    door.send(silence=Silence(door.now, 10))
    door.step()
    assert door.events[0].data == {"command": "silence_buzzer", "reason": "the door has no buzzer"}
    assert door.control.silenced_until is None


def test_it_can_be_used_in_place_of_simulated_lights(tmp_path: Path) -> None:
    with Lights(CONFIG.lights, simulate=True) as lights:
        control = RemoteControl(CONFIG, lights, tmp_path / "commands.json", print, print)
        assert control.simulated
        control.show(Signal.PASS)
        seen: list[object] = []
        control.followed_by(lambda frame, shown: seen.append((frame, shown)))(None, NOBODY)
        assert seen == [(None, NOBODY)]
