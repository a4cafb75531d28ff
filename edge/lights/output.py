"""One GPIO pin that is off, on, or plays a pattern or a pulse; or none.

`Output` uses gpiozero's plain OutputDevice, not PWMLED or TonalBuzzer, because those are not reliably off after
`off()`: lgpio changes a running wave only at the end of its cycle, and a stopped wave leaves the pin at the level of
that moment, which is high every other time. A blinking PWMLED also forgets its brightness.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from typing import Any


class Output:
    """One pin, off at first.

    With `hz`, "on" is a square wave of that frequency that is active for `duty` (0..1) of each cycle: a dimmed lamp, or
    the tone of a passive buzzer. `factory` is a gpiozero pin factory; `pin` is a BCM number.
    """

    def __init__(self, factory: Any, pin: int, active_low: bool, hz: float, duty: float) -> None:
        from gpiozero import OutputDevice

        self._device = OutputDevice(pin, active_high=not active_low, pin_factory=factory)
        self._hz = hz
        self._high_share = 1 - duty if active_low else duty
        self._stop = threading.Event()
        self._player: threading.Thread | None = None
        self._failure: Exception | None = None

    def on(self) -> None:
        """Switch the pin on."""
        self._stop_pattern()
        self._write(True)

    def off(self) -> None:
        """Switch the pin off."""
        self._stop_pattern()
        self._write(False)

    def play(self, pattern_s: Sequence[float]) -> None:
        """Repeat a pattern of durations in seconds (on, off, on, off, …) until the next call of on, off or play."""
        self._stop_pattern()

        def repeat() -> None:
            for on, duration_s in itertools.cycle(zip(itertools.cycle((True, False)), pattern_s, strict=False)):
                self._write(on)
                if self._stop.wait(duration_s):
                    return

        self._start(repeat)

    def pulse(self, on: bool, seconds: float) -> None:
        """Switch the pin on or off, and back after a time, unless on, off, play or pulse is called before."""
        self._stop_pattern()
        self._write(on)

        def end() -> None:
            if not self._stop.wait(seconds):
                self._write(not on)

        self._start(end)

    def raise_failure(self) -> None:
        """Raise the error that has ended a pattern or a pulse, if any: the pin may have any level since then."""
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """Switch the pin off and release it. Off comes first, so that the pin is released at its resting level.

        Can be called more than once.
        """
        if not self._device.closed:
            self.off()
            self._device.close()

    def _start(self, work: Callable[[], None]) -> None:
        """Run `work` in a thread until its end, or until `_stop_pattern`."""

        def run() -> None:
            try:
                work()
            except Exception as error:  # lgpio's errors have no common base
                self._failure = error

        self._player = threading.Thread(target=run, daemon=True)
        self._player.start()

    def _stop_pattern(self) -> None:
        if self._player is not None:
            self._stop.set()
            self._player.join()
            self._player = None
            self._stop.clear()

    def _write(self, on: bool) -> None:
        pin = self._device.pin
        if on and self._hz:
            pin.frequency = self._hz
            pin.state = self._high_share
        else:
            if pin.frequency is not None:
                pin.frequency = None  # stops the wave at an arbitrary level; the next line sets the right one
            self._device.value = on


class NoOutput:
    """A lamp or buzzer that the door does not have: does what `Output` does, to nothing."""

    def on(self) -> None: ...

    def off(self) -> None: ...

    def play(self, pattern_s: Sequence[float]) -> None: ...

    def raise_failure(self) -> None: ...
