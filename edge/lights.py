"""The green and the red light and the buzzer: gpiozero on a Raspberry Pi, a line of text elsewhere."""

from __future__ import annotations

import atexit
import contextlib
import glob
import importlib
import os
import tempfile
from collections.abc import Callable
from types import TracebackType
from typing import Any

from .config import LightSettings
from .errors import LightsError
from .records import Signal

GPIO_CHIPS = "/dev/gpiochip*"

LOOKS = {
    Signal.IDLE: "○ green  ○ red",
    Signal.PASS: "● green  ○ red",
    Signal.STOP: "○ green  ● red",
    Signal.ALARM: "○ green  ● red  ♪ buzzer",
    Signal.FAULT: "○ green  ◐ red blinking",
}


class Lights:
    """Two lights and a buzzer that show one `Signal` at a time.

    With `simulate`, or where there is no Raspberry Pi with a GPIO chip, the pins are gpiozero's mock pins, and `say`
    is called with one line for each change. `factory` (a gpiozero pin factory) takes the place of both, for tests.

    Raises LightsError, naming the pin, where a pin or the chip is there but cannot be used.

    However the program ends, the lights go off: `close` does it, leaving the `with` block does it, and the interpreter
    does it on its way out (end of the program, unhandled exception, SIGINT; SIGTERM once the program handles it).
    What no program can handle is SIGKILL or a crash of the interpreter: Raspberry Pi OS leaves the pins of a dead
    process as they were (unless config.txt has dtparam=strict_gpiod), so a light may stay lit until the next start.
    The service therefore has to switch them off in ExecStopPost=, which systemd runs after any death.
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
        from gpiozero import LED, Buzzer
        from gpiozero.pins.mock import MockFactory

        with contextlib.ExitStack() as opened:
            if factory is None:
                reason = "simulated" if simulate else _no_gpio()
                factory = MockFactory() if reason else _lgpio_factory()
                if reason:
                    self._say = say
                    if say and not simulate:
                        say(f"the lights are simulated: {reason}")
            self._simulated = isinstance(factory, MockFactory)
            opened.callback(factory.close)

            def device(kind: Any, key: str, active_low: bool) -> Any:
                pin = getattr(settings, key)
                try:
                    made = kind(pin, active_high=not active_low, pin_factory=factory)
                except Exception as error:  # lgpio.error and gpiozero's own have no common base
                    raise _pin_error(pin, key, error) from error
                opened.callback(made.close)
                # ExitStack goes backwards: off first, so that the pin is let go of at its resting level.
                opened.callback(made.off)
                return made

            self._green = device(LED, "green", settings.active_low)
            self._red = device(LED, "red", settings.active_low)
            self._buzzer = device(Buzzer, "buzzer", settings.buzzer_active_low)
            self._opened = opened.pop_all()
        # Registered after gpiozero's own exit handler, hence called before it.
        atexit.register(self.close)

    @property
    def simulated(self) -> bool:
        """True if no real pin is driven."""
        return self._simulated

    def show(self, signal: Signal) -> None:
        """Show `signal`; showing it again changes nothing, so that a blinking light keeps its rhythm."""
        if signal is self._shown:
            return
        settings = self._settings
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
            self._buzzer.beep(settings.alarm_on_s, settings.alarm_off_s)
        elif signal is Signal.FAULT:
            self._red.blink(settings.fault_on_s, settings.fault_off_s)
        self._shown = signal
        if self._say:
            self._say(LOOKS[signal])

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


def _no_gpio() -> str:
    """Why this machine can have no lights, or "" where it should have some."""
    from gpiozero import PinUnknownPi
    from gpiozero.pins import local

    if not glob.glob(GPIO_CHIPS):
        return f"no GPIO chip here ({GPIO_CHIPS})"
    try:
        local.get_pi_revision()
    except PinUnknownPi:  # many a PC has a gpiochip, too, but none with lights on it
        return "this is not a Raspberry Pi"
    return ""


def _lgpio_factory() -> Any:
    """gpiozero's pins over lgpio, the one library that drives the pins of every Pi.

    Left alone, gpiozero would try RPi.GPIO, pigpio and its own experimental driver after lgpio, with a warning for
    each, and the last one's error would hide the cause.
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
        return LGPIOFactory()
    except Exception as error:
        raise LightsError(
            f"the GPIO chip ({', '.join(sorted(glob.glob(GPIO_CHIPS)))}) cannot be opened: {error}",
            "sudo usermod -aG gpio $USER, then log in again; or use --simulate",
        ) from error


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


def _pin_error(pin: int, key: str, error: Exception) -> LightsError:
    return LightsError(
        f"GPIO{pin} ('lights.{key}') cannot be used: {error}",
        f"see who holds it: gpioinfo | grep -w GPIO{pin}; sudo fuser -v {GPIO_CHIPS}; is another doorlight running?",
    )
