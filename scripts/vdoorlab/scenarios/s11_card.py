"""What the event log costs an SD card: all that is written to its disk for a visit, by the disk's own count.

Somebody masked comes, stays for five seconds and goes, again and again. The log is on a file system as Raspberry Pi OS makes
it (ext4, blocks of 4 KiB); what is counted is what the kernel hands to the disk, the file system's journal included.
"""

from __future__ import annotations

import time

from vdoorlab.machine import Machine
from vdoorlab.report import Report
from vdoorlab.runner import Lab

QUICK = False
VISITS = 8
STAY_S, PAUSE_S = 5.0, 7.0
#: By then the file system has written what it puts off.
SETTLE_S = 40.0
MAKE = "mke2fs -q -F -t ext4 -b 4096 -E lazy_itable_init=0,lazy_journal_init=0 /dev/ubdb"
#: Of the issue's wish, and of a day as s11_day plays it.
WISH_BYTES, PEOPLE = 5e6, 2630
#: A block of the file and, in the journal, a head, the inode and an end; now and then the blocks of what is free besides.
MOST_BYTES = 24_000


def run(lab: Lab, report: Report) -> None:
    with lab.door() as door:
        door.boot(wait_for="ready", early=MAKE)
        settled = _written(door)
        time.sleep(SETTLE_S)
        quiet = _written(door)
        lines = len(door.event_lines())
        for _ in range(VISITS):
            shown = door.camera.show("masked")
            door.wait_for("green", 30, since=shown)
            time.sleep(STAY_S)
            gone = door.camera.show("empty")
            door.wait_for("off", 30, since=gone)
            time.sleep(PAUSE_S)
        time.sleep(SETTLE_S)
        written = _written(door) - quiet
        events = door.events()[lines:]
        moments = sum(event["event"] == "signal" for event in events)
        report.equal(moments, 2 * VISITS, "visits, each a moment of green and one of dark", VISITS)
        report.measure("written while nobody comes", float(quiet - settled), "bytes")
        report.measure("bytes of the events of a moment", sum(map(len, door.event_lines()[lines:])) / moments, "bytes")
        report.measure("written to the disk for a moment", written / moments, "bytes", at_most=MOST_BYTES)
        report.measure("written to the disk for a visit", written / VISITS, "bytes")
        report.measure(f"in a day of {PEOPLE} people", written / VISITS * PEOPLE / 1e6, "MB")
        report.measure("5 MB a day are enough for so many people", WISH_BYTES / (written / VISITS), "")


def _written(door: Machine) -> int:
    """Bytes that the disk of the log has been given to write since power-on."""
    return int(door.read("/sys/block/ubdb/stat").split()[6]) * 512
