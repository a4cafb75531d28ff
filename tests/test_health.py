from __future__ import annotations

from edge.health import Health


def test_all_is_well_at_first() -> None:
    assert Health().summary() == "all well"
    assert Health().problems == {}


def test_problems_come_and_go() -> None:
    health = Health()
    health.set("camera", "no picture for 3 s")
    health.set("events", "disk full")
    assert health.problems == {"camera": "no picture for 3 s", "events": "disk full"}
    assert health.summary() == "camera: no picture for 3 s; events: disk full"
    health.set("camera", None)
    health.set("lights", None)
    assert health.summary() == "events: disk full"


def test_a_changed_problem_keeps_its_place() -> None:
    health = Health()
    health.set("camera", "lost")
    health.set("events", "disk full")
    health.set("camera", "still lost")
    assert health.summary() == "camera: still lost; events: disk full"


def test_problems_is_a_copy() -> None:
    health = Health()
    health.set("camera", "lost")
    health.problems.clear()
    assert health.problems == {"camera": "lost"}


def test_stale_is_beyond_the_limit_not_at_it() -> None:
    health = Health()
    health.beat("loop", 10.0)
    assert health.stale(12.0, {"loop": 2.0}) == []
    assert health.stale(12.25, {"loop": 2.0}) == ["loop"]
    health.beat("loop", 12.25)
    assert health.stale(12.25, {"loop": 2.0}) == []


def test_what_never_beat_is_stale_and_what_has_no_limit_is_not() -> None:
    health = Health()
    health.beat("extra", 0.0)
    assert health.stale(100.0, {"camera": 5.0, "loop": 2.0}) == ["camera", "loop"]
