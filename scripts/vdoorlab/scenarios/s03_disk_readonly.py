"""A disk that is or becomes read-only, as old SD cards do: the lights go on in time, it is said, and logging resumes by itself.

First the machine boots with the log's disk mounted read-only, and it is made writable later (mount -o remount,rw). Then the
disk refuses every write while the door runs, upon which ext4 makes itself read-only; that lasts until the next boot.
"""

from __future__ import annotations

from vdoorlab.machine import STATE, Machine
from vdoorlab.report import Report
from vdoorlab.runner import Lab
from vdoorlab.scenarios._disk import BOOT_S, compare, lamps, set_up, status, wait_status, whole

QUICK = False
EARLY = 'dmsetup create data --table "0 $(blockdev --getsz /dev/ubdb) linear /dev/ubdb 0"'


def run(lab: Lab, report: Report) -> None:
    with lab.door(data_mb=32) as door:
        without = set_up(door, report)
        door.power_off()
        _from_the_start(door, report, without)
        door.power_off()
        _while_it_runs(door, report, without)


def _from_the_start(door: Machine, report: Report, without: list[float]) -> None:
    door.boot(data_options="-o ro", camera={"show": "masked"}, within_s=BOOT_S)
    door.wait_for("green", BOOT_S, since=0)
    door.wait_service(BOOT_S)
    compare(report, "booted with a read-only disk", without, lamps(door))
    said = status(door)
    report.check(
        "Read-only file system" in said,
        "booted with a read-only disk: status",
        "event log: … Read-only file system",
        said,
    )
    doctor = door.run("doorlight doctor", 240).out
    found = [line.strip() for line in doctor.splitlines() if "read-only" in line.lower()]
    report.check(
        any("bad" in line for line in found), "booted with a read-only disk: doorlight doctor", "bad: read-only", found
    )
    # The service's own view of the disk was made when it was read-only, and stays so: a new process has to take over.
    door.sh(f"mount -o remount,rw {STATE}")
    wait_status(door, lambda text: "all well" in text, 60)
    report.equal(
        door.properties("NRestarts")["NRestarts"], "1", "read-only, then writable: the service starts anew by itself"
    )
    said = [line for line in door.journal().splitlines() if "the event log is not whole" in line]
    report.check(
        any("events lost" in line for line in said), "events of the read-only time: the journal", "N events lost", said
    )
    compare(report, "writable again", without, lamps(door))
    whole(door, report, "writable again")


def _while_it_runs(door: Machine, report: Report, without: list[float]) -> None:
    door.boot(early=EARLY, data="/dev/mapper/data", within_s=BOOT_S)
    door.wait_service(BOOT_S)
    lamps(door, 2)
    before = len(door.events())
    door.sh(
        'dmsetup suspend --noflush --nolockfs data && dmsetup reload data --table "0 $(blockdev --getsz /dev/ubdb) error" && dmsetup resume data'
    )
    delays = lamps(door, 8)
    compare(report, "the disk refuses every write", without, delays)
    said = status(door)
    report.check("event log:" in said, "the disk refuses every write: status", "event log: … and the reason", said)
    report.equal(
        door.properties("NRestarts")["NRestarts"], "0", "the disk refuses every write: restarts of the service"
    )
    door.power_cut()
    door.boot(camera={"show": "masked"}, within_s=BOOT_S)
    report.check(
        len(door.event_lines(at_boot=True)) >= before,
        "power cut, a good disk: lines of before",
        f"all {before}",
        len(door.event_lines(at_boot=True)),
    )
    door.wait_for("green", BOOT_S, since=0)
    wait_status(door, lambda text: "all well" in text, 60)
    whole(door, report, "booted with a good disk")
