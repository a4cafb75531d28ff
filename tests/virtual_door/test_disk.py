"""Full, read-only, slow and hanging disks: the lamps come in time, the status gives the reason, logging resumes."""

from __future__ import annotations

import time

import pytest

from support.virtual_door import messages
from support.virtual_door.disks import (
    BOOT_S,
    HASTY,
    boot_normally,
    check_delays,
    check_log,
    lamp_delays,
    make_crowd_clip,
)
from support.virtual_door.power_cuts import read_log
from virtual_door.door import CONFIG, STATE, Door
from virtual_door.lab import Lab
from virtual_door.report import Report

pytestmark = pytest.mark.virtual_door

FILL = f"cat /dev/zero >{STATE}/filler; cat /dev/zero >{STATE}/filler2; sync; df {STATE} | tail -1"
CLEAR = f"rm {STATE}/filler {STATE}/filler2"
DELAY_MS = 3000
HANG_S = 30
_SIZE = "$(blockdev --getsz /dev/ubdb)"
LINEAR_DISK = f'dmsetup create data --table "0 {_SIZE} linear /dev/ubdb 0"'
BROKEN_DISK = (
    f'dmsetup suspend --noflush --nolockfs data && dmsetup reload data --table "0 {_SIZE} error" && dmsetup resume data'
)


def _is_ok(status: str) -> bool:
    return messages.STATUS_OK in status


def test_full_disk(lab: Lab, report: Report) -> None:
    """The disk is full and has space again, with few visits and no lost event."""
    with lab.door(data_mb=32) as door:
        normal = boot_normally(door, report)
        door.sh(FILL, 60)
        # The last block of the file has still space for some lines.
        delays = lamp_delays(door, 4)
        while messages.NO_SPACE not in (status := door.status()) and len(delays) < 40:
            delays += lamp_delays(door, 2)
        check_delays(report, "disk full", normal, delays)
        report.check(messages.NO_SPACE in status, "disk full: systemctl status", messages.NO_SPACE, status)
        door.sh(CLEAR)
        door.wait_for_status(_is_ok, 30)
        check_log(door, report, "space again")


@pytest.mark.slow
def test_full_disk_for_long(lab: Lab, report: Report) -> None:
    """The disk is full for some minutes, and over a restart of the door."""
    with lab.door(data_mb=32) as door:
        normal = boot_normally(door, report)
        report.note("df when full: " + door.run(FILL, 60).out.strip())
        status = ""
        delays: list[float] = []
        while messages.NO_SPACE not in status and len(delays) < 200:
            delays += lamp_delays(door, 4)
            status = door.status()
        check_delays(report, "disk full", normal, delays)
        report.check(messages.NO_SPACE in status, "disk full: systemctl status", messages.NO_SPACE, status)
        doctor = door.run("doorlight doctor", 200).out
        found = [line.strip() for line in doctor.splitlines() if messages.DOCTOR_DISK_FREE in line]
        is_reported = any(messages.DOCTOR_DISK_FULL in line for line in found)
        report.check(is_reported, "disk full: doorlight doctor", messages.DOCTOR_DISK_FULL, found)
        door.sh(CLEAR)
        door.wait_for_status(_is_ok, 30)
        lost = [e for e in check_log(door, report, "space again") if e["event"] == "log_lost"]
        report.equal(lost, [], "few events while the disk is full: lost events")

        door.sh(FILL, 60)
        door.camera.show("empty")
        door.sh("systemctl restart doorlight.service", BOOT_S)
        check_delays(report, "disk full, door restarted", normal, lamp_delays(door))
        status = door.status()
        report.check(messages.NO_SPACE in status, "disk full, door restarted: status", messages.NO_SPACE, status)
        door.sh(CLEAR)
        door.wait_for_status(_is_ok, 30)
        check_log(door, report, "space again after a restart")


@pytest.mark.slow
def test_events_lost_on_full_disk(lab: Lab, report: Report) -> None:
    """A crowd causes more events than the door keeps in memory (1000) while the disk is full: lost events are
    counted."""
    with lab.door(data_mb=32) as door:
        make_crowd_clip(door)
        boot_normally(door, report, HASTY)
        door.sh(FILL, 60)
        began = door.now()
        door.camera.show("crowd")
        status = door.wait_for_status(lambda text: messages.STATUS_EVENTS_LOST in text, 600)
        report.measure("a crowd and a full disk, until the first event is lost", door.now() - began, "s")
        done = "more than 1000 events while the disk is full: status"
        report.check(messages.NO_SPACE in status, done, f"{messages.NO_SPACE} …; N events lost", status)
        door.camera.show("empty")
        door.sh(CLEAR)
        door.wait_for_status(_is_ok, 30)
        events = check_log(door, report, "space again after a loss")
        lost = [event["count"] for event in events if event["event"] == "log_lost"]
        report.check(sum(lost) > 0, "space again: log_lost in the log", "one, with the count", lost)
        shown = [line for line in door.sh("doorlight events", 60).splitlines() if messages.EVENTS_MISSING in line]
        report.check(len(shown) == len(lost), "space again: doorlight events", f"N {messages.EVENTS_MISSING}", shown)


@pytest.mark.slow
def test_disk_read_only_at_boot(lab: Lab, report: Report) -> None:
    """The disk is mounted read-only at boot and made writable later, as happens with old SD cards."""
    with lab.door(data_mb=32) as door:
        normal = boot_normally(door, report)
        door.power_off()
        door.boot(data_options="-o ro", camera={"show": "masked"}, within_s=BOOT_S)
        door.wait_for_lamps("green", BOOT_S, since=0)
        door.wait_ready(BOOT_S)
        check_delays(report, "booted with a read-only disk", normal, lamp_delays(door))
        status = door.status()
        report.check(messages.READ_ONLY in status, "booted with a read-only disk: status", messages.READ_ONLY, status)
        doctor = door.run("doorlight doctor", 240).out
        found = [line.strip() for line in doctor.splitlines() if "read-only" in line.lower()]
        is_reported = any(messages.DOCTOR_BAD in line for line in found)
        report.check(is_reported, "booted with a read-only disk: doorlight doctor", "bad: read-only", found)
        # The mount namespace of the service keeps the read-only mount, so a new process must take over.
        door.sh(f"mount -o remount,rw {STATE}")
        door.wait_for_status(_is_ok, 60)
        report.equal(door.restarts(), 1, "read-only, then writable: restarts of the service")
        lines = [line for line in door.journal().splitlines() if messages.JOURNAL_LOG_INCOMPLETE in line]
        is_counted = any(messages.STATUS_EVENTS_LOST in line for line in lines)
        report.check(is_counted, "events of the read-only time: the journal", "N events lost", lines)
        check_delays(report, "writable again", normal, lamp_delays(door))
        check_log(door, report, "writable again")


@pytest.mark.slow
def test_disk_fails_at_work(lab: Lab, report: Report) -> None:
    """The disk fails every write while the door runs, and ext4 makes itself read-only until the next boot."""
    with lab.door(data_mb=32) as door:
        normal = boot_normally(door, report)
        door.power_off()
        door.boot(early=LINEAR_DISK, data="/dev/mapper/data", within_s=BOOT_S)
        door.wait_ready(BOOT_S)
        lamp_delays(door, 2)
        before = len(door.events())
        door.sh(BROKEN_DISK)
        check_delays(report, "every write fails", normal, lamp_delays(door, 8))
        status = door.status()
        report.check(messages.STATUS_EVENT_LOG in status, "every write fails: status", "event log: … reason", status)
        report.equal(door.restarts(), 0, "every write fails: restarts of the service")
        door.power_cut()
        door.boot(camera={"show": "masked"}, within_s=BOOT_S)
        # As the power cut has left them: lines that are in the write-ahead file only are restored by the start of the door.
        lines = len(read_log(door.session / "at_boot/events.jsonl")[0])
        report.check(lines >= before, "power cut, a good disk: lines written before", f"all {before}", lines)
        door.wait_for_lamps("green", BOOT_S, since=0)
        door.wait_for_status(_is_ok, 60)
        check_log(door, report, "booted with a good disk")


@pytest.mark.slow
def test_slow_and_hanging_disk(lab: Lab, report: Report) -> None:
    """Every write takes three seconds; then the disk hangs for half a minute; then the journal hangs.

    A write that takes three seconds (dm-delay) means about six seconds until a line is on disk. The journal hangs
    (SIGSTOP), as it does if it is on such a disk, while a crowd causes hundreds of lines.
    """
    with lab.door(data_mb=32) as door:
        make_crowd_clip(door)
        early = f'dmsetup create data --table "{_delay_table(0)}"'
        door.boot(early=early, data="/dev/mapper/data", within_s=BOOT_S)
        door.wait_ready(BOOT_S)
        normal = lamp_delays(door)
        _slow(door, report, normal)
        _hanging(door, report, normal)
        _hanging_journal(door, report, normal)


def _delay_table(ms: int) -> str:
    return f"0 {_SIZE} delay /dev/ubdb 0 0 /dev/ubdb 0 {ms}"


def _delay_writes(door: Door, ms: int) -> None:
    reload = f'dmsetup reload data --table "{_delay_table(ms)}"'
    door.sh(f"dmsetup suspend --nolockfs data && {reload} && dmsetup resume data", 60)


def _slow(door: Door, report: Report, normal: list[float]) -> None:
    _delay_writes(door, DELAY_MS)
    check_delays(report, f"every write takes {DELAY_MS / 1000:g} s", normal, lamp_delays(door, 6))
    door.camera.show("door")
    status = door.wait_for_status(lambda text: messages.STATUS_DISK_HANGS in text, 60)
    done = "slow disk: systemctl status"
    report.check(messages.STATUS_EVENTS_LOST not in status, done, f"{messages.STATUS_DISK_HANGS} N s", status)
    doctor = door.run("doorlight doctor", 240).out
    found = [line.strip() for line in doctor.splitlines() if messages.DOCTOR_LINE_TIME in line]
    is_reported = any(messages.DOCTOR_BAD in line for line in found)
    report.check(is_reported, "slow disk: doorlight doctor", "bad, with the time of a line", found)
    door.camera.show("empty")
    _delay_writes(door, 0)
    door.wait_for_status(_is_ok, 60)
    events = check_log(door, report, "the disk is fast again")
    report.equal([e for e in events if e["event"] == "log_lost"], [], "slow disk: lost events")


def _hanging(door: Door, report: Report, normal: list[float]) -> None:
    door.sh("dmsetup suspend --noflush --nolockfs data")
    began = time.monotonic()
    delays = []
    while time.monotonic() - began < HANG_S:
        delays += lamp_delays(door, 2)
    status = door.status()
    check_delays(report, f"the disk hangs for {HANG_S} s", normal, delays)
    done = "the disk hangs: systemctl status"
    report.check(messages.STATUS_DISK_HANGS in status, done, f"{messages.STATUS_DISK_HANGS} N s", status)
    door.sh("dmsetup resume data")
    door.wait_for_status(_is_ok, 60)
    events = check_log(door, report, "the disk answers again")
    report.equal([e for e in events if e["event"] == "log_lost"], [], "the disk hung: lost events")
    report.equal(door.restarts(), 0, "slow and hanging disk: restarts of the service")


def _hanging_journal(door: Door, report: Report, normal: list[float]) -> None:
    door.sh(f"cat >>{CONFIG} <<'END'\n{HASTY}\nEND\nsystemctl restart doorlight.service", BOOT_S)
    door.sh("systemctl kill --signal=STOP systemd-journald.service")
    door.camera.show("crowd")
    lines = len(door.event_lines())
    door.wait_until(lambda: len(door.event_lines()) > lines + 600, 300)
    door.camera.show("empty")
    time.sleep(2)
    check_delays(report, "the journal hangs, 600 lines later", normal, lamp_delays(door))
    door.sh("systemctl kill --signal=CONT systemd-journald.service")
    report.equal(door.restarts(), 0, "the journal hangs: restarts of the service")
    check_log(door, report, "the journal continues")
