"""One pin: patterns, dimming and tones, on mock pins that make waves as lgpio does."""

from __future__ import annotations

import gpiozero
import msgspec
import pytest
from gpiozero.pins.mock import MockFactory, MockPWMPin
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.lights.lights import Lights
from edge.records import Signal
from support.lights import QUICK, LightBox, WavePin, wait_until

DIM = {"brightness": 0.3, "buzzer_tone_hz": 2500}


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from([*Signal, "green", "red", "buzzer"]), max_size=12), st.booleans(), st.booleans())
def test_outputs_with_waves_are_off_after_off(
    shown: list[Signal | str], active_low: bool, buzzer_active_low: bool
) -> None:
    box = LightBox(
        msgspec.structs.replace(QUICK, active_low=active_low, buzzer_active_low=buzzer_active_low, **DIM), WavePin
    )
    expected: dict[Signal | str, set[str]] = {
        Signal.IDLE: set(), Signal.PASS: {"green"}, Signal.STOP: {"red"},
        "green": {"green"}, "red": {"red"}, "buzzer": {"buzzer"},
    }  # fmt: skip
    with box.lights:
        for each in shown:
            if isinstance(each, Signal):
                box.lights.show(each)
            else:
                box.lights.show_only(each)
            if each in expected:
                assert box.active == expected[each]
            elif each is Signal.ALARM:
                assert "green" not in box.active
    assert box.active == set()
    lit = {"green": False, "red": False}
    for key, is_on in box.changes():
        if key in lit:
            lit[key] = is_on
        assert not all(lit.values()), box.changes()
    assert all(pin.frequency is None for pin in box.pins.values())


@pytest.mark.parametrize(("active_low", "duty"), [(False, 0.3), (True, 0.7)])
def test_duty_cycle_of_dimmed_lamps_and_of_a_tone(active_low: bool, duty: float) -> None:
    factory = MockFactory(pin_class=MockPWMPin)
    dimmed = msgspec.structs.replace(QUICK, active_low=active_low, **DIM)
    with Lights(dimmed, factory=factory) as shown:
        shown.show(Signal.PASS)
        assert (factory.pin(dimmed.green).frequency, factory.pin(dimmed.green).state) == (100, pytest.approx(duty))
        assert factory.pin(dimmed.red).frequency is None
        shown.show_only("buzzer")
        assert (factory.pin(dimmed.buzzer).frequency, factory.pin(dimmed.buzzer).state) == (2500, 0.5)
        shown.show(Signal.FAULT)
        assert wait_until(lambda: factory.pin(dimmed.red).state == pytest.approx(duty)), "a blinking lamp is dimmed too"


def test_full_brightness_uses_no_wave() -> None:
    """RecordingPin refuses waves, as every plain MockPin does."""
    box = LightBox()
    with pytest.raises(gpiozero.PinPWMUnsupported):
        box.pins["red"].frequency = 100
    for signal in Signal:
        box.lights.show(signal)
    box.lights.close()


def test_a_pattern_keeps_its_order_and_durations() -> None:
    """Short on, long off, long on, short off."""
    box = LightBox(msgspec.structs.replace(QUICK, alarm_pattern_s=(0.01, 0.2, 0.2, 0.01)))
    box.pins["buzzer"].clear_states()
    box.lights.show(Signal.ALARM)
    assert wait_until(lambda: len(box.pins["buzzer"].states) > 8)
    box.lights.close()
    states = box.pins["buzzer"].states
    assert [state.state for state in states][1:4] == [True, False, True]
    # gpiozero stores the duration of a state with the state that follows it.
    durations = [state.timestamp for state in states][2:9]
    assert all(durations[k] >= 0.19 for k in (1, 2, 5, 6)), durations
