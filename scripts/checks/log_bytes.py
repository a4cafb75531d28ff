#!/usr/bin/env python3
"""Measure what the event log costs a card: bytes that reach the disk of a new ext4 file system, for each moment.

    sudo python scripts/checks/log_bytes.py --moments 1000
    sudo python scripts/checks/log_bytes.py --moments 100 --every 4.5 --random
    sudo python scripts/checks/log_bytes.py --moments 100 --every 6 --options noatime,commit=60
    sudo python scripts/checks/log_bytes.py --moments 1000 --without-write-ahead       # every line synced with the log

A moment is two events: a person is decided, and the signal changes. The file system is like that of Raspberry Pi OS; what the
kernel writes is counted by its loop device.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from edge.events.appender import Appender
from edge.events.record import encode
from edge.events.write_ahead import write_ahead_path

IMAGE_BYTES = 512 << 20
#: The file system has written its delayed writes after this time.
SETTLE_S = 40.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moments", type=int, default=1000)
    parser.add_argument("--every", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--random", action="store_true", help="at random moments, as people come")
    parser.add_argument("--options", default="noatime", help="mount options")
    parser.add_argument("--without-write-ahead", action="store_true")
    options = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("mounting needs root: sudo")
    with tempfile.TemporaryDirectory() as scratch:
        image, folder = Path(scratch, "disk.ext4"), Path(scratch, "disk")
        folder.mkdir()
        with image.open("wb") as file:
            file.truncate(IMAGE_BYTES)
        run("mke2fs", "-q", "-t", "ext4", "-b", "4096", "-E", "lazy_itable_init=0,lazy_journal_init=0", str(image))
        device = run("losetup", "--find", "--show", str(image))
        try:
            run("mount", "-t", "ext4", "-o", options.options, device, str(folder))
            try:
                written = measure(folder / "events.jsonl", Path(device).name, options)
            finally:
                run("umount", str(folder))
        finally:
            run("losetup", "--detach", device)
    print(f"{written / options.moments / 1000:.2f} KB for each of {options.moments} moments")
    return 0


def measure(path: Path, device: str, options: argparse.Namespace) -> int:
    """Write the moments; return the bytes that reached the disk."""
    rng = random.Random(18)
    if options.without_write_ahead:
        write_ahead_path(path).mkdir()  # then there can be no such file
    log = Appender(path, 5_000_000, 4)
    log.open()
    for number in (1, 2):  # with the second moment, the write-ahead file is made
        log.append(moment(number))
    os.sync()
    time.sleep(SETTLE_S if options.every else 1)
    before = written_bytes(device)
    for number in range(3, options.moments + 3):
        log.append(moment(number))
        time.sleep(rng.expovariate(1 / options.every) if options.random and options.every else options.every)
    time.sleep(SETTLE_S if options.every else 0)
    written = written_bytes(device) - before
    log.close()
    return written


def moment(number: int) -> list[bytes]:
    """Return the lines of a moment."""
    time_and_t = {"time": "2026-11-27T19:05:44.123Z", "t": 12345.678}
    person = {"event": "unmasked", "person": number, "evidence": -2.71, "agitation": 0.0, "decision_s": 0.81}
    signal = {"event": "signal", "signal": "STOP", "before": "IDLE", "people": 1}
    return [
        encode({"seq": 2 * number + k, **time_and_t, **event})
        for k, event in enumerate((person, signal))
    ]  # fmt: skip


def written_bytes(device: str) -> int:
    """Return the bytes that the kernel has written to a block device since power-on."""
    return int(Path("/sys/block", device, "stat").read_text().split()[6]) * 512


def run(*command: str) -> str:
    """Run a program; return its output. Raises CalledProcessError."""
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
