"""The first verdict about a person says how long it took."""

from __future__ import annotations

from edge.config import load
from edge.policy import State, step
from edge.records import Box, Track


def track(looks: int, first_look: float, last_look: float, evidence: float) -> Track:
    return Track(
        1, Box(0, 0, 9, 9), 0.3, first_seen=2.0, last_seen=last_look, looks=looks, first_look=first_look,
        last_look=last_look, evidence=evidence,
    )  # fmt: skip


def test_only_the_first_verdict_has_its_time() -> None:
    settings = load().policy
    state, _, events = step(State(), [track(20, 2.5, 5.25, 3.0)], 5.25, settings)
    assert events[0].kind == "masked"
    assert events[0].data["decision_s"] == 3.25
    state, _, _ = step(state, [track(40, 2.5, 9.0, -3.0)], 9.0, settings)
    _, _, events = step(state, [track(60, 2.5, 99.0, -3.0)], 99.0, settings)
    assert events[0].kind == "unmasked"
    assert "decision_s" not in events[0].data
