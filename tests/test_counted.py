"""A number together with its noun."""

from __future__ import annotations

import pytest

from edge.counted import counted


@pytest.mark.parametrize(
    ("count", "nouns", "expected"),
    [
        (0, ("card",), "0 cards"),
        (1, ("card",), "1 card"),
        (2, ("card",), "2 cards"),
        (1, ("person is", "people are"), "1 person is"),
        (3, ("person is", "people are"), "3 people are"),
    ],
)
def test_the_noun_follows_the_number(count: int, nouns: tuple[str, ...], expected: str) -> None:
    assert counted(count, *nouns) == expected
