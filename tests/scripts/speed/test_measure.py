"""Timing in turn."""

from __future__ import annotations

import json

import pytest

from speed import measure
from support.speed import FakePipeline, scene_of


def test_all_pipelines_are_timed_in_turn_on_the_same_frames() -> None:
    clock = [0.0]
    log: list[tuple[str, int]] = []
    fast, slow = FakePipeline("fast", 0.002, clock, log), FakePipeline("slow", 0.03, clock, log, every=2)
    timings = measure.time_in_turn([fast, slow], scene_of(6), 3, 4, 1, (lambda: clock[0], lambda: clock[0] * 2))
    assert log == [
        *(("fast", -1), ("slow", -1)),
        *(("fast", k) for k in (1, 2, 3, 4)),
        *(("slow", k) for k in (1, 3)),
        *(("slow", k) for k in (5, 1)),  # another one first; the frames continue in a loop
        *(("fast", k) for k in (5, 0, 1, 2)),
        *(("fast", k) for k in (3, 4, 5, 0)),
        *(("slow", k) for k in (3, 5)),
    ]
    assert timings["fast"].cpu_ms == pytest.approx([2, 2, 2])
    assert timings["slow"].cpu_ms == pytest.approx([30, 30, 30])
    assert timings["slow"].wall_ms == pytest.approx([60, 60, 60])
    assert timings["slow"].faces == pytest.approx(2)
    figures = timings["fast"].figures()
    assert figures["cpu_ms"]["median"] == 2
    assert json.loads(json.dumps(figures)) == figures
