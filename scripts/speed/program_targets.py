"""Check targets of the whole program: frame to pin, memory, start, import. Wall time, except for memory."""

from __future__ import annotations

import multiprocessing
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from unittest import mock

import numpy as np

from edge import config, door
from edge.bench.measure import rss_mb
from edge.camera.factory import open_source
from edge.camera.source import Source
from edge.errors import UnavailableError
from edge.events.writer import EventLog
from edge.inference import manifest
from edge.inference.perception import Perception
from edge.lights.lights import Lights
from edge.pipeline import Pipeline
from edge.records import TIME_EPSILON_S, Event, Frame, Signal
from edge.system import child_process
from speed.compare import CLIP, Comparison
from speed.target import TargetResult

#: The time that a worn SD card may take to confirm a write.
SLOW_DISK_S = 3.0
#: The interval of frames at 30 frames/s.
INTERVAL_MS = 1000 / 30
#: Memory settles in the first quarter of an hour.
SETTLED_H = 0.25
#: Less growth is not different from noise. With this growth the service reaches its memory limit after a week.
MAX_GROWTH_MB_PER_H = 0.5


# ---- From frame to pin -----------------------------------------------------------------------------------------------


class LiveVideo(Source):
    """Plays a video like a camera: each frame at its time. `read_at` is the monotonic time of the last frame."""

    live = True

    def __init__(self, video: Source) -> None:
        self._video = video
        self.name = f"{video.name}, live"
        self.read_at = 0.0

    def open(self) -> None:
        self._video.open()
        self._opened_at = time.monotonic()

    def read(self) -> Frame | None:
        frame = self._video.read()
        if frame is not None:
            time.sleep(max(0.0, self._opened_at + frame.t - time.monotonic()))
        self.read_at = time.monotonic()
        return frame

    def close(self) -> None:
        self._video.close()


class TimedLights(Lights):
    """Lights on gpiozero's mock pins. `shown` has (milliseconds since the frame, whether the signal changed)."""

    def __init__(self, settings: config.LightSettings, video: LiveVideo) -> None:
        super().__init__(settings, simulate=True)
        self._video = video
        self._last: Signal | None = None
        self.shown: list[tuple[float, bool]] = []

    def show(self, signal: Signal, known: bool = False, *, is_silent: bool = False) -> None:
        super().show(signal, known, is_silent=is_silent)
        delay_s = time.monotonic() - self._video.read_at
        self.shown.append((delay_s * 1e3, signal is not self._last))
        self._last = signal


@contextmanager
def slow_disk(seconds: float) -> Iterator[list[float]]:
    """Make each os.fsync of this process take `seconds` longer; yield a list of the times at which they return."""
    returned_at: list[float] = []
    real_fsync = os.fsync

    def slow_fsync(file: int) -> None:
        time.sleep(seconds)
        real_fsync(file)
        returned_at.append(time.monotonic())

    with mock.patch.object(os, "fsync", slow_fsync):
        yield returned_at


def check_lights(comparison: Comparison, footage: str, seconds: float = 30.0) -> list[TargetResult]:
    """Measure the time from a frame to the pins, at a camera's rate, while the disk of the log is slow."""
    settings = comparison.config
    pipeline = Pipeline(settings, comparison.perception)
    video = LiveVideo(open_source(settings.camera, footage))
    stop = threading.Event()
    timer = threading.Timer(seconds, stop.set)
    events: list[Event] = []
    lights = TimedLights(settings.lights, video)
    with tempfile.TemporaryDirectory() as folder, lights:
        path = Path(folder) / "events.jsonl"
        # The disk is slow only after the log is open: opening it waits for the disk, and delays no light.
        with video, EventLog(path, 5_000_000, 4) as log, slow_disk(SLOW_DISK_S) as writes:
            timer.start()
            door.run(pipeline, comparison.perception, video, lights, log, stop, time.monotonic(), events.append)
            writes_meanwhile = len(writes)
        timer.cancel()
        records = len(path.read_bytes().splitlines())
    # The last signal is that of the end, not of a frame.
    delays_ms = [ms for ms, _ in lights.shown[:-1]]
    changes_ms = [ms for ms, is_change in lights.shown[:-1] if is_change]
    p99_ms = float(np.percentile(delays_ms, 99))
    measured = (
        f"p99 {p99_ms:.1f} ms of {len(delays_ms)} frames, {max(changes_ms):.1f} at most of {len(changes_ms)} changes; "
        f"{writes_meanwhile} writes of {SLOW_DISK_S:g} s each meanwhile, "
        f"{records} of {len(events)} events on the disk at the end"
    )
    met = p99_ms <= INTERVAL_MS and max(changes_ms) <= INTERVAL_MS and writes_meanwhile > 0
    return [TargetResult("from frame to pin, p99 ≤ 33 ms (30 frames/s), while the log's disk is slow", measured, met)]


# ---- Memory ----------------------------------------------------------------------------------------------------------


class RepeatedVideo(Source):
    """Repeats a video for `hours` of its own time.

    `samples` has (hours, resident MB of this process), once a minute of that time. `children_mb` is the largest memory
    of the child processes.
    """

    live = False

    def __init__(self, video: Source, hours: float) -> None:
        self._video, self._hours = video, hours
        self.name = f"{video.name}, repeated"
        self.samples: list[tuple[float, float]] = []
        self.children_mb = 0.0

    def open(self) -> None:
        self._video.open()
        self._number, self._offset_s, self._t = 0, 0.0, 0.0

    def read(self) -> Frame | None:
        frame = self._video.read()
        if frame is None:
            self._offset_s = self._t + 1 / (self._video.fps or 1)
            self._video.open()
            frame = self._video.read()
            assert frame is not None
        self._t = self._offset_s + frame.t
        if self._t >= 60 * len(self.samples):
            self.samples.append((self._t / 3600, rss_mb()))
            self.children_mb = max(self.children_mb, children_rss_mb())
        if self._t >= self._hours * 3600 - TIME_EPSILON_S:
            return None
        self._number += 1
        return Frame(self._number - 1, self._t, frame.picture)

    def close(self) -> None:
        self._video.close()


def children_rss_mb() -> float:
    """Return the memory of the child processes, such as the video decoder. Memory shared with them counts again."""
    total = 0.0
    for task in Path("/proc/self/task").iterdir():
        # A thread or child may just have ended, and a kernel may be built without this list.
        with suppress(OSError):
            total += sum(map(rss_mb, (task / "children").read_text().split()))
    return total


def replay(footage: str, hours: float) -> tuple[list[tuple[float, float]], float]:
    """Run a door on repeated footage, as fast as possible; return `samples` and `children_mb` of RepeatedVideo."""
    settings = config.load()
    perception = Perception(settings, manifest.load())
    video = RepeatedVideo(open_source(settings.camera, footage), hours)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        lights = stack.enter_context(Lights(settings.lights, simulate=True))
        stack.enter_context(video)
        events = settings.events
        log = stack.enter_context(EventLog(folder / "events.jsonl", events.rotate_bytes, events.keep_files))
        door.run(Pipeline(settings, perception), perception, video, lights, log, threading.Event(), time.monotonic())
    return video.samples, video.children_mb


def growth(samples: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return the slope of (hours, MB), least squares, in MB per hour, and the standard deviation from that line in
    MB."""
    hours, mb = np.array(samples).T
    slope, offset = np.polyfit(hours, mb, 1)
    return float(slope), float(np.std(mb - (slope * hours + offset)))


def check_memory(footage: str, hours: float) -> list[TargetResult]:
    """Run a door in a child process, and measure its memory."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        samples, children_mb = pool.apply(replay, (footage, hours))
    peak_mb = max(mb for _, mb in samples)
    children = f"; and {children_mb:.0f} MB in the video decoder, some of them shared" if children_mb else ""
    slope, noise = growth([sample for sample in samples if sample[0] >= min(SETTLED_H, hours / 2)])
    measured = f"{slope:+.2f} MB an hour, least squares over {hours:g} h of the door's time, ± {noise:.2f} MB"
    return [
        TargetResult("memory ≤ 150 MB", f"{peak_mb:.0f} MB at most{children}", peak_mb <= 150),
        TargetResult("memory flat over an hour", measured, slope <= max(MAX_GROWTH_MB_PER_H, 2 * noise)),
    ]


# ---- Start and import ------------------------------------------------------------------------------------------------


def start_s() -> float:
    """Return the seconds from the start of `doorlight run` with the demo clip to its first decided frame."""
    with tempfile.TemporaryDirectory() as folder:
        command = child_process.command("edge", "run", "--simulate", "--source", str(CLIP))
        command += ["--events", str(Path(folder) / "events.jsonl")]
        output = _output(command)
    found = re.search(r"first frame ([\d.]+) s after start", output)
    if found is None:
        raise UnavailableError(f"doorlight run: no time of the first frame in its output: {output.splitlines()[-1]}")
    return float(found[1])


def import_s() -> float:
    """Return the seconds that `import edge.cli` takes in a new process."""
    code = "import time; start = time.perf_counter(); import edge.cli; print(time.perf_counter() - start)"
    return float(_output([sys.executable, "-P", "-c", code]))


def _output(command: list[str]) -> str:
    environment = child_process.environment()
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


def check_start(runs: int = 5) -> list[TargetResult]:
    """Measure the start of the program. Its files are in the page cache after the first run, which does not count."""
    times_s = [start_s() for _ in range(runs + 1)][1:]
    median_s = statistics.median(times_s)
    measured = f"{median_s:.2f} s ({min(times_s):.2f} to {max(times_s):.2f})"
    return [TargetResult("start to the first decided frame ≤ 1.5 s", measured, median_s <= 1.5)]


def check_import(runs: int = 9) -> list[TargetResult]:
    """Measure `import edge.cli`. Its files are in the page cache after the first run, which does not count."""
    times_s = [import_s() for _ in range(runs + 1)][1:]
    median_s = statistics.median(times_s)
    measured = f"{median_s:.3f} s ({min(times_s):.3f} to {max(times_s):.3f})"
    return [TargetResult("import of edge.cli ≤ 0.15 s", measured, median_s <= 0.15)]
