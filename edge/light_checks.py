"""Refuse values of [lights] and [relay] that contradict each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from . import config_messages
from .counted import counted
from .errors import ConfigError
from .system.clock import parse_hours

if TYPE_CHECKING:
    from .config import LightSettings, RelaySettings

MIN_BUZZER_TONE_HZ = 100
#: A relay needs about 10 ms to switch, and a lock longer than that.
MIN_PULSE_S = 0.1


def check(lights: LightSettings, relay: RelaySettings, given: Mapping[str, Mapping[str, Any]], name: str) -> None:
    """Raise ConfigError if values contradict each other.

    `given` are the tables of the file `name`, without the defaults.
    """
    _check_pins(lights, relay, given, name)
    _check_values(lights, name)
    if 0 < relay.seconds < MIN_PULSE_S:
        raise ConfigError(
            f"{name}: 'relay.seconds' is {relay.seconds:g}: too short for a relay",
            f"use 0 to switch it as long as PASS stands; {MIN_PULSE_S:g} to 60 for one pulse",
        )


def _check_pins(lights: LightSettings, relay: RelaySettings, given: Mapping[str, Mapping[str, Any]], name: str) -> None:
    """Raise ConfigError if two of green, red, buzzer and relay have the same pin."""
    pins = {("lights", key): pin for key, pin in lights.pins.items()}
    if isinstance(relay.pin, int):
        pins["relay", "pin"] = relay.pin
    owners: dict[int, tuple[str, str]] = {}

    def is_given(key: tuple[str, str]) -> bool:
        return key[1] in given.get(key[0], {})

    # The message names a key of the file, and after it the default that it meets.
    for key in sorted(pins, key=is_given):
        pin = pins[key]
        if pin in owners:
            other = owners[pin]
            about = [f"'{'.'.join(other)}'"] if other[0] != key[0] else []
            about += [] if is_given(other) else ["the default"]
            where = f" ({', '.join(about)})" if about else ""
            hint = f"choose another pin for {_noun(key)}"
            raise ConfigError(
                f"{name}: '{'.'.join(key)}' is {pin}: {pin} is already {_noun(other)}'s pin{where}",
                hint if is_given(other) else f"{hint}, or one for {_noun(other)}, too",
            )
        owners[pin] = key


def _noun(key: tuple[str, str]) -> str:
    return "the relay" if key[0] == "relay" else key[1]


def _check_values(lights: LightSettings, name: str) -> None:
    if 0 < lights.buzzer_tone_hz < MIN_BUZZER_TONE_HZ:
        raise ConfigError(
            f"{name}: 'lights.buzzer_tone_hz' is {lights.buzzer_tone_hz:g}: too low for a buzzer",
            "use 0 for an active buzzer, which makes its own tone; 100 to 5000 for a passive one",
        )
    for key in ("alarm_pattern_s", "fault_pattern_s"):
        entries = len(getattr(lights, key))
        if entries % 2:
            raise ConfigError(
                f"{name}: 'lights.{key}' has {counted(entries, 'entry', 'entries')}: on and off times come in pairs",
                "add the off time at the end",
            )
    if lights.quiet_hours:
        try:
            parse_hours(lights.quiet_hours)
        except ValueError as error:
            raise ConfigError(
                f"{name}: 'lights.quiet_hours' is {config_messages.shown(lights.quiet_hours)}: {error}",
                'write "22:00-07:00" for 10 pm to 7 am; "" for no quiet hours',
            ) from None
