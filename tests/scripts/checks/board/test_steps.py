"""What the lines and pins of each step are compared with."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence

import pytest

from checks.board import steps
from checks.board.boards import BOARDS
from checks.board.build_steps import HERE
from checks.board.emulator import Line
from checks.board.record import StepRecord
from checks.board.results import Result
from edge import config
from edge.lights import wiring_test
from support.board import changes


def record(lines: Sequence[tuple[float, str]], states: Sequence[tuple[float, str]], end: float = 100.0) -> StepRecord:
    return StepRecord([Line(t, text) for t, text in lines], changes(*states), lines[0][0], end)


def checked(check: object, of: StepRecord) -> Result:
    assert callable(check)
    result = Result("step", "a step")
    check(of, result)
    return result


# ---- doorlight lights --test -----------------------------------------------------------------------------------------


def wiring(swap: tuple[str, str] | None = None) -> StepRecord:
    """Return a run of the wiring test in which every pin does what its step says, or two lamps are swapped."""
    settings = config.load(HERE / "guest/relay.toml")
    all_steps = wiring_test.steps(settings.lights, settings.relay)
    lines: list[tuple[float, str]] = [(0.0, "BOARD begin lights")]
    states: list[tuple[float, str]] = []
    for number, step in enumerate(all_steps):
        t = 1.0 + 3 * number
        lines.append((t, f"| {number + 1} of {len(all_steps)}  {step.name}"))
        shown = sorted(next(names for start, names in steps.WIRING.items() if step.name.startswith(start)))
        if swap:
            shown = [swap[1] if name == swap[0] else swap[0] if name == swap[1] else name for name in shown]
        for beat in range(10):
            states.append((t + 0.1 + beat * 0.25, shown[beat % len(shown)]))
    return record(lines, states, 1.0 + 3 * len(all_steps))


def test_each_step_of_the_wiring_test_is_known() -> None:
    result = checked(steps.check_lights, wiring())
    assert (result.verdict, result.problems) == ("passed", [])


@pytest.mark.parametrize("swap", [("green", "red"), ("red", "off"), ("relay", "buzzer"), ("red+buzzer", "red")])
def test_a_lamp_that_does_something_else_is_found(swap: tuple[str, str]) -> None:
    assert checked(steps.check_lights, wiring(swap)).verdict == "failed"


def test_a_wiring_test_that_did_not_run_fails() -> None:
    of = record([(0.0, "BOARD begin lights"), (1.0, "| doorlight: no chip")], [(0.0, "off")])
    result = checked(steps.check_lights, of)
    assert result.verdict == "failed"
    assert "doorlight: no chip" in result.problems[0]


# ---- The clip --------------------------------------------------------------------------------------------------------


EVENTS: list[dict[str, object]] = [
    {"seq": 1, "t": 0.0, "event": "started"},
    {"seq": 2, "t": 1.0, "event": "signal", "signal": "PASS"},
    {"seq": 3, "t": 2.0, "event": "signal", "signal": "ALARM"},
    {"seq": 4, "t": 3.0, "event": "stopped"},
]
PRINTED = [
    (10.0, "|     1.00 s  PASS   everyone wears a mask"),
    (30.0, "|     2.00 s  ALARM  someone without a mask looks agitated"),
    (50.0, "|     3.00 s         the door has stopped (the source has ended)"),
]
BEEPS = [(30.1 + k * 0.25, "red" if k % 2 else "red+buzzer") for k in range(60)]
LAMPS = [(0.0, "off"), (10.1, "green"), *BEEPS, (50.0, "off")]


def clip(printed: list[tuple[float, str]], events: list[dict[str, object]], lamps: list[tuple[float, str]]) -> Result:
    lines = [(0.0, "BOARD begin clip"), *printed, *((60.0, f"| event {json.dumps(event)}") for event in events)]
    return checked(steps.check_clip(EVENTS), record(lines, lamps))


def test_the_clip_as_it_should_be() -> None:
    result = clip(PRINTED, EVENTS, LAMPS)
    assert (result.verdict, result.problems) == ("passed", [])


@pytest.mark.parametrize(
    ("events", "lamps"),
    [
        pytest.param(EVENTS[:2] + EVENTS[3:], LAMPS, id="a decision is missing"),
        pytest.param([EVENTS[0], EVENTS[1] | {"t": 1.9}, *EVENTS[2:]], LAMPS, id="a decision is late"),
        pytest.param([EVENTS[0], EVENTS[1] | {"signal": "STOP"}, *EVENTS[2:]], LAMPS, id="another signal"),
        pytest.param([], LAMPS, id="no log"),
        pytest.param(EVENTS, [(0.0, "off"), *LAMPS[2:]], id="green is never lit"),
        pytest.param(EVENTS, [*LAMPS[:2], (30.1, "red"), (50.0, "off")], id="the buzzer is silent"),
        pytest.param(EVENTS, [*LAMPS[:2], (15.0, "off"), *LAMPS[2:]], id="green goes off too early"),
        pytest.param(EVENTS, [*LAMPS[:2], (40.0, "red+buzzer"), (50.0, "off")], id="red is lit too late"),
    ],
)
def test_a_clip_that_is_not_as_it_should_be(events: list[dict[str, object]], lamps: list[tuple[float, str]]) -> None:
    assert clip(PRINTED, events, lamps).verdict == "failed"


# ---- Kills -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dark_at", "verdict"), [(20.5, "passed"), (20.0 + steps.MARGIN_S + 0.1, "failed"), (None, "failed")]
)
def test_dark_after_the_pin_process_is_killed(dark_at: float | None, verdict: str) -> None:
    lines = [(0.0, "BOARD begin x"), (20.0, "BOARD mark pin process killed"), (30.0, "| exit code 74")]
    lamps = [(0.0, "red"), *([(dark_at, "off")] if dark_at else [])]
    assert checked(steps.check_pins_killed, record(lines, lamps)).verdict == verdict


def test_a_kill_that_did_not_happen_fails() -> None:
    lines = [(0.0, "BOARD begin x"), (30.0, "| doorlight: no such file")]
    for check in (steps.check_pins_killed, steps.check_door_hangs, steps.check_service_hangs):
        assert checked(check, record(lines, [(0.0, "off")])).verdict == "failed"


@pytest.mark.parametrize(("blinks", "verdict"), [(True, "passed"), (False, "failed")])
def test_fault_after_the_door_hangs(blinks: bool, verdict: str) -> None:
    lines = [(0.0, "BOARD begin x"), (20.0, "BOARD mark door stopped"), (28.0, "BOARD mark door killed")]
    beats = [(23.0 + k * 0.5, "off" if k % 2 else "red") for k in range(10)] if blinks else []
    lamps = [(0.0, "red"), *beats, (28.2, "off")]
    assert checked(steps.check_door_hangs, record(lines, lamps)).verdict == verdict


# ---- The guest -------------------------------------------------------------------------------------------------------


def test_the_guest_has_every_step() -> None:
    """A step that the guest's script does not know would wait for its time limit."""
    for systemd, script in ((False, "plain.sh"), (True, "service.sh")):
        text = (HERE / "guest" / script).read_text()
        for step in steps.all_steps([], BOARDS["raspi3b"]):
            if step.systemd is systemd:
                assert f"\n{step.name}() {{" in text, step.name


def test_a_guest_waits_by_the_clock() -> None:
    """A command that takes ten seconds, as systemctl may on an emulated board, does not make the wait ten times longer."""
    script = f"""
        . {HERE / "guest/lib.sh"}
        now=100
        uptime_s() {{ echo $now; }}
        sleep() {{ now=$((now + 1)); }}
        is_ready() {{ tries=$((tries + 1)) now=$((now + 10)); [ $now -ge $1 ]; }}
        tries=0; until_true 30 is_ready 1000 || echo "gave up after $tries tries"
        tries=0; until_true 30 is_ready $((now + 20)) && echo "ready after $tries tries"
        """
    done = subprocess.run(["sh", "-euc", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["gave up after 3 tries", "ready after 2 tries"]
