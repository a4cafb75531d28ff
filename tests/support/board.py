"""Changes of pins that a check of an emulated Raspberry Pi has seen."""

from __future__ import annotations

from checks.board.pins import PinChange, Pins

OFF, UNUSED = Pins(False, False, False, False), Pins(None, None, None, None)
ON = {
    "off": OFF,
    "green": OFF._replace(green=True),
    "red": OFF._replace(red=True),
    "buzzer": OFF._replace(buzzer=True),
    "relay": OFF._replace(relay=True),
    "green+relay": OFF._replace(green=True, relay=True),
    "red+buzzer": OFF._replace(red=True, buzzer=True),
}


def changes(*states: tuple[float, str]) -> list[PinChange]:
    return [PinChange(t, ON[name]) for t, name in states]
