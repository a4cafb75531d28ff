"""Wait longer after each failure, and never in step with other doors."""

from __future__ import annotations

import random


class Backoff:
    """Delays between attempts: `first_s`, doubled after each, up to `max_s`, each shortened at random by up to a half.

    Without the random part, a hundred doors would return to a restarted broker in the same moment.
    """

    def __init__(self, first_s: float, max_s: float, rng: random.Random | None = None) -> None:
        self._first_s = first_s
        self._max_s = max_s
        self._rng = rng or random.Random()
        self._delay_s = first_s

    def reset(self) -> None:
        """Begin again, after a success."""
        self._delay_s = self._first_s

    def next_s(self) -> float:
        """Return how long to wait (seconds) before the next attempt."""
        delay_s, self._delay_s = self._delay_s, min(2 * self._delay_s, self._max_s)
        return delay_s * self._rng.uniform(0.5, 1.0)
