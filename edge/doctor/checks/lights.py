"""Check `lights`: whether the pins are free, or held by the running service."""

from __future__ import annotations

from collections.abc import Iterator

from ...errors import LightsError
from ...settings_notes import other_notes
from ..finding import Finding
from ..host import UNIT, Host


def check(host: Host) -> Iterator[Finding]:
    """Yield notes about the settings, and a finding about the pins. Raises LightsError if a pin cannot be used."""
    for note in other_notes(host.settings):
        yield Finding("note", note)
    if host.settings.relay.pins:
        from ...lights.relay import describe

        yield Finding("ok", describe(host.settings.relay))
    if host.service_is_running and not host.simulate:
        finding = _service_pins(host)
        yield finding if finding is not None else _own_pins(host)
    else:
        yield _own_pins(host)


def _pins(host: Host) -> dict[str, int]:
    """Return the pins (BCM numbers), by a name such as "GPIO17 (green)"."""
    pins = host.settings.lights.pins | host.settings.relay.pins
    return {f"GPIO{pin} ({key})": pin for key, pin in pins.items()}


def _service_pins(host: Host) -> Finding | None:
    """Return who holds each pin while the service runs; None if there is no GPIO chip."""
    from ...lights import gpio

    try:
        chip = gpio.header_chip()
    except LightsError as error:
        message = f"the service runs; this user has no access to its pins: {error}"
        return Finding("note", message, "sudo doorlight doctor")
    if not chip:
        return None
    holders = {name: gpio.holder(chip, pin) for name, pin in _pins(host).items()}
    message = f"the service runs; {chip}: " + ", ".join(
        f"{name} held by {holder or 'no process'}" for name, holder in holders.items()
    )
    if all(holders.values()):
        return Finding("ok", message)
    return Finding("note", message, f"sudo systemctl restart {UNIT}")


def _own_pins(host: Host) -> Finding:
    """Open the pins, which switches lights and relay off, and close them."""
    from ...lights import gpio
    from ...lights.lights import Lights

    messages: list[str] = []
    with Lights(host.settings.lights, host.simulate, messages.append, relay=host.settings.relay) as lights:
        if not lights.simulated:
            return Finding("ok", f"{gpio.header_chip()}: {', '.join(_pins(host))} are free")
    if host.simulate:
        return Finding("ok", "simulated, as requested")
    if host.is_pi:
        return Finding("bad", messages[0], "ls -l /dev/gpiochip*; sudo apt full-upgrade")
    return Finding("note", messages[0])
