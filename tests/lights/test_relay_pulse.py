"""A relay that unlocks for a time: the pulse, its end, and errors at its end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import msgspec
import pytest

from edge.config import RelaySettings
from edge.records import Signal
from support.lights import LONG_PULSE_S, QUICK, RELAY, SHORT_PULSE_S, LightBox, is_running, is_unlocked, wait_until


class TestPulse:
    @pytest.fixture
    def pulse(self, relay: RelaySettings, request: pytest.FixtureRequest) -> Iterator[LightBox]:
        made = LightBox(QUICK, relay=msgspec.structs.replace(relay, seconds=request.param))
        yield made
        made.lights.close()

    @pytest.mark.parametrize("pulse", [SHORT_PULSE_S], indirect=True)
    def test_locks_again_while_pass_stands(self, pulse: LightBox) -> None:
        pulse.lights.show(Signal.PASS)
        assert wait_until(lambda: not is_unlocked(pulse))
        for _ in range(20):
            pulse.lights.show(Signal.PASS)
        assert not is_unlocked(pulse), "one pulse for each PASS"
        assert "green" in pulse.active

    @pytest.mark.parametrize("pulse", [SHORT_PULSE_S], indirect=True)
    def test_begins_again_with_the_next_pass(self, pulse: LightBox) -> None:
        for between in (Signal.IDLE, Signal.STOP, Signal.FAULT, Signal.ALARM):
            pulse.pins["relay"].clear_states()
            pulse.lights.show(Signal.PASS)
            assert wait_until(lambda: not is_unlocked(pulse))
            pulse.lights.show(between)

    @pytest.mark.parametrize("pulse", [LONG_PULSE_S], indirect=True)
    @pytest.mark.parametrize("shown", [Signal.IDLE, Signal.STOP, Signal.ALARM])
    def test_is_cut_when_pass_ends(self, pulse: LightBox, shown: Signal) -> None:
        pulse.lights.show(Signal.PASS)
        assert is_unlocked(pulse)
        pulse.lights.show(shown)
        assert not is_unlocked(pulse)
        pulse.lights.show(Signal.PASS)
        assert is_unlocked(pulse)

    @pytest.mark.parametrize("pulse", [LONG_PULSE_S], indirect=True)
    def test_is_cut_by_a_fault_and_by_the_end(self, pulse: LightBox) -> None:
        for end in (lambda: pulse.lights.show(Signal.FAULT), lambda: pulse.lights.show_only("red"), pulse.lights.close):
            pulse.lights.show(Signal.PASS)
            end()
            assert "relay" not in pulse.active
        assert not is_running(pulse.lights)

    @pytest.mark.parametrize("pulse", [SHORT_PULSE_S], indirect=True)
    def test_an_old_pulse_does_not_end_a_new_one(self, pulse: LightBox) -> None:
        """PASS, STOP, PASS: the second pulse has its full length. A timer of the first one would end it."""
        pulse.lights.show(Signal.PASS)
        time.sleep(0.6 * SHORT_PULSE_S)
        pulse.lights.show(Signal.STOP)
        begun = time.monotonic()
        pulse.lights.show(Signal.PASS)
        assert wait_until(lambda: not is_unlocked(pulse))
        assert time.monotonic() - begun >= 0.99 * SHORT_PULSE_S

    def test_an_error_at_its_end_is_raised_by_the_next_signal(self, monkeypatch: pytest.MonkeyPatch) -> None:
        box = LightBox(QUICK, relay=msgspec.structs.replace(RELAY, seconds=SHORT_PULSE_S))
        box.lights.show(Signal.PASS)
        failed = threading.Event()
        set_state = type(box.pins["relay"])._set_state

        def fail(pin: object, value: float) -> None:
            if pin is box.pins["relay"]:
                failed.set()
                raise RuntimeError("no such device")
            set_state(pin, value)

        monkeypatch.setattr(type(box.pins["relay"]), "_set_state", fail)
        assert failed.wait(10)
        assert wait_until(lambda: not is_running(box.lights))
        with pytest.raises(RuntimeError, match="no such device"):
            box.lights.show(Signal.PASS)
        monkeypatch.undo()
        box.lights.close()
        assert box.active == set()

    def test_an_error_of_a_pattern_is_raised_by_the_next_signal(self, monkeypatch: pytest.MonkeyPatch) -> None:
        box = LightBox(QUICK)
        set_state = type(box.pins["red"])._set_state

        def fail(pin: object, value: float) -> None:
            if value:
                raise ZeroDivisionError
            set_state(pin, value)

        monkeypatch.setattr(type(box.pins["red"]), "_set_state", fail)
        box.lights.show(Signal.FAULT)
        assert wait_until(lambda: not is_running(box.lights))
        with pytest.raises(ZeroDivisionError):
            box.lights.show(Signal.FAULT)
        monkeypatch.undo()
        box.lights.close()
