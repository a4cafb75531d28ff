"""Waits that grow, up to a limit."""

from __future__ import annotations

import pytest

from edge.fleet import backoff
from edge.fleet.backoff import Backoff


def test_waits_grow_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(backoff.time, "monotonic", lambda: now)
    waits = Backoff(0.5, 8.0)
    assert waits.rest_s == 0
    for expected_s in (0.5, 1, 2, 4, 8, 8, 8):
        assert expected_s / 2 <= waits.fail() <= expected_s
        assert 0 < waits.rest_s <= expected_s
        now += expected_s
        assert waits.rest_s == 0
    waits.reset()
    assert waits.fail() <= 0.5
