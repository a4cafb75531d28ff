"""What the pipeline adds to its decisions: who is known, what the log says of it, and when a relay may open."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import pytest
from test_still_things import FACE, camera, scene

from edge import config
from edge.config import Config
from edge.drawing import Drawing
from edge.imaging.images import Picture
from edge.people import liveness
from edge.people.matching import Gallery
from edge.people.presence import Presence
from edge.people.recogniser import Recogniser
from edge.people.record import to_vector
from edge.pipeline import Decision, Pipeline
from edge.records import Box, Detection, Event, Face, Frame, Signal
from edge.still_things import Motion
from edge.timing import NO_TIMER
from edge.view.snapshot import Snapshots
from support.people import MODEL, FakeEmbedder, person, vector

FPS = 10
ADA = person("Ada", 1)
STRANGER = Box(FACE.x1 + 60, FACE.y1, FACE.x2 + 60, FACE.y2)


class Models:
    """Models that find masked faces at `boxes` in every picture."""

    expression = masked_expression = None
    timer = NO_TIMER

    def __init__(self) -> None:
        self.boxes: tuple[Box, ...] = (FACE,)

    def detect(self, _: Frame) -> list[Detection]:
        return [Detection(box, 0.95) for box in self.boxes]

    def classify(self, _: Picture, found: Detection) -> Face:
        return Face(found.box, found.score, 0.99)


class Embedder(FakeEmbedder):
    """Ada's vector for the face at FACE, a stranger's for all others."""

    def landmarks(self, *args: object) -> tuple[tuple[float, float], ...]:
        face = args[1]
        assert isinstance(face, Face)
        self.vector = to_vector(ADA.template) if face.box.x1 < FACE.x1 + 30 else vector(9)
        return super().landmarks()


def settings() -> Config:
    default = config.load()
    return msgspec.structs.replace(default, camera=msgspec.structs.replace(default.camera, min_detail=0.0))


def alive(k: int) -> Picture:
    """Somebody who moves a little."""
    return camera(scene(0.8 * (k % 4)), k)


def poster(k: int) -> Picture:
    return camera(scene(), k)


class Door:
    """A pipeline that knows Ada."""

    def __init__(self, log: Literal["nothing", "known", "id"] = "nothing", with_names: bool = False) -> None:
        self.models = Models()
        embedder = Embedder(vector(9))
        gallery = Gallery((ADA,), MODEL, 0.5)
        recogniser = Recogniser(config.load().people, embedder, lambda: gallery)  # type: ignore[arg-type]
        self.pipeline = Pipeline(settings(), self.models, Presence(recogniser, log, with_names))  # type: ignore[arg-type]
        self.k = 0

    def play(self, seconds: float, picture: Callable[[int], Picture] = alive) -> list[Decision]:
        decisions = []
        for _ in range(round(seconds * FPS)):
            decisions.append(self.pipeline.step(Frame(self.k, self.k / FPS, picture(self.k))))
            self.k += 1
        return decisions


def events(decisions: list[Decision]) -> list[Event]:
    return [event for decision in decisions for event in decision.events]


def test_the_signal_is_the_same_for_everyone() -> None:
    """Who is known changes no light."""
    known = [decision.signal for decision in Door().play(3)]
    plain = Pipeline(settings(), Models())  # type: ignore[arg-type]
    unknown = [plain.step(Frame(k, k / FPS, alive(k))).signal for k in range(30)]
    assert known == unknown
    assert Signal.PASS in known


def test_a_known_person_may_open() -> None:
    last = Door().play(3)[-1]
    assert last.known == {1: ""}, "no name by default"
    assert (last.signal, last.everyone_known) == (Signal.PASS, True)


def test_a_drawing_says_who_is_known_and_no_name() -> None:
    last = Door().play(3)[-1]
    (label,) = Drawing(settings(), Models()).labels(last, 100, 96)  # type: ignore[arg-type]
    assert "known" in label.lines
    assert "Ada" not in str(label)


def test_a_stranger_beside_them_closes() -> None:
    door = Door()
    assert door.play(3)[-1].everyone_known
    door.models.boxes = (FACE, STRANGER)
    assert not any(decision.everyone_known for decision in door.play(3))


def test_nobody_is_there_twice() -> None:
    """A person who holds a picture of themselves, or of a colleague who is there, opens nothing."""
    door = Door()
    door.models.boxes = (FACE, Box(FACE.x1 - 26, FACE.y1, FACE.x2 - 26, FACE.y2))
    last = door.play(5)[-1]
    assert last.known.keys() == {1, 2}
    assert not last.everyone_known


def test_a_picture_on_the_wall_is_known_but_opens_nothing() -> None:
    decisions = Door().play(5, poster)
    assert decisions[-1].known.keys() == {1}
    assert decisions[-1].signal is Signal.PASS
    assert not any(decision.everyone_known for decision in decisions)


def crossed(starts: Sequence[float], lasts_s: float, depth: float = 0.5) -> Callable[[int], Picture]:
    """Return a poster over which a shadow with a sharp edge, or a hand (depth 0), moves at some times (seconds)."""

    def picture(k: int) -> Picture:
        light = scene()
        for start in starts:
            done = (k / FPS - start) / lasts_s
            if 0 <= done < 1:
                left = round(-40 + 140 * done)
                light[:, max(left, 0) : max(left + 30, 0)] *= depth
        return camera(light, k)

    return picture


@pytest.mark.parametrize("depth", [0.5, 0.0], ids=["shadow", "hand"])
@pytest.mark.parametrize("starts", [(1.0,), (3.0,), (1.0, 4.0, 7.0), (2.0, 3.5, 5.0)])
def test_what_crosses_a_picture_on_the_wall_opens_nothing(starts: tuple[float, ...], depth: float) -> None:
    decisions = Door().play(12, crossed(starts, 1.2, depth))
    assert decisions[-1].known.keys() == {1}
    assert not any(decision.everyone_known for decision in decisions)


def test_a_shadow_that_stays_on_a_picture_opens_nothing() -> None:
    decisions = Door().play(8, lambda k: crossed((2.0,), 1.2)(min(k, 26)))
    assert decisions[-1].known.keys() == {1}
    assert not any(decision.everyone_known for decision in decisions)


def test_a_picture_that_was_held_and_is_hung_up_opens_nothing_any_more() -> None:
    door = Door()
    assert door.play(3)[-1].everyone_known, "it cannot be told from a person"
    assert not door.play(liveness.ALIVE_S + 1, poster)[-1].everyone_known


def test_a_person_who_stands_still_keeps_the_way_open() -> None:
    """They hold their breath for a while, and move by a third of a pixel otherwise: 1.5 mm."""
    door = Door()
    door.play(3)
    start = door.k
    quiet = door.play(9, lambda k: camera(scene(1.3 + 0.3 * np.sin((k - start) / 5)), k))
    quiet += door.play(liveness.ALIVE_S - 1, lambda k: camera(scene(1.9), k))
    quiet += door.play(9, lambda k: camera(scene(1.3 + 0.3 * np.sin(k / 5)), k))
    assert all(decision.everyone_known for decision in quiet)


def test_who_has_not_moved_for_long_must_earn_it_again() -> None:
    door = Door()
    door.play(3)
    assert not door.play(15, lambda k: camera(scene(1.9), k))[-1].everyone_known
    assert not door.play(1, alive)[-1].everyone_known
    assert door.play(2, alive)[-1].everyone_known


def test_a_slow_camera_sees_life_too() -> None:
    """One look in five seconds."""
    lively = liveness.Liveness()
    for t in (5.0, 10.0, 15.0):
        lively.look(1, Motion(t, False), 0.0, t)
    assert lively.alive == {1}
    lively.keep(())
    assert lively.alive == set()


@pytest.mark.parametrize("looks_between", [2, 3, 4, 29, 30])
def test_a_pause_between_two_motions_is_seen_at_any_rate(looks_between: int) -> None:
    """At one picture a second, no look without motion is more than PAUSE_S after the first of them."""
    lively, step = liveness.Liveness(), 3.0 / (looks_between + 1)
    for k in range(4 * (looks_between + 1)):
        moved_at = k - k % (looks_between + 1)
        lively.look(1, Motion(moved_at * step, False), -1.0, k * step)
        assert lively.alive == set()


def test_a_face_that_moves_again_after_a_long_rest_must_earn_it_again() -> None:
    lively = liveness.Liveness()
    looks = [(0.0, 0.0), (2.0, 2.0), (6.0, 2.0), (12.0, 12.0), (18.0, 12.0), (24.0, 24.0)]
    found = []
    for t, moved_at in looks:
        lively.look(1, Motion(moved_at, False), -1.0, t)
        found.append(lively.alive == {1})
    assert found == [False, True, True, True, True, False]


def test_what_moved_before_a_track_began_was_somebody_else() -> None:
    lively = liveness.Liveness()
    for k in range(30):
        lively.look(1, Motion(4.0, False), 5.0, 5 + k / 10)
    assert lively.alive == set()


def test_a_picture_on_the_wall_beside_a_known_person_keeps_it_closed() -> None:
    """Until the picture has become a thing: then it does not count."""
    door = Door()
    door.models.boxes = (STRANGER, FACE)
    assert not any(decision.everyone_known for decision in door.play(3))


def test_the_way_stays_open_as_long_as_pass_stands_and_nobody_else_comes() -> None:
    door = Door()
    door.play(3)
    door.models.boxes = ()
    after = door.play(3)
    assert all(decision.everyone_known is (decision.signal is Signal.PASS) for decision in after)
    assert after[-1].signal is Signal.IDLE


def test_a_blind_door_knows_nobody() -> None:
    door = Door()
    door.play(3)
    blind = door.pipeline.blind(door.k / FPS, "gone")
    assert (blind.known, blind.everyone_known, blind.signal) == ({}, False, Signal.FAULT)


@pytest.mark.parametrize(
    ("log", "expected"), [("nothing", {}), ("known", {"known": True}), ("id", {"known": True, "enrolled": ADA.id})]
)
def test_the_log_has_what_the_settings_say(log: Literal["nothing", "known", "id"], expected: dict[str, object]) -> None:
    door = Door(log)
    decisions = door.play(3)
    door.models.boxes = ()
    decisions += door.play(2)
    found = {event.kind: event.data for event in events(decisions)}
    assert {key: value for key, value in found["cleared"].items() if key in ("known", "enrolled")} == expected
    assert "Ada" not in str(found)
    assert not {"known", "enrolled"} & found["signal"].keys()


@pytest.mark.parametrize(
    ("enabled", "page", "expected"),
    [
        (True, "nothing", (False, "")),
        (True, "known", (True, "")),
        (True, "name", (True, "Ada")),
        (False, "name", (False, "")),
    ],
)
def test_the_page_has_what_the_settings_say(enabled: bool, page: str, expected: tuple[bool, str]) -> None:
    door = Door(with_names=page == "name")
    decisions = door.play(3)
    shown = Snapshots(config.replaced(settings(), "people", enabled=enabled, page=page), "camera", lambda: "CPU", list)
    record = shown.describe(decisions[-1], (96, 100), 10.0)
    (person,) = record["people"]
    assert (person["known"], person["name"]) == expected
    assert ("Ada" in str(record)) is (expected[1] == "Ada")
    assert "Ada" not in str(events(decisions)), "the page's names reach no log"


def test_a_stranger_is_not_known_on_the_page() -> None:
    door = Door(with_names=True)
    door.models.boxes = (STRANGER,)
    shown = Snapshots(config.replaced(settings(), "people", enabled=True), "camera", lambda: "CPU", list)
    (person,) = shown.describe(door.play(3)[-1], (96, 100), 10.0)["people"]
    assert (person["known"], person["name"]) == (False, "")


def test_a_stranger_is_logged_as_not_known() -> None:
    door = Door("id")
    door.models.boxes = (STRANGER,)
    decisions = door.play(3)
    door.models.boxes = ()
    decisions += door.play(2)
    (cleared,) = [event for event in events(decisions) if event.kind == "cleared"]
    assert cleared.data["known"] is False
    assert "enrolled" not in cleared.data


def test_pixels_and_vectors_reach_no_event(tmp_path: Path) -> None:
    decisions = Door("id").play(3)
    assert all(isinstance(value, bool | int | float | str) for e in events(decisions) for value in e.data.values())
    assert np.isfinite(len(decisions))
