"""Watches the door's pins on the far side of the simulated GPIO chip, 250 times a second.

Writes a line for each change, and one a second without: seconds since power-on (CLOCK_BOOTTIME), wall time, and one
letter a pin in the order of `PINS`: 1, 0, or - while there is no chip. The file lies on the host: a power cut in the
guest takes nothing of it.
"""

from __future__ import annotations

import ctypes
import glob
import os
import time

PINS = (17, 27, 24)  # green, red, buzzer: as in the door's default settings
EVERY_S = 0.004


def opened() -> list[int]:
    """The pins' levels in sysfs, or nothing where there is no chip."""
    files = []
    for pin in PINS:
        for path in glob.glob(f"/sys/devices/platform/*/gpiochip*/sim_gpio{pin}/value"):
            files.append(os.open(path, os.O_RDONLY))
    return files


def main(path: str) -> None:
    """Watch for ever."""
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    # Ahead of the door, or a busy door would hide what its pins do.
    ctypes.CDLL(None).nice(-15)
    files = opened()
    before, said, looked = "", 0.0, 0.0
    while True:
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        try:
            levels = "".join(chr(os.pread(file, 1, 0)[0]) for file in files)
        except OSError:  # the chip has gone
            for file in files:
                os.close(file)
            files, levels = [], ""
        if not files and now - looked >= 0.05:
            files, looked = opened(), now
        levels = levels or "-" * len(PINS)
        if levels != before or now - said >= 1:
            os.write(log, f"{now:.4f} {time.time():.3f} {levels}\n".encode())
            before, said = levels, now
        time.sleep(EVERY_S)
