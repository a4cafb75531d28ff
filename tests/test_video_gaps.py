"""Videos that store few frames while nothing moves: people are decided, and stay who they are over a gap."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge import door
from edge.camera.video_file import VideoFile
from edge.frame_rate import FrameInterval
from edge.imaging.images import Picture
from edge.inference import manifest
from edge.inference.perception import Perception
from edge.pipeline import Decision, Pipeline
from edge.records import Box, Detection, Event, Frame, Signal
from edge.tracker import Tracker
from support.clip import EMPTY_S, MASKED_S, UNMASKED_S, frame_at
from support.door import CONFIG
from support.paths import CLIP
from support.video_bytes import jpeg, mkv

FACE = Detection(Box(100, 100, 160, 180), 0.9)


@pytest.fixture(scope="module")
def perception() -> Perception:
    return Perception(CONFIG, manifest.load())


def first_visit() -> list[Picture]:
    """Return the frames of the first visit of the clip, 15/s; the person is decided a second after the first of
    them."""
    capture = cv2.VideoCapture(str(CLIP))
    frames = []
    for _ in range(92):
        frames.append(np.asarray(cv2.cvtColor(capture.read()[1], cv2.COLOR_BGR2RGB), np.uint8))
    capture.release()
    return frames


def test_visit_between_long_gaps_is_decided_when_it_happens(tmp_path: Path, perception: Perception) -> None:
    """One picture in 5 s while nothing moves, 15/s while somebody is there: an average rate gave no decision at all."""
    empty = jpeg(frame_at(EMPTY_S))
    visit_ms = 20_000
    times_ms = list(range(0, visit_ms, 5000))
    pictures = [empty] * len(times_ms)
    for k, picture in enumerate(first_visit()):
        times_ms.append(visit_ms + round(1000 * k / 15))
        pictures.append(jpeg(picture))
    for _ in range(3):
        times_ms.append(times_ms[len(pictures) - 1] + 5000)
        pictures.append(empty)
    path = tmp_path / "recorder.mkv"
    path.write_bytes(mkv(pictures, times_ms, size=(640, 480)))
    events: list[Event] = []
    with VideoFile(path, CONFIG.camera) as source:
        for _, decision in door.decisions(Pipeline(CONFIG, perception), source):
            events += decision.events
    found = {event.kind: event for event in events if event.kind != "signal"}
    assert sorted(found) == ["cleared", "masked"]
    assert found["masked"].t == pytest.approx(21.0, abs=0.15)
    assert found["cleared"].t == pytest.approx(25.67, abs=0.3)
    assert [event.data["signal"] for event in events if event.kind == "signal"] == ["PASS", "IDLE"]


def decide(perception: Perception, moments: Sequence[tuple[float, Picture]]) -> list[Decision]:
    """Return the decisions for the pictures of a video at their times."""
    pipeline = Pipeline(CONFIG, perception)
    before = [moments[0][0], *(t for t, _ in moments)]
    return [pipeline.step(Frame(k, t, picture, still_s=t - before[k])) for k, (t, picture) in enumerate(moments)]


def test_person_who_stands_still_during_a_gap_stays_the_same_person(perception: Perception) -> None:
    person, empty = frame_at(MASKED_S), frame_at(EMPTY_S)
    moments = [(k / 15, person) for k in range(20)] + [(9.0 + k / 15, person) for k in range(5)] + [(20.0, empty)]
    decisions = decide(perception, moments)
    assert {decision.signal for decision in decisions[19:25]} == {Signal.PASS}
    assert {track.number for decision in decisions for track in decision.tracks} == {1}
    assert decisions[25].signal is Signal.IDLE, "who has left is cleared with the first frame that shows it"


def test_person_in_a_video_of_stills_is_decided(perception: Perception) -> None:
    for at, signal in ((MASKED_S, Signal.PASS), (UNMASKED_S, Signal.STOP)):
        decisions = decide(perception, [(5.0 * k, frame_at(at)) for k in range(5)])
        assert decisions[-1].signal is signal
        assert {track.number for decision in decisions for track in decision.tracks} == {1}


class TestTracker:
    """`still_s` extends the memory to the last frame, and no further."""

    def people(self, *frames: tuple[float, float, Sequence[Detection]]) -> list[list[int]]:
        tracker = Tracker(CONFIG.tracker)
        return [tracker.update(found, t, 480, still_s) for t, still_s, found in frames]

    def test_gap_of_a_camera_is_not_known(self) -> None:
        assert self.people((0, 0, [FACE]), (5, 0, [FACE])) == [[1], [2]]

    def test_still_of_a_video_keeps_its_people(self) -> None:
        assert self.people((0, 0, [FACE]), (5, 5, [FACE]), (65, 60, [FACE])) == [[1], [1], [1]]

    def test_person_who_was_not_in_the_last_frame_is_forgotten(self) -> None:
        assert self.people((0, 0, [FACE]), (0.1, 0.1, []), (5, 4.9, [FACE])) == [[1], [], [2]]

    def test_overlap_decides_between_two_people_after_a_still(self) -> None:
        other = Detection(Box(120, 100, 180, 180), 0.9)
        assert self.people((0, 0, [FACE, other]), (5, 5, [other, FACE])) == [[1, 2], [2, 1]]

    def test_person_who_left_during_a_still_is_forgotten_at_once(self) -> None:
        tracker = Tracker(CONFIG.tracker)
        tracker.update([FACE], 0, 480)
        tracker.update([], 5, 480, 5)
        assert tracker.tracks == ()


def test_stills_of_a_video_are_not_the_rate_of_a_slow_camera() -> None:
    interval = FrameInterval()
    times = [0.0, 5.0, 10.0, 15.0, 15.1, 15.2, 20.2, 20.3]
    stills = [0.0, *np.diff(times).tolist()]
    found = [interval.add(t, still_s) for t, still_s in zip(times, stills, strict=True)]
    assert found == pytest.approx([0, 0, 5, 5, 0, 0, 0, 0])
