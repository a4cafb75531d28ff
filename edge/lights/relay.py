"""A relay that switches the power of a lock: a door strike, a magnet, or the contact of a turnstile.

When the relay is off, the lock has no power. This is its state in FAULT, before the door has started, after it has died,
and without electricity, because no program is needed for it. `[relay] fail` says what the lock does then:

| | PASS | IDLE, STOP, ALARM | FAULT, no door, no power |
|---|---|---|---|
| `secure` | on: unlocked | off: locked | off: locked |
| `safe` | off: unlocked | on: locked | off: unlocked |

`[relay] when` has one value so far, PASS. Only `lights.Lights` uses this module, and only if there is a relay.
"""

from __future__ import annotations

from ..config import RelaySettings
from ..records import Signal
from .output import Output


class Relay:
    """One pin that follows the signals. The relay is off at first."""

    def __init__(self, settings: RelaySettings, output: Output) -> None:
        """`output` is the pin of the relay."""
        self._settings = settings
        self.output = output

    def show(self, signal: Signal) -> None:
        """Lock or unlock. Call it once for each change of the signal: each call with PASS begins a pulse.

        A pulse ends early at the next call.
        """
        is_on = is_on_at(self._settings, signal)
        if signal is Signal.PASS and self._settings.seconds:
            self.output.pulse(is_on, self._settings.seconds)
        elif is_on:
            self.output.on()
        else:
            self.output.off()

    def state(self, shown: Signal | bool) -> str:
        """Return the text for a signal, or for on or off, when the relay is simulated."""
        return state(self._settings, shown) if isinstance(shown, bool) else state_at(self._settings, shown)


def is_on_at(settings: RelaySettings, signal: Signal) -> bool:
    """Return whether the relay is on at a signal; with a pulse, at its beginning."""
    is_unlocked = signal is Signal.PASS or (signal is Signal.FAULT and settings.fail == "safe")
    return is_unlocked is (settings.fail == "secure")


def state(settings: RelaySettings, is_on: bool) -> str:
    """Return what the relay and the lock do: "relay on (unlocked)"."""
    lock = "unlocked" if is_on is (settings.fail == "secure") else "locked"
    return f"relay {'on' if is_on else 'off'} ({lock})"


def describe(settings: RelaySettings) -> str:
    """Return a sentence that says when the lock is locked and unlocked."""
    rest = "locked" if settings.fail == "secure" else "unlocked"
    seconds = f"for {settings.seconds:g} s at most when PASS begins" if settings.seconds else "as long as PASS stands"
    return f"the relay unlocks {seconds}; {rest} in FAULT, without a running door, and without power"


def state_at(settings: RelaySettings, signal: Signal) -> str:
    """Return what the relay and the lock do at a signal: "relay on (unlocked) for 3 s"."""
    pulse = f" for {settings.seconds:g} s" if signal is Signal.PASS and settings.seconds else ""
    return state(settings, is_on_at(settings, signal)) + pulse
