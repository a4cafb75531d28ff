"""Wait longer after each failure, and not in step with other collectors."""

from __future__ import annotations

import random
import time


class Backoff:
    """When the next attempt is due: `first_s` after a failure, then twice as long each time, up to `max_s`.

    Each wait is shortened at random by up to a half.
    """

    def __init__(self, first_s: float = 0.5, max_s: float = 30.0) -> None:
        self._first_s, self._max_s = first_s, max_s
        self._delay_s = first_s
        self._due_at = 0.0

    @property
    def rest_s(self) -> float:
        """Seconds until the next attempt; 0 if it is due."""
        return max(self._due_at - time.monotonic(), 0.0)

    def reset(self) -> None:
        """Begin again, after a success."""
        self._delay_s, self._due_at = self._first_s, 0.0

    def fail(self) -> float:
        """Begin the wait after a failure, and return its length in seconds."""
        wait_s = self._delay_s * random.uniform(0.5, 1.0)
        self._due_at = time.monotonic() + wait_s
        self._delay_s = min(2 * self._delay_s, self._max_s)
        return wait_s
