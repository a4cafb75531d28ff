"""The messages on their way to the broker, and the cursor behind those that have arrived."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from .cursor import Cursor


@dataclass(slots=True)
class _Pending:
    number: int
    cursor: Cursor | None
    is_acknowledged: bool = False


class Window:
    """Messages in the order in which they were sent. `cursor` is behind the last one before which all have arrived."""

    def __init__(self, cursor: Cursor) -> None:
        self.cursor = cursor
        self._pending: deque[_Pending] = deque()

    def __len__(self) -> int:
        return len(self._pending)

    def __contains__(self, number: int) -> bool:
        return any(pending.number == number for pending in self._pending)

    def add(self, number: int, cursor: Cursor | None) -> None:
        """Add a message that was sent. A message without a cursor does not move it."""
        self._pending.append(_Pending(number, cursor))

    def acknowledge(self, number: int) -> None:
        """Note that a message has arrived, and move the cursor. A message that is not one of these changes nothing."""
        for pending in self._pending:
            if pending.number == number:
                pending.is_acknowledged = True
                break
        while self._pending and self._pending[0].is_acknowledged:
            self.cursor = self._pending.popleft().cursor or self.cursor
