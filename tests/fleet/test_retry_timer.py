"""Waits that grow, up to a limit."""

from __future__ import annotations

import pytest

from edge.fleet import retry_timer
from edge.fleet.retry_timer import RetryTimer


def test_waits_grow_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(retry_timer.time, "monotonic", lambda: now)
    timer = RetryTimer(0.5, 8.0)
    assert timer.rest_s == 0
    for expected_s in (0.5, 1, 2, 4, 8, 8, 8):
        timer.fail()
        assert expected_s / 2 <= timer.rest_s <= expected_s
        now += expected_s
        assert timer.rest_s == 0
    timer.reset()
    assert timer.rest_s == 0
    timer.fail()
    assert timer.rest_s <= 0.5
