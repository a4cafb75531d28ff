"""Compare the door's tracker with ByteTrack and OC-SORT on simulated people who cross.

Prints, for each frame rate and tracker, how often a person got a number that was another's (swaps: the evidence of two
people is mixed) or a new one (breaks), and the time per frame.

  python -m training.evaluate_tracker --scenes 30
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from edge import config
from edge.config import TrackerSettings
from edge.records import Detection
from edge.tracker import Tracker
from training.command_line import parser_for
from training.crossings import HEIGHT, Scene, judge, simulate

RATES, PEOPLE = (2, 3, 5, 8, 10, 15), (2, 3, 5)
#: Scenes of the test set have other seeds than those on which the constants were chosen.
FIRST_SEED = {"val": 1000, "test": 5000}


class Tracking(Protocol):
    """A tracker: returns the number of each detection's track, 0 for none."""

    def update(self, detections: Sequence[Detection], t: float, frame_height: int, /) -> list[int]: ...


def evaluate(make: Callable[[TrackerSettings], Tracking], scenes: Sequence[Scene]) -> tuple[int, int, float]:
    """Return swaps, breaks, and microseconds per frame of a tracker."""
    settings = config.load().tracker
    swaps = breaks = frames = 0
    seconds = 0.0
    for scene in scenes:
        tracker = make(settings)
        start = time.process_time()
        numbers = [tracker.update(d, t, HEIGHT) for t, d in zip(scene.times, scene.detections, strict=True)]
        seconds += time.process_time() - start
        found = judge(scene.owners, numbers)
        swaps, breaks, frames = swaps + found.swaps, breaks + found.breaks, frames + found.frames
    return swaps, breaks, 1e6 * seconds / frames


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = parser_for("evaluate_tracker", __doc__)
    parser.add_argument(
        "--scenes", type=int, default=30, help="scenes for each rate and number of people (default: 30)"
    )
    parser.add_argument("--split", choices=FIRST_SEED, default="val", help="(default: %(default)s)")
    args = parser.parse_args(argv)
    from training.peer_trackers import ByteTrack, OcSort

    trackers: dict[str, Callable[[TrackerSettings], Tracking]] = {
        "door": Tracker, "ByteTrack": ByteTrack, "OC-SORT": OcSort
    }  # fmt: skip
    totals = dict.fromkeys(trackers, (0, 0))
    for fps in RATES:
        seeds = range(FIRST_SEED[args.split], FIRST_SEED[args.split] + args.scenes)
        scenes = [simulate(seed, fps, people) for people in PEOPLE for seed in seeds]
        for name, make in trackers.items():
            swaps, breaks, us = evaluate(make, scenes)
            totals[name] = (totals[name][0] + swaps, totals[name][1] + breaks)
            print(f"{fps:3d} frames/s  {name:10s} {swaps:4d} swaps {breaks:5d} breaks {us:6.0f} us", flush=True)
    for name, (swaps, breaks) in totals.items():
        print(f"all           {name:10s} {swaps:4d} swaps {breaks:5d} breaks")
    return 0


if __name__ == "__main__":
    sys.exit(main())
