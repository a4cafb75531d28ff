#!/usr/bin/env python3
"""A day at the door, played as fast as it goes: 2,000 people, a crowd of ten, a night, and hours in which nobody comes.

The real loop (edge.door.run) with the real models, simulated lamps and a real event log. The people are those of
scripts/demo_data/door.mp4 (or of --passages VIDEO) and of `doorlight bench`; between them the clip's empty door, under the
noise of a sensor. Door time is the pictures' own: 7.5 a second.

The last line of stdout is one JSON object: see `Result`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from edge import bench, config, door, events, manifest
from edge.camera import Source, open_source
from edge.lights import Lights
from edge.perception import Perception
from edge.records import Event, Frame

FPS = 7.5
CLIP = ROOT / "scripts/demo_data/door.mp4"
#: So many different pictures of an empty door; the noise of each is its own.
EMPTY = 16
#: Small, so that a day fills several files; all are kept, so that nothing is missing when they are counted.
ROTATE_BYTES, KEEP = 200_000, 100
#: Memory, descriptors and threads are looked at this often (seconds of the door's time).
SAMPLE_S = 600.0
#: What a picture at night has of the light by day.
NIGHT = 0.3


@dataclass
class Result:
    """What a day came to. `samples` are (door's hour, MB of memory, open descriptors, threads)."""

    hours: float
    frames: int = 0
    seconds: float = 0.0
    people: int = 0
    #: Events by what was played ("clip", "night", "crowd", "empty"), and how often each was played.
    told: dict[str, dict[str, int]] = field(default_factory=dict)
    played: dict[str, int] = field(default_factory=dict)
    #: What one play of the clip tells by itself.
    one_clip: dict[str, int] = field(default_factory=dict)
    lines: int = 0
    files: int = 0
    gaps_in_seq: int = 0
    damaged: int = 0
    log_bytes: int = 0
    #: What the kernel was given to write for this process, in whole pages, by log and its fsync.
    written_bytes: int = 0
    samples: list[tuple[float, float, int, int]] = field(default_factory=list)


def _written() -> int:
    return int(dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())["write_bytes"])


class Day(Source):
    """`hours` of a door: night for a quarter of them, then people, with a break at noon and a crowd after it."""

    live = False
    name = "a day"
    fps = FPS

    def __init__(self, hours: float, clip: list[np.ndarray], crowd: list[np.ndarray], people_an_hour: float) -> None:
        self.hours = hours
        self.playing = "empty"
        self.played: Counter[str] = Counter()
        self._clip, self._crowd = clip, crowd
        self._pause_s = 3600 * 3 / people_an_hour - len(clip) / FPS
        rng = np.random.default_rng(11)
        nobody = clip[0].astype(np.int16)
        self._empty = [self._noisy(nobody, rng) for _ in range(EMPTY)]
        self._dark = [self._noisy(nobody * NIGHT, rng) for _ in range(EMPTY)]
        self._night = [self._noisy(picture * NIGHT, rng) for picture in clip]

    @staticmethod
    def _noisy(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return np.clip(picture + rng.normal(0, 3, picture.shape), 0, 255).astype(np.uint8)

    def open(self) -> None:
        self._pictures = self._story()
        self._number = 0

    def _story(self) -> Iterator[tuple[str, np.ndarray]]:
        while True:
            shorter = self.hours / 24
            hour = self._number / FPS / 3600 / shorter
            if hour < 6:
                yield from self._nobody(self._dark, 1800 * shorter)
                yield from self._play("night", self._night)
            elif 12 <= hour < 13:
                yield from self._nobody(self._empty, 900 * shorter)
            elif 13 <= hour < 13.5 or (hour > 13.5 and not self.played["crowd"]):
                yield from self._nobody(self._empty, 20)
                yield from self._play("crowd", self._crowd)
            else:
                yield from self._nobody(self._empty, self._pause_s)
                yield from self._play("clip", self._clip)

    def _nobody(self, pictures: list[np.ndarray], seconds: float) -> Iterator[tuple[str, np.ndarray]]:
        for k in range(round(seconds * FPS)):
            # A moment later, what is told still belongs to those who left.
            yield ("" if k < 5 * FPS else "empty"), pictures[k % EMPTY]

    def _play(self, name: str, pictures: list[np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
        self.played[name] += 1
        for picture in pictures:
            yield name, picture

    def read(self) -> Frame | None:
        if self._number >= self.hours * 3600 * FPS and self.playing == "empty":
            return None
        playing, picture = next(self._pictures)
        self.playing = playing or self.playing
        frame = Frame(self._number, self._number / FPS, picture)
        self._number += 1
        return frame

    def close(self) -> None:
        pass


def pictures_of(source: Source, every: int, most: int = 10**6) -> list[np.ndarray]:
    """Each `every`-th picture of what `source` plays, at most so many."""
    found: list[np.ndarray] = []
    with source:
        while len(found) < most and (frame := source.read()) is not None:
            if frame.number % every == 0:
                found.append(frame.picture)
    return found


def day(hours: float, passages: Path, people_an_hour: float, folder: Path) -> Result:
    """Play the day and count what came of it; the log is written into `folder`."""
    settings = config.load()
    perception = Perception(settings, manifest.load())
    source = open_source(settings.camera, str(passages))
    with source:
        every = max(1, round((source.fps or FPS) / FPS))
    clip = pictures_of(source, every)
    crowd = pictures_of(bench.Visits(10, settings.camera), 2, 60)
    result = Result(hours)

    loop = door.Loop(settings, perception)
    alone = [loop.step(Frame(k, k / FPS, picture)) for k, picture in enumerate([*clip, *[clip[0]] * 30])]
    result.one_clip = dict(Counter(event.kind for decision in alone for event in decision.events))

    source = Day(hours, clip, crowd, people_an_hour)
    told: dict[str, Counter[str]] = {}
    next_s = 0.0

    def tell(event: Event) -> None:
        told.setdefault(source.playing, Counter())[event.kind] += 1

    def watch(frame: Frame | None, decision: door.Decision) -> None:
        nonlocal next_s
        if decision.t < next_s:
            return
        next_s += SAMPLE_S
        hour = decision.t / 3600
        threads = len(os.listdir("/proc/self/task"))
        result.samples.append((round(hour, 3), bench.rss_mb(), len(os.listdir("/proc/self/fd")), threads))
        if sys.stderr.isatty():
            print(f"\r{hour:5.1f} of {hours:g} h", end="", file=sys.stderr, flush=True)

    path = folder / "events.jsonl"
    written, began = _written(), time.monotonic()
    with (
        Lights(settings.lights, simulate=True) as lights,
        events.EventLog(path, ROTATE_BYTES, KEEP) as log,
        source,
    ):
        summary = door.run(settings, perception, source, lights, log, threading.Event(), began, tell, watch)
    result.seconds = round(time.monotonic() - began, 1)
    result.written_bytes = _written() - written
    result.frames = summary.frames
    result.told = {name: dict(kinds) for name, kinds in told.items()}
    result.played = dict(source.played)
    result.people = sum(kinds.get("masked", 0) + kinds.get("unmasked", 0) for kinds in told.values())

    reading = events.read(path)
    seqs = [int(str(line["seq"])) for line in reading]
    result.lines, result.damaged = len(seqs), reading.damaged
    result.gaps_in_seq = sum(b != a + 1 for a, b in pairwise(seqs))
    files = list(folder.glob("events.jsonl*"))
    result.files, result.log_bytes = len(files), sum(file.stat().st_size for file in files)
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=24.0, help="of the door's time (default: %(default)g)")
    parser.add_argument(
        "--passages", type=Path, default=CLIP, metavar="VIDEO", help="people of scripts/make_passages.py instead"
    )
    parser.add_argument("--people", type=float, default=120.0, help="an hour, by day (default: %(default)g)")
    args = parser.parse_args()
    # On a disk: in memory nothing would count as written.
    with tempfile.TemporaryDirectory(dir=ROOT, prefix=".export-day-") as folder:
        result = day(args.hours, args.passages, args.people, Path(folder))
    print(json.dumps(asdict(result)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
