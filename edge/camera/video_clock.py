"""VideoClock: the times of a video's frames, from time stamps that may be missing, wrong or out of order."""

from __future__ import annotations

import math

#: A larger gap between two frames is not time that passed: the recorder's clock was set, or two recordings were joined.
MAX_GAP_S = 3600.0
#: Time stamps that go back by less than this are out of order; by more, the clock was set back or the stamps begin again.
MAX_DISORDER_S = 1.0
#: Minimum time between two frames.
MIN_STEP_S = 0.001
#: The frame rate of a video with long pauses may be one frame in half an hour. That is no step between two frames.
MAX_STEP_S = 1.0
#: Above this, a time stamp is not one: OpenCV subtracts an unknown start time, and gets numbers like -9e15.
_MAX_STAMP_S = 1e9


class VideoClock:
    """Turns the time stamps of a video into times (seconds) that start at 0 or later and always increase.

    - A stamp is the time, relative to the start of the video. The first frame may be late, never early.
    - A missing (NaN, infinite, enormous, 0 after the first frame) or repeated stamp: the frame is `step_s` later than the
      one before it, at most MAX_STEP_S.
    - A stamp that goes back by less than MAX_DISORDER_S: the frame is MIN_STEP_S later than the one before it, and the
      following stamps count as before.
    - A stamp that goes back by more, or forward by more than MAX_GAP_S: the frame is `step_s` later, and the following
      stamps count from there.
    """

    def __init__(self, step_s: float) -> None:
        self._step_s = min(step_s, MAX_STEP_S)
        self._t: float | None = None
        self._stamp_s = math.nan
        self._offset_s = 0.0

    def time(self, stamp_s: float) -> float:
        """Return the time of the next frame, whose time stamp is `stamp_s` (NaN for none)."""
        t = self._first(stamp_s) if self._t is None else self._next(stamp_s, self._t)
        self._stamp_s = stamp_s
        # Two ways to compute one time stamp differ in the last bits. A nanosecond is far below records.TIME_EPSILON_S.
        self._t = round(t, 9)
        return self._t

    def _first(self, stamp_s: float) -> float:
        if not is_stamp(stamp_s):
            return 0.0
        if not -MAX_DISORDER_S < stamp_s <= MAX_GAP_S:
            self._offset_s = stamp_s
            return 0.0
        return max(0.0, stamp_s)

    def _next(self, stamp_s: float, before: float) -> float:
        later = before + self._step_s
        # OpenCV's 0 may stand for no time stamp, often that of the last frame.
        if not is_stamp(stamp_s) or stamp_s in (self._stamp_s, 0.0):
            return later
        t = stamp_s - self._offset_s
        if before - MAX_DISORDER_S < t <= before + MAX_GAP_S:
            return max(t, before + MIN_STEP_S)
        self._offset_s = stamp_s - later
        return later


class SteadyClock:
    """Times of frames without usable time stamps: number divided by rate."""

    def __init__(self, fps: float) -> None:
        self._fps = fps
        self._number = -1

    def time(self, stamp_s: float) -> float:
        """Return the time of the next frame. Its time stamp is ignored."""
        self._number += 1
        return self._number / self._fps


def is_stamp(stamp_s: float) -> bool:
    """Return whether `stamp_s` can be a time stamp."""
    return math.isfinite(stamp_s) and abs(stamp_s) < _MAX_STAMP_S
