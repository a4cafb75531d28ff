"""Checks for a door with a full, slow or broken disk: time to the lamps, and completeness of the log."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from virtual_door import clips
from virtual_door.door import CONFIG, Door
from virtual_door.report import Report

#: Limit from a change of the picture to the lamp, on any host.
MAX_LAMP_S = 2.5
#: Limit for the additional delay with a broken disk (median): the frame period, and a busy host.
MAX_EXTRA_S = 0.5
BOOT_S = 240.0

#: Settings to decide and forget at once: a crowd then causes ten events a second and more.
HASTY = """
[tracker]
forget_after_s = 0.1
max_looks_per_frame = 8
[policy]
min_looks = 1
min_decide_s = 0.0
min_signal_s = 0.0
undecided_max_s = 0.0
"""


def lamp_delays(door: Door, times: int = 4) -> list[float]:
    """Let a masked and an unmasked person come and go by turns. Return the seconds from the picture to each lamp."""
    delays = []
    gone = door.camera.show("empty")
    door.wait_for_lamps("off", 30, since=gone)
    for k in range(times):
        clip, lamps = (("masked", "green"), ("unmasked", "red"))[k % 2]
        shown = door.camera.show(clip)
        delays.append(door.wait_for_lamps(lamps, 30, since=shown).t - shown)
        gone = door.camera.show("empty")
        door.wait_for_lamps("off", 30, since=gone)
    return delays


def check_delays(report: Report, what: str, normal: list[float], delays: list[float]) -> None:
    """Check that the lamps came in time, and not later than normally."""
    report.measure(f"picture to lamp, {what}", delays, "s", at_most=MAX_LAMP_S)
    extra_s = float(np.median(delays) - np.median(normal))
    report.check(
        extra_s < MAX_EXTRA_S,
        f"{what}: the lamps",
        f"less than {MAX_EXTRA_S} s later than normally",
        f"{extra_s:+.2f} s",
        len(delays),
    )


def make_crowd_clip(door: Door) -> None:
    """Make the clip "crowd": four persons who appear for two frames and disappear; with HASTY some 20 events a
    second."""
    frames = clips.video()
    empty = frames[clips.EMPTY[0]]
    pictures = []
    for name in ("masked", "unmasked"):
        half = cv2.resize(
            frames[clips.STANDING[name][0]], (clips.WIDTH // 2, clips.HEIGHT // 2), interpolation=cv2.INTER_AREA
        )
        four = np.tile(half, (2, 2, 1)).astype(np.uint8)
        pictures += [four, four, empty, empty, empty, empty]
    clips.write(door.session / "frames" / "crowd.yuyv", pictures)


def boot_normally(door: Door, report: Report, settings: str = "") -> list[float]:
    """Boot a door with a good disk and additional settings. Return its normal `lamp_delays`."""
    door.boot(early=f"cat >>{CONFIG} <<'END'\n{settings}\nEND\n" if settings else "", within_s=BOOT_S)
    door.wait_ready(BOOT_S)
    normal = lamp_delays(door)
    report.measure("picture to lamp, good disk", normal, "s", at_most=MAX_LAMP_S)
    return normal


def check_log(door: Door, report: Report, what: str) -> list[dict[str, Any]]:
    """Check that no line is damaged and that `log_lost` counts all missing events. Return all events of the log."""
    events = door.events()
    damaged = [event for event in events if "damaged" in event]
    report.equal(damaged, [], f"{what}: damaged lines in the log")
    last_seq, wrong = 0, []
    for event in events:
        # Numbers are skipped where a log_lost counts them, and after an end that was not logged.
        expected = event["count"] if event["event"] == "log_lost" else 1
        if event["seq"] - last_seq != expected and event["event"] not in ("started", "log_repaired"):
            wrong.append(f"{event} after seq {last_seq}")
        last_seq = event["seq"]
    report.equal(wrong, [], f"{what}: missing events that no log_lost counts", times=len(events))
    return events
