"""The timer of the benchmark, the totals of each situation, and the memory of a process.

`FrameTimer` is the stage timer of the loop. `Collector` is called after each frame: it takes the frame's times from the
timer and adds them to the `SituationTotals` of what the door sees.
"""

from __future__ import annotations

import math
import os
import re
import threading
import time
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from ..errors import UnavailableError
from ..pipeline import Decision
from ..policy import Verdict
from ..records import Event, Frame
from ..timing import Stage, StageTimer
from .report import Percentiles, Situation, SourceResult, StageTime

#: The first frames, which are not counted: caches, the processor's clock and pages of memory warm up.
WARM_UP_FRAMES = 30
#: Percentiles are those of the last frames, so that the memory of the benchmark does not grow over hours.
MAX_ROWS = 8192
#: The growth of memory is not reported for a shorter time: it would be noise.
MIN_GROWTH_S = 60.0

#: The times of a frame: the stages in their order, then the rest of the loop (health, watchdog).
COLUMNS: tuple[str, ...] = (*get_args(Stage), "rest")
_COLUMN = {name: k for k, name in enumerate(COLUMNS)}
_CAPTURE, _LIGHTS = _COLUMN["capture"], _COLUMN["lights"]
#: The columns of the bare model calls.
MODEL_COLUMNS = [_COLUMN[name] for name in ("detect", "mask", "landmarks", "expression")]

NOBODY, SETTLED, NEW = "nobody in view", "everyone decided", "someone new"


class FrameTimer(StageTimer):
    """Adds up the nanoseconds of each stage of the current frame in `row`, one value for each of COLUMNS.

    `clock` measures the stages; `cpu_clock` measures the processor time of all threads. Both return nanoseconds.
    `include_capture` says whether the processor time includes the stage "capture": set it for a camera, which captures
    in a thread during all stages.
    """

    __slots__ = ("_clock", "_cpu_clock", "_cpu_started_at", "_last", "include_capture", "row")

    def __init__(
        self, clock: Callable[[], int] = time.perf_counter_ns, cpu_clock: Callable[[], int] = time.process_time_ns
    ) -> None:
        self._clock, self._cpu_clock = clock, cpu_clock
        self._last = 0
        self.include_capture = False
        self.reset()

    def reset(self) -> None:
        """Reset for the next frame."""
        self.row = [0] * len(COLUMNS)
        self._cpu_started_at = self._cpu_clock()
        self._last = self._clock()

    def mark(self, stage: Stage) -> None:
        self._add(_COLUMN[stage])
        if stage == "capture" and not self.include_capture:
            self._cpu_started_at = self._cpu_clock()

    def finish(self) -> int:
        """Complete `row`; return the processor time of the frame in nanoseconds."""
        self._add(-1)
        return self._cpu_clock() - self._cpu_started_at

    def _add(self, column: int) -> None:
        now = self._clock()
        self.row[column] += now - self._last
        self._last = now


def percentiles(ms: npt.NDArray[np.float32]) -> Percentiles:
    """Return the percentiles of a non-empty array of times (N,)."""
    p50, p95, p99 = np.percentile(ms, (50, 95, 99), method="inverted_cdf")
    return Percentiles(*(round(float(value), 4) for value in (p50, p95, p99, ms.mean())))


class FrameTimes(NamedTuple):
    """The times of a frame in nanoseconds, by column and of the processor; the people and the looks in it."""

    row: Sequence[int]
    cpu_ns: int
    people: int
    looks: int


class SituationTotals:
    """The totals of the frames of one situation."""

    def __init__(self, max_rows: int = MAX_ROWS) -> None:
        self.frames = 0
        # Filled at once: otherwise the kernel adds the pages later, and the memory of the process seems to grow.
        self._rows = np.full((max_rows, len(COLUMNS)), -1, np.float32)
        self._sums_ms = np.zeros(len(COLUMNS))
        self._stage_frames = np.zeros(len(COLUMNS), np.int64)
        self._cpu_ms = 0.0
        self._people = self._looks = 0

    def add(self, times: FrameTimes) -> None:
        """Add a frame."""
        ms = np.array(times.row) / 1e6
        self._rows[self.frames % len(self._rows)] = ms
        self.frames += 1
        self._sums_ms += ms
        self._stage_frames += ms > 0
        self._cpu_ms += times.cpu_ns / 1e6
        self._people += times.people
        self._looks += times.looks

    def result(self, name: str) -> Situation:
        """Return the result of one or more frames."""
        rows = self._rows[: self.frames]
        capture_ms = rows[:, _CAPTURE]
        loop_ms = rows.sum(1) - capture_ms
        total_ms = self._sums_ms.sum() - self._sums_ms[_CAPTURE]
        stages = {}
        for k, stage in enumerate(COLUMNS):
            if len(times := rows[rows[:, k] > 0, k]):
                share = None if k == _CAPTURE else round(float(self._sums_ms[k] / total_ms), 4)
                stages[stage] = StageTime(int(self._stage_frames[k]), percentiles(times), share)
        return Situation(
            name=name,
            frames=self.frames,
            people=round(self._people / self.frames, 3),
            looks=round(self._looks / self.frames, 3),
            light_ms=percentiles(rows[:, : _LIGHTS + 1].sum(1) - capture_ms),
            loop_ms=percentiles(loop_ms),
            overhead_ms=percentiles(loop_ms - rows[:, MODEL_COLUMNS].sum(1)),
            processor_ms=round(self._cpu_ms / self.frames, 4),
            frames_per_s=round(1000 * self.frames / total_ms, 2),
            stages=stages,
        )


class Collector:
    """Collects the frame times of one source by situation. Sets `finished` after `seconds`, or if `stop` is set."""

    def __init__(self, timer: FrameTimer, seconds: float | None, stop: threading.Event) -> None:
        self._timer, self._stop = timer, stop
        self.finished = threading.Event()
        self.totals = {name: SituationTotals() for name in (NOBODY, SETTLED, NEW)}
        self.warm_up_frames = self.times_lost = 0
        self.picture_size = ""
        self.first_decision_at: float | None = None
        self._warm_up: list[tuple[str, FrameTimes]] = []
        self._fault: str | None = None
        self._memory = _MemoryLog()
        self._started_at = time.monotonic()
        self._ends_at = math.inf if seconds is None else self._started_at + seconds

    def on_event(self, event: Event) -> None:
        """Count how often the camera was lost."""
        self.times_lost += event.kind == "camera_lost"

    def on_frame(self, frame: Frame | None, decision: Decision) -> None:
        """Add a frame whose decision is shown and logged. Frames without a picture, or with a fault, do not count."""
        cpu_ns, now = self._timer.finish(), time.monotonic()
        self._fault = decision.fault
        if frame is not None and decision.fault is None:
            self._count(frame, decision, cpu_ns, now)
        if self._stop.is_set() or now >= self._ends_at:
            self.finished.set()
        self._timer.reset()

    def _count(self, frame: Frame, decision: Decision, cpu_ns: int, now: float) -> None:
        if self.first_decision_at is None:
            self.first_decision_at = now
            self.picture_size = "{1}x{0}".format(*frame.picture.shape)
        present = [track for track in decision.tracks if track.last_seen >= decision.t]
        unknown = [t for t in present if t.looks and decision.verdict(t.number) is Verdict.UNKNOWN]
        situation = NEW if unknown else SETTLED if present else NOBODY
        times = FrameTimes(self._timer.row, cpu_ns, len(present), len(decision.faces))
        if self.warm_up_frames < WARM_UP_FRAMES:
            self.warm_up_frames += 1
            self._warm_up.append((situation, times))
        else:
            self.totals[situation].add(times)
            self._memory.add(now)

    def result(self, name: str, fps: float | None) -> SourceResult:
        """Return the result of the source. Raises UnavailableError if there was no frame."""
        seconds = time.monotonic() - self._started_at
        if not any(totals.frames for totals in self.totals.values()):
            # A short source, such as a single picture: its warm-up frames count.
            self.warm_up_frames = 0
            for situation, times in self._warm_up:
                self.totals[situation].add(times)
        situations = tuple(totals.result(each) for each, totals in self.totals.items() if totals.frames)
        if not situations:
            raise UnavailableError(f"{name}: nothing to measure: {self._fault or 'no picture'}", "doorlight doctor")
        return SourceResult(
            name=name,
            picture_size=self.picture_size,
            fps=fps,
            seconds=round(seconds, 3),
            frames=sum(each.frames for each in situations),
            warm_up_frames=self.warm_up_frames,
            times_lost=self.times_lost,
            growth_mb_per_hour=self._memory.growth_mb_per_hour(),
            situations=situations,
        )


class _MemoryLog:
    """The memory of this process, about once a second."""

    def __init__(self) -> None:
        # Arrays, because a list of floats would itself let the memory grow.
        self._at_s, self._mb = array("d"), array("d")

    def add(self, now: float) -> None:
        if not self._at_s or now - self._at_s[-1] >= 1:
            self._at_s.append(now)
            self._mb.append(rss_mb())

    def growth_mb_per_hour(self) -> float | None:
        """Return the slope of a least-squares line; None if MIN_GROWTH_S have not passed."""
        if not self._at_s or self._at_s[-1] - self._at_s[0] < MIN_GROWTH_S:
            return None
        return round(3600 * float(np.polyfit(np.array(self._at_s) - self._at_s[0], self._mb, 1)[0]), 2)


def rss_mb(process: str = "self") -> float:
    """Return the memory (resident set) of a process, by default of this one. Raises OSError if it has ended."""
    with open(f"/proc/{process}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def peak_rss_mb() -> float:
    """Return the largest memory (resident set) that this process has had."""
    # Not ru_maxrss of getrusage: a process inherits it from the process that started it.
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(found[1]) / 1024 if found else rss_mb()
