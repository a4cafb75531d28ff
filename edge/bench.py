"""How fast this machine is as a door: the real loop over real models, log and lights, with a stopwatch at every stage.

Where no source is named, pictures are drawn in which people come and go. Nothing is left out or made up for them: the
detector finds them, the tracker follows them, the classifiers look at them, and the policy decides.
"""

from __future__ import annotations

import itertools
import math
import os
import platform
import re
import tempfile
import threading
import time
from array import array
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import cv2
import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from . import __version__, door, manifest
from .accelerator import Accelerator
from .camera import LiveSource, PictureFiles, Source, VideoFile, open_source
from .config import CameraSettings, Config
from .errors import Unavailable
from .events import EventLog
from .figures import Passage, Report, Situation, Spread, StageTime
from .interpreter import runtime
from .lights import Lights
from .manifest import Manifest
from .perception import Perception, models
from .policy import Verdict
from .records import Event, Frame
from .stages import Stage, Stages

if TYPE_CHECKING:
    from .machine import Machine

#: For so many frames everything gets warm: caches, the processor's clock, pages of memory.
WARM_UP = 30
#: How long drawn people, and a camera, are watched (seconds).
DRAWN_S, CAMERA_S = 10.0, 30.0
#: In drawn pictures people stay for so long, and are away for so long (seconds of the door's own clock).
STAY_S, AWAY_S = 4.0, 4.0
#: Percentiles are those of the last so many frames: what is measured over hours must not itself need more and more memory.
LAST = 8192
#: Over less than this (seconds), whether memory grows is not to be told from noise.
GROWTH_S = 60.0

#: What is measured of a frame: the stages in their order, and at its end what comes after the log (health, watchdog).
COLUMNS: tuple[str, ...] = (*get_args(Stage), "rest")
_COLUMN = {name: k for k, name in enumerate(COLUMNS)}
_CAPTURE, _LIGHTS = _COLUMN["capture"], _COLUMN["lights"]
_MODELS = [_COLUMN[name] for name in ("detect", "mask", "expression")]

NOBODY, SETTLED, NEW = "nobody in view", "everyone decided", "someone new"


# ---- The stopwatch ---------------------------------------------------------------------------------------------------


class Recorder(Stages):
    """Adds up, by stage, the nanoseconds of the frame under way, and the processor's since it came (or since `restart`)."""

    __slots__ = ("_clock", "_last", "_processor", "_processor_from", "row", "whole")

    def __init__(
        self, clock: Callable[[], int] = time.perf_counter_ns, processor: Callable[[], int] = time.process_time_ns
    ) -> None:
        self._clock, self._processor = clock, processor
        self._last = 0
        #: Whether the processor's time includes that of capturing: a camera has a thread that captures all the while.
        self.whole = False
        self.restart()

    def lap(self, stage: Stage) -> None:
        self._lap(_COLUMN[stage])
        if stage == "capture" and not self.whole:
            self._processor_from = self._processor()

    def _lap(self, column: int) -> None:
        now = self._clock()
        self.row[column] += now - self._last
        self._last = now

    def finish(self) -> int:
        """The frame is done with: `row` is complete. Returns the processor's time."""
        self._lap(-1)
        return self._processor() - self._processor_from

    def restart(self) -> None:
        """From now on it is about the next frame."""
        self.row = [0] * len(COLUMNS)
        self._processor_from = self._processor()
        self._last = self._clock()


def spread(ms: npt.NDArray[np.float32]) -> Spread:
    """Of one or more times (N,)."""
    middle, high, highest = np.percentile(ms, (50, 95, 99), method="inverted_cdf")
    return Spread(*(round(float(v), 4) for v in (middle, high, highest, ms.mean())))


class Tally:
    """Adds up the frames of one situation."""

    def __init__(self, last: int = LAST) -> None:
        self.frames = 0
        # Written to at once, so that all the memory it will ever take is there from the beginning.
        self._rows = np.full((last, len(COLUMNS)), -1, np.float32)
        self._sums = np.zeros(len(COLUMNS))
        self._happened = np.zeros(len(COLUMNS), np.int64)
        self._processor = 0.0
        self._people = self._looks = 0

    def add(self, row: Sequence[int], processor: int, people: int, looks: int) -> None:
        """One frame: nanoseconds by column, and of the processor."""
        ms = np.array(row) / 1e6
        self._rows[self.frames % len(self._rows)] = ms
        self.frames += 1
        self._sums += ms
        self._happened += ms > 0
        self._processor += processor / 1e6
        self._people += people
        self._looks += looks

    def result(self, name: str) -> Situation:
        """Of one or more frames."""
        rows = self._rows[: self.frames]
        waiting = rows[:, _CAPTURE]
        loop = rows.sum(1) - waiting
        whole = self._sums.sum() - self._sums[_CAPTURE]
        stages = {}
        for k, stage in enumerate(COLUMNS):
            if len(times := rows[rows[:, k] > 0, k]):
                share = None if k == _CAPTURE else round(float(self._sums[k] / whole), 4)
                stages[stage] = StageTime(int(self._happened[k]), spread(times), share)
        return Situation(
            name,
            self.frames,
            round(self._people / self.frames, 3),
            round(self._looks / self.frames, 3),
            spread(rows[:, : _LIGHTS + 1].sum(1) - waiting),
            spread(loop),
            spread(loop - rows[:, _MODELS].sum(1)),
            round(self._processor / self.frames, 4),
            round(1000 * self.frames / whole, 2),
            stages,
        )


class Watch:
    """Sorts the frames of one source by what the door sees in them, and ends it after `seconds`."""

    def __init__(self, recorder: Recorder, seconds: float | None, stop: threading.Event) -> None:
        self._recorder, self._stop = recorder, stop
        self.over = threading.Event()
        self.tallies = {name: Tally() for name in (NOBODY, SETTLED, NEW)}
        self.warm_up = self.lost = 0
        self.picture = ""
        self.first_at: float | None = None
        self._warming: list[tuple[str, tuple[list[int], int, int, int]]] = []
        self._fault: str | None = None
        self._memory = array("d"), array("d")
        self.began = time.monotonic()
        self._until = math.inf if seconds is None else self.began + seconds

    def event(self, event: Event) -> None:
        self.lost += event.kind == "camera_lost"

    def frame(self, frame: Frame | None, decision: door.Decision) -> None:
        """The loop is through with a frame, or with a moment without one."""
        recorder, now = self._recorder, time.monotonic()
        processor, row = recorder.finish(), recorder.row
        self._fault = decision.fault
        if frame is not None and decision.fault is None:
            if self.first_at is None:
                self.first_at = now
                self.picture = "{1}x{0}".format(*frame.picture.shape)
            present = [track for track in decision.tracks if track.seen >= decision.t]
            unknown = [t for t in present if t.looks and decision.verdicts.get(t.person) is Verdict.UNKNOWN]
            situation = NEW if unknown else SETTLED if present else NOBODY
            told = (row, processor, len(present), len(decision.faces))
            if self.warm_up < WARM_UP:
                self.warm_up += 1
                self._warming.append((situation, told))
            else:
                self.tallies[situation].add(*told)
                if not self._memory[0] or now - self._memory[0][-1] >= 1:
                    self._memory[0].append(now)
                    self._memory[1].append(rss_mb())
        if self._stop.is_set() or now >= self._until:
            self.over.set()
        recorder.restart()

    def result(self, name: str, fps: float | None) -> Passage:
        """Raises Unavailable where there was no frame at all."""
        seconds = time.monotonic() - self.began
        if not sum(tally.frames for tally in self.tallies.values()):
            # Too short to leave any out: a picture is one frame.
            self.warm_up = 0
            for situation, told in self._warming:
                self.tallies[situation].add(*told)
        situations = [tally.result(each) for each, tally in self.tallies.items() if tally.frames]
        if not situations:
            raise Unavailable(f"{name}: nothing to measure: {self._fault or 'no picture'}", "see doorlight doctor")
        at, mb = self._memory
        growth = None
        if at and at[-1] - at[0] >= GROWTH_S:
            growth = round(3600 * float(np.polyfit(np.array(at) - at[0], mb, 1)[0]), 2)
        frames = sum(each.frames for each in situations)
        return Passage(
            name, self.picture, fps, round(seconds, 3), frames, self.warm_up, self.lost, growth, tuple(situations)
        )


def rss_mb() -> float:
    """How much memory this process takes."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def _peak_mb() -> float:
    # Not getrusage's ru_maxrss: that is inherited from whoever started us.
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(found[1]) / 1024 if found else rss_mb()


# ---- Drawn pictures --------------------------------------------------------------------------------------------------


class Visits(Source):
    """`faces` people at once before a plain wall, who come, stay for STAY_S, are away for AWAY_S, and come again.

    All of them look like visitor.jpg; they move up while they come, then sway a little, under the noise of a cheap sensor.
    Never ends.
    """

    live = False

    def __init__(self, faces: int, settings: CameraSettings) -> None:
        self.name = {0: "nobody", 1: "1 drawn face"}.get(faces, f"{faces} drawn faces")
        self.faces = faces
        self.fps: float = settings.fps
        self._width, self._height = settings.width, settings.height
        self._number = 0

    def open(self) -> None:
        w, h = self._width, self._height
        self._random = np.random.default_rng(0)
        self._wall = np.full((h, w, 3), (130, 126, 120), np.uint8)
        self._noise = self._random.integers(0, 9, (h + 16, w + 16, 3), np.uint8)
        rows = max(1, round(math.sqrt(self.faces * h / w)))
        columns = max(1, math.ceil(self.faces / rows))
        data = np.frombuffer(resources.files(__package__).joinpath("visitor.jpg").read_bytes(), np.uint8)
        visitor = cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        scale = 0.8 * min(h / rows / visitor.shape[0], w / columns / visitor.shape[1])
        size = (max(1, round(scale * visitor.shape[1])), max(1, round(scale * visitor.shape[0])))
        self._visitor = cv2.resize(visitor, size, interpolation=cv2.INTER_AREA)
        self._middles = [
            ((k % columns + 0.5) * w / columns, (k // columns + 0.5) * h / rows) for k in range(self.faces)
        ]
        self._number = 0

    def read(self) -> Frame:
        t = self._number / self.fps
        picture = self._wall
        since = t % (STAY_S + AWAY_S)
        if since < STAY_S:
            picture = picture.copy()
            h, w = self._visitor.shape[:2]
            lower = 0.12 * h * max(0.0, 1 - since)
            for k, (x, y) in enumerate(self._middles):
                left, top = round(x - w / 2 + 0.03 * w * math.sin(2 * t + k)), round(y - h / 2 + lower)
                picture[top : top + h, left : left + w] = self._visitor
        dx, dy = self._random.integers(0, 16, 2)
        noisy = cv2.add(picture, self._noise[dy : dy + self._height, dx : dx + self._width])
        frame = Frame(self._number, t, np.asarray(noisy, np.uint8))
        self._number += 1
        return frame

    def close(self) -> None:
        pass


def kind(source: Source) -> str:
    """What a source is, without what it is called: names of files, addresses and serial numbers concern nobody."""
    if isinstance(source, VideoFile):
        return "a video"
    if isinstance(source, PictureFiles):
        return "pictures"
    if isinstance(source, LiveSource) and not re.fullmatch(r"picamera|/dev/video\d+", source.name):
        return "a network camera" if "://" in source.name else "a camera"
    return source.name


# ---- The measuring ---------------------------------------------------------------------------------------------------


@dataclass
class Bench:
    """What to measure, and how. Without `source`, drawn pictures with each of `faces` people at once.

    `seconds` None: files whole, cameras for CAMERA_S, drawn pictures for DRAWN_S each. `pins`: the lamps really light up.
    `started_at` and `entered_at` are the monotonic times at which this process and its main() began. `begin` is told what
    is measured from now on.
    """

    config: Config
    models: Path | None
    source: str | None
    faces: Sequence[int]
    seconds: float | None
    pins: bool
    started_at: float
    entered_at: float
    begin: Callable[[str], None] = lambda _: None
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> Report:
        """Measure until all is measured or `stop` is set. Raises whatever hinders a door, and KeyboardInterrupt where it
        was stopped before there was anything to report.
        """
        runtime()  # so that what it takes to import counts as import
        marks = [
            ("interpreter", self.started_at),
            ("imports", self.entered_at),
            ("lights", time.monotonic()),
        ]
        notes: list[str] = []
        passages: list[Passage] = []
        recorder = Recorder()
        config = self.config
        with ExitStack() as opened:
            lights = opened.enter_context(Lights(config.lights, not self.pins))
            marks.append(("models", time.monotonic()))
            found = manifest.load(self.models)
            accelerator = opened.enter_context(Accelerator(config.models.accelerator, found, models(config)))
            perception = Perception(config, found, accelerator=accelerator, stages=recorder)
            accelerator.settle()
            marks.append(("source", time.monotonic()))
            folder = opened.enter_context(_folder(config, notes))
            for number, source in enumerate(self._sources()):
                with source:
                    if not number:
                        marks.append(("first frame", time.monotonic()))
                    watch = self._play(perception, recorder, source, lights, Path(folder) / f"{number}.jsonl")
                if not number and watch.first_at is not None:
                    marks.append(("", watch.first_at))
                if watch.first_at is None and self.stop.is_set():
                    break
                passages.append(watch.result(kind(source), source.fps))
                if source.damage is not None:
                    notes.append("part of the source could not be read, and was left out")
                if self.stop.is_set():
                    break
            if not passages:
                raise KeyboardInterrupt
            memory = {"now": round(rss_mb(), 1), "peak": round(_peak_mb(), 1)}
            runs_on = perception.runs_on
            if accelerator.problem is not None:
                notes.append(f"Edge TPU: {accelerator.problem}")
        start = {name: round(end - begun, 3) for (name, begun), (_, end) in itertools.pairwise(marks)}
        if self.stop.is_set():
            notes.append("interrupted: this is what there was so far")
        from .machine import Machine  # only now: `run`, whose start this has measured, does without

        machine, heat = surroundings(Machine(), notes)
        return Report(
            doorlight=__version__,
            time=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            complete=not self.stop.is_set(),
            machine=machine,
            libraries=_libraries(perception.runtime),
            models=_models(found, models(config)),
            runs_on=runs_on,
            threads=config.models.threads,
            start_s=start,
            memory_mb=memory,
            heat=heat,
            passages=tuple(passages),
            notes=tuple(map(_nameless, notes)),
        )

    def _sources(self) -> Sequence[Source]:
        if self.source is None:
            return [Visits(faces, self.config.camera) for faces in self.faces]
        return [open_source(replace(self.config.camera, wait=False), self.source)]

    def _play(self, perception: Perception, recorder: Recorder, source: Source, lights: Lights, path: Path) -> Watch:
        seconds = self.seconds
        if seconds is None and (source.live or isinstance(source, Visits)):
            seconds = CAMERA_S if source.live else DRAWN_S
        self.begin(kind(source) + (f" for {seconds:g} s" if seconds else ""))
        events = self.config.events
        with EventLog(path, events.rotate_bytes, events.keep) as log:
            recorder.whole = source.live
            watch = Watch(recorder, seconds, self.stop)
            recorder.restart()
            door.run(
                self.config,
                perception,
                source,
                lights,
                log,
                watch.over,
                self.started_at,
                watch.event,
                watch.frame,
            )
        return watch


def _nameless(text: str) -> str:
    """Without the home folder, which is mostly called like its owner."""
    home = os.path.expanduser("~")
    return text.replace(home, "~") if len(home) > 1 else text


def _folder(config: Config, notes: list[str]) -> tempfile.TemporaryDirectory[str]:
    """Where the log goes meanwhile: to the disk to which the door would write it, which has its own pace."""
    try:
        return tempfile.TemporaryDirectory(prefix=".doorlight-bench-", dir=Path(config.events.file or ".").parent)
    except OSError:
        notes.append("the event log was written to the temporary folder: this user may not write where the door's is")
        return tempfile.TemporaryDirectory(prefix="doorlight-bench-")


def surroundings(here: Machine, notes: list[str]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The machine, and how warm it has become and how fast it is now; what speaks against the figures is added to `notes`."""
    from . import checks

    if here.running:
        notes.append("the service was running and took its share: sudo systemctl stop doorlight")

    def first(path: str, pattern: str) -> str:
        found = re.search(pattern, here.read(path), re.MULTILINE)
        return found[1].strip() if found else ""

    heat = [finding.found for finding in checks.temperature(here)]
    clocks = [
        [int(text) // 1000 for path in here.glob(f"sys/devices/system/cpu/cpu[0-9]*/cpufreq/{name}")
         if (text := here.read(str(path.relative_to(here.root)))).isdigit()]
        for name in ("scaling_cur_freq", "cpuinfo_max_freq")
    ]  # fmt: skip
    if all(clocks):
        governor = here.read("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
        heat.append(f"{max(clocks[0])} of {max(clocks[1])} MHz ({governor})")
    memory = first("proc/meminfo", r"^MemTotal:\s*(\d+)")
    return {
        "model": here.model,
        "processor": first("proc/cpuinfo", r"^model name\s*:(.*)"),
        "architecture": platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mb": int(memory or 0) // 1024,
        "system": first("etc/os-release", r'^PRETTY_NAME="?([^"\n]*)'),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }, tuple(heat)


def _libraries(runtime_name: str) -> dict[str, str]:
    from importlib import metadata

    found = {}
    for name in (runtime_name.replace("_", "-"), "numpy", "opencv-python-headless", "picamera2", "lgpio"):
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _models(found: Manifest, names: Sequence[str]) -> dict[str, dict[str, str]]:
    return {name: {"date": found[name].date, "sha256": found[name].sha256} for name in names}
