"""The table of doors: how long ago a door was seen."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from edge.fleet.table import age

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("passed", "text"),
    [
        (timedelta(seconds=-5), "0 s ago"),
        (timedelta(seconds=119.9), "119 s ago"),
        (timedelta(minutes=119, seconds=59), "119 min ago"),
        (timedelta(hours=2, minutes=40), "2 h ago"),
        (timedelta(hours=47, minutes=59), "47 h ago"),
        (timedelta(days=2, hours=23), "2 days ago"),
    ],
)
def test_an_age_is_rounded_down(passed: timedelta, text: str) -> None:
    phrase, number = age(NOW - passed, NOW)
    assert phrase.format(n=number) == text


def test_a_door_that_was_never_seen() -> None:
    phrase, number = age(None, NOW)
    assert phrase.format(n=number) == "never"
