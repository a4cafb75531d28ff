"""A slow disk, and one that does not answer at all: the lights come in time, the status says so, and nothing is lost.

Every write takes three seconds (dm-delay), so that a line needs some six until it is on the disk. Then the disk hangs
(dmsetup suspend) for half a minute. Then the journal hangs, as it does when it lies on such a disk, while a crowd has
the door say hundreds of lines.
"""

from __future__ import annotations

import time

from vdoorlab.machine import Machine
from vdoorlab.report import Report
from vdoorlab.runner import Lab
from vdoorlab.scenarios._disk import BOOT_S, HASTY, compare, crowd, lamps, status, wait_status, whole

QUICK = False
DELAY_MS = 3000
HANG_S = 30
EARLY = 'dmsetup create data --table "0 $(blockdev --getsz /dev/ubdb) delay /dev/ubdb 0 0 /dev/ubdb 0 0"'


def run(lab: Lab, report: Report) -> None:
    with lab.door(data_mb=32) as door:
        crowd(door)
        door.boot(early=EARLY, data="/dev/mapper/data", within_s=BOOT_S)
        door.wait_service(BOOT_S)
        without = lamps(door)
        _slow(door, report, without)
        _hanging(door, report, without)
        _hanging_journal(door, report, without)


def _slow(door: Machine, report: Report, without: list[float]) -> None:
    _delay(door, DELAY_MS)
    delays, said = lamps(door, 6), ""
    compare(report, f"every write takes {DELAY_MS / 1000:g} s", without, delays)
    door.camera.show("door")
    said = wait_status(door, lambda text: "has not answered for" in text, 60)
    report.check("events lost" not in said, "slow disk: systemctl status", "the disk has not answered for N s", said)
    doctor = door.run("doorlight doctor", 240).out
    found = [line.strip() for line in doctor.splitlines() if "a line is on the disk in" in line]
    report.check(
        any("bad" in line for line in found), "slow disk: doorlight doctor", "bad, with the time a line takes", found
    )
    door.camera.show("empty")
    _delay(door, 0)
    wait_status(door, lambda text: "all well" in text, 60)
    events = whole(door, report, "the disk is quick again")
    report.equal([e for e in events if e["event"] == "log_lost"], [], "slow disk: events lost")


def _delay(door: Machine, ms: int) -> None:
    table = f'"0 $(blockdev --getsz /dev/ubdb) delay /dev/ubdb 0 0 /dev/ubdb 0 {ms}"'
    door.sh(f"dmsetup suspend --nolockfs data && dmsetup reload data --table {table} && dmsetup resume data", 60)


def _hanging(door: Machine, report: Report, without: list[float]) -> None:
    door.sh("dmsetup suspend --noflush --nolockfs data")
    began = time.monotonic()
    delays = []
    while time.monotonic() - began < HANG_S:
        delays += lamps(door, 2)
    said = status(door)
    compare(report, f"the disk hangs for {HANG_S} s", without, delays)
    report.check(
        "has not answered for" in said, "the disk hangs: systemctl status", "the disk has not answered for N s", said
    )
    door.sh("dmsetup resume data")
    wait_status(door, lambda text: "all well" in text, 60)
    events = whole(door, report, "the disk answers again")
    report.equal([e for e in events if e["event"] == "log_lost"], [], "the disk hung: events lost")
    report.equal(door.properties("NRestarts")["NRestarts"], "0", "slow and hanging disk: restarts of the service")


def _hanging_journal(door: Machine, report: Report, without: list[float]) -> None:
    door.sh(f"cat >>/etc/doorlight/doorlight.toml <<'END'\n{HASTY}\nEND\nsystemctl restart doorlight.service", BOOT_S)
    door.sh("systemctl kill --signal=STOP systemd-journald.service")
    door.camera.show("crowd")
    seen = len(door.event_lines())
    door.wait_until(lambda: len(door.event_lines()) > seen + 600, 300)
    door.camera.show("empty")
    time.sleep(2)
    compare(report, "the journal hangs, 600 lines later", without, lamps(door))
    door.sh("systemctl kill --signal=CONT systemd-journald.service")
    report.equal(door.properties("NRestarts")["NRestarts"], "0", "the journal hangs: restarts of the service")
    whole(door, report, "the journal goes on")
