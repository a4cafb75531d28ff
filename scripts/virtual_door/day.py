"""Play a day at the door in fast motion: 2,600 people, crowds of ten, a night, and hours in which nobody comes.

The product's loop (edge.door.run) and models, simulated lamps and a real event log. The people are those of
scripts/assets/demo/door.mp4 (or of --passages VIDEO) and of `doorlight bench`; between them the door is empty, with
sensor noise. The door's time is that of the frames, 7.5 a second.

    PYTHONPATH=scripts python -m virtual_door.day

The last line of stdout is one JSON object: see `DayResult`.
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
from typing import Any

import numpy as np
import numpy.typing as npt

from edge import config, door
from edge.bench import drawn_people, measure
from edge.camera.factory import open_source
from edge.camera.source import Source
from edge.events import reader, writer
from edge.inference import manifest
from edge.inference.perception import Perception
from edge.lights.lights import Lights
from edge.pipeline import Decision, Pipeline
from edge.records import Event, Frame
from edge.statistics import figures
from edge.statistics.hour import rounded_ms

ROOT = Path(__file__).resolve().parents[2]
FPS = 7.5

Picture = npt.NDArray[np.uint8]

CLIP = ROOT / "scripts/assets/demo/door.mp4"
#: Number of different pictures of the empty door, each with its own noise.
EMPTY_PICTURES = 16
#: Small files, so that a day fills several of them; all are kept, so that all events can be counted.
ROTATE_BYTES, KEEP_FILES = 200_000, 100
#: Period of the samples of memory, descriptors and threads, in the door's time.
SAMPLE_PERIOD_S = 600.0
#: Brightness of a picture at night, relative to the day.
NIGHT_BRIGHTNESS = 0.3


@dataclass
class DayResult:
    """Totals for one day. `samples` are (hour of door time, memory in MB, open descriptors, threads)."""

    hours: float
    frames: int = 0
    seconds: float = 0.0
    people: int = 0
    #: Events by what was played ("clip", "night", "crowd", "empty"), and how often each of them was played.
    events: dict[str, dict[str, int]] = field(default_factory=dict)
    plays: dict[str, int] = field(default_factory=dict)
    #: Events of a single play of the clip.
    events_of_one_clip: dict[str, int] = field(default_factory=dict)
    lines: int = 0
    files: int = 0
    gaps_in_seq: int = 0
    damaged: int = 0
    #: What `doorlight stats` counts in the log, and what really happened: people, those with a mask at the end, alarms, and
    #: the times at the door (ms) by how often they occur.
    statistics: dict[str, Any] = field(default_factory=dict)
    happened: dict[str, Any] = field(default_factory=dict)
    log_bytes: int = 0
    #: Bytes that the kernel wrote to disk for this process, in whole pages, because of the log's fsync.
    written_bytes: int = 0
    samples: list[tuple[float, float, int, int]] = field(default_factory=list)


def _written_bytes() -> int:
    return int(dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())["write_bytes"])


class Day(Source):
    """`hours` at a door: night for a quarter of them, then people, a break at noon and a crowd after it."""

    live = False
    name = "a day"
    fps = FPS

    def __init__(self, hours: float, clip: list[Picture], crowd: list[Picture], people_an_hour: float) -> None:
        self.hours = hours
        self.playing = "empty"
        self.plays: Counter[str] = Counter()
        self._clip, self._crowd = clip, crowd
        self._pause_s = 3600 * 3 / people_an_hour - len(clip) / FPS
        rng = np.random.default_rng(11)
        nobody = clip[0].astype(np.int16)
        self._empty = [self._noisy(nobody, rng) for _ in range(EMPTY_PICTURES)]
        self._dark = [self._noisy(nobody * NIGHT_BRIGHTNESS, rng) for _ in range(EMPTY_PICTURES)]
        self._night = [self._noisy(picture * NIGHT_BRIGHTNESS, rng) for picture in clip]

    @staticmethod
    def _noisy(picture: npt.NDArray[Any], rng: np.random.Generator) -> Picture:
        noisy: Picture = np.clip(picture + rng.normal(0, 3, picture.shape), 0, 255).astype(np.uint8)
        return noisy

    def open(self) -> None:
        self._pictures = self._story()
        self._number = 0

    def _story(self) -> Iterator[tuple[str, Picture]]:
        while True:
            shorter = self.hours / 24
            hour = self._number / FPS / 3600 / shorter
            if hour < 6:
                yield from self._nobody(self._dark, 1800 * shorter)
                yield from self._play("night", self._night)
            elif 12 <= hour < 13:
                yield from self._nobody(self._empty, 900 * shorter)
            elif 13 <= hour < 13.5 or (hour > 13.5 and not self.plays["crowd"]):
                yield from self._nobody(self._empty, 20)
                yield from self._play("crowd", self._crowd)
            else:
                yield from self._nobody(self._empty, self._pause_s)
                yield from self._play("clip", self._clip)

    def _nobody(self, pictures: list[Picture], seconds: float) -> Iterator[tuple[str, Picture]]:
        for k in range(round(seconds * FPS)):
            # For some seconds, events still belong to the persons who have left.
            yield ("" if k < 5 * FPS else "empty"), pictures[k % EMPTY_PICTURES]

    def _play(self, name: str, pictures: list[Picture]) -> Iterator[tuple[str, Picture]]:
        self.plays[name] += 1
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


class Happened:
    """Counts what the door reports while it plays a day. `events` are those of each part of the day, by kind."""

    def __init__(self, source: Day) -> None:
        self.events: dict[str, Counter[str]] = {}
        self._source = source
        self._verdicts: dict[object, str] = {}
        self._alarms = 0
        self._dwell: Counter[int] = Counter()

    def count(self, event: Event) -> None:
        """Count an event."""
        self.events.setdefault(self._source.playing, Counter())[event.kind] += 1
        if event.kind in ("masked", "unmasked"):
            self._verdicts[event.data["person"]] = event.kind
        elif event.kind == "ignored":
            self._verdicts.pop(event.data["person"], None)
        elif event.kind == "cleared":
            self._dwell[rounded_ms(float(str(event.data["dwell_s"])))] += 1
        self._alarms += event.kind == "signal" and event.data["signal"] == "ALARM"

    def figures(self) -> dict[str, Any]:
        """Return the totals, in the form of `DayResult.happened`."""
        masked = sum(verdict == "masked" for verdict in self._verdicts.values())
        return _figures(len(self._verdicts), masked, self._alarms, self._dwell)


def pictures_of(source: Source, every: int, limit: int = 10**6) -> list[Picture]:
    """Return each `every`-th picture of a source, (H, W, 3) uint8 BGR, at most `limit` of them."""
    found: list[Picture] = []
    with source:
        while len(found) < limit and (frame := source.read()) is not None:
            if frame.number % every == 0:
                found.append(frame.picture)
    return found


def day(hours: float, passages: Path, people_an_hour: float, folder: Path) -> DayResult:
    """Play a day and return its totals; the log is written into `folder`."""
    settings = config.load()
    perception = Perception(settings, manifest.load())
    source = open_source(settings.camera, str(passages))
    with source:
        every = max(1, round((source.fps or FPS) / FPS))
    clip = pictures_of(source, every)
    crowd = pictures_of(drawn_people.DrawnPeople(10, settings.camera), 2, 60)
    result = DayResult(hours)

    pipeline = Pipeline(settings, perception)
    alone = [pipeline.step(Frame(k, k / FPS, picture)) for k, picture in enumerate([*clip, *[clip[0]] * 30])]
    result.events_of_one_clip = dict(Counter(event.kind for decision in alone for event in decision.events))

    source = Day(hours, clip, crowd, people_an_hour)
    happened = Happened(source)
    next_s = 0.0

    def sample(frame: Frame | None, decision: Decision) -> None:
        nonlocal next_s
        if decision.t < next_s:
            return
        next_s += SAMPLE_PERIOD_S
        hour = decision.t / 3600
        threads = len(os.listdir("/proc/self/task"))
        result.samples.append((round(hour, 3), measure.rss_mb(), len(os.listdir("/proc/self/fd")), threads))
        if sys.stderr.isatty():
            print(f"\r{hour:5.1f} of {hours:g} h", end="", file=sys.stderr, flush=True)

    path = folder / "events.jsonl"
    written, began = _written_bytes(), time.monotonic()
    with (
        Lights(settings.lights, simulate=True) as lights,
        writer.EventLog(path, ROTATE_BYTES, KEEP_FILES) as log,
        source,
    ):
        summary = door.run(
            Pipeline(settings, perception),
            perception,
            source,
            lights,
            log,
            threading.Event(),
            began,
            happened.count,
            sample,
        )
    result.seconds = round(time.monotonic() - began, 1)
    result.written_bytes = _written_bytes() - written
    result.frames = summary.frames
    result.events = {name: dict(kinds) for name, kinds in happened.events.items()}
    result.plays = dict(source.plays)
    result.people = sum(kinds.get("masked", 0) + kinds.get("unmasked", 0) for kinds in happened.events.values())

    result.happened = happened.figures()
    _read_log(path, result)
    return result


def _read_log(path: Path, result: DayResult) -> None:
    """Set what the log at `path` says of the day, and whether it is complete."""
    counted = figures.collect(path, played=True).total
    result.statistics = _figures(counted.people, counted.masked, counted.alarms, counted.dwell)
    reading = reader.read(path)
    seqs = [int(str(line["seq"])) for line in reading]
    result.lines, result.damaged = len(seqs), reading.damaged
    result.gaps_in_seq = sum(b != a + 1 for a, b in pairwise(seqs))
    files = list(path.parent.glob(f"{path.name}*"))
    result.files, result.log_bytes = len(files), sum(file.stat().st_size for file in files)


def _figures(people: int, masked: int, alarms: int, dwell: Counter[int]) -> dict[str, Any]:
    times = {str(time_ms): count for time_ms, count in sorted(dwell.items())}
    return {"people": people, "masked": masked, "alarms": alarms, "dwell": times}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=24.0, help="hours of door time (default: %(default)g)")
    parser.add_argument(
        "--passages",
        type=Path,
        default=CLIP,
        metavar="VIDEO",
        help="a video of python -m training.make_passages instead of the demo",
    )
    parser.add_argument("--people", type=float, default=120.0, help="people an hour by day (default: %(default)g)")
    args = parser.parse_args()
    # A folder on disk: files in memory do not count as written bytes.
    with tempfile.TemporaryDirectory(dir=ROOT, prefix=".export-day-") as folder:
        result = day(args.hours, args.passages, args.people, Path(folder))
    print(json.dumps(asdict(result)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
