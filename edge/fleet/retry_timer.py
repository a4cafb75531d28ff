"""When the next attempt is due: later after each failure, and not in step with other collectors."""

from __future__ import annotations

import time

from ..link.backoff import Backoff


class RetryTimer:
    """The time of the next attempt: after a failure up to `first_s` later, then twice as long each time, up to `max_s`."""

    def __init__(self, first_s: float = 0.5, max_s: float = 30.0) -> None:
        self._backoff = Backoff(first_s, max_s)
        self._due_at = 0.0

    @property
    def rest_s(self) -> float:
        """Seconds until the next attempt; 0 if it is due."""
        return max(self._due_at - time.monotonic(), 0.0)

    def reset(self) -> None:
        """Begin again, after a success."""
        self._backoff.reset()
        self._due_at = 0.0

    def fail(self) -> None:
        """Begin the wait after a failure."""
        self._due_at = time.monotonic() + self._backoff.next_s()
