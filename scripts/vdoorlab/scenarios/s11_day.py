"""A day at the door: 24 hours of it as fast as they go, 2,000 people, a crowd of ten, a night and hours with nobody.

Without a virtual machine: the loop, the models and the event log are the product's, in one process on this machine. Memory,
open files and threads stay as they are, every person is in the log, and little of an SD card is written.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from vdoorlab.report import Report
from vdoorlab.runner import Lab

QUICK = False
HOURS = 24.0
PROGRAM = Path(__file__).resolve().parents[1] / "day.py"


def run(lab: Lab, report: Report) -> None:
    play(lab, report, HOURS)


def play(lab: Lab, report: Report, hours: float) -> None:
    """Play so many hours, and state what they came to."""
    lab.folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, str(PROGRAM), "--hours", str(hours)]
    said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(said.stdout.splitlines()[-1])
    (lab.folder / "day.json").write_text(json.dumps(found, indent=1))
    judge(report, hours, found)


def judge(report: Report, hours: float, found: dict[str, Any]) -> None:
    """State what so many hours came to; `found` is what day.py says."""
    plays = found["played"]
    report.check(found["frames"] >= hours * 27000, f"{hours:g} h played", "7.5 pictures a second", found["frames"])
    clip = found["told"].get("clip", {})
    for kind in ("masked", "unmasked", "agitated", "cleared"):
        one = found["one_clip"].get(kind, 0)
        report.equal(clip.get(kind, 0), one * plays["clip"], f"'{kind}' of those who came", plays["clip"])
    crowd = found["told"].get("crowd", {})
    report.equal(crowd.get("unmasked", 0), 10 * plays.get("crowd", 0), "all of a crowd of ten decided", plays["crowd"])
    nobody = found["told"].get("empty", {})
    nobody.pop("started", None), nobody.pop("stopped", None)
    report.equal(nobody, {}, "told while nobody was there")
    told = sum(sum(kinds.values()) for kinds in found["told"].values())
    report.check(found["lines"] >= told and not found["damaged"], "events told are in the log", told, found["lines"])
    report.equal(found["gaps_in_seq"], 0, "gaps in seq, over all files")
    report.check(found["files"] > 1 or hours < 12, "log rotated", "several files", found["files"])

    # The first sixth of it: caches fill, allocators find their size.
    samples = np.array(found["samples"])
    later = samples[samples[:, 0] >= hours / 6]
    slope = float(np.polyfit(later[:, 0], later[:, 1], 1)[0])
    # Not the memory itself: this process holds all the pictures that it plays.
    report.measure("memory gained, from the first look on", float(samples[:, 1].max() - samples[0, 1]), "MB", at_most=5)
    report.measure("memory gained, over 24 h of the door's time", 24 * slope, "MB", at_most=5 * max(1.0, 24 / hours))
    report.measure("open descriptors gained", float(later[-1, 2] - later[0, 2]), "", at_most=0)
    report.measure("threads, at most", float(samples[:, 3].max()), "", at_most=5)
    report.measure("people decided", float(found["people"]), "")
    report.measure("log in a day", found["log_bytes"] / hours * 24 / 1e6, "MB", at_most=5)
    pages_mb = found["written_bytes"] / hours * 24 / 1e6
    report.measure("written to the disk in a day, in whole pages", pages_mb, "MB", at_most=30)
    report.measure("of which 5 MB are enough for so many people", 5 / pages_mb * found["people"], "")
    report.measure("door time played per second", hours * 3600 / found["seconds"], "s")
    report.note(
        "Whole pages: each fsync writes the page of 4 KiB that its lines are in. As fast as the day is played, several moments "
        "share one, and the file system's own journal comes on top: what a card really gets, s11_card measures."
    )
