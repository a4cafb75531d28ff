"""The relay on mock pins: every sequence of signals in both kinds of failure and both polarities."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator

import gpiozero
import msgspec
import pytest
from gpiozero.pins.mock import MockFactory
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import config
from edge.config import LightSettings, RelaySettings
from edge.errors import LightsError
from edge.lights import relay as relay_module
from edge.lights.lights import Lights
from edge.records import Signal
from support.command import environment
from support.lights import (
    DEFAULT,
    LONG_PULSE_S,
    QUICK,
    RELAY,
    SHORT_PULSE_S,
    LightBox,
    WavePin,
    is_unlocked,
    wait_until,
)

SAFE = msgspec.structs.replace(RELAY, fail="safe")


@pytest.fixture
def box(relay: RelaySettings) -> Iterator[LightBox]:
    made = LightBox(QUICK, relay=relay)
    yield made
    made.lights.close()


class TestSignals:
    def test_the_relay_is_off_at_first(self, box: LightBox, relay: RelaySettings) -> None:
        assert "relay" not in box.active
        assert (box.pins["relay"].function, box.pins["relay"].state) == ("output", relay.active_low)

    @pytest.mark.parametrize("before", [None, *Signal])
    @pytest.mark.parametrize("shown", list(Signal))
    def test_each_signal_after_each(
        self, box: LightBox, relay: RelaySettings, before: Signal | None, shown: Signal
    ) -> None:
        if before is not None:
            box.lights.show(before)
        box.lights.show(shown)
        expected = {Signal.PASS: True, Signal.FAULT: relay.fail == "safe"}.get(shown, False)
        assert is_unlocked(box) is expected
        if shown is Signal.FAULT:
            assert "relay" not in box.active, "a lock without power does the same as in FAULT"

    @pytest.mark.parametrize("shown", list(Signal))
    def test_close_switches_it_off(self, box: LightBox, relay: RelaySettings, shown: Signal) -> None:
        box.lights.show(shown)
        box.lights.close()
        assert "relay" not in box.active
        assert box.pins["relay"].function == "input"
        assert (box.pins["relay"].state, dict(box.changes()).get("relay", False)) == (relay.active_low, False)

    def test_it_unlocks_after_green_is_lit_and_locks_before_green_goes_off(self, box: LightBox) -> None:
        for shown in (Signal.IDLE, Signal.PASS, Signal.STOP, Signal.PASS):
            box.lights.show(shown)
        unlocked = box.relay is not None and box.relay.fail == "secure"
        first = [] if unlocked else [("relay", True)]
        assert box.changes() == [
            *first,
            ("green", True), ("relay", unlocked), ("relay", not unlocked), ("green", False), ("red", True),
            ("red", False), ("green", True), ("relay", unlocked),
        ]  # fmt: skip

    def test_it_is_switched_off_first_when_the_door_ends(self, box: LightBox) -> None:
        box.lights.show(Signal.PASS)
        before = len(box.changes())
        box.lights.close()
        changed = [key for key, _ in box.changes()[before:]]
        assert changed == (["relay", "green"] if box.relay is not None and box.relay.fail == "secure" else ["green"])

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(st.sampled_from([*Signal, "green", "red", "buzzer"]), max_size=12),
        st.booleans(),
        st.booleans(),
        st.sampled_from([0.0, LONG_PULSE_S]),
    )
    def test_a_strike_is_never_unlocked_without_green(
        self, shown: list[Signal | str], active_low: bool, dimmed: bool, seconds: float
    ) -> None:
        relay = msgspec.structs.replace(RELAY, active_low=active_low, seconds=seconds)
        lamps = msgspec.structs.replace(QUICK, brightness=0.5 if dimmed else 1.0, buzzer_tone_hz=2500 if dimmed else 0)
        box = LightBox(lamps, WavePin, relay)
        with box.lights:
            for each in shown:
                if isinstance(each, Signal):
                    box.lights.show(each)
                else:
                    box.lights.show_only(each)
        on = dict.fromkeys(("green", "red", "buzzer", "relay"), False)
        for key, is_on in box.changes():
            on[key] = is_on
            assert not on["relay"] or (on["green"] and not on["red"] and not on["buzzer"]), box.changes()
        assert box.active == set()
        assert box.pins["relay"].frequency is None, "brightness and tone are not for relays"

    def test_the_same_signal_again_changes_nothing(self, box: LightBox) -> None:
        for _ in range(20):
            box.lights.show(Signal.PASS)
        assert [key for key, _ in box.changes()].count("relay") <= 1

    @pytest.mark.parametrize("key", ["green", "red", "buzzer"])
    def test_show_only_of_another_output_switches_it_off(self, box: LightBox, key: str) -> None:
        for shown in Signal:
            box.lights.show(shown)
            box.lights.show_only(key)
            assert box.active == {key}

    def test_show_only_switches_it_on(self, box: LightBox) -> None:
        for shown in Signal:
            box.lights.show(shown)
            box.lights.show_only("relay")
            assert box.active == {"relay"}

    def test_a_door_without_green_lamp_has_a_relay(self) -> None:
        box = LightBox(msgspec.structs.replace(QUICK, green="none", buzzer="none"), relay=RELAY)
        with box.lights:
            box.lights.show(Signal.PASS)
            assert box.active == {"relay"}
            box.lights.show(Signal.STOP)
            assert box.active == {"red"}


class TestRelease:
    def test_switches_it_off_for_good(self, box: LightBox, relay: RelaySettings) -> None:
        box.lights.show(Signal.PASS)
        box.lights.release_relay()
        box.lights.release_relay()
        for shown in (*Signal, Signal.PASS):
            box.lights.show(shown)
            assert "relay" not in box.active
        assert box.pins["relay"].function == "input"
        assert "green" in box.active
        box.lights.close()

    def test_without_a_relay_changes_nothing(self) -> None:
        box = LightBox()
        box.lights.show(Signal.PASS)
        box.lights.release_relay()
        assert box.active == {"green"}
        box.lights.close()


class TestSimulation:
    @pytest.mark.parametrize(
        ("settings", "states"),
        [
            (RELAY, ["off (locked)", "on (unlocked)", "off (locked)", "off (locked)", "off (locked)"]),
            (SAFE, ["on (locked)", "off (unlocked)", "on (locked)", "on (locked)", "off (unlocked)"]),
            (
                msgspec.structs.replace(RELAY, seconds=2.5),
                ["off (locked)", "on (unlocked) for 2.5 s", "off (locked)", "off (locked)", "off (locked)"],
            ),
        ],
    )
    def test_says_what_relay_and_lock_do(self, settings: RelaySettings, states: list[str]) -> None:
        lines: list[str] = []
        with Lights(DEFAULT, simulate=True, report=lines.append, relay=settings) as shown:
            for signal in (Signal.IDLE, Signal.PASS, Signal.STOP, Signal.ALARM, Signal.FAULT):
                shown.show(signal)
        at_the_end = relay_module.state(settings, is_on=False).removeprefix("relay ")
        assert [line.rpartition("relay ")[2] for line in lines] == [*states, at_the_end]
        assert lines[1].startswith("● green  ○ red  relay ")

    def test_the_end_is_reported_if_it_unlocks(self) -> None:
        lines: list[str] = []
        with Lights(DEFAULT, simulate=True, report=lines.append, relay=SAFE) as shown:
            shown.show(Signal.IDLE)
            for _ in range(2):
                shown.close()
        assert lines == ["○ green  ○ red  relay on (locked)", "○ green  ○ red  relay off (unlocked)"]


def test_the_description_says_when_it_unlocks() -> None:
    assert relay_module.describe(RELAY).startswith("the relay unlocks as long as PASS stands; locked in FAULT")
    pulse = msgspec.structs.replace(SAFE, seconds=3.0)
    assert relay_module.describe(pulse).startswith(
        "the relay unlocks for 3 s at most when PASS begins; unlocked in FAULT"
    )


def test_a_pin_in_use_is_named_and_releases_the_others() -> None:
    factory = MockFactory()
    other = gpiozero.LED(23, pin_factory=factory)
    with pytest.raises(LightsError, match=r"GPIO23 \('relay.pin'\)") as caught:
        Lights(DEFAULT, factory=factory, relay=RELAY)
    assert "gpioinfo" in caught.value.hint
    other.close()
    Lights(DEFAULT, factory=factory).close()


class TestDoorWithoutRelay:
    @pytest.mark.parametrize("relay", [None, config.load().relay])
    def test_has_no_thread_and_no_pin_for_it(self, relay: RelaySettings | None) -> None:
        factory = MockFactory()
        threads = set(threading.enumerate())
        lines: list[str] = []
        with Lights(DEFAULT, report=lines.append, factory=factory, relay=relay) as shown:
            for signal in (Signal.IDLE, Signal.PASS, Signal.STOP, Signal.PASS):
                shown.show(signal)
                assert set(threading.enumerate()) <= threads
            assert set(factory.pins) == {factory.pin(pin).info for pin in DEFAULT.pins.values()}

    def test_prints_the_same_lines(self) -> None:
        printed: list[list[str]] = []
        for relay in (None, config.load().relay):
            lines: list[str] = []
            with Lights(DEFAULT, True, lines.append, relay=relay) as shown:
                for signal in Signal:
                    shown.show(signal)
            printed.append(lines)
        assert printed[0] == printed[1]
        assert "relay" not in "".join(printed[0])

    def test_does_not_load_it(self) -> None:
        code = (
            "import sys; from edge import config; from edge.records import Signal; "
            "import edge.commands.run, edge.lights.pin_process; from edge.lights.lights import Lights; "
            "settings = config.load(); lights = Lights(settings.lights, True, print, relay=settings.relay); "
            "lights.show(Signal.PASS); lights.close(); print('edge.lights.relay' in sys.modules)"
        )
        ran = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True, env=environment()
        )
        assert ran.stdout.splitlines()[-1] == "False"


def test_settings_are_complete() -> None:
    """Lamps and relay share no key by accident: `LightBox` names pins by their keys."""
    assert not {*LightSettings.__struct_fields__} & {"relay", "pin"}


class TestKnownPeople:
    """[relay] when = "PASS and known"."""

    @pytest.fixture
    def box(self, relay: RelaySettings) -> Iterator[LightBox]:
        made = LightBox(QUICK, relay=msgspec.structs.replace(relay, when="PASS and known"))
        yield made
        made.lights.close()

    @pytest.mark.parametrize("shown", list(Signal))
    @pytest.mark.parametrize("known", [False, True])
    def test_only_pass_with_known_people_unlocks(
        self, box: LightBox, relay: RelaySettings, shown: Signal, known: bool
    ) -> None:
        box.lights.show(shown, known)
        blind = shown is Signal.FAULT and relay.fail == "safe"
        assert is_unlocked(box) is (blind or (shown is Signal.PASS and known))
        assert ("green" in box.active) is (shown is Signal.PASS), "the lamps do not ask who it is"

    def test_it_follows_while_pass_stands(self, box: LightBox) -> None:
        seen = []
        for known in (False, True, True, False, True):
            box.lights.show(Signal.PASS, known)
            seen.append(is_unlocked(box))
        assert seen == [False, True, True, False, True]
        assert [key for key, _ in box.changes() if key == "green"] == ["green"], "the lamp stays lit"
        box.lights.show(Signal.STOP, True)
        assert not is_unlocked(box)

    def test_a_relay_for_everyone_does_not_ask(self, relay: RelaySettings) -> None:
        box = LightBox(QUICK, relay=relay)
        with box.lights:
            box.lights.show(Signal.PASS)
            assert is_unlocked(box)
            before = len(box.changes())
            box.lights.show(Signal.PASS, True)
            assert len(box.changes()) == before

    def test_a_pulse_begins_when_the_people_are_known(self, relay: RelaySettings) -> None:
        box = LightBox(QUICK, relay=msgspec.structs.replace(relay, when="PASS and known", seconds=SHORT_PULSE_S))
        with box.lights:
            box.lights.show(Signal.PASS, False)
            assert not is_unlocked(box)
            before = len(box.changes())
            box.lights.show(Signal.PASS, True)
            assert wait_until(lambda: len(box.changes()) == before + 2)
            box.lights.show(Signal.PASS, True)
            on = relay.fail == "secure"
            assert box.changes()[before:] == [("relay", on), ("relay", not on)], "once"
            assert not is_unlocked(box)

    def test_the_words(self) -> None:
        relay = msgspec.structs.replace(RELAY, when="PASS and known")
        assert relay_module.describe(relay).startswith(
            "the relay unlocks as long as PASS stands and everyone in view is known;"
        )
        assert relay_module.state_at(relay, Signal.PASS) == "relay off (locked)"
        assert relay_module.state_at(relay, Signal.PASS, True) == "relay on (unlocked)"
        pulse = msgspec.structs.replace(relay, seconds=3)
        assert relay_module.state_at(pulse, Signal.PASS) == "relay off (locked)"
        assert relay_module.state_at(pulse, Signal.PASS, True) == "relay on (unlocked) for 3 s"
