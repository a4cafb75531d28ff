"""A door that has been running for weeks decides as one that has just begun: times beyond what milliseconds in 32 bits hold."""

from __future__ import annotations

from dataclasses import replace

import pytest
from test_perception import CLIP

from edge import config, door, manifest
from edge.camera import Source, open_source
from edge.perception import Perception
from edge.records import Event, Frame

CONFIG = config.load()


class Later(Source):
    """A source whose clock began so many seconds earlier."""

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


def played(perception: Perception, later_s: float) -> list[Event]:
    with Later(open_source(CONFIG.camera, str(CLIP)), later_s) as source:
        return [event for _, decision in door.play(door.Loop(CONFIG, perception), source) for event in decision.events]


@pytest.mark.parametrize("wraps_s", [2**31 / 1000, 2**32 / 1000, 2**32], ids=["24.9 days", "49.7 days", "136 years"])
def test_the_demo_after_a_long_time(perception: Perception, wraps_s: float) -> None:
    # Somebody unmasked is there at that moment, and the alarm is still to come.
    later_s = wraps_s - 9.5
    first, late = played(perception, 0), played(perception, later_s)
    assert [event.kind for event in late] == [event.kind for event in first]
    assert [event.data.get("signal") for event in late] == [event.data.get("signal") for event in first]
    assert late[0].t < wraps_s < late[-1].t
    for event, before in zip(late, first, strict=True):
        # A limit that is just reached may be reached a frame (1/15 s) later: so far from zero numbers are less exact.
        assert event.t - later_s == pytest.approx(before.t, abs=0.07)
        if "dwell_s" in before.data:
            assert event.data["dwell_s"] == pytest.approx(before.data["dwell_s"], abs=0.14)
