"""Decode the pins from the registers of the Raspberry Pi's GPIO block, and compare their changes with what was expected.

The registers are those of BCM2835 to BCM2711 ("BCM2835 ARM Peripherals", chapter 6): six function-select registers with
three bits a pin, ten pins a register, and two level registers with one bit a pin. QEMU emulates them, so what is read here
is what a lamp at the pin would show, whatever the guest's programs believe.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

#: Offsets in the GPIO block, in bytes, and what three bits of GPFSEL say for an output.
GPFSEL0, GPLEV0, OUTPUT = 0x00, 0x34, 0b001
SELECT_WORDS = 6
#: Doorlight's default pins, and the pin of the relay in this check (BCM numbers).
GREEN, RED, BUZZER, RELAY = 17, 27, 24, 23


class Pins(NamedTuple):
    """The levels of the door's pins: True is high, None is a pin that is no output."""

    green: bool | None
    red: bool | None
    buzzer: bool | None
    relay: bool | None

    @property
    def is_dark(self) -> bool:
        """Whether no lamp is lit, no buzzer sounds, and the relay is off."""
        return not any(self)

    def __str__(self) -> str:
        on = [name for name, level in self._asdict().items() if level]
        return "+".join(on) or ("off" if any(level is not None for level in self[:3]) else "no outputs")


class PinChange(NamedTuple):
    """The pins from the time `t` on, in seconds since power-on of the host's clock."""

    t: float
    pins: Pins


def decode(select: Sequence[int], levels: int) -> Pins:
    """Return the pins from the six words of GPFSEL and the first word of GPLEV."""

    def level(pin: int) -> bool | None:
        is_output = select[pin // 10] >> pin % 10 * 3 & 0b111 == OUTPUT
        return bool(levels >> pin & 1) if is_output else None

    return Pins(level(GREEN), level(RED), level(BUZZER), level(RELAY))


def at(changes: Sequence[PinChange], t: float) -> Pins | None:
    """Return the pins at a time; None before the first look."""
    return next((change.pins for change in reversed(changes) if change.t <= t), None)


def between(changes: Sequence[PinChange], begin: float, end: float) -> list[PinChange]:
    """Return the changes in a span of time, and before them the state at its beginning, with the time `begin`."""
    first = at(changes, begin)
    within = [change for change in changes if begin < change.t <= end]
    return within if first is None else [PinChange(begin, first), *within]


def first_dark(changes: Sequence[PinChange], since: float) -> float | None:
    """Return how many seconds after `since` the pins are dark and stay so; None if they do not."""
    rest = between(changes, since, float("inf"))
    if not rest or not rest[-1].pins.is_dark:
        return None
    dark_at = rest[-1].t
    for change in reversed(rest):
        if not change.pins.is_dark:
            break
        dark_at = change.t
    return dark_at - since


def in_order(states: Sequence[str], expected: Sequence[str]) -> bool:
    """Return whether `expected` is found in `states` in this order; others may lie between."""
    remaining = iter(states)
    return all(state in remaining for state in expected)
