"""After weeks of uptime the door decides as at its start: times may exceed 32 bits of milliseconds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge import config, door
from edge.camera.factory import open_source
from edge.camera.source import Source
from edge.inference import manifest
from edge.inference.perception import Perception
from edge.pipeline import Pipeline
from edge.records import Event, Frame
from support.paths import CLIP

CONFIG = config.load()


class DelayedSource(Source):
    """A source whose times are `seconds` later than those of another source."""

    live = False

    def __init__(self, source: Source, seconds: float) -> None:
        self.name = source.name
        self._source = source
        self._seconds = seconds

    def open(self) -> None:
        self._source.open()

    def read(self) -> Frame | None:
        frame = self._source.read()
        return None if frame is None else replace(frame, t=frame.t + self._seconds)

    def close(self) -> None:
        self._source.close()


@pytest.fixture(scope="module")
def perception() -> Perception:
    return Perception(CONFIG, manifest.load())


def events_of(perception: Perception, later_s: float) -> list[Event]:
    with DelayedSource(open_source(CONFIG.camera, str(CLIP)), later_s) as source:
        return [
            event for _, decision in door.decisions(Pipeline(CONFIG, perception), source) for event in decision.events
        ]


@pytest.mark.parametrize("wraps_s", [2**31 / 1000, 2**32 / 1000, 2**32], ids=["24.9 days", "49.7 days", "136 years"])
def test_demo_clip_gives_the_same_events_after_a_long_uptime(perception: Perception, wraps_s: float) -> None:
    # At the wrap-around an unmasked person is in view, and the alarm is still to come.
    later_s = wraps_s - 9.5
    first, late = events_of(perception, 0), events_of(perception, later_s)
    assert [event.kind for event in late] == [event.kind for event in first]
    assert [event.data.get("signal") for event in late] == [event.data.get("signal") for event in first]
    assert late[0].t < wraps_s < late[-1].t
    for event, before in zip(late, first, strict=True):
        # Large floats are less exact, so a time limit may be reached one frame (1/15 s) later.
        assert event.t - later_s == pytest.approx(before.t, abs=0.07)
        if "dwell_s" in before.data:
            assert event.data["dwell_s"] == pytest.approx(before.data["dwell_s"], abs=0.14)
