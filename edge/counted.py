"""Write a number together with its noun."""

from __future__ import annotations


def counted(count: int, one: str, many: str = "") -> str:
    """Return a number with its noun: "1 card", "2 cards". `many` is the noun for other numbers if it is not `one` with an s."""
    return f"{count} {one if count == 1 else many or f'{one}s'}"
