"""`Lights` on gpiozero's mock pins: what each signal shows, quiet hours, simulation, and that everything goes off."""

from __future__ import annotations

import itertools
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator

import gpiozero.pins.local
import msgspec
import pytest
from gpiozero.pins.mock import MockFactory
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.config import LightSettings
from edge.errors import LightsError
from edge.lights.lights import Lights
from edge.records import Signal
from edge.system import clock
from support.command import environment
from support.lights import DEFAULT, QUICK, RELAY, LightBox, RecordingPin, wait_until

STEADY: dict[Signal, set[str]] = {Signal.IDLE: set(), Signal.PASS: {"green"}, Signal.STOP: {"red"}}


@pytest.fixture(params=[False, True], ids=["active-high", "active-low"])
def box(request: pytest.FixtureRequest) -> Iterator[LightBox]:
    made = LightBox(msgspec.structs.replace(QUICK, active_low=request.param, buzzer_active_low=request.param))
    yield made
    made.lights.close()


class TestShow:
    def test_everything_is_off_at_first(self, box: LightBox) -> None:
        assert box.active == set()
        assert all(pin.function == "output" for pin in box.pins.values())

    @pytest.mark.parametrize(("shown", "expected"), STEADY.items())
    def test_steady_signals(self, box: LightBox, shown: Signal, expected: set[str]) -> None:
        box.lights.show(shown)
        assert box.active == expected

    def test_only_the_buzzer_can_be_active_low(self) -> None:
        box = LightBox(msgspec.structs.replace(QUICK, buzzer_active_low=True))
        assert box.active == set()
        box.lights.show(Signal.STOP)
        assert box.active == {"red"}
        assert (box.pins["red"].state, box.pins["buzzer"].state) == (True, True)
        box.lights.close()

    def test_alarm_beeps_and_red_is_steady(self, box: LightBox) -> None:
        box.lights.show(Signal.ALARM)
        assert wait_until(lambda: box.changes().count(("buzzer", True)) >= 3)
        assert box.changes().count(("buzzer", False)) >= 2
        assert [change for change in box.changes() if change[0] != "buzzer"] == [("red", True)]

    def test_fault_blinks_red_and_nothing_else(self, box: LightBox) -> None:
        box.lights.show(Signal.FAULT)
        assert wait_until(lambda: box.changes().count(("red", True)) >= 3)
        assert {key for key, _ in box.changes()} == {"red"}
        states = [is_on for _, is_on in box.changes()]
        assert all(now != before for before, now in itertools.pairwise(states))

    def test_showing_the_same_signal_again_does_not_restart_its_pattern(self) -> None:
        box = LightBox(msgspec.structs.replace(QUICK, fault_pattern_s=(10.0, 10.0)))
        box.lights.show(Signal.FAULT)
        assert wait_until(lambda: box.active == {"red"})
        for _ in range(20):
            box.lights.show(Signal.FAULT)
        assert box.changes() == [("red", True)]
        box.lights.close()

    @pytest.mark.parametrize("before", [Signal.ALARM, Signal.FAULT])
    def test_the_next_signal_ends_a_pattern(self, box: LightBox, before: Signal) -> None:
        box.lights.show(before)
        assert wait_until(lambda: len(box.changes()) >= 3)
        box.lights.show(Signal.PASS)
        assert box.active == {"green"}
        changes = len(box.changes())
        time.sleep(0.05)  # five times the duration of one step of the pattern
        assert len(box.changes()) == changes

    def test_one_lamp_goes_off_before_the_other_goes_on(self, box: LightBox) -> None:
        for shown in (Signal.PASS, Signal.STOP, Signal.PASS):
            box.lights.show(shown)
        assert box.changes() == [
            ("green", True), ("green", False), ("red", True), ("red", False), ("green", True),
        ]  # fmt: skip

    @settings(max_examples=25, deadline=None)
    @given(st.lists(st.sampled_from(Signal), max_size=12), st.booleans())
    def test_green_and_red_are_never_lit_together(self, shown: list[Signal], active_low: bool) -> None:
        box = LightBox(msgspec.structs.replace(QUICK, active_low=active_low))
        with box.lights:
            for signal in shown:
                box.lights.show(signal)
        lit = {"green": False, "red": False, "buzzer": False}
        for key, is_on in box.changes():
            lit[key] = is_on
            assert not (lit["green"] and lit["red"]), box.changes()
        assert box.active == set()

    @pytest.mark.parametrize("key", ["green", "red", "buzzer"])
    @pytest.mark.parametrize("before", list(Signal))
    def test_show_only_switches_everything_else_off(self, box: LightBox, key: str, before: Signal) -> None:
        box.lights.show(before)
        box.lights.show_only(key)
        assert box.active == {key}
        box.lights.show(before)
        if before in STEADY:
            assert box.active == STEADY[before]


class TestClose:
    @pytest.mark.parametrize("shown", list(Signal))
    def test_turns_everything_off_after_any_signal(self, box: LightBox, shown: Signal) -> None:
        box.lights.show(shown)
        box.lights.close()
        assert box.active == set()
        # The last change of each pin as an output is off: the pin does not just float at that level.
        assert not any(dict(box.changes()).values())
        assert all(pin.function == "input" for pin in box.pins.values())
        box.lights.close()

    def test_an_exception_in_the_with_block_turns_everything_off(self, box: LightBox) -> None:
        def fail() -> None:
            with box.lights:
                box.lights.show(Signal.ALARM)
                raise RuntimeError("the door fell off")

        with pytest.raises(RuntimeError, match="fell off"):
            fail()
        assert box.active == set()

    @pytest.mark.parametrize(
        "end",
        [
            pytest.param("", id="end of the program"),
            pytest.param("raise RuntimeError('on purpose')", id="unhandled exception"),
            pytest.param("sys.exit(3)", id="sys.exit"),
            pytest.param("os.kill(os.getpid(), signal.SIGINT); time.sleep(30)", id="SIGINT"),
            pytest.param(
                "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); "
                "os.kill(os.getpid(), signal.SIGTERM); time.sleep(30)",
                id="SIGTERM with a handler",
            ),
        ],
    )
    def test_the_exit_of_the_interpreter_turns_everything_off(self, end: str) -> None:
        """Without a `with` block and without `close`."""
        code = f"""
            import atexit, os, signal, sys, time
            from edge import config
            from edge.lights.lights import Lights
            from edge.records import Signal
            from gpiozero.pins.mock import MockFactory

            factory = MockFactory()
            settings = config.load().lights
            red, buzzer = factory.pin(settings.red), factory.pin(settings.buzzer)
            # Exit handlers run in reverse order, so this one runs after that of the lights.
            atexit.register(lambda: print("after:", red.state, buzzer.state, flush=True))
            lights = Lights(settings, factory=factory)
            lights.show(Signal.ALARM)
            print("before:", red.state, flush=True)
            {end}
        """
        ran = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)],
            capture_output=True, text=True, timeout=60, check=False, env=environment(),
        )  # fmt: skip
        assert ran.stdout.splitlines() == ["before: True", "after: False False"], ran.stderr


@pytest.fixture
def night(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is 23:30, and the clock is set."""
    monkeypatch.setattr(clock, "minute_of_day", lambda: 23 * 60 + 30)
    monkeypatch.setattr(clock, "is_set", lambda: True)


@pytest.mark.usefixtures("night")
class TestQuietHours:
    SETTINGS = msgspec.structs.replace(QUICK, quiet_hours="22:00-07:00")

    def test_an_alarm_is_red_and_silent(self) -> None:
        box = LightBox(self.SETTINGS)
        box.lights.show(Signal.ALARM)
        time.sleep(0.05)
        assert box.active == {"red"}
        assert "buzzer" not in dict(box.changes())
        box.lights.close()

    def test_an_alarm_silences_a_buzzer_that_is_on(self) -> None:
        box = LightBox(self.SETTINGS)
        box.lights.show_only("buzzer")
        assert box.active == {"buzzer"}
        box.lights.show(Signal.ALARM)
        assert box.active == {"red"}
        box.lights.close()

    def test_the_buzzer_sounds_outside_the_hours(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(clock, "minute_of_day", lambda: 12 * 60)
        self.check_that_the_buzzer_sounds()

    def test_the_buzzer_sounds_while_the_clock_is_not_set(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(clock, "is_set", lambda: False)
        self.check_that_the_buzzer_sounds()

    def test_simulated_lights_report_the_reason(self) -> None:
        lines: list[str] = []
        with Lights(self.SETTINGS, simulate=True, report=lines.append) as shown:
            shown.show(Signal.ALARM)
        assert "silent: quiet hours" in lines[0]

    def check_that_the_buzzer_sounds(self) -> None:
        box = LightBox(self.SETTINGS)
        box.lights.show(Signal.ALARM)
        assert wait_until(lambda: ("buzzer", True) in box.changes())
        box.lights.close()


class TestCommands:
    """What the network may ask for: a silent buzzer, and both lamps for a moment."""

    def test_silence_begins_and_ends_in_the_middle_of_an_alarm(self, box: LightBox) -> None:
        box.lights.show(Signal.ALARM)
        assert wait_until(lambda: "buzzer" in box.active)
        box.lights.show(Signal.ALARM, is_silent=True)
        time.sleep(0.05)
        assert box.active == {"red"}
        box.lights.show(Signal.ALARM)
        assert wait_until(lambda: box.active == {"red", "buzzer"})

    @pytest.mark.parametrize("shown", [Signal.IDLE, Signal.PASS, Signal.STOP])
    def test_silence_changes_no_other_signal(self, shown: Signal) -> None:
        box = LightBox(QUICK, relay=msgspec.structs.replace(RELAY, seconds=0.02))
        box.lights.show(shown)
        assert wait_until(lambda: "relay" not in box.active), "the pulse is over"
        before = box.changes()
        for is_silent in (True, False, True):
            box.lights.show(shown, is_silent=is_silent)
        time.sleep(0.05)
        assert box.changes() == before, "the relay must not switch again"
        box.lights.close()

    def test_a_lamp_test_lights_both_and_green_never_alone(self, box: LightBox) -> None:
        box.lights.show(Signal.IDLE)
        for _ in range(3):
            box.lights.test_lamps()
        assert box.active == {"green", "red"}
        box.lights.show(Signal.IDLE)
        assert box.changes() == [("red", True), ("green", True), ("green", False), ("red", False)]

    @pytest.mark.parametrize("fail", ["secure", "safe"])
    def test_a_lamp_test_leaves_the_relay_alone(self, fail: str) -> None:
        box = LightBox(QUICK, relay=msgspec.structs.replace(RELAY, fail=fail))  # type: ignore[arg-type]
        box.lights.show(Signal.IDLE)
        RecordingPin.changes.clear()
        box.lights.test_lamps()
        box.lights.show(Signal.IDLE)
        assert {key for key, _ in box.changes()} == {"red", "green"}
        box.lights.close()

    @pytest.mark.parametrize("shown", [Signal.PASS, Signal.STOP, Signal.FAULT, Signal.ALARM])
    def test_a_lamp_test_replaces_no_signal(self, box: LightBox, shown: Signal) -> None:
        box.lights.test_lamps()
        assert not box.active, "before the first signal"
        box.lights.show(shown)
        box.lights.test_lamps()
        assert ("green" in box.active) is (shown is Signal.PASS)
        assert "green" not in box.active or "red" not in box.active

    def test_simulated_lights_report_both(self) -> None:
        lines: list[str] = []
        with Lights(DEFAULT, True, lines.append) as lights:
            lights.show(Signal.IDLE)
            lights.test_lamps()
            lights.show(Signal.ALARM, is_silent=True)
        assert lines[:3] == ["○ green  ○ red", "● green  ● red", "○ green  ● red  (buzzer silent: on request)"]


NO_GREEN = msgspec.structs.replace(DEFAULT, green="none")
NO_BUZZER = msgspec.structs.replace(DEFAULT, buzzer="none")
ONLY_RED = msgspec.structs.replace(DEFAULT, green="none", buzzer="none")


class TestAbsentLights:
    @pytest.mark.parametrize(
        ("settings", "lines"),
        [
            (NO_GREEN, ["○ red  (no green lamp)", "● red", "● red  ♪ buzzer", "◐ red blinking", "○ red"]),
            (
                NO_BUZZER,
                [
                    "● green  ○ red",
                    "○ green  ● red",
                    "○ green  ● red  (no buzzer)",
                    "○ green  ◐ red blinking",
                    "○ green  ○ red",
                ],
            ),
            (
                msgspec.structs.replace(NO_BUZZER, quiet_hours="00:00-23:59"),
                [
                    "● green  ○ red",
                    "○ green  ● red",
                    "○ green  ● red  (no buzzer)",
                    "○ green  ◐ red blinking",
                    "○ green  ○ red",
                ],
            ),
            (ONLY_RED, ["○ red  (no green lamp)", "● red", "● red  (no buzzer)", "◐ red blinking", "○ red"]),
        ],
    )
    def test_are_left_out_of_the_simulation(self, settings: LightSettings, lines: list[str]) -> None:
        shown_lines: list[str] = []
        with Lights(settings, simulate=True, report=shown_lines.append) as shown:
            for signal in (Signal.PASS, Signal.STOP, Signal.ALARM, Signal.FAULT, Signal.IDLE):
                shown.show(signal)
        assert shown_lines == lines

    @pytest.mark.parametrize("settings", [NO_GREEN, NO_BUZZER, ONLY_RED])
    def test_use_no_pin(self, settings: LightSettings) -> None:
        factory = MockFactory()
        with Lights(settings, factory=factory) as shown:
            for signal in Signal:
                shown.show(signal)
            for key in ("green", "red", "buzzer"):
                shown.show_only(key)
            assert set(factory.pins) <= {factory.pin(pin).info for pin in settings.pins.values()}


def test_a_pin_in_use_is_an_error_and_releases_the_others() -> None:
    factory = MockFactory()
    red = factory.pin(DEFAULT.red)
    led = gpiozero.LED(DEFAULT.red, pin_factory=factory)
    with pytest.raises(LightsError, match=r"GPIO27 \('lights.red'\).*in use") as caught:
        Lights(DEFAULT, factory=factory)
    assert caught.value.exit_code == 69
    assert "gpioinfo" in caught.value.hint
    led.close()
    with Lights(DEFAULT, factory=factory) as shown:
        shown.show(Signal.STOP)
    assert not red.state


def test_importing_the_module_does_not_import_gpiozero() -> None:
    code = "import sys, edge.lights.lights; print('gpiozero' in sys.modules, 'lgpio' in sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True, env=environment()
    )
    assert ran.stdout.strip() == "False False"
