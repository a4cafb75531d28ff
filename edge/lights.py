"""The green and the red light and the buzzer: gpiozero on a Raspberry Pi, a line of text elsewhere."""

from __future__ import annotations

import atexit
import contextlib
import glob
import importlib
import itertools
import os
import tempfile
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

from . import clock, gpio
from .config import LightSettings
from .errors import LightsError
from .records import Signal

LOOKS = {
    Signal.IDLE: "○ green  ○ red",
    Signal.PASS: "● green  ○ red",
    Signal.STOP: "○ green  ● red",
    Signal.ALARM: "○ green  ● red  ♪ buzzer",
    Signal.FAULT: "○ green  ◐ red blinking",
}
ALONE = {"green": LOOKS[Signal.PASS], "red": LOOKS[Signal.STOP], "buzzer": "○ green  ○ red  ♪ buzzer"}
QUIET = "○ green  ● red  (buzzer silent: quiet hours)"

#: A dimmed lamp is switched so often a second: too quick to be seen, slow enough for a small Pi.
DIM_HZ = 100


class Lights:
    """Two lights and a buzzer that show one `Signal` at a time.

    With `simulate`, or where this is no Raspberry Pi, the pins are gpiozero's mock pins, and `say` is called with one line
    for each change. `factory` (a gpiozero pin factory) takes the place of both, for tests.

    Raises LightsError, naming the pin and who holds it, where a pin or the chip cannot be used.

    However the program ends, the lights go off: `close` does it, leaving the `with` block does it, and the interpreter
    does it on its way out (end of the program, unhandled exception, SIGINT; SIGTERM once the program handles it).
    What no program can handle is SIGKILL or a crash of the interpreter: Raspberry Pi OS leaves the pins of a dead
    process as they were (unless config.txt has dtparam=strict_gpiod), so a light may stay lit until the next start.
    The door therefore has them in a process of their own (`keeper`), and its service has `doorlight lights --off` in
    ExecStopPost=, which systemd runs after any death.
    """

    def __init__(
        self,
        settings: LightSettings,
        simulate: bool = False,
        say: Callable[[str], None] | None = None,
        *,
        factory: Any = None,
    ) -> None:
        self._settings = settings
        self._say: Callable[[str], None] | None = None
        self._shown: Signal | None = None
        # Not at the top: what needs no lights (`doorlight events`) need not spend the time.
        from gpiozero.pins.mock import MockFactory, MockPWMPin

        chip = None
        with contextlib.ExitStack() as opened:
            if factory is None:
                reason = "simulated" if simulate else why_none()
                if reason:
                    factory = MockFactory(pin_class=MockPWMPin)
                    self._say = say
                    if say and not simulate:
                        say(f"the lights are simulated: {reason}")
                else:
                    chip = gpio.header_chip()
                    factory = _lgpio_factory(chip)
            self._simulated = isinstance(factory, MockFactory)
            opened.callback(factory.close)

            def output(key: str, active_low: bool, hz: float = 0, duty: float = 1) -> _Output:
                pin = getattr(settings, key)
                try:
                    made = _Output(factory, pin, active_low, hz, duty)
                except Exception as error:  # lgpio.error and gpiozero's own have no common base
                    raise _pin_error(chip, pin, key, error) from error
                opened.callback(made.close)
                return made

            dim = (DIM_HZ, settings.brightness) if settings.brightness < 1 else ()
            tone = (settings.buzzer_tone_hz, 0.5) if settings.buzzer_tone_hz else ()
            self._green = output("green", settings.active_low, *dim)
            self._red = output("red", settings.active_low, *dim)
            self._buzzer = output("buzzer", settings.buzzer_active_low, *tone)
            self._opened = opened.pop_all()
        # Registered after gpiozero's own exit handler, hence called before it.
        atexit.register(self.close)

    @property
    def simulated(self) -> bool:
        """True if no real pin is driven."""
        return self._simulated

    def show(self, signal: Signal) -> None:
        """Show `signal`; showing it again changes nothing, so that a blinking light keeps its rhythm.

        Whether the buzzer is silent, as in quiet hours, is settled when an alarm begins.
        """
        if signal is self._shown:
            return
        look = LOOKS[signal]
        # Off comes before on: at no moment are green and red lit together.
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
            if quiet_now(self._settings):
                self._buzzer.off()
                look = QUIET
            else:
                self._buzzer.play(self._settings.alarm_s)
        elif signal is Signal.FAULT:
            self._red.play(self._settings.fault_s)
        self._shown = signal
        if self._say:
            self._say(look)

    def alone(self, key: str) -> None:
        """Only "green", "red" or "buzzer", on all the time and at any hour, to try out the wiring."""
        for output in (self._buzzer, self._green, self._red):
            output.off()
        {"green": self._green, "red": self._red, "buzzer": self._buzzer}[key].on()
        self._shown = None
        if self._say:
            self._say(ALONE[key])

    def close(self) -> None:
        """Everything off, pins let go; may be called again and again."""
        self._opened.close()
        if self._say and self._shown not in (None, Signal.IDLE):
            self._shown = Signal.IDLE
            self._say(LOOKS[Signal.IDLE])
        atexit.unregister(self.close)

    def __enter__(self) -> Lights:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def quiet_now(settings: LightSettings) -> bool:
    """Whether the buzzer has to be silent at this hour."""
    if not settings.quiet or not clock.within(clock.parse_hours(settings.quiet), clock.minute_of_day()):
        return False
    # An alarm at the wrong hour is a nuisance, a silent one is none at all.
    return clock.is_set()


class _Output:
    """One pin: off, on, or taking turns. With `hz`, "on" is a square wave that is on for `duty` (0..1) of the time:
    a dimmed lamp, or the tone of a passive buzzer.

    Not gpiozero's PWMLED and TonalBuzzer, which are not off when told to be: lgpio changes a running wave at the end of
    its cycle only, and a stopped one leaves the pin at the level that it happened to have, every other time high.
    (Besides, a blinking PWMLED forgets how bright it was.)
    """

    def __init__(self, factory: Any, pin: int, active_low: bool, hz: float, duty: float) -> None:
        from gpiozero import OutputDevice

        self._device = OutputDevice(pin, active_high=not active_low, pin_factory=factory)
        self._hz = hz
        self._high = 1 - duty if active_low else duty  # for this share of the time
        self._stop = threading.Event()
        self._player: threading.Thread | None = None

    def on(self) -> None:
        self._stop_playing()
        self._write(True)

    def off(self) -> None:
        self._stop_playing()
        self._write(False)

    def play(self, pattern_s: Sequence[float]) -> None:
        """On, off, on, off, for so many seconds each, again and again until told something else."""
        self._stop_playing()

        def turns() -> None:
            for on, seconds in itertools.cycle(zip(itertools.cycle((True, False)), pattern_s, strict=False)):
                self._write(on)
                if self._stop.wait(seconds):
                    return

        self._player = threading.Thread(target=turns, daemon=True)
        self._player.start()

    def close(self) -> None:
        """Off first, so that the pin is let go of at its resting level."""
        self.off()
        self._device.close()

    def _stop_playing(self) -> None:
        if self._player is not None:
            self._stop.set()
            self._player.join()
            self._player = None
            self._stop.clear()

    def _write(self, on: bool) -> None:
        pin = self._device.pin
        if on and self._hz:
            pin.frequency = self._hz
            pin.state = self._high
        else:
            if pin.frequency is not None:
                pin.frequency = None  # stops the wave, at whatever level
            self._device.value = on


def why_none() -> str:
    """Why this machine need not have lights, or "" where it should have some: it is a Raspberry Pi.

    Raises LightsError for a Raspberry Pi without a GPIO chip. Its driver may be late: the service tries again.
    """
    from gpiozero import PinUnknownPi
    from gpiozero.pins import local

    chips = glob.glob(gpio.CHIPS)
    try:
        local.get_pi_revision()
    except PinUnknownPi:
        # Many a PC has a gpiochip, too, but none with lights on it.
        return "this is not a Raspberry Pi" if chips else f"no GPIO chip here ({gpio.CHIPS})"
    if not chips:
        raise LightsError(
            f"this is a Raspberry Pi without a GPIO chip ({gpio.CHIPS})",
            "ls -l /dev/gpiochip*; sudo apt full-upgrade; in a container, hand the chip in; or use --simulate",
        )
    return ""


def _lgpio_factory(chip: str | None) -> Any:
    """gpiozero's pins over lgpio, the one library that drives the pins of every Pi.

    Left alone, gpiozero would guess the number of the chip from the model of the Pi, which on a Pi 5 is wrong for some
    kernels; and after lgpio it would try RPi.GPIO, pigpio and its own experimental driver, with a warning for each,
    and the last one's error would hide the cause.
    """
    try:
        _import_lgpio()
        from gpiozero.pins.lgpio import LGPIOFactory
    except (ImportError, AttributeError) as error:  # AttributeError: PyPI's lgpio 0.0.0.2 is an empty module
        raise LightsError(
            f"the GPIO library lgpio cannot be used: {error}",
            "sudo apt install python3-lgpio, and make the venv with --system-site-packages",
        ) from error
    try:
        return LGPIOFactory(chip=None if chip is None else gpio.chip_number(chip))
    except Exception as error:
        raise gpio.not_opened(chip or ", ".join(sorted(glob.glob(gpio.CHIPS))), error) from error


def _import_lgpio() -> None:
    """Import lgpio without its side effects.

    While being imported, lgpio moves the whole process to the folder in $LG_WD (else stays where it is) and makes a
    pipe `.lgd-nfy0` there, which fails in a folder that cannot be written. Both ends stay open, so that the pipe's
    name can go at once, and the process goes back to where it was: relative paths keep their meaning.
    """
    here = os.open(".", os.O_PATH)  # a folder that may not even be readable
    before = os.environ.get("LG_WD")
    try:
        # In memory where possible: a full disk must not keep the lights dark.
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK | os.X_OK) else None
        with tempfile.TemporaryDirectory(prefix="doorlight-", dir=memory) as folder:
            os.environ["LG_WD"] = folder
            try:
                importlib.import_module("lgpio")
            finally:
                os.fchdir(here)
                if before is None:
                    del os.environ["LG_WD"]
                else:
                    os.environ["LG_WD"] = before
    finally:
        os.close(here)


def _pin_error(chip: str | None, pin: int, key: str, error: Exception) -> LightsError:
    who = gpio.holder(chip, pin) if chip else ""
    return LightsError(
        f"GPIO{pin} ('lights.{key}') cannot be used: {error}" + (f"; it is held by {who}" if who else ""),
        gpio.busy_hint(chip, pin),
    )
