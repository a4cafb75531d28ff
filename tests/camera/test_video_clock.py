"""The times of a video's frames: always increasing, whatever its time stamps do."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.camera.video_clock import MAX_GAP_S, SteadyClock, VideoClock

NAN = math.nan
HOUR = 3600.0


def times(*stamps: float, step_s: float = 0.1) -> list[float]:
    clock = VideoClock(step_s)
    return [clock.time(stamp) for stamp in stamps]


@pytest.mark.parametrize(
    ("stamps", "expected"),
    [
        pytest.param((0, 0.1, 0.2), [0, 0.1, 0.2], id="steady"),
        pytest.param((0, 0.033, 5.1, 5.2), [0, 0.033, 5.1, 5.2], id="variable rate"),
        pytest.param((3.2, 3.3), [3.2, 3.3], id="the first picture is late"),
        pytest.param((-0.2, 0.1), [0, 0.1], id="decoding time before the first picture"),
        pytest.param((-50, -49.9), [0, 0.1], id="the stamps start far below zero"),
        pytest.param((26 * HOUR, 26 * HOUR + 0.5), [0, 0.5], id="the stamps are the time of day"),
        pytest.param((0, 0.1, 0.1, 0.3), [0, 0.1, 0.2, 0.3], id="repeated once"),
        pytest.param((0, 0, 0, 0), [0, 0.1, 0.2, 0.3], id="no clock at all"),
        pytest.param((0, NAN, math.inf, -9e15, 0.4), [0, 0.1, 0.2, 0.3, 0.4], id="no time stamps"),
        pytest.param((NAN, NAN, 0.2), [0, 0.1, 0.2], id="the first are missing"),
        pytest.param((0, 0.1, 0.2, 0), [0, 0.1, 0.2, 0.3], id="the last is missing: OpenCV says 0"),
        pytest.param((0, 0.2, 0.1, 0.3), [0, 0.2, 0.201, 0.3], id="out of order"),
        pytest.param((0, 9, 0, 0.1, 0.2), [0, 9, 9.1, 9.2, 9.3], id="begin again: two recordings joined"),
        pytest.param((10, 20, 7, 8), [10, 20, 20.1, 21.1], id="the clock was set back"),
        pytest.param((0, 1, 5 * HOUR, 5 * HOUR + 2), [0, 1, 1.1, 3.1], id="the clock was set forward by hours"),
        pytest.param((0, 1, 5 * HOUR, 2), [0, 1, 1.1, 1.2], id="one wrong stamp"),
        pytest.param((0, 1, 1 + HOUR), [0, 1, 1 + HOUR], id="nothing happened for an hour"),
    ],
)
def test_times(stamps: tuple[float, ...], expected: list[float]) -> None:
    assert times(*stamps) == pytest.approx(expected, abs=1e-9)


def test_step_of_a_video_with_long_pauses_is_short() -> None:
    assert times(0, 0, step_s=1800.0) == [0, 1]


def test_nanoseconds_are_equal_however_they_are_computed() -> None:
    assert times(3 * 50.0 / 1000, 0.1 + 0.2) == [0.15, 0.3]


@given(st.lists(st.floats() | st.floats(-10, 10) | st.floats(-1e5, 1e5) | st.sampled_from([0.0, 0.1]), max_size=30))
def test_times_always_increase_and_never_by_more_than_the_longest_gap(stamps: list[float]) -> None:
    found = times(*stamps)
    assert all(t >= 0 for t in found)
    assert all(0 < later - earlier <= MAX_GAP_S + 1e-6 for earlier, later in itertools.pairwise(found))


def test_steady_clock_ignores_time_stamps() -> None:
    clock = SteadyClock(4)
    assert [clock.time(stamp) for stamp in (7.0, NAN, -1.0)] == [0, 0.25, 0.5]
