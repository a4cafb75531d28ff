"""Slow cameras: the interval between frames, and decisions at one frame a second and in bursts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pytest

from edge import frame_rate
from edge.frame_rate import FrameInterval, decision_times
from edge.imaging.images import Picture
from edge.inference import manifest
from edge.inference.perception import Perception
from edge.pipeline import Decision, Pipeline
from edge.records import Box, Detection, Frame, Signal
from edge.tracker import Tracker
from support.clip import EMPTY_S, MASKED_S, UNMASKED_S, frame_at
from support.door import CONFIG


@pytest.fixture(scope="module")
def perception() -> Perception:
    return Perception(CONFIG, manifest.load())


def interval(times: Iterable[float]) -> float:
    measured = FrameInterval()
    for t in times:
        measured.add(t)
    return measured.seconds


class TestInterval:
    @pytest.mark.parametrize("fps", [3, 5, 10, 15, 30])
    def test_normal_camera_has_none(self, fps: float) -> None:
        assert interval(k / fps for k in range(200)) == 0

    @pytest.mark.parametrize("seconds", [0.5, 0.7, 1.0, 1.5, 2.0, 4.0])
    def test_slow_camera(self, seconds: float) -> None:
        assert interval(k * seconds for k in range(3)) == pytest.approx(seconds)
        assert interval(k * seconds for k in range(60)) == pytest.approx(seconds)

    def test_bursts_are_as_slow_as_the_gaps_between_them(self) -> None:
        assert interval(k // 20 * 1.5 + k % 20 / 100 for k in range(200)) == pytest.approx(1.31)

    def test_single_stall_is_none(self) -> None:
        assert interval([*(k / 10 for k in range(20)), *(4 + k / 10 for k in range(20))]) == 0

    def test_jitter_and_a_lost_frame(self) -> None:
        random = np.random.default_rng(2)
        gaps = [*random.uniform(0.8, 1.2, 10), 2.1, *random.uniform(0.8, 1.2, 10)]
        assert 0.8 <= interval(np.cumsum(gaps)) <= 1.2

    def test_pause_is_no_interval(self) -> None:
        assert interval(k * 2 * frame_rate.MAX_INTERVAL_S for k in range(9)) == 0

    def test_camera_that_becomes_fast_is_normal_after_the_window(self) -> None:
        slow = [float(k) for k in range(10)]
        fast = [9 + k / 10 for k in range(1, 10 * round(frame_rate.WINDOW_S) + 5)]
        assert interval(slow + fast[:10]) == 1.0
        assert interval(slow + fast) == 0

    def test_clear(self) -> None:
        measured = FrameInterval()
        for t in (0.0, 1.0, 2.0):
            measured.add(t)
        measured.clear()
        assert measured.add(50.0) == 0


def test_times_of_a_normal_camera_are_those_of_the_settings() -> None:
    tracker, policy = CONFIG.tracker, CONFIG.policy
    times = decision_times(tracker, policy, 0.0)
    assert times == (tracker.forget_after_s, 1.0, policy.undecided_max_s)
    fresh = Tracker(tracker)
    assert (fresh.bridge_s, fresh.max_weight) == times[:2]


def decide(perception: Perception, moments: Sequence[tuple[float, Picture]]) -> list[Decision]:
    """Return the decisions for pictures at their times."""
    pipeline = Pipeline(CONFIG, perception)
    return [pipeline.step(Frame(k, t, picture)) for k, (t, picture) in enumerate(moments)]


def first(decisions: Sequence[Decision], signal: Signal) -> float:
    return next(decision.t for decision in decisions if decision.signal is signal)


@pytest.mark.parametrize("seconds", [0.5, 0.7, 1.0, 1.5, 1.9])
@pytest.mark.parametrize(("at", "signal"), [(MASKED_S, Signal.PASS), (UNMASKED_S, Signal.STOP)])
def test_slow_camera_decides_after_four_looks(
    perception: Perception, seconds: float, at: float, signal: Signal
) -> None:
    empty, person = frame_at(EMPTY_S), frame_at(at)
    pictures = [empty] * 4 + [person] * 8 + [empty] * 3
    decisions = decide(perception, [(k * seconds, picture) for k, picture in enumerate(pictures)])
    shown = [decision.signal for decision in decisions]
    held = 1 if seconds <= CONFIG.tracker.forget_after_s else 0  # a frame without the person within `forget_after_s`
    assert shown == [Signal.IDLE] * 7 + [signal] * (5 + held) + [Signal.IDLE] * (3 - held)
    people = [event.data["person"] for decision in decisions for event in decision.events if "person" in event.data]
    assert people == [1, 1], "one person, decided once and cleared once"


def test_slow_camera_that_starts_with_a_person(perception: Perception) -> None:
    decisions = decide(perception, [(float(k), frame_at(MASKED_S)) for k in range(6)])
    assert first(decisions, Signal.PASS) <= 4


def test_slow_camera_needs_several_looks_for_another_verdict(perception: Perception) -> None:
    masked, unmasked = frame_at(MASKED_S), frame_at(UNMASKED_S)
    pictures = [masked] * 8 + [unmasked] + [masked] * 5
    signals = [each.signal for each in decide(perception, [(float(k), p) for k, p in enumerate(pictures)])]
    assert Signal.STOP not in signals, "one wrong look, the fourth after a gap, changes nothing"


@pytest.mark.parametrize("frames", [1, 3, 20])
def test_first_look_after_a_gap_does_not_decide_alone(frames: int) -> None:
    """`frames` looks at a masked person, then a wrong one after a gap of 1.5 s."""
    tracker = Tracker(CONFIG.tracker)
    times = decision_times(CONFIG.tracker, CONFIG.policy, 1.5)
    tracker.bridge_s, tracker.max_weight = times.bridge_s, times.max_weight
    face = Detection(Box(100, 100, 200, 200), 0.9)
    for t, log_odds in [*((k / 15, 3.0) for k in range(frames)), (frames / 15 + 1.5, -3.0)]:
        assert tracker.update([face], t, 480) == [1]
        tracker.add_mask_score(1, log_odds, t)
    assert tracker.tracks[0].evidence > CONFIG.policy.unmasked_threshold


def test_changed_mask_is_seen_in_bursts(perception: Perception) -> None:
    masked, unmasked = frame_at(MASKED_S), frame_at(UNMASKED_S)
    moments = [(burst * 1.5 + k * 0.05, masked if burst < 4 else unmasked) for burst in range(9) for k in range(5)]
    assert first(decide(perception, moments), Signal.STOP) <= 4 * 1.5 + 4.5


@pytest.mark.parametrize("frames", [1, 3, 6])
def test_bursts_decide(perception: Perception, frames: int) -> None:
    """Poor Wi-Fi: nothing for 1.5 s, then the door sees a few of the pictures, some hundredths of a second apart."""
    empty, person = frame_at(EMPTY_S), frame_at(MASKED_S)

    def bursts(picture: Picture, begin: int, end: int) -> list[tuple[float, Picture]]:
        return [(burst * 1.5 + k * 0.04, picture) for burst in range(begin, end) for k in range(frames)]

    decisions = decide(perception, bursts(empty, 0, 3) + bursts(person, 3, 9) + bursts(empty, 9, 11))
    assert first(decisions, Signal.PASS) <= 3 * 1.5 + 3 * 1.5
    after = [decision.signal for decision in decisions if decision.t >= 9 * 1.5]
    assert set(after) == {Signal.IDLE}


def test_stall_of_a_normal_camera_changes_nothing(perception: Perception) -> None:
    """A person is forgotten after `forget_after_s`, as before: in a single stall somebody else may have come."""
    person = frame_at(MASKED_S)
    moments = [(k / 10, person) for k in range(20)] + [(2.9 + k / 10, person) for k in range(20)]
    decisions = decide(perception, moments)
    assert [track.number for track in decisions[-1].tracks] == [2]
