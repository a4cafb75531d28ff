"""Follow a log while it grows, including lines that are not on disk yet.

    follower.py FILE

Prints each line with its time (seconds since power-on). Standard output is a file on the host, which survives a power
cut.
"""

from __future__ import annotations

import os
import sys
import time


def main() -> None:
    path = sys.argv[1]
    file, inode, rest = None, -1, b""
    while True:
        try:
            status = os.stat(path)
        except FileNotFoundError:
            time.sleep(0.05)
            continue
        if file is not None:
            rest += file.read()
            *lines, rest = rest.split(b"\n")
            for line in lines:
                print(f"{time.clock_gettime(time.CLOCK_BOOTTIME):.4f} {line.decode(errors='replace')}", flush=True)
        if status.st_ino != inode:
            file, inode, rest = open(path, "rb"), status.st_ino, b""  # noqa: SIM115 - stays open until the log is rotated
            continue
        time.sleep(0.05)


if __name__ == "__main__":
    main()
