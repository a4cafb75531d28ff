"""LiveSource: the newest frame of a camera, from a thread that is replaced when it hangs.

Each connection is one daemon thread with its own CameraDevice, which only this thread opens, reads and closes. A camera
driver can hang in any of these calls. A hung call can be neither interrupted nor closed from another thread: releasing
an OpenCV capture while a thread reads from it crashes the process. Therefore LiveSource.read waits with a timeout, and
abandons a thread that is overdue. If an abandoned thread wakes up, it closes its own device. The next connection gets a
new thread and a new device. While an abandoned thread still holds the hardware, the new one finds it busy and retries
later. At most MAX_STUCK abandoned threads may exist.

A camera is frozen if its pictures are bit-identical: a sensor has noise, so two of its pictures always differ. A repeated
picture is not returned as a new frame, because it must not count as another look at a person. If nothing else arrives,
the source is lost. Only the repeats that a device allows are returned, as proof that it works: Frame.is_repeat.

A camera whose pictures arrive further apart than settings.timeout_s is too slow: the source is lost as long as that lasts,
because a light that changes between FAULT and a decision with every picture helps nobody.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable

import numpy as np

from ..config import CameraSettings
from ..errors import CameraError
from ..frame_rate import SLOW_HINT, FrameInterval
from ..imaging.blindness import clips_noise
from ..imaging.cells import cells
from ..imaging.images import Picture
from ..records import Frame
from .device import PREPARE_TIMEOUT_S, CameraDevice, Capture, first_timeout_s, open_timeout_s
from .source import CameraLostError, Source

#: A device has timeouts of its own. A call that is this much later than they allow has hung. Longer than READ_GRACE_S, after which
#: a device in a process of its own says so itself.
GRACE_S = 2.0
#: How long close() waits for the capture thread.
CLOSE_TIMEOUT_S = 2.0
#: With this many hung threads, none is started until one of them wakes up.
MAX_STUCK = 3
#: A connection that ends after more pictures was lost; after so few it may be a camera that is slower than the timeouts.
MAX_PICTURES_OF_SLOW = 2
#: If the next picture of a slow camera is later than this number of intervals, the camera is lost.
MAX_LATE_INTERVALS = 3
#: The hint for a device that hangs, repeats a picture, or fails in an unexpected way.
RESTART_HINT = "unplug it and plug it in again, or restart"


class _Connection:
    """A capture thread. Times are monotonic seconds.

    `due`: if the thread reports nothing until then, it has hung. `is_prepared`: what the camera needs is loaded.
    `frozen_since`: when its pictures began to repeat.
    """

    def __init__(self, run: Callable[[_Connection], None], name: str) -> None:
        self.due = time.monotonic() + PREPARE_TIMEOUT_S + GRACE_S
        self.is_prepared = False
        self.frozen_since: float | None = None
        self.thread = threading.Thread(target=run, args=(self,), name=name, daemon=True)


class LiveSource(Source):
    """The newest frame of a camera.

    Frame.t counts from the first prepare() or open(), Frame.number counts every captured frame; both continue when the
    camera is reopened. Call read() regularly: it also detects a hung camera and starts the next connection.
    """

    live = True

    def __init__(self, name: str, make_device: Callable[[], CameraDevice], settings: CameraSettings) -> None:
        """`make_device` returns a new CameraDevice for each connection, and must not touch the hardware."""
        self.name = name
        self._make_device = make_device
        self._settings = settings
        self._open_timeout_s = open_timeout_s(settings)
        # Guards all attributes below. Notified after a frame, after a failure and by close().
        self._changed = threading.Condition()
        self._start: float | None = None
        self._closed = True
        self._newest: Frame | None = None
        self._count = 0
        # The newest picture that differs from the one before it, and its time. They outlive a connection: a camera that is
        # still frozen after reopening must not look like a new one.
        self._last: Picture | None = None
        self._last_at = 0.0
        self._connection: _Connection | None = None
        self._prepared: _Connection | None = None  # the connection that prepare() has begun and open() continues
        self._stuck: list[threading.Thread] = []
        self._error: CameraError | None = None
        self._interval = FrameInterval(max_s=math.inf)
        self._delivered = 0  # pictures of the current or last connection
        self._pause_s = settings.reopen_s
        self._retry_at = 0.0
        self._has_worked = False
        self._attempts = 0  # to reopen the camera, since its last picture

    def prepare(self) -> None:
        """Begin to connect, while the caller loads its models."""
        self.close()
        with self._changed:
            if self._start is None:
                self._start = time.monotonic()
            self._closed, self._error, self._last = False, None, None
            self._pause_s, self._attempts = self._settings.reopen_s, 0
            self._interval.clear()  # the time since the last close() says nothing about the camera's rate
            self._prepared = self._connect()

    def open(self) -> None:
        """Connect and wait for the first picture. With settings.wait, return at once; read() then waits.

        Raises CameraError if the camera is absent, cannot be opened, or gives no picture in time; with settings.wait, too,
        if the device's software is missing or unusable.
        """
        if self._prepared is None:
            self.prepare()
        with self._changed:
            connection, self._prepared = self._prepared, None
            assert connection is not None
            if self._newest and time.monotonic() - self._last_at > self._settings.timeout_s:
                self._newest = None  # the camera has hung since prepare()
            if self._connection is None and self._delivered:  # it has failed since then
                self._newest = None
                connection = self._connect()
            self._changed.wait_for(
                lambda: connection.is_prepared or self._connection is not connection, timeout=PREPARE_TIMEOUT_S
            )
            if self._settings.wait and (connection.is_prepared or self._connection is connection):
                return
            self._changed.wait_for(
                lambda: self._newest or self._connection is not connection, timeout=self._open_timeout_s
            )
            if self._newest:
                return
            error = self._error
        self.close()
        raise error or CameraError(
            f"{self.name}: opened, but gives no picture within {self._open_timeout_s:g} s",
            "check cable and power of the camera, and that no other program uses it",
        )

    def read(self) -> Frame:
        """Return the newest frame that was not returned before; wait for it up to settings.timeout_s.

        Raises CameraLostError if none arrives in time. The next call continues to reopen the camera.
        """
        with self._changed:
            deadline = time.monotonic() + self._settings.timeout_s
            while self._newest is None:
                now = time.monotonic()
                if self._closed or now >= deadline:
                    raise self._lost_error(now)
                wake = min(deadline, self._maintain(now))
                self._changed.wait(max(0.0, wake - now))
            frame, self._newest = self._newest, None
            return frame

    def close(self) -> None:
        with self._changed:
            self._closed, self._newest, self._prepared = True, None, None
            connection, self._connection = self._connection, None
            self._changed.notify_all()
        if connection:
            connection.thread.join(CLOSE_TIMEOUT_S)
            with self._changed:
                self._stuck.append(connection.thread)  # _maintain() removes threads that have ended

    def _lost_error(self, now: float) -> CameraLostError:
        t = now - self._start if self._start is not None else 0.0
        if self._closed:
            return CameraLostError(f"{self.name}: is closed", t=t)
        interval_s = self._interval.seconds
        if self._is_too_slow_at(now):
            return CameraLostError(
                f"{self.name}: too slow: its pictures arrive {interval_s:.1f} s apart, "
                f"the door needs one every {self._settings.timeout_s:g} s (camera.timeout_s)",
                SLOW_HINT,
                t,
                is_too_slow=True,
            )
        lost = f"no new picture for {self._settings.timeout_s:g} s"
        if self._error:
            return CameraLostError(f"{self._error}; {lost}", self._error.hint, t)
        return CameraLostError(f"{self.name}: {lost}", "check cable and power of the camera", t)

    def _is_too_slow_at(self, now: float) -> bool:
        """Return whether the camera is too slow, and not later than a slow camera may be."""
        return self._is_too_slow() and now - self._last_at < MAX_LATE_INTERVALS * self._interval.seconds

    def _is_too_slow(self) -> bool:
        return self._interval.seconds > self._settings.timeout_s

    def _maintain(self, now: float) -> float:
        """Abandon a hung connection, and start the next one if it is time. Return the time of the next check."""
        if self._connection and now >= self._connection.due:
            self._stuck.append(self._connection.thread)
            self._fail(CameraError(f"{self.name}: the camera hangs", RESTART_HINT))
        self._stuck = [thread for thread in self._stuck if thread.is_alive()]
        if self._connection is None and now >= self._retry_at:
            if len(self._stuck) >= MAX_STUCK:
                return now + self._settings.reopen_max_s
            self._connect()
        return self._connection.due if self._connection else self._retry_at

    def _connect(self) -> _Connection:
        if self._delivered > MAX_PICTURES_OF_SLOW and not self._is_too_slow():
            self._interval.clear()  # the camera was lost, which says nothing about its rate
        self._delivered = 0
        connection = self._connection = _Connection(self._run, f"camera {self.name}")
        try:
            connection.thread.start()
        except RuntimeError as error:  # there are too many threads: a later attempt may succeed
            self._fail(CameraError(f"{self.name}: cannot be opened: {error}", "ps -eLf shows all threads"))
        return connection

    def _fail(self, error: CameraError) -> None:
        """Drop the connection, and schedule the next one with exponential back-off."""
        self._connection, self._error = None, error
        self._retry_at = time.monotonic() + self._pause_s
        self._pause_s = min(2 * self._pause_s, self._settings.reopen_max_s)

    def _run(self, connection: _Connection) -> None:
        """Run the thread of one connection. Once abandoned, it touches nothing but its own device."""
        device = self._make_device()
        device.first_timeout_s = self._first_timeout_s()
        failure: CameraError | None = None
        try:
            device.prepare()
            self._note_prepared(connection)
            device.open()
            self._note_opened(connection, device.first_timeout_s)
            while self._publish(connection, device.read(), device.repeat_allowed_s):
                pass
        except CameraError as error:
            failure = error
        except Exception as error:
            failure = CameraError(f"{self.name}: {type(error).__name__}: {error}", RESTART_HINT)
        finally:
            # Close before reporting the failure, so that the next connection finds the device free.
            with contextlib.suppress(Exception):
                device.close()
        with self._changed:
            if self._connection is connection and failure:
                self._fail(failure)
                self._changed.notify_all()

    def _first_timeout_s(self) -> float:
        """Return the device's limit for open() and for its first picture; count the attempts to reopen the camera."""
        with self._changed:
            if not self._has_worked:
                return self._open_timeout_s
            self._attempts += 1
            return first_timeout_s(self._settings, self._attempts - 1)

    def _note_prepared(self, connection: _Connection) -> None:
        with self._changed:
            connection.is_prepared = True
            # open() may use the whole open timeout, and the first picture timeout_s after that.
            connection.due = time.monotonic() + self._open_timeout_s + self._settings.timeout_s + GRACE_S
            self._changed.notify_all()

    def _note_opened(self, connection: _Connection, first_timeout_s: float) -> None:
        with self._changed:
            # A device that reports a late first picture has a better reason than "hangs".
            connection.due = max(connection.due, time.monotonic() + first_timeout_s + GRACE_S)

    def _publish(self, connection: _Connection, capture: Capture, repeat_allowed_s: float) -> bool:
        """Make `capture` the newest frame. Return False if the connection was abandoned or the source closed.

        Raises CameraError if the connection has repeated one picture for settings.timeout_s.
        """
        with self._changed:
            now = time.monotonic()  # under the lock: never before a time at which read() reported a lost camera
            if self._connection is not connection or self._start is None:
                return False
            connection.due = now + self._settings.timeout_s + GRACE_S
            is_repeat = self._last is not None and _is_identical(capture.picture, self._last)
            if not is_repeat:
                self._last, self._last_at = capture.picture, now
            elif now - self._last_at >= repeat_allowed_s and _has_noise(capture):
                self._error = CameraError(
                    f"{self.name}: frozen, gives the same picture again and again",
                    RESTART_HINT,
                )
                connection.frozen_since = now if connection.frozen_since is None else connection.frozen_since
                if now - connection.frozen_since >= self._settings.timeout_s and not self._is_too_slow_at(now):
                    raise self._error
                return True
            self._delivered += 1
            self._interval.add(now)
            if self._is_too_slow():
                return True
            if self._newest is not None:  # read() has not returned the picture that is repeated
                is_repeat = is_repeat and self._newest.is_repeat
            self._newest = Frame(self._count, now - self._start, capture.picture, capture.lores, is_repeat=is_repeat)
            self._count += 1
            self._error, self._pause_s, connection.frozen_since = None, self._settings.reopen_s, None
            self._has_worked, self._attempts = True, 0
            self._changed.notify_all()
            return True


def _is_identical(one: Picture, other: Picture) -> bool:
    """Return whether two pictures are bit-identical. Every 16th row is compared first: it nearly always differs."""
    return np.array_equal(one[::16], other[::16]) and np.array_equal(one, other)


def _has_noise(capture: Capture) -> bool:
    """Return whether the picture must contain noise. Black and white clip it; the door reports those as blind."""
    picture = capture.picture if capture.lores is None else capture.lores
    return not clips_noise(cells(picture).brightness)
