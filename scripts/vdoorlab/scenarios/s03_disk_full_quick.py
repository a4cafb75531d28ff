"""The disk is full and has room again: the lights go on in time, the status says why, logging goes on by itself.

The short form of disk_full: few visits, no loss.
"""

from __future__ import annotations

from vdoorlab.report import Report
from vdoorlab.runner import Lab
from vdoorlab.scenarios._disk import compare, lamps, set_up, status, wait_status, whole
from vdoorlab.scenarios.s03_disk_full import EMPTY, FILL

QUICK = True


def run(lab: Lab, report: Report) -> None:
    with lab.door(data_mb=32) as door:
        without = set_up(door, report)
        door.sh(FILL, 60)
        delays = lamps(door, 4)
        while "No space left" not in (said := status(door)) and len(delays) < 40:
            delays += lamps(door, 2)
        compare(report, "disk full", without, delays)
        report.check(
            "No space left" in said, "disk full: systemctl status", "event log: … No space left on device", said
        )
        door.sh(EMPTY)
        wait_status(door, lambda text: "all well" in text, 30)
        whole(door, report, "room again")
