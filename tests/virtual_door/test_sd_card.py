"""How much the event log writes to an SD card: all writes to its disk for a visit, as the disk counts them."""

from __future__ import annotations

import time

import pytest

from virtual_door.door import Door
from virtual_door.lab import Lab
from virtual_door.report import Report

pytestmark = [pytest.mark.virtual_door, pytest.mark.slow]

VISITS = 8
STAY_S, PAUSE_S = 5.0, 7.0
#: The file system has written its delayed writes after this time.
SETTLE_S = 40.0
MAKE_FILE_SYSTEM = "mke2fs -q -F -t ext4 -b 4096 -E lazy_itable_init=0,lazy_journal_init=0 /dev/ubdb"
#: A wished limit for a day, and the people of a day in test_long_day.py.
WISHED_BYTES_A_DAY, PEOPLE_A_DAY = 5e6, 2630
#: For one change of the signal: a block of the file; in the journal a head, the inode and an end; sometimes free-block
#: maps.
MAX_SIGNAL_BYTES = 24_000


def test_bytes_written_for_a_visit(lab: Lab, report: Report) -> None:
    """A masked person comes, stays for five seconds and goes, eight times.

    The file system is like that of Raspberry Pi OS (ext4, blocks of 4 KiB). Counted is what the kernel writes to the
    disk, the file system's journal included.
    """
    with lab.door() as door:
        door.boot(wait_for="ready", early=MAKE_FILE_SYSTEM)
        settled = _written_bytes(door)
        time.sleep(SETTLE_S)
        before = _written_bytes(door)
        lines = len(door.event_lines())
        for _ in range(VISITS):
            shown = door.camera.show("masked")
            door.wait_for_lamps("green", 30, since=shown)
            time.sleep(STAY_S)
            gone = door.camera.show("empty")
            door.wait_for_lamps("off", 30, since=gone)
            time.sleep(PAUSE_S)
        time.sleep(SETTLE_S)
        written = _written_bytes(door) - before
        signals = sum(event["event"] == "signal" for event in door.events()[lines:])
        event_bytes = sum(map(len, door.event_lines()[lines:]))
        report.equal(signals, 2 * VISITS, "visits, each with one change to green and one to off", VISITS)
        report.measure("written while nobody comes", float(before - settled), "bytes")
        report.measure("bytes of events for a change of the signal", event_bytes / signals, "bytes")
        report.measure("written to the disk for a change", written / signals, "bytes", at_most=MAX_SIGNAL_BYTES)
        report.measure("written to the disk for a visit", written / VISITS, "bytes")
        report.measure(f"in a day of {PEOPLE_A_DAY} people", written / VISITS * PEOPLE_A_DAY / 1e6, "MB")
        report.measure("5 MB a day are enough for this number of people", WISHED_BYTES_A_DAY / (written / VISITS), "")


def _written_bytes(door: Door) -> int:
    """Return the bytes that the kernel has written to the log's disk since power-on."""
    return int(door.read("/sys/block/ubdb/stat").split()[6]) * 512
