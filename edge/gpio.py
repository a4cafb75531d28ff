"""The 40-pin header asked of the kernel itself: which chip it is, who holds a pin, and pins off at once.

Through the GPIO character device's ioctls (linux/gpio.h, ABI 2, Linux 5.10 and later) and the standard library alone: it
answers at once, and where gpiozero or lgpio are missing or broken. What lights up goes through gpiozero, in `lights`.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import os
import re
import struct
from collections.abc import Mapping
from typing import NamedTuple

from .errors import LightsError
from .holders import holders

CHIPS = "/dev/gpiochip*"

#: The header's chip on a Pi 5 (and CM5, Pi 500), on a Pi 4, and before. By name, as its number is another on almost
#: every kernel: on a Pi 5 it was gpiochip4, then gpiochip0, and has been above 10.
HEADERS = frozenset({"pinctrl-rp1", "pinctrl-bcm2711", "pinctrl-bcm2835"})

#: From the Broadcom (BCM) number, the kernel's line number, to the pin of the header as one counts them.
PIN = dict(
    zip(
        range(28),
        (27, 28, 3, 5, 7, 29, 31, 26, 24, 21, 19, 23, 32, 33, 8, 10, 36, 11, 12, 35, 38, 40, 15, 16, 18, 22, 37, 13),
        strict=True,
    )
)

# linux/gpio.h: the number of each call holds the size of what it takes.
GET_CHIPINFO, CHIPINFO = 0x8044B401, struct.Struct("=32s 32s I")  # name, label, lines
GET_LINEINFO, LINEINFO = 0xC100B405, struct.Struct("=32s 32s I 4x Q 176x")  # name, consumer, offset, flags
GET_LINE = 0xC250B407
#: offset, consumer, flags, number of attributes, the first of them (what, values, mask), number of lines, descriptor
LINE_REQUEST = struct.Struct("=I 252x 32s Q I 20x I 4x Q Q 216x I 24x i")
FLAG_USED, FLAG_OUTPUT = 1 << 0, 1 << 3
OUTPUT_VALUES = 2


class Line(NamedTuple):
    """A pin as the kernel sees it. `consumer` is what its holder calls itself; lgpio, and so gpiozero, says "lg"."""

    used: bool
    consumer: str


def header_chip() -> str | None:
    """The device of the header's chip; None where there is none. Raises LightsError where it cannot be opened."""
    denied = None
    for path in sorted(glob.glob(CHIPS)):
        try:
            _, label, _ = CHIPINFO.unpack(_ask(path, GET_CHIPINFO, bytes(CHIPINFO.size)))
        except PermissionError as error:
            denied = not_opened(path, error)
        except OSError:
            continue  # not a chip, or just unplugged
        else:
            if _text(label) in HEADERS:
                return path
    if denied is not None:
        raise denied
    return None


def not_opened(path: str, error: Exception) -> LightsError:
    """What to say about a chip that is there but shut."""
    why = error.strerror if isinstance(error, OSError) else error
    return LightsError(
        f"the GPIO chip ({path}) cannot be opened: {why}",
        "sudo usermod -aG gpio $USER, then log in again; or use --simulate",
    )


def chip_number(path: str) -> int:
    """The 4 of /dev/gpiochip4, which is what lgpio wants to know."""
    found = re.search(r"\d+$", path)
    assert found is not None
    return int(found[0])


def line(chip: str, pin: int) -> Line:
    """What the kernel knows about a pin (BCM number). Raises OSError."""
    _, consumer, _, flags = LINEINFO.unpack(_ask(chip, GET_LINEINFO, LINEINFO.pack(b"", b"", pin, 0)))
    return Line(bool(flags & FLAG_USED), _text(consumer))


def holder(chip: str, pin: int) -> str:
    """Who holds a pin, in words: '"lg" (python3, process 812)'; "" where nobody does or nobody can tell."""
    with contextlib.suppress(OSError):
        found = line(chip, pin)
        if found.used:
            # The kernel does not say which process: those that talk to this chip, or hold pins of any, are all it can be.
            talking = holders(chip, "anon_inode:gpio-line", "anon_inode:gpio-linehandle")
            who = "; ".join(f"{command}, process {pid}" for pid, command in talking if pid != os.getpid())
            return f'"{found.consumer or "the kernel"}"' + (f" ({who})" if who else "")
    return ""


def busy_hint(chip: str | None, pin: int) -> str:
    """What to do about a pin that cannot be had."""
    if chip and holder(chip, pin):
        return "stop what holds it (a running door: sudo systemctl stop doorlight), or choose another pin in [lights]"
    return f"see who holds it: gpioinfo | grep -w GPIO{pin}; sudo fuser -v {CHIPS}; is another doorlight running?"


def switch_off(resting: Mapping[int, bool]) -> str:
    """Put each pin (BCM number) to the level at which nothing is lit, let go of it, and say so in a line.

    The pins of a program that has died stay as they were, on Raspberry Pi OS: this is what darkens them.
    Raises LightsError, once all others are off, for a pin that somebody still holds.
    """
    chip = header_chip()
    if chip is None:
        return "nothing to switch off: this machine has no GPIO chip of a Raspberry Pi"
    failed = None
    for pin, level in resting.items():
        request = LINE_REQUEST.pack(pin, b"doorlight", FLAG_OUTPUT, 1, OUTPUT_VALUES, int(level), 1, 1, 0)
        try:
            os.close(LINE_REQUEST.unpack(_ask(chip, GET_LINE, request))[-1])
        except OSError as error:
            failed = failed or (pin, error)
    if failed:
        pin, cause = failed
        who = holder(chip, pin)
        raise LightsError(
            f"GPIO{pin} cannot be switched off: {cause.strerror}" + (f"; it is held by {who}" if who else ""),
            busy_hint(chip, pin),
        )
    return "lights and buzzer are off"


def _ask(path: str, call: int, given: bytes) -> bytearray:
    """One ioctl on a device that is opened for it: what was given, as the kernel has filled it in."""
    answer = bytearray(given)
    device = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.ioctl(device, call, answer)
    finally:
        os.close(device)
    return answer


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("utf-8", "replace")
