"""Reads a log as it grows, as somebody who follows it does: lines too that are not on the disk yet.

    follower.py FILE

Says every line with its time (seconds since power-on) on standard output, which lies on the host.
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
            file, inode, rest = open(path, "rb"), status.st_ino, b""  # noqa: SIM115
            continue
        time.sleep(0.05)


if __name__ == "__main__":
    main()
