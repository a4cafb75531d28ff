"""A relay that switches the power of a lock: a door strike, a magnet, or the contact of a turnstile.

When the relay is off, the lock has no power. This is its state in FAULT, before the door has started, after it has died,
and without electricity, because no program is needed for it. `[relay] fail` says what the lock does then:

| | PASS | IDLE, STOP, ALARM | FAULT, no door, no power |
|---|---|---|---|
| `secure` | on: unlocked | off: locked | off: locked |
| `safe` | off: unlocked | on: locked | off: unlocked |

With `[relay] when = "PASS and known"`, PASS unlocks only while the people in view are known, see edge/people. Only
`lights.Lights` uses this module, and only if there is a relay.
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

    def unlocks(self, signal: Signal, known: bool) -> bool:
        """Return whether PASS unlocks now. `known`: everyone in view is known."""
        return signal is Signal.PASS and (known or self._settings.when == "PASS")

    def show(self, signal: Signal, known: bool = False) -> None:
        """Lock or unlock. Call it once for each change of the signal or of `unlocks`: each call that unlocks begins a pulse.

        A pulse ends early at the next call.
        """
        is_on = is_on_at(self._settings, signal, known)
        if self.unlocks(signal, known) and self._settings.seconds:
            self.output.pulse(is_on, self._settings.seconds)
        elif is_on:
            self.output.on()
        else:
            self.output.off()

    def state(self, shown: Signal | bool, known: bool = False) -> str:
        """Return the text for a signal, or for on or off, when the relay is simulated."""
        return state(self._settings, shown) if isinstance(shown, bool) else state_at(self._settings, shown, known)


def is_on_at(settings: RelaySettings, signal: Signal, known: bool = False) -> bool:
    """Return whether the relay is on at a signal; with a pulse, at its beginning. `known`: everyone in view is known."""
    is_passing = signal is Signal.PASS and (known or settings.when == "PASS")
    is_unlocked = is_passing or (signal is Signal.FAULT and settings.fail == "safe")
    return is_unlocked is (settings.fail == "secure")


def state(settings: RelaySettings, is_on: bool) -> str:
    """Return what the relay and the lock do: "relay on (unlocked)"."""
    lock = "unlocked" if is_on is (settings.fail == "secure") else "locked"
    return f"relay {'on' if is_on else 'off'} ({lock})"


def describe(settings: RelaySettings) -> str:
    """Return a sentence that says when the lock is locked and unlocked."""
    rest = "locked" if settings.fail == "secure" else "unlocked"
    known = " and everyone in view is known" if settings.when != "PASS" else ""
    begins = f"for {settings.seconds:g} s at most when PASS begins{known}"
    seconds = begins if settings.seconds else f"as long as PASS stands{known}"
    return f"the relay unlocks {seconds}; {rest} in FAULT, without a running door, and without power"


def state_at(settings: RelaySettings, signal: Signal, known: bool = False) -> str:
    """Return what the relay and the lock do at a signal: "relay on (unlocked) for 3 s"."""
    is_passing = signal is Signal.PASS and (known or settings.when == "PASS")
    pulse = f" for {settings.seconds:g} s" if is_passing and settings.seconds else ""
    return state(settings, is_on_at(settings, signal, known)) + pulse
