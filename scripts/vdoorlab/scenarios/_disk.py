"""What the scenarios of ailing disks share: how soon the lamps come, and a crowd that makes events by the thousand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from vdoorlab import clips
from vdoorlab.machine import Machine
from vdoorlab.report import Report

CONFIG = "/etc/doorlight/doorlight.toml"
#: From the change of the picture to the lamp: two and a half seconds would be late on any machine.
LATEST_S = 2.5
#: With an ailing disk a lamp may come so much later (median, seconds): the pace of the pictures, and a loaded host.
LATER_S = 0.5
BOOT_S = 240.0

#: Decide at once and forget at once, so that a crowd makes ten events a second and more.
HASTY = """
[tracker]
gone_s = 0.1
most_looks = 8
[policy]
looks = 1
decide_s = 0.0
hold_s = 0.0
doubt_s = 0.0
"""


def lamps(door: Machine, times: int = 4) -> list[float]:
    """Somebody comes and goes, masked and unmasked by turns: seconds from the change of the picture to each lamp."""
    delays = []
    gone = door.camera.show("empty")
    door.wait_for("off", 30, since=gone)
    for k in range(times):
        clip, looks = (("masked", "green"), ("unmasked", "red"))[k % 2]
        shown = door.camera.show(clip)
        delays.append(door.wait_for(looks, 30, since=shown).t - shown)
        gone = door.camera.show("empty")
        door.wait_for("off", 30, since=gone)
    return delays


def compare(report: Report, what: str, without: list[float], those: list[float]) -> None:
    """State that the lamps came in time, and no later than without the trouble."""
    report.measure(f"picture to lamp, {what}", those, "s", at_most=LATEST_S)
    later = float(np.median(those) - np.median(without))
    report.check(
        later < LATER_S,
        f"{what}: the lamps",
        f"less than {LATER_S} s later than without",
        f"{later:+.2f} s",
        len(those),
    )


def crowd(door: Machine) -> None:
    """A clip named "crowd": four people at once, who change with every other picture; with HASTY, some twenty events a second."""
    frames = clips.video()
    empty = frames[clips.EMPTY[0]]
    pictures = []
    for name in ("masked", "unmasked"):
        half = cv2.resize(
            frames[clips.STANDING[name][0]], (clips.WIDTH // 2, clips.HEIGHT // 2), interpolation=cv2.INTER_AREA
        )
        four = np.tile(half, (2, 2, 1))
        pictures += [four, four, empty, empty, empty, empty]
    clips.write(door.session / "frames" / "crowd.yuyv", pictures)


def set_up(door: Machine, report: Report, extra: str = "") -> list[float]:
    """Boot a door that is well, with more settings: how soon its lamps come."""
    door.boot(early=f"cat >>{CONFIG} <<'END'\n{extra}\nEND\n" if extra else "", within_s=BOOT_S)
    door.wait_service(BOOT_S)
    without = lamps(door)
    report.measure("picture to lamp, all being well", without, "s", at_most=LATEST_S)
    return without


def status(door: Machine) -> str:
    """What the door says of itself in `systemctl status`."""
    return door.properties("StatusText")["StatusText"]


def wait_status(door: Machine, test: Callable[[str], bool], within_s: float) -> str:
    """Wait until the status is as wanted."""
    return door.wait_until(
        lambda: text if test(text := status(door)) else None, within_s, lambda: f"the status is {status(door)!r}"
    )


def whole(door: Machine, report: Report, what: str) -> list[dict[str, Any]]:
    """State that no line is damaged and none missing without being counted; all events of the log."""
    events = door.events()
    damaged = [event for event in events if "damaged" in event]
    report.equal(damaged, [], f"{what}: damaged lines in the log")
    before, wrong = 0, []
    for event in events:
        # Numbers are left out where a log_lost counts them, and after an end that nobody wrote down.
        expected = event["count"] if event["event"] == "log_lost" else 1
        if event["seq"] - before != expected and event["event"] not in ("started", "log_repaired"):
            wrong.append(f"{event} after seq {before}")
        before = event["seq"]
    report.equal(wrong, [], f"{what}: events missing that no log_lost counts", times=len(events))
    return events
