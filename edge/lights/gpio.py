"""Query and switch off GPIO pins through the kernel's character device.

This module uses the ioctls of linux/gpio.h (ABI 2, Linux 5.10 and later) and the standard library only. It is fast, and
it works if gpiozero or lgpio is missing or broken. Only `lights`, which uses gpiozero, switches anything on.
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

from ..errors import LightsError
from ..system.open_files import processes_using

CHIPS = "/dev/gpiochip*"

#: Labels of the header's chip: Pi 5 (also CM5 and Pi 500), Pi 4, and older models. The label identifies the chip
#: because its number changes with the kernel: on a Pi 5 it was gpiochip4, then gpiochip0, and later above 10.
HEADER_LABELS = frozenset({"pinctrl-rp1", "pinctrl-bcm2711", "pinctrl-bcm2835"})

#: Pin on the 40-pin header by Broadcom (BCM) number, which is also the kernel's line number.
HEADER_PIN = dict(
    zip(
        range(28),
        (27, 28, 3, 5, 7, 29, 31, 26, 24, 21, 19, 23, 32, 33, 8, 10, 36, 11, 12, 35, 38, 40, 15, 16, 18, 22, 37, 13),
        strict=True,
    )
)

# Names and numbers as in linux/gpio.h. Each ioctl number contains the size of its structure.
GPIO_GET_CHIPINFO_IOCTL = 0x8044B401
GPIO_V2_GET_LINEINFO_IOCTL = 0xC100B405
GPIO_V2_GET_LINE_IOCTL = 0xC250B407
GPIO_V2_LINE_FLAG_USED, GPIO_V2_LINE_FLAG_OUTPUT = 1 << 0, 1 << 3
GPIO_V2_LINE_ATTR_ID_OUTPUT_VALUES = 2

#: struct gpiochip_info: name, label, number of lines.
CHIP_INFO = struct.Struct("=32s 32s I")
#: struct gpio_v2_line_info: name, consumer, offset, flags.
LINE_INFO = struct.Struct("=32s 32s I 4x Q 176x")
#: struct gpio_v2_line_request for one line: offset, consumer, flags, number of attributes, the first attribute
#: (id, values, mask), number of lines, file descriptor.
LINE_REQUEST = struct.Struct("=I 252x 32s Q I 20x I 4x Q Q 216x I 24x i")


class LineInfo(NamedTuple):
    """The kernel's information about a pin.

    `consumer` is the name that the holder gave when it requested the pin. lgpio, and therefore gpiozero, uses "lg".
    """

    used: bool
    consumer: str


def header_chip() -> str | None:
    """Return the device path of the header's chip, or None if this machine has none.

    Raises LightsError if the header's chip is not found and the permission to open some chip is missing.
    """
    denied = None
    for path in sorted(glob.glob(CHIPS)):
        try:
            _, label, _ = CHIP_INFO.unpack(_ioctl(path, GPIO_GET_CHIPINFO_IOCTL, bytes(CHIP_INFO.size)))
        except PermissionError as error:
            denied = chip_error(path, error)
        except OSError:
            continue  # not a GPIO chip, or just unplugged
        else:
            if _decode(label) in HEADER_LABELS:
                return path
    if denied is not None:
        raise denied
    return None


def chips() -> list[tuple[str, str, int]]:
    """Return device path, label and number of lines of each GPIO chip that this user may open."""
    found = []
    for path in sorted(glob.glob(CHIPS)):
        with contextlib.suppress(OSError):
            _, label, lines = CHIP_INFO.unpack(_ioctl(path, GPIO_GET_CHIPINFO_IOCTL, bytes(CHIP_INFO.size)))
            found.append((path, _decode(label), lines))
    return found


def chip_error(path: str, error: Exception) -> LightsError:
    """Return the error to raise for a chip that exists but cannot be opened."""
    reason = error.strerror if isinstance(error, OSError) else error
    return LightsError(
        f"the GPIO chip ({path}) cannot be opened: {reason}",
        "sudo usermod -aG gpio $USER, then log in again; or use --simulate",
    )


def chip_number(path: str) -> int:
    """Return the number at the end of a chip's path (4 for /dev/gpiochip4), as lgpio expects it."""
    match = re.search(r"\d+$", path)
    assert match is not None
    return int(match[0])


def line_info(chip: str, pin: int) -> LineInfo:
    """Return the kernel's information about a pin (BCM number). Raises OSError."""
    request = LINE_INFO.pack(b"", b"", pin, 0)
    _, consumer, _, flags = LINE_INFO.unpack(_ioctl(chip, GPIO_V2_GET_LINEINFO_IOCTL, request))
    return LineInfo(bool(flags & GPIO_V2_LINE_FLAG_USED), _decode(consumer))


def holder(chip: str, pin: int) -> str:
    """Return the holder of a pin as text, such as '"lg" (python3, process 812)'; "" if it is free or unknown."""
    with contextlib.suppress(OSError):
        info = line_info(chip, pin)
        if info.used:
            # The kernel does not name the process, so list those that have this chip or a line of any chip open.
            users = processes_using(chip, "anon_inode:gpio-line", "anon_inode:gpio-linehandle")
            names = "; ".join(f"{command}, process {pid}" for pid, command in users if pid != os.getpid())
            return f'"{info.consumer or "the kernel"}"' + (f" ({names})" if names else "")
    return ""


def busy_hint(chip: str | None, pin: int) -> str:
    """Return the hint for a pin that cannot be used."""
    if chip and holder(chip, pin):
        return "stop the holder (a running door: sudo systemctl stop doorlight), or choose another pin in the settings"
    return f"find the holder: gpioinfo | grep -w GPIO{pin}; sudo fuser -v {CHIPS}; is another doorlight running?"


def switch_off(resting: Mapping[int, bool], names: str = "lights and buzzer") -> str:
    """Drive each pin (BCM number) to its resting level, release it, and return a line that says what was done to `names`.

    The resting level is the one at which nothing is lit, and a relay is off. On Raspberry Pi OS the pins of a dead process keep their
    levels, so this is what darkens them. A held pin does not stop the others from being switched off.

    Raises LightsError, after all other pins are off, if a pin is still held.
    """
    chip = header_chip()
    if chip is None:
        return "nothing to switch off: this machine has no GPIO chip of a Raspberry Pi"
    failed = None
    for pin, level in resting.items():
        request = LINE_REQUEST.pack(
            pin, b"doorlight", GPIO_V2_LINE_FLAG_OUTPUT, 1, GPIO_V2_LINE_ATTR_ID_OUTPUT_VALUES, int(level), 1, 1, 0
        )
        try:
            *_, line = LINE_REQUEST.unpack(_ioctl(chip, GPIO_V2_GET_LINE_IOCTL, request))
            os.close(line)
        except OSError as error:
            failed = failed or (pin, error)
    if failed:
        pin, cause = failed
        held_by = holder(chip, pin)
        raise LightsError(
            f"GPIO{pin} cannot be switched off: {cause.strerror}" + (f"; it is held by {held_by}" if held_by else ""),
            busy_hint(chip, pin),
        )
    return f"{names} are off"


def _ioctl(path: str, number: int, request: bytes) -> bytearray:
    """Open a device, run one ioctl on it, and return the structure as the kernel filled it in."""
    buffer = bytearray(request)
    device = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.ioctl(device, number, buffer)
    finally:
        os.close(device)
    return buffer


def _decode(field: bytes) -> str:
    """Return the text of a NUL-padded field."""
    return field.split(b"\0", 1)[0].decode("utf-8", "replace")
