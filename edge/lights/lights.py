"""Show one signal at a time on a green lamp, a red lamp and a buzzer, and switch a relay with it.

`Lights` uses gpiozero: real pins on a Raspberry Pi, mock pins and one line of text for each change elsewhere. Add a
signal's text to `appearance` and its pins to `Lights.show`. What is not there is left out.
"""

from __future__ import annotations

import atexit
import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

from ..config import LightSettings, RelaySettings
from ..records import Signal
from ..system import clock
from . import gpio
from .output import NoOutput, Output
from .pin_factory import make_lgpio_factory, missing_pins_reason, pin_error

if TYPE_CHECKING:  # Imported only if there is a relay.
    from .relay import Relay

RED_APPEARANCE: dict[Signal | str, str] = {
    Signal.STOP: "● red",
    Signal.ALARM: "● red",
    Signal.FAULT: "◐ red blinking",
    "lamps": "● red",
}
#: What each output alone looks like, as an argument of `appearance`.
SINGLE: dict[str, Signal | str] = {
    "green": Signal.PASS, "red": Signal.STOP, "buzzer": "buzzer", "relay": Signal.IDLE,
}  # fmt: skip

#: Frequency of a dimmed lamp: too fast to be seen, slow enough for a small Pi.
DIM_HZ = 100


class Lights:
    """Two lamps and a buzzer that show one `Signal` at a time, and a relay that follows it.

    With `simulate`, or if this machine is not a Raspberry Pi, the pins are gpiozero's mock pins and `report` is called
    with one line of text for each change. `factory`, a gpiozero pin factory, replaces both; tests use it. Without `relay`
    its pin is not touched: `bench`, for example, shows drawn people, who must not open a door.

    Raises LightsError, which names the pin and its holder, if a pin or the chip cannot be used.

    The lights go off in `close`, at the end of a `with` block, and at the interpreter's exit: end of the program,
    unhandled exception, SIGINT, and SIGTERM if the program handles it. Nothing in a process can handle SIGKILL or a
    crash of the interpreter. Raspberry Pi OS then leaves the pins as they were (unless config.txt has
    dtparam=strict_gpiod), so a lamp may stay lit until the next start. The door therefore uses `pin_process`, and its
    service runs `doorlight lights --off` in ExecStopPost=, which systemd does after any exit.
    """

    def __init__(
        self,
        settings: LightSettings,
        simulate: bool = False,
        report: Callable[[str], None] | None = None,
        *,
        relay: RelaySettings | None = None,
        factory: Any = None,
    ) -> None:
        self._settings = settings
        self._relay: Relay | None = None
        self._report: Callable[[str], None] | None = None
        self._reported = ""
        self._shown: Signal | None = None
        self._is_unlocked = False
        self._is_silent = False
        # Imported here because commands without lights (`doorlight events`) do not need gpiozero.
        from gpiozero.pins.mock import MockFactory

        chip = None
        if factory is None:
            factory, chip = self._make_factory(simulate, report)
        self._simulated = isinstance(factory, MockFactory)
        self._opened = self._open_pins(factory, chip, relay)
        # Exit handlers run in reverse order, so this one runs before gpiozero's own.
        atexit.register(self.close)

    def _open_pins(self, factory: Any, chip: str | None, relay: RelaySettings | None) -> contextlib.ExitStack:
        """Open all outputs, and return what closes them, and then the factory. Raises LightsError if one cannot be opened."""
        settings = self._settings
        dim = (DIM_HZ, settings.brightness) if settings.brightness < 1 else (0, 1)
        tone = (settings.buzzer_tone_hz, 0.5) if settings.buzzer_tone_hz else (0, 1)
        with contextlib.ExitStack() as opened:
            opened.callback(factory.close)

            def open_pin(pin: int, key: str, active_low: bool, hz: float = 0, duty: float = 1) -> Output:
                try:
                    output = Output(factory, pin, active_low, hz, duty)
                except Exception as error:  # lgpio.error and gpiozero's errors have no common base
                    raise pin_error(chip, pin, key, error) from error
                opened.callback(output.close)
                return output

            def open_light(key: str, active_low: bool, hz: float, duty: float) -> Output | NoOutput:
                pin = settings.pins.get(key)
                return NoOutput() if pin is None else open_pin(pin, f"lights.{key}", active_low, hz, duty)

            self._green = open_light("green", settings.active_low, *dim)
            self._red = open_light("red", settings.active_low, *dim)
            self._buzzer = open_light("buzzer", settings.buzzer_active_low, *tone)
            if relay is not None and isinstance(relay.pin, int):
                from .relay import Relay

                # The last one that is opened is the first one that is closed: the lamps are lit while the relay switches.
                self._relay = Relay(relay, open_pin(relay.pin, "relay.pin", relay.active_low))
            return opened.pop_all()

    def _make_factory(self, simulate: bool, report: Callable[[str], None] | None) -> tuple[Any, str | None]:
        """Return a pin factory and the path of its chip. Mock pins have no chip and report their changes."""
        from gpiozero.pins.mock import MockFactory, MockPWMPin

        if not simulate:
            reason = missing_pins_reason()
            if not reason:
                chip = gpio.header_chip()
                return make_lgpio_factory(chip), chip
            if report:
                report(f"the lights are simulated: {reason}")
        self._report = report
        return MockFactory(pin_class=MockPWMPin), None

    @property
    def simulated(self) -> bool:
        """True if no real pin is driven."""
        return self._simulated

    def show(self, signal: Signal, known: bool = False, *, is_silent: bool = False) -> None:
        """Show `signal`. Showing the same signal again changes nothing, so a blinking lamp keeps its rhythm.

        `known`: everyone in view is known. Only a relay with when = "PASS and known" uses it. With `is_silent`, the buzzer
        does not sound: it may change during an alarm. Quiet hours are checked once, when an alarm begins. Raises the error
        that has ended a pattern or a pulse, if any.
        """
        for output in self._outputs():
            output.raise_failure()
        # Only an alarm may be shown again: PASS would begin another pulse of the relay.
        is_silent = is_silent and signal is Signal.ALARM
        unlocks = self._relay is not None and self._relay.unlocks(signal, known)
        if signal is self._shown and is_silent is self._is_silent:
            if self._relay is not None and unlocks is not self._is_unlocked:
                self._relay.show(signal, known)
                self._is_unlocked = unlocks
                self._print(appearance(self._settings, signal), signal, known=known)
            return
        self._is_unlocked = unlocks
        is_quiet = signal is Signal.ALARM and is_quiet_now(self._settings)
        # The relay locks before green goes off, and unlocks when green is lit.
        if self._relay is not None and not unlocks:
            self._relay.show(signal, known)
        # Switch off before on, so that green and red are never lit together.
        if signal is not Signal.ALARM:
            self._buzzer.off()
        if signal is not Signal.PASS:
            self._green.off()
        if signal in (Signal.IDLE, Signal.PASS):
            self._red.off()
        if signal is Signal.PASS:
            self._green.on()
        elif signal is Signal.STOP:
            self._red.on()
        elif signal is Signal.ALARM:
            self._red.on()
            if is_quiet or is_silent:
                self._buzzer.off()
            else:
                self._buzzer.play(self._settings.alarm_pattern_s)
        elif signal is Signal.FAULT:
            self._red.play(self._settings.fault_pattern_s)
        if self._relay is not None and unlocks:
            self._relay.show(signal, known)
        self._shown, self._is_silent = signal, is_silent
        if self._report:
            silence = "on request" if is_silent else "quiet hours" if is_quiet else ""
            self._print(appearance(self._settings, signal, silence), signal, known=known)

    def test_lamps(self) -> None:
        """Light red and green together, which no signal does, until the next signal. Buzzer and relay stay as they are.

        Does nothing unless IDLE is shown: a test must not replace a signal. Raises as `show`.
        """
        for output in self._outputs():
            output.raise_failure()
        if self._shown is not Signal.IDLE:
            return
        self._red.on()  # before green, which is never lit alone here
        self._green.on()
        self._shown = None
        if self._report:
            self._report(appearance(self._settings, "lamps"))

    def show_only(self, key: str) -> None:
        """Switch on "green", "red", "buzzer" or "relay", steadily and also in quiet hours, and everything else off."""
        for output in self._outputs():
            output.off()
        lights = {"green": self._green, "red": self._red, "buzzer": self._buzzer}
        if self._relay is not None and key == "relay":
            self._relay.output.on()
        else:
            lights[key].on()
        self._shown, self._is_unlocked = None, False
        if self._report:
            self._print(appearance(self._settings, SINGLE[key]), key == "relay")

    def release_relay(self) -> None:
        """Switch the relay off and release its pin: the signals that follow do not switch it."""
        if self._relay is not None:
            self._relay.output.close()
            self._relay = None

    def close(self) -> None:
        """Switch everything off and release the pins. Can be called more than once."""
        self._opened.close()
        if self._report and self._shown is not None:
            self._print(appearance(self._settings, Signal.IDLE), False, repeat=False)
        atexit.unregister(self.close)

    def _outputs(self) -> tuple[Output | NoOutput, ...]:
        """Return all outputs, the relay first."""
        lights = (self._buzzer, self._green, self._red)
        return lights if self._relay is None else (self._relay.output, *lights)

    def _print(self, lamps: str, relay: Signal | bool, repeat: bool = True, known: bool = False) -> None:
        """Report the text of the lamps, and of the relay at a signal, or on or off. `known` is as for `show`.

        Without `repeat`, do not report what was reported last.
        """
        if self._relay is not None:
            lamps += "  " + self._relay.state(relay, known)
        if self._report and (repeat or lamps != self._reported):
            self._report(lamps)
        self._reported = lamps

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def appearance(settings: LightSettings, shown: Signal | str, silence: str = "") -> str:
    """Return the text for a signal, for "buzzer" alone, or for "lamps" together, when the lights are simulated.

    `silence` is why the buzzer is silent during an alarm; "" if it sounds.
    """
    has_green, has_buzzer = "green" in settings.pins, "buzzer" in settings.pins
    lamps = ["● green" if shown in (Signal.PASS, "lamps") else "○ green"] if has_green else []
    lamps.append(RED_APPEARANCE.get(shown, "○ red"))
    if shown is Signal.PASS and not has_green:
        lamps.append("(no green lamp)")
    if shown in (Signal.ALARM, "buzzer"):
        sound = "♪ buzzer" if has_buzzer else "(no buzzer)"
        lamps.append(f"(buzzer silent: {silence})" if silence and has_buzzer else sound)
    return "  ".join(lamps)


def is_quiet_now(settings: LightSettings) -> bool:
    """Return whether the buzzer must be silent at this hour."""
    if not settings.quiet_hours or not clock.within(clock.parse_hours(settings.quiet_hours), clock.minute_of_day()):
        return False
    # With a wrong clock the buzzer sounds: an alarm at night is a nuisance, a missing alarm is useless.
    return clock.is_set()
