"""Lights on gpiozero's mock pins, with a record of every change."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ClassVar

import msgspec
from gpiozero.pins.mock import MockFactory, MockPin, MockPWMPin

from edge import config
from edge.config import LightSettings, RelaySettings
from edge.lights.lights import Lights
from edge.lights.output import Output

DEFAULT = config.load().lights
#: Settings with a relay.
RELAY = config.replaced(config.load(), "relay", pin=23).relay
#: Settings with patterns that change every 10 ms.
QUICK = msgspec.structs.replace(DEFAULT, alarm_pattern_s=(0.01, 0.01), fault_pattern_s=(0.01, 0.01))
#: Pulses of a relay. The short one is shorter than the settings allow.
LONG_PULSE_S, SHORT_PULSE_S = 60.0, 0.03


class RecordingPin(MockPin):
    """A mock pin that records its changes while it is an output, in one list for all pins."""

    changes: ClassVar[list[tuple[int, bool]]] = []

    def _change_state(self, value: bool) -> bool:
        changed: bool = super()._change_state(value)
        if changed and self.function == "output":
            self.changes.append((self._number, value))
        return changed


class WavePin(RecordingPin, MockPWMPin):
    """A pin that makes waves as lgpio does, unlike gpiozero's mock pins.

    The state of a running wave counts as "on". A new duty cycle takes effect at the end of a cycle, which in this model
    never comes. A wave that is stopped leaves the pin high.
    """

    _frequency: float | None

    def _set_state(self, value: float) -> None:
        if self._frequency is None:
            self._change_state(bool(value))

    def _set_frequency(self, value: float | None) -> None:
        assert value is None or self._function == "output"
        if value is None and self._frequency is not None:
            self._change_state(True)
        elif value is not None:
            assert 0.1 <= value <= 10_000, "lgpio supports no other frequencies"
            self._change_state(not self._resting_state)
        self._frequency = value

    def output_with_state(self, state: bool) -> None:
        super().output_with_state(state)
        self._resting_state = bool(state)


class LightBox:
    """`lights` on recording pins, and which of them are on; with `relay`, a door with a relay."""

    def __init__(
        self,
        settings: LightSettings = DEFAULT,
        pin_class: type[MockPin] = RecordingPin,
        relay: RelaySettings | None = None,
    ) -> None:
        self.settings = settings
        self.relay = relay
        self.factory = MockFactory(pin_class=pin_class)
        self._numbers = settings.pins | (relay.pins if relay is not None else {})
        self.pins = {key: self.factory.pin(number) for key, number in self._numbers.items()}
        self.lights = Lights(settings, factory=self.factory, relay=relay)
        RecordingPin.changes.clear()

    @property
    def active(self) -> set[str]:
        """The outputs that are on now."""
        return {key for key, pin in self.pins.items() if pin.state != self._resting_level(key)}

    def changes(self) -> list[tuple[str, bool]]:
        """Return each change since the lights were opened: the output, and whether it was switched on."""
        keys = {number: key for key, number in self._numbers.items()}
        return [(keys[pin], level != self._resting_level(keys[pin])) for pin, level in RecordingPin.changes]

    def _resting_level(self, key: str) -> bool:
        if key == "relay":
            assert self.relay is not None
            return self.relay.active_low
        return self.settings.buzzer_active_low if key == "buzzer" else self.settings.active_low


def wait_until(condition: Callable[[], bool], timeout_s: float = 60.0) -> bool:
    """Wait until a condition is true; return False after the timeout, which is generous because the machine may be busy."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.002)
    return True


def is_running(lights: Lights) -> bool:
    """Return whether a thread of a pattern or a pulse runs."""
    players = [output._player for output in lights._outputs() if isinstance(output, Output)]
    return any(player is not None and player.is_alive() for player in players)


def is_unlocked(box: LightBox) -> bool:
    """Return what the lock does, as its electrician sees it."""
    assert box.relay is not None
    has_power = "relay" in box.active
    return has_power if box.relay.fail == "secure" else not has_power
