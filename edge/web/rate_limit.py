"""Limit how often an address may do something: a token bucket for each, in bounded memory."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

#: Addresses that are remembered; the one that has been quiet for longest is forgotten first.
MAX_ADDRESSES = 1000


class RateLimit:
    """Allows `burst` at once, and then `per_s` a second, to each address."""

    def __init__(self, burst: float, per_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._burst, self._per_s, self._clock = burst, per_s, clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, address: str) -> bool:
        """Count one; return False if it is one too many."""
        left = self._available(address)
        if left < 1:
            return False
        self._left[address] = (left - 1, self._clock())
        self._left.move_to_end(address)
        if len(self._left) > MAX_ADDRESSES:
            self._left.popitem(last=False)
        return True

    def is_exhausted(self, address: str) -> bool:
        """Return whether `take` would return False."""
        return self._available(address) < 1

    def _available(self, address: str) -> float:
        left, since = self._left.get(address, (self._burst, self._clock()))
        return min(self._burst, left + (self._clock() - since) * self._per_s)
