"""Write the time (seconds since power-on) into the log of a dm-log-writes device, ten times a second.

marks.py NAME
"""

from __future__ import annotations

import fcntl
import os
import struct
import sys
import time

TARGET_MSG = 0xC138FD0E  # linux/dm-ioctl.h: DM_TARGET_MSG
HEAD = struct.Struct("=3I 2I I i 3I Q 128s 129s 7x")  # struct dm_ioctl


def mark(control: int, name: str, text: str) -> None:
    """Write a text into the log of the device `name`; `control` is a descriptor of /dev/mapper/control."""
    message = struct.pack("=Q", 0) + f"mark {text}".encode() + b"\0"
    size = HEAD.size + len(message)
    head = HEAD.pack(4, 0, 0, size, HEAD.size, 0, 0, 0, 0, 0, 0, name.encode(), b"")
    fcntl.ioctl(control, TARGET_MSG, bytearray(head + message), True)


def main() -> None:
    control = os.open("/dev/mapper/control", os.O_RDWR)
    while True:
        mark(control, sys.argv[1], f"{time.clock_gettime(time.CLOCK_BOOTTIME):.4f}")
        time.sleep(0.1)


if __name__ == "__main__":
    main()
