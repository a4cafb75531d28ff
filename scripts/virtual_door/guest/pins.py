"""Read the levels of the simulated GPIO chip's pins, 250 times a second.

Writes a line for each change, and one a second without a change: seconds since power-on (CLOCK_BOOTTIME), wall time,
and one character for each of PINS: 1, 0, or - without a chip. The file is on the host and survives a power cut.
"""

from __future__ import annotations

import ctypes
import glob
import os
import time

#: Green, red and buzzer in the door's default settings, and the relay of the scenarios that have one.
PINS = (17, 27, 24, 23)
PERIOD_S = 0.004


def open_pins() -> list[int]:
    """Open the files of the levels in sysfs; an empty list without a chip."""
    files = []
    for pin in PINS:
        for path in glob.glob(f"/sys/devices/platform/*/gpiochip*/sim_gpio{pin}/value"):
            files.append(os.open(path, os.O_RDONLY))
    return files


def read(files: list[int]) -> str:
    """Read the levels of all pins."""
    return "".join(chr(os.pread(file, 1, 0)[0]) for file in files)


def main(path: str) -> None:
    """Write the levels into a file, in an endless loop."""
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    # A higher priority than the door: a busy door must not delay this loop.
    ctypes.CDLL(None).nice(-15)
    files = open_pins()
    last_levels, last_line_at, last_open_at = "", 0.0, 0.0
    while True:
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        try:
            levels = read(files)
            # The pins are read one after the other: a change in between would look as if both states were one.
            while levels != last_levels and levels != (again := read(files)):
                levels = again
        except OSError:  # the chip was removed
            for file in files:
                os.close(file)
            files, levels = [], ""
        if not files and now - last_open_at >= 0.05:
            files, last_open_at = open_pins(), now
        levels = levels or "-" * len(PINS)
        if levels != last_levels or now - last_line_at >= 1:
            os.write(log, f"{now:.4f} {time.time():.3f} {levels}\n".encode())
            last_levels, last_line_at = levels, now
        time.sleep(PERIOD_S)
