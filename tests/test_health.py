"""Health: the summary of the current problems."""

from __future__ import annotations

from edge.health import Health


def test_summary_without_problems() -> None:
    assert Health().summary() == "all well"


def test_summary_lists_the_current_problems() -> None:
    health = Health()
    health.set("camera", "no picture for 3 s")
    health.set("events", "disk full")
    assert health.summary() == "camera: no picture for 3 s; events: disk full"
    health.set("camera", None)
    health.set("lights", None)
    assert health.summary() == "events: disk full"


def test_changed_problem_keeps_its_position() -> None:
    health = Health()
    health.set("camera", "lost")
    health.set("events", "disk full")
    health.set("camera", "still lost")
    assert health.summary() == "camera: still lost; events: disk full"
