"""Power cuts of a disk that has a cache of its own, which a cut empties: a missing fsync or flush would show.

Between the file system and the disk lies the kernel's dm-log-writes. After each cut the disk is made anew from its log: what
was not flushed never was written. With what was logged, many more cuts are tried without a machine: at every moment at which
something became durable, and with part of what was not, sector by sector, on the disk. Each such disk is repaired by
e2fsck and read by debugfs.
"""

from __future__ import annotations

import random
import subprocess
import tempfile
from itertools import pairwise
from pathlib import Path

from vdoorlab import logwrites
from vdoorlab.report import Report
from vdoorlab.runner import Lab
from vdoorlab.scenarios._power import PROMISE_S, Book, Plug

QUICK = False
CUTS = 12
DISKS = 300


def run(lab: Lab, report: Report) -> None:
    with lab.door(data_mb=32) as door:
        plug = Plug(door, report, cache=True)
        others = [Book(book.name, book.file) for book in plug.books]
        for _ in range(CUTS):
            plug.cut_while_it_works()
            other_moments(plug, others, DISKS // CUTS)
        plug.last_boot()
        plug.state()
    for book in others:
        what = f"the disk as it would be after a cut at another moment, repaired by e2fsck and read: {book.name}"
        seen = book.faults[:3] or "as expected"
        report.check(not book.faults, what, "whole lines, seq rising, all before the last second", seen, book.cuts)
        report.measure(f"{book.name}, on those disks: age of the oldest event lost", book.missing, "s", PROMISE_S)
        report.note(f"Those disks, {book.name}: {book.torn} of {book.cuts} had a torn last line.")


def other_moments(plug: Plug, others: list[Book], count: int) -> None:
    """Cut the power at other moments of the run that has just ended."""
    chance = random.Random(plug.cuts)
    found = logwrites.entries(plug.writes)
    ends = [k + 1 for k, entry in enumerate(found) if entry.durable]
    disk, done = bytearray(plug.base.read_bytes()), 0
    for durable, later in sorted(chance.sample(list(pairwise(ends)), min(count, max(0, len(ends) - 1)))):
        logwrites.lay(disk, found[done:durable])
        done = durable
        at = [float(entry.text) for entry in found[:durable] if entry.text][-1:]
        now = bytearray(disk)
        if chance.random() < 0.7:
            logwrites.lay(now, logwrites.torn(found[durable : later - 1], chance))
        with tempfile.TemporaryDirectory(dir=plug.door.session) as scratch:
            folder, image = Path(scratch), Path(scratch) / "disk.ext4"
            image.write_bytes(now)
            # 0: clean, its journal played back; 1: mended. More is a damaged file system.
            check = subprocess.run(["e2fsck", "-p", image], capture_output=True, text=True)
            subprocess.run(["debugfs", "-R", f"rdump / {folder}", image], capture_output=True, check=True)
            for other, book in zip(others, plug.books, strict=True):
                if check.returncode > 1:
                    other.fault(f"e2fsck: {check.stdout}{check.stderr}")
                other.compare(at[0] if at else 0.0, folder, book.told, book.lines)
