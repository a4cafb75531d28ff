"""The timer, the totals of each situation, which frames count, and memory."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from edge.bench import measure
from edge.bench.measure import (
    COLUMNS,
    NEW,
    NOBODY,
    SETTLED,
    WARM_UP_FRAMES,
    Collector,
    FrameTimer,
    FrameTimes,
    SituationTotals,
    percentiles,
)
from edge.errors import UnavailableError
from edge.pipeline import Decision
from edge.policy import Person, Verdict
from edge.records import Box, Event, Face, Frame, Signal, Track
from edge.timing import Stage

PICTURE = np.zeros((48, 64, 3), np.uint8)
MASKED, UNKNOWN = Verdict.MASKED, Verdict.UNKNOWN

#: People by number: verdict, time last seen, number of looks.
People = dict[int, tuple[Verdict, float, int]]


class Clock:
    """A clock, in nanoseconds, that a test sets."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


def row(**ms: float) -> list[int]:
    """The nanoseconds of one frame, from milliseconds by stage."""
    assert set(ms) <= set(COLUMNS)
    return [round(1e6 * ms.get(name, 0)) for name in COLUMNS]


# ---- The timer -------------------------------------------------------------------------------------------------------


def test_the_stages_of_a_frame_add_up_to_its_time() -> None:
    clock, cpu_clock = Clock(), Clock()
    timer = FrameTimer(clock, cpu_clock)
    clock.now += 1000  # between two frames: not counted
    cpu_clock.now += 1000
    timer.reset()
    started_at = clock.now
    stages: list[tuple[Stage, int]] = [
        ("capture", 7), ("resize", 2), ("detect", 30), ("crop", 1), ("mask", 5), ("crop", 1),
    ]  # fmt: skip
    for stage, duration in stages:
        clock.now += duration
        cpu_clock.now += 2 * duration
        timer.mark(stage)
    clock.now += 4
    assert timer.finish() == 2 * (2 + 30 + 1 + 5 + 1), "processor time without capturing"
    times = dict(zip(COLUMNS, timer.row, strict=True))
    assert {name: ns for name, ns in times.items() if ns} == {
        "capture": 7, "resize": 2, "detect": 30, "crop": 2, "mask": 5, "rest": 4,
    }  # fmt: skip
    assert sum(timer.row) == clock.now - started_at
    timer.reset()
    assert not any(timer.row)


def test_the_processor_time_of_a_camera_includes_capturing() -> None:
    clock, cpu_clock = Clock(), Clock()
    timer = FrameTimer(clock, cpu_clock)
    timer.include_capture = True
    cpu_clock.now = 11
    timer.mark("capture")
    cpu_clock.now = 15
    assert timer.finish() == 15


# ---- Totals ----------------------------------------------------------------------------------------------------------


def test_percentiles_are_times_that_were_measured() -> None:
    found = percentiles(np.arange(100, 0, -1, dtype=np.float32))
    assert (found.p50, found.p95, found.p99, found.mean) == (50, 95, 99, 50.5)
    found = percentiles(np.array([3, 1, 2], np.float32))
    assert (found.p50, found.p95, found.p99, found.mean) == (2, 3, 3, 2)
    assert percentiles(np.array([7], np.float32)).p99 == 7


def test_the_totals_of_four_frames() -> None:
    totals = SituationTotals()
    settled = row(capture=50, detect=6, decode=1, decide=1, lights=0.5, log=0.5, rest=1)
    for _ in range(3):
        totals.add(FrameTimes(settled, 8_000_000, 0, 0))
    totals.add(FrameTimes(row(capture=50, detect=6, mask=20, expression=2, lights=1, log=1), 28_000_000, 2, 1))
    found = totals.result(SETTLED)
    assert (found.frames, found.people, found.looks, found.processor_ms) == (4, 0.5, 0.25, 13)
    assert (found.light_ms.p50, found.light_ms.p99) == (8.5, 29), "until the light, without waiting for the frame"
    assert (found.loop_ms.p50, found.loop_ms.p99, found.loop_ms.mean) == (10, 30, 15)
    assert (found.overhead_ms.p50, found.overhead_ms.mean) == (4, 3.5), "without capture and models"
    assert found.frames_per_s == pytest.approx(1000 / 15, abs=0.01)
    assert (found.stages["mask"].frames, found.stages["mask"].ms.p50) == (1, 20), "only frames that have the stage"
    assert found.stages["capture"].share is None
    assert sum(stage.share or 0 for stage in found.stages.values()) == pytest.approx(1, abs=1e-3)
    assert "motion" not in found.stages
    assert list(found.stages) == [name for name in COLUMNS if name in found.stages], "in the order of the loop"


def test_totals_over_hours_keep_only_the_last_frames() -> None:
    totals = SituationTotals(max_rows=10)
    size = totals._rows.nbytes
    for k in range(100):
        totals.add(FrameTimes(row(detect=k + 1), 0, 0, 0))
    found = totals.result(SETTLED)
    assert totals._rows.nbytes == size
    assert (found.frames, found.stages["detect"].frames) == (100, 100)
    assert (found.loop_ms.p50, found.loop_ms.p99) == (95, 100)
    assert found.frames_per_s == pytest.approx(1000 / 50.5, abs=0.01), "of all frames"


# ---- Which frames count ----------------------------------------------------------------------------------------------


def decision(t: float, people: People, fault: str | None = None) -> Decision:
    """A decision about these people; a person with one look is looked at in this frame."""
    box = Box(0, 0, 10, 10)
    tracks = tuple(Track(n, box, 0.2, 0.0, seen, looks) for n, (_, seen, looks) in people.items())
    persons = {number: Person(0.0, verdict) for number, (verdict, *_) in people.items()}
    faces = {number: Face(box, 1.0, 0.5) for number, (_, _, looks) in people.items() if looks == 1}
    return Decision(t, Signal.IDLE, tracks, faces, persons, [], fault)


class Harness:
    """A collector, by default past its warm-up, and a way to give it frames."""

    def __init__(self, seconds: float | None = None, is_warm: bool = True) -> None:
        self.stop = threading.Event()
        self.timer = FrameTimer()
        self.collector = Collector(self.timer, seconds, self.stop)
        for _ in range(WARM_UP_FRAMES if is_warm else 0):
            self.add({})

    def add(self, people: People, fault: str | None = None, is_lost: bool = False) -> None:
        """Add a frame; with `is_lost`, a moment without a picture."""
        if not is_lost:
            self.timer.mark("capture")
            self.timer.mark("detect")
        self.timer.mark("lights")
        self.collector.on_frame(None if is_lost else Frame(0, 1.0, PICTURE), decision(1.0, people, fault))

    def counted(self) -> dict[str, int]:
        return {name: totals.frames for name, totals in self.collector.totals.items() if totals.frames}


@pytest.mark.parametrize(
    ("people", "situation"),
    [
        ({}, NOBODY),
        ({1: (MASKED, 1.0, 5)}, SETTLED),
        ({1: (UNKNOWN, 1.0, 1)}, NEW),
        ({1: (MASKED, 1.0, 5), 2: (UNKNOWN, 1.0, 1)}, NEW),
        ({1: (UNKNOWN, 0.9, 1)}, NOBODY),  # has left, and is not forgotten yet
        ({1: (UNKNOWN, 1.0, 0)}, SETTLED),  # too far away for a look
    ],
)
def test_the_situation_of_a_frame(people: People, situation: str) -> None:
    harness = Harness()
    harness.add(people)
    assert harness.counted() == {situation: 1}


def test_warm_up_frames_and_faults_do_not_count() -> None:
    harness = Harness(is_warm=False)
    for _ in range(WARM_UP_FRAMES):
        harness.add({})
    assert harness.counted() == {}
    harness.add({}, is_lost=True)
    harness.add({}, fault="the picture is black")
    assert harness.counted() == {}
    harness.collector.on_event(Event("camera_lost", 1.0))
    harness.collector.on_event(Event("camera_back", 1.0))
    harness.add({})
    found = harness.collector.result("a camera", None)
    assert (found.frames, found.warm_up_frames, found.times_lost) == (1, WARM_UP_FRAMES, 1)
    assert found.picture_size == "64x48"


def test_time_without_a_picture_does_not_count() -> None:
    ms = 1_000_000
    now = iter([0, 2000 * ms, 2000 * ms + 1, 3000 * ms, 3005 * ms, 3006 * ms, 3007 * ms, 3008 * ms])
    harness = Harness()
    harness.timer._clock = lambda: next(now, 4000 * ms)
    harness.timer.reset()
    harness.add({}, is_lost=True)
    harness.add({})
    (found,) = harness.collector.result("a camera", None).situations
    assert found.stages["capture"].ms.mean == 5
    assert found.loop_ms.mean == 3


def test_all_frames_of_a_short_source_count() -> None:
    harness = Harness(is_warm=False)
    harness.add({})
    found = harness.collector.result("pictures", 15.0)
    assert (found.frames, found.warm_up_frames) == (1, 0)


def test_a_source_without_frames_raises() -> None:
    harness = Harness(is_warm=False)
    with pytest.raises(UnavailableError, match="no picture"):
        harness.collector.result("a camera", None)
    harness.add({}, fault="the picture is black")
    with pytest.raises(UnavailableError, match="the picture is black"):
        harness.collector.result("a camera", None)


def test_it_finishes_in_time_or_when_stopped() -> None:
    harness = Harness(seconds=1e6)
    assert not harness.collector.finished.is_set()
    harness.stop.set()
    harness.add({}, is_lost=True)
    assert harness.collector.finished.is_set()
    assert Harness(seconds=0).collector.finished.is_set()


# ---- Memory ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seconds", "growth"), [(90, 1800.0), (30, None)])
def test_the_growth_of_memory(seconds: int, growth: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(measure, "rss_mb", lambda: 100 + 0.5 * now[0])
    harness = Harness()
    for _ in range(4 * seconds):
        now[0] += 0.25
        harness.add({})
    assert harness.collector.result("a camera", None).growth_mb_per_hour == growth


def test_memory_is_the_resident_set_and_the_peak_stays() -> None:
    before = measure.rss_mb()
    array = np.ones(64 << 20, np.uint8)
    assert measure.rss_mb() - before > 50
    del array
    assert measure.peak_rss_mb() > before + 50
