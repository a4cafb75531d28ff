"""The interval at which the door sees frames, and decision times that fit a slow camera.

The decision times in default.toml suppose several frames a second. A network camera may give one picture a second, or
deliver its pictures in bursts. A person is then not gone because no frame came, and one look must not decide alone.
"""

from __future__ import annotations

import heapq
from collections import deque
from typing import NamedTuple

from .config import PolicySettings, TrackerSettings

#: Shorter gaps are those of a normal camera. They change no decision time.
SLOW_S = 0.35
SLOW_HINT = "set the camera to 5 pictures a second or more"
#: How the description of a slow camera begins, in the service's status too.
SLOW_PREFIX = "slow, one picture in"
#: Longer gaps are pauses. They say nothing about the rate.
MAX_INTERVAL_S = 5.0
#: A gap counts for this time, and for three times its own length.
WINDOW_S = 15.0
#: A frame may be later than the interval by this factor.
JITTER = 1.5
#: Maximum weight of one look in the average of a slow camera. Otherwise the first look after a gap would decide alone.
MAX_WEIGHT = 1 / 3


def describe_slow(interval_s: float) -> str:
    """Return the description of a camera with this interval, such as "slow, one picture in 1.5 s"."""
    return f"{SLOW_PREFIX} {interval_s:.1f} s"


class FrameInterval:
    """The longest gap between frames that occurs repeatedly, in seconds; 0 for a normal camera.

    It is the second longest gap of the last WINDOW_S seconds: a single stall is not a slow camera, but a camera that
    delivers bursts is as slow as the gaps between them. A video knows the times of its pictures, so there it is the
    shorter of the last two gaps: many recorders store a picture in 5 s while nothing moves, and 15/s otherwise.
    """

    def __init__(self, max_s: float = MAX_INTERVAL_S) -> None:
        self._max_s = max_s
        self._last: float | None = None
        self._gaps: deque[tuple[float, float]] = deque()  # (end, length) of each long gap
        self._last_still_s = 0.0

    def add(self, t: float, still_s: float = 0.0) -> float:
        """Add a frame at time `t`, which never decreases, and return the interval. `still_s` is Frame.still_s."""
        last, self._last = self._last, t
        before_s, self._last_still_s = self._last_still_s, still_s
        if still_s:
            shorter_s = min(before_s, still_s)
            return shorter_s if SLOW_S < shorter_s <= self._max_s else 0.0
        if last is not None and SLOW_S < t - last <= self._max_s:
            self._gaps.append((t, t - last))
        while self._gaps and t - self._gaps[0][0] > max(WINDOW_S, 3 * self._gaps[0][1]):
            self._gaps.popleft()
        return self.seconds

    @property
    def seconds(self) -> float:
        """The interval."""
        if len(self._gaps) < 2:
            return 0.0
        return heapq.nlargest(2, (length for _, length in self._gaps))[1]

    def clear(self) -> None:
        """Forget all frames."""
        self._last, self._last_still_s = None, 0.0
        self._gaps.clear()


def slow_note(interval_s: float, min_looks: int) -> str:
    """Return the sentence about a slow camera whose pictures arrive `interval_s` apart, for SLOW_HINT to follow."""
    return f"{describe_slow(interval_s)}: a decision takes about {min_looks * interval_s:.0f} s"


class DecisionTimes(NamedTuple):
    """The times (seconds), and the weight of a look, that depend on the interval between frames.

    `bridge_s`: a person who was seen in the last frame before a gap of at most this length is expected in the next one.
    """

    bridge_s: float
    max_weight: float
    undecided_max_s: float


def decision_times(tracker: TrackerSettings, policy: PolicySettings, interval_s: float) -> DecisionTimes:
    """Return the times for frames `interval_s` seconds apart; for a normal camera (0) those of the settings."""
    return DecisionTimes(
        bridge_s=max(tracker.forget_after_s, JITTER * interval_s),
        max_weight=MAX_WEIGHT if interval_s else 1.0,
        # As long as an undecided person needs for the looks of a verdict.
        undecided_max_s=max(policy.undecided_max_s, policy.min_looks * interval_s),
    )
