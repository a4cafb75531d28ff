"""The disk is full: the lights go on in time, what is lost is counted and said, and logging goes on by itself once there is room.

Filled to the last block by root, first for some minutes of ordinary visits, then under a crowd until more than the thousand
events that the door keeps in memory have happened, and over a restart.
"""

from __future__ import annotations

from vdoorlab.machine import STATE
from vdoorlab.report import Report
from vdoorlab.runner import Lab
from vdoorlab.scenarios._disk import BOOT_S, HASTY, compare, crowd, lamps, set_up, status, wait_status, whole

QUICK = False
FILL = f"cat /dev/zero >{STATE}/filler; cat /dev/zero >{STATE}/filler2; sync; df {STATE} | tail -1"
EMPTY = f"rm {STATE}/filler {STATE}/filler2"


def run(lab: Lab, report: Report) -> None:
    with lab.door(data_mb=32) as door:
        without = set_up(door, report)
        report.note("df when full: " + door.run(FILL, 60).out.strip())
        said = ""
        delays: list[float] = []
        while "No space left" not in said and len(delays) < 200:  # the file's last block has still room for some lines
            delays += lamps(door, 4)
            said = status(door)
        compare(report, "disk full", without, delays)
        report.check(
            "No space left" in said, "disk full: systemctl status", "event log: … No space left on device", said
        )
        doctor = door.run("doorlight doctor", 200).out
        found = [line.strip() for line in doctor.splitlines() if "MB free" in line]
        report.check(
            any("next to nothing" in line for line in found),
            "disk full: doorlight doctor",
            "next to nothing free",
            found,
        )
        door.sh(EMPTY)
        wait_status(door, lambda text: "all well" in text, 30)
        report.equal(
            [e for e in whole(door, report, "room again") if e["event"] == "log_lost"],
            [],
            "few events while full: lost",
        )

        door.sh(FILL, 60)
        door.camera.show("empty")
        door.sh("systemctl restart doorlight.service", BOOT_S)
        compare(report, "disk full, door restarted", without, lamps(door))
        report.check(
            "No space left" in (said := status(door)),
            "disk full, door restarted: status",
            "No space left on device",
            said,
        )
        door.sh(EMPTY)
        wait_status(door, lambda text: "all well" in text, 30)
        whole(door, report, "room again after a restart")

    with lab.door(data_mb=32) as door:
        crowd(door)
        set_up(door, report, HASTY)
        door.sh(FILL, 60)
        began = door.now()
        door.camera.show("crowd")
        said = wait_status(door, lambda text: "events lost" in text, 600)
        report.measure("a crowd before a full disk until the first event is lost", door.now() - began, "s")
        report.check(
            "No space left" in said,
            "more than 1000 events while the disk is full: status",
            "No space left …; N events lost",
            said,
        )
        door.camera.show("empty")
        door.sh(EMPTY)
        wait_status(door, lambda text: "all well" in text, 30)
        events = whole(door, report, "room again after a loss")
        lost = [event["count"] for event in events if event["event"] == "log_lost"]
        report.check(sum(lost) > 0, "room again: log_lost in the log", "one, with the count", lost)
        shown = [line for line in door.sh("doorlight events", 60).splitlines() if "events are missing here" in line]
        report.check(len(shown) == len(lost), "room again: doorlight events", "N events are missing here", shown)
