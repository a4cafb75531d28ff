"""Open gpiozero's pins through lgpio, and find out whether this machine has pins.

lgpio is the only library that drives the pins of every Raspberry Pi. This module works around its side effects on
import and around gpiozero's guesses about chips and libraries. Errors name the pin, its setting and its holder.
"""

from __future__ import annotations

import glob
import importlib
import os
import tempfile
from types import ModuleType
from typing import Any

from ..errors import LightsError
from ..system import gpio_library
from . import gpio


def missing_pins_reason() -> str:
    """Return why this machine has no lights, or "" if it should have them because it is a Raspberry Pi.

    Raises LightsError for a Raspberry Pi without a GPIO chip. The chip's driver may load late, and the service retries.
    """
    from gpiozero import PinUnknownPi
    from gpiozero.pins import local

    chips = glob.glob(gpio.CHIPS)
    try:
        local.get_pi_revision()
    except PinUnknownPi:
        # Many PCs have a GPIO chip too, but no lamps on it.
        return "this is not a Raspberry Pi" if chips else f"no GPIO chip here ({gpio.CHIPS})"
    if not chips:
        raise LightsError(
            f"this is a Raspberry Pi without a GPIO chip ({gpio.CHIPS})",
            "ls -l /dev/gpiochip*; sudo apt full-upgrade; in a container, pass the device in; or use --simulate",
        )
    return ""


def make_lgpio_factory(chip: str | None) -> Any:
    """Return a gpiozero pin factory that uses lgpio on `chip` (a device path; None: gpiozero's choice).

    Without this, gpiozero derives the chip's number from the Pi's model, which is wrong for some kernels on a Pi 5. It
    also tries RPi.GPIO, pigpio and its own experimental driver if lgpio fails, with a warning for each; the last error
    then hides the first.

    Raises LightsError.
    """
    try:
        lgpio = import_lgpio()
        from gpiozero.pins.lgpio import LGPIOFactory, LGPIOPin
    except (ImportError, AttributeError) as error:  # AttributeError: PyPI's lgpio 0.0.0.2 is an empty module
        problem = gpio_library.problem()
        raise LightsError(
            f"the GPIO library lgpio cannot be used: {error if problem is None else problem.message}",
            gpio_library.install_fix() if problem is None else problem.fix,
        ) from error

    class Pin(LGPIOPin):  # type: ignore[misc]
        """A pin that becomes an output at the requested level.

        gpiozero's own is low for a moment: a relay that is on while its pin is low could click at each start.
        """

        def output_with_state(self, state: bool) -> None:
            lgpio.gpio_claim_output(self.factory._handle, self._number, int(state))

    try:
        factory = LGPIOFactory(chip=None if chip is None else gpio.chip_number(chip))
    except Exception as error:
        raise gpio.chip_error(chip or ", ".join(sorted(glob.glob(gpio.CHIPS))), error) from error
    factory.pin_class = Pin
    return factory


def import_lgpio() -> ModuleType:
    """Import lgpio without its side effects, and return it.

    On import, lgpio changes the working directory of the process to $LG_WD if that is set, and makes a pipe `.lgd-nfy0`
    in the working directory, which fails if the directory is not writable. lgpio keeps both ends of the pipe open, so
    its name can be removed at once. This function restores the working directory, so that relative paths keep their
    meaning.
    """
    here = os.open(".", os.O_PATH)  # O_PATH works for a directory without read permission
    before = os.environ.get("LG_WD")
    try:
        # Use memory if possible: a full disk must not keep the lights dark.
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK | os.X_OK) else None
        with tempfile.TemporaryDirectory(prefix="doorlight-", dir=memory) as folder:
            os.environ["LG_WD"] = folder
            try:
                return importlib.import_module("lgpio")
            finally:
                os.fchdir(here)
                if before is None:
                    del os.environ["LG_WD"]
                else:
                    os.environ["LG_WD"] = before
    finally:
        os.close(here)


def pin_error(chip: str | None, pin: int, key: str, error: Exception) -> LightsError:
    """Return the error to raise for a pin (BCM number) of the setting `key` that cannot be used."""
    held_by = gpio.holder(chip, pin) if chip else ""
    return LightsError(
        f"GPIO{pin} ('{key}') cannot be used: {error}" + (f"; it is held by {held_by}" if held_by else ""),
        gpio.busy_hint(chip, pin),
    )
