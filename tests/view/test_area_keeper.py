"""Areas that come from the page: checked as check-config does, written, undone, and in force without a restart."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from edge import areas_file, config
from edge.areas_file import Areas
from edge.view import area_keeper
from edge.view.area_keeper import AreaKeeper, Change
from edge.view.requests import DoorRequests
from support.limits import no_more_threads
from support.wait import wait_until

LEFT: list[list[float]] = [[0.0, 0.0], [0.5, 0.0], [0.5, 1.0], [0.0, 1.0]]
OWN = "[web]\nmay_configure = true\n[door]\nzone = [[0, 0], [1, 0], [1, 0.8], [0, 0.8]]\n"


class Keeper:
    """A keeper with its files, and what it has said."""

    def __init__(self, folder: Path) -> None:
        self.settings, self.path = folder / "door.toml", folder / "state" / "areas.toml"
        self.settings.write_text(OWN)
        self.changes: list[Change] = []
        self.answers: list[dict[str, Any]] = []
        self.keeper = AreaKeeper(config.load(self.settings), self.path, self.settings, self.changes.append)

    def change(self, areas: dict[str, Any] | None) -> dict[str, Any]:
        """Return the answer to a change."""
        wait_until(lambda: not self.keeper._lock.locked())
        count = len(self.answers)
        self.keeper.change(areas, lambda answer, _: self.answers.append(answer))
        wait_until(lambda: len(self.answers) > count)
        return self.answers[-1]

    def zone_after_restart(self) -> object:
        loaded = config.load(self.settings)
        return areas_file.applied(loaded, self.path, self.settings)[0].door.zone


@pytest.fixture
def door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keeper:
    monkeypatch.setattr(area_keeper, "EVERY_S", 0.0)
    monkeypatch.setattr(area_keeper, "TIMEOUT_S", 60.0)  # the machine may be busy
    return Keeper(tmp_path)


def areas(zone: Any = (), ignore: Any = ()) -> dict[str, Any]:
    return {"zone": list(zone), "ignore": list(ignore)}


def test_set_undo_and_undo_again(door: Keeper) -> None:
    own = ((0, 0), (1, 0), (1, 0.8), (0, 0.8))
    left = tuple((x, y) for x, y in LEFT)
    assert door.change(None) == {"state": "nothing"}
    assert door.change(areas(LEFT))["state"] == "done"
    assert door.zone_after_restart() == left
    assert door.changes[-1] == (areas_file.Zone(left, ()), {"by": "page", "share": 0.5, "before": 0.8})
    assert door.change(areas(LEFT)) == {"state": "same"}
    answer = door.change(None)
    assert answer["state"] == "done"
    assert door.zone_after_restart() == own
    assert door.changes[-1].event == {"by": "page", "share": 0.8, "before": 0.5, "undone": True}
    assert door.change(None)["state"] == "done"
    assert door.zone_after_restart() == left, "undoing an undo"
    assert len(door.changes) == 3


def test_undo_brings_back_the_areas_before(door: Keeper) -> None:
    door.change(areas(LEFT))
    door.change(areas([], [LEFT]))
    assert door.zone_after_restart() == ()
    door.change(None)
    assert door.zone_after_restart() == tuple((x, y) for x, y in LEFT)


WRONG: dict[str, dict[str, Any]] = {
    "two corners": areas([[0, 0], [1, 1]]),
    "outside": areas([[0, 0], [2, 0], [1, 1]]),
    "crosses itself": areas([[0, 0], [1, 1], [1, 0], [0, 1]]),
    "line": areas([[0, 0], [0.5, 0.5], [1, 1]]),
    "nobody counts": areas(ignore=[[[0, 0], [1, 0], [1, 1], [0, 1]]]),
    "too many corners": areas([[k / 200, 0.1] for k in range(101)]),
    "too many areas": areas(ignore=[LEFT] * 21),
    "text": areas(["abc"]),
    "null": areas([None]),
    "nan": areas([[float("nan"), 0], [1, 0], [1, 1]]),
    "infinite": areas([[float("inf"), 0], [1, 0], [1, 1]]),
    "nested": areas([[[[[[]]]]]]),
    "three numbers": areas([[0, 0, 0], [1, 0, 0], [1, 1, 0]]),
    "unknown": {"zone": [], "ignore": [], "camera": {}},
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_wrong_areas_change_nothing(wrong: dict[str, Any], door: Keeper) -> None:
    answer = door.change(wrong)
    assert answer["state"] == "wrong"
    assert answer["problem"]
    assert not door.path.exists()
    assert door.changes == []


def test_a_disk_that_refuses_is_reported(door: Keeper) -> None:
    door.path.parent.write_text("not a folder")
    answer = door.change(areas(LEFT))
    assert (answer["state"], door.changes) == ("failed", [])
    assert str(door.path) in answer["problem"]


def test_a_damaged_file_is_replaced(door: Keeper) -> None:
    door.path.parent.mkdir()
    door.path.write_text("hello")
    assert door.change(None) == {"state": "nothing"}
    assert door.change(areas(LEFT))["state"] == "done"
    assert door.zone_after_restart() == tuple((x, y) for x, y in LEFT)


def test_one_change_at_a_time_and_not_too_often(door: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(area_keeper, "EVERY_S", 60.0)
    started = threading.Event()
    go_on = threading.Event()

    def run(order: dict[str, object]) -> dict[str, Any]:
        started.set()
        assert go_on.wait(60)
        return {"state": "same"}

    monkeypatch.setattr(door.keeper, "_run", run)
    door.keeper.change(areas(), lambda answer, _: door.answers.append(answer))
    assert started.wait(60)
    for _ in range(100):
        door.keeper.change(areas(), lambda answer, _: door.answers.append(answer))
    assert [answer["state"] for answer in door.answers] == ["busy"] * 100, "the door does not wait"
    go_on.set()
    wait_until(lambda: len(door.answers) == 101)
    assert door.answers[-1]["state"] == "same"
    assert door.keeper._next_at > time.monotonic(), "each change is written to the card: the next one waits"


@pytest.mark.parametrize("program", ["import time; time.sleep(60)", "1 / 0", "print('no JSON')", "print('{}')"])
def test_a_child_that_fails(program: str, door: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(area_keeper.child_process, "command", lambda _: [sys.executable, "-c", program])
        patch.setattr(area_keeper, "TIMEOUT_S", 0.5)
        assert door.change(areas(LEFT))["state"] == "failed"
    assert door.changes == []
    assert door.change(areas(LEFT))["state"] == "done", "the next one works"


def test_a_thread_that_cannot_be_started(door: Keeper) -> None:
    with no_more_threads():
        assert door.change(areas(LEFT)) == {"state": "failed", "problem": "can't start new thread"}
    assert door.change(areas(LEFT))["state"] == "done", "the next one works"


def test_the_largest_areas_are_checked_in_time(door: Keeper) -> None:
    """2,100 corners, which nearly cover the picture: nothing of it runs in the door."""
    teeth = [[k / 49, 0.0 if k % 2 else 0.001] for k in range(50)]
    comb = [*teeth, *[[1 - k / 49, 1.0] for k in range(50)]]
    assert door.change(areas(comb, [comb] * 19 + [LEFT]))["state"] in ("done", "wrong"), (
        "a late child is killed: failed"
    )


def test_requests_are_refused_unless_the_settings_allow_them(tmp_path: Path) -> None:
    answers: list[object] = []
    closed = DoorRequests(config.load(), lambda: pytest.fail("nobody asked why"))
    for request in ({"ask": "set_areas", "zone": [], "ignore": []}, {"ask": "undo_areas"}):
        closed.handle({"id": 1, **request}, [], "client", lambda answer, _: answers.append(answer["state"]))
    assert answers == ["off", "off"]
    door = Keeper(tmp_path)
    opened = DoorRequests(config.load(), lambda: pytest.fail("nobody asked why"), door.keeper)
    for malformed in ({"ask": "set_areas"}, {"ask": "set_areas", "zone": {}, "ignore": []}, {"ask": "set"}, {}):
        opened.handle({"id": 1, **malformed}, [], "client", lambda answer, _: answers.append(answer["state"]))
    assert answers[2:] == ["malformed"] * 4
    request = {"id": 1, "ask": "set_areas", **areas(LEFT)}
    opened.handle(request, [], "client", lambda answer, _: door.answers.append(answer))
    wait_until(lambda: door.answers)
    assert door.changes[-1].zone.zone == Areas(tuple((x, y) for x, y in LEFT)).zone


def test_the_process_loads_neither_models_nor_numpy() -> None:
    code = "import edge.view.areas_process, sys; print([m for m in ('numpy', 'cv2', 'ai_edge_litert') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout.strip() == "[]"
