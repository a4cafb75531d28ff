"""A day at the door in fast motion: memory, descriptors, threads, the event log, and the bytes written to an SD card.

It needs no virtual machine: scripts/virtual_door/day.py runs the product's loop, models and event log on the host.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.paths import SCRIPTS
from virtual_door.report import Report

pytestmark = [pytest.mark.virtual_door, pytest.mark.slow]

HOURS = 24.0


def test_long_day(report: Report, results: Path) -> None:
    """24 hours: 2,600 people, crowds of ten, a night, and hours in which nobody comes."""
    results.mkdir(parents=True)
    command = [sys.executable, "-m", "virtual_door.day", "--hours", str(HOURS)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=SCRIPTS)
    day: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    (results / "day.json").write_text(json.dumps(day, indent=1))
    _check_people(report, day)
    _check_log(report, day)
    _check_resources(report, day)


def _check_people(report: Report, day: dict[str, Any]) -> None:
    plays, events = day["plays"], day["events"]
    report.check(day["frames"] >= HOURS * 27000, f"{HOURS:g} h played", "7.5 frames a second", day["frames"])
    for kind in ("masked", "unmasked", "agitated", "cleared"):
        expected = day["events_of_one_clip"].get(kind, 0) * plays["clip"]
        report.equal(
            events.get("clip", {}).get(kind, 0), expected, f"'{kind}' of the persons of the clip", plays["clip"]
        )
    unmasked = events.get("crowd", {}).get("unmasked", 0)
    report.equal(unmasked, 10 * plays.get("crowd", 0), "crowds of ten: persons decided", plays["crowd"])
    while_empty = {kind: n for kind, n in events.get("empty", {}).items() if kind not in ("started", "stopped")}
    report.equal(while_empty, {}, "events while nobody is at the door")
    report.equal(day["statistics"], day["happened"], "statistics of the log, over all its files")
    report.measure("people decided", float(day["people"]), "")
    report.measure("door time played per second", HOURS * 3600 / day["seconds"], "s")


def _check_log(report: Report, day: dict[str, Any]) -> None:
    count = sum(sum(kinds.values()) for kinds in day["events"].values())
    is_complete = day["lines"] >= count and not day["damaged"]
    report.check(is_complete, "events in the log", count, day["lines"])
    report.equal(day["gaps_in_seq"], 0, "gaps in seq, over all files")
    report.check(day["files"] > 1, "log rotated", "several files", day["files"])
    report.measure("log in a day", day["log_bytes"] / HOURS * 24 / 1e6, "MB", at_most=5)
    pages_mb = day["written_bytes"] / HOURS * 24 / 1e6
    report.measure("written to the disk in a day, in whole pages", pages_mb, "MB", at_most=30)
    report.measure("5 MB a day are enough for this number of people", 5 / pages_mb * day["people"], "")
    report.note(
        "Whole pages: each fsync writes the page of 4 KiB that holds the lines. In fast motion several events share one fsync, "
        "and the file system's journal is not included: test_sd_card.py measures all writes to a card."
    )


def _check_resources(report: Report, day: dict[str, Any]) -> None:
    samples = np.array(day["samples"])
    # In the first sixth, caches and allocators still grow.
    later = samples[samples[:, 0] >= HOURS / 6]
    slope = float(np.polyfit(later[:, 0], later[:, 1], 1)[0])
    # The growth, not the total: this process also holds all frames that it plays.
    growth_mb = float(samples[:, 1].max() - samples[0, 1])
    report.measure("memory growth since the first sample", growth_mb, "MB", at_most=5)
    report.measure("memory growth in 24 h of door time", 24 * slope, "MB", at_most=5 * max(1.0, 24 / HOURS))
    report.measure("growth of open descriptors", float(later[-1, 2] - later[0, 2]), "", at_most=0)
    report.measure("threads, maximum", float(samples[:, 3].max()), "", at_most=5)
