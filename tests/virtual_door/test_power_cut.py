"""Cut the power at random moments while events are written.

No line may be damaged, no event older than a second may be lost, no `seq` may be used twice.
"""

from __future__ import annotations

import random
import subprocess
import tempfile
from itertools import pairwise
from pathlib import Path

import pytest

from support.virtual_door.power_cuts import MAX_LOST_S, LogRecord, PowerCuts
from virtual_door import logwrites
from virtual_door.lab import Lab
from virtual_door.report import Report

pytestmark = pytest.mark.virtual_door

FEW_CUTS = 4
MANY_CUTS = 50
#: Every fourth of the many cuts happens during the boot.
BOOT_CUT_PERIOD = 4
CACHE_CUTS = 12
#: Disks that are rebuilt for other moments of the same runs.
DISKS = 300
CONTROL_CUTS = 2


def test_power_cut(lab: Lab, report: Report) -> None:
    """A few power cuts while events are written."""
    with lab.door(data_mb=32) as door:
        power = PowerCuts(door, report)
        for _ in range(FEW_CUTS):
            power.cut_at_work()
        power.boot_last()
        power.add_to_report()


@pytest.mark.slow
def test_fifty_power_cuts(lab: Lab, report: Report) -> None:
    """50 power cuts, at work and during the boot."""
    with lab.door(data_mb=64) as door:
        power = PowerCuts(door, report)
        for k in range(1, MANY_CUTS + 1):
            if k % BOOT_CUT_PERIOD:
                power.cut_at_work()
            else:
                power.cut_during_boot()
        power.boot_last()
        power.add_to_report()


@pytest.mark.slow
def test_power_cut_of_disk_with_cache(lab: Lab, report: Report) -> None:
    """Power cuts with a disk whose cache is lost: a missing fsync or flush would show.

    The kernel's dm-log-writes lies between the file system and the disk. After each cut the disk is rebuilt from its
    log without the writes that were not flushed. From the same log, many more disks are built without a machine: for
    every moment at which a write became durable, with some of the later sectors. Each of these disks is repaired by
    e2fsck and read by debugfs.
    """
    with lab.door(data_mb=32) as door:
        power = PowerCuts(door, report, cache=True)
        others = [LogRecord(record.name, record.file) for record in power.records]
        for _ in range(CACHE_CUTS):
            power.cut_at_work()
            _check_other_moments(power, others, DISKS // CACHE_CUTS)
        power.boot_last()
        power.add_to_report()
    for other in others:
        done = f"the disk after a cut at another moment, repaired by e2fsck: {other.name}"
        expected = "complete lines, seq increases, all events older than a second"
        report.check(not other.faults, done, expected, other.faults[:3] or "as expected", other.cuts)
        name = f"{other.name}, on those disks: age of the oldest lost event"
        report.measure(name, other.lost_ages_s, "s", MAX_LOST_S)
        report.note(f"Those disks, {other.name}: {other.torn} of {other.cuts} had an incomplete last line.")


def _check_other_moments(power: PowerCuts, others: list[LogRecord], count: int) -> None:
    """Check the disk for power cuts at other moments of the run that has just ended."""
    rng = random.Random(power.cuts)
    entries = logwrites.entries(power.write_log)
    durable_ends = [k + 1 for k, entry in enumerate(entries) if entry.is_durable]
    moments = list(pairwise(durable_ends))
    disk, applied = bytearray(power.disk_at_boot.read_bytes()), 0
    for end, next_end in sorted(rng.sample(moments, min(count, max(0, len(durable_ends) - 1)))):
        logwrites.apply(disk, entries[applied:end])
        applied = end
        marks = [float(entry.text) for entry in entries[:end] if entry.text]
        cut_at = marks[-1] if marks else 0.0
        disk_at_cut = bytearray(disk)
        if rng.random() < 0.7:
            logwrites.apply(disk_at_cut, logwrites.torn(entries[end : next_end - 1], rng))
        with tempfile.TemporaryDirectory(dir=power.door.session) as scratch:
            folder, image = Path(scratch), Path(scratch) / "disk.ext4"
            image.write_bytes(disk_at_cut)
            # Exit code 0: clean after the journal was replayed; 1: repaired. Higher: the file system is damaged.
            check = subprocess.run(["e2fsck", "-p", image], capture_output=True, text=True)
            subprocess.run(["debugfs", "-R", f"rdump / {folder}", image], capture_output=True, check=True)
            for other, record in zip(others, power.records, strict=True):
                if check.returncode > 1:
                    other.add_fault(f"e2fsck: {check.stdout}{check.stderr}")
                other.compare(cut_at, folder, record.expected, record.lines)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "no_fsync", "options"),
    [
        pytest.param("os.fsync does nothing", True, "", id="no-fsync"),
        pytest.param("barrier=0, on a disk with a cache", False, "-o barrier=0", id="no-barrier"),
    ],
)
def test_missing_sync_is_detected(lab: Lab, report: Report, what: str, no_fsync: bool, options: str) -> None:
    """The control experiment: without fsync, or without flushes to the disk, events older than a second are lost.

    If they are not, the other tests of this module prove nothing. os.fsync does nothing in the door and in the hammer;
    or the disk has a cache and is mounted without barriers, so that ext4 never flushes it.
    """
    with lab.door(data_mb=32) as door:
        power = PowerCuts(door, report, no_fsync=no_fsync, cache=bool(options), options=options)
        for _ in range(CONTROL_CUTS):
            power.cut_at_work()
        power.boot_last()
    for record in power.records:
        oldest_s = max(record.lost_ages_s)
        faults = "; ".join(record.faults[:1])
        report.check(
            oldest_s > MAX_LOST_S and record.faults,
            f"{what}: {record.name} after power cuts",
            "faults",
            f"{len(record.faults)} faults, the oldest lost event was {oldest_s:.1f} s old; {faults}",
            CONTROL_CUTS,
        )
