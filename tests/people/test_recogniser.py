"""Who is known at the door, by vectors in place of faces: several looks, unknown by default, a limited number of embeddings."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from edge import config
from edge.config import PeopleSettings
from edge.imaging.images import Picture
from edge.people.matching import Gallery, relaxed
from edge.people.recogniser import AVERAGED_LOOKS, DOUBTFUL_LOOKS, HYSTERESIS, RECHECK_S, STALE_S, Identity, Recogniser
from edge.people.record import Person, Vector, to_vector
from edge.records import Box, Face, Point
from support.people import FRONTAL, MODEL, SHARP, FakeEmbedder, near, person, vector

SETTINGS = config.load().people
THRESHOLD = 0.5
ADA, BOB = person("Ada", 1), person("Bob", 2)
ADA_VECTOR, BOB_VECTOR = to_vector(ADA.template), to_vector(BOB.template)
FACE = Face(Box(0, 0, 112, 112), 0.9, 0.01)


class Playing:
    """A recogniser and a clock: a look at each track in every frame, 15 a second."""

    def __init__(
        self, shown: Vector, people: tuple[Person, ...] = (ADA, BOB), settings: PeopleSettings = SETTINGS
    ) -> None:
        self.embedder = FakeEmbedder(shown)
        self.gallery = Gallery(people, MODEL, THRESHOLD)
        self.recogniser = Recogniser(settings, self.embedder, lambda: self.gallery)  # type: ignore[arg-type]
        self.t = 0.0

    def play(self, seconds: float, *numbers: int) -> list[Identity | None]:
        """Return who track 1 is after each frame."""
        found = []
        for _ in range(round(seconds * 15)):
            for number in numbers or (1,):
                self.recogniser.look(number, SHARP, FACE, self.t)
            self.t += 1 / 15
            found.append(self.recogniser.known.get(1))
        return found


def test_nobody_is_known_before_enough_looks() -> None:
    door = Playing(ADA_VECTOR)
    found = door.play(2)
    first = found.index(Identity(ADA.id, ADA.name))
    assert found[:first] == [None] * first
    assert first / 15 == pytest.approx((SETTINGS.min_looks - 1) * SETTINGS.interval_s, abs=0.1)
    assert set(found[first:]) == {Identity(ADA.id, ADA.name)}


def test_a_stranger_stays_unknown() -> None:
    assert set(Playing(vector(7)).play(5)) == {None}
    assert set(Playing(near(ADA_VECTOR, THRESHOLD - 0.03)).play(5)) == {None}
    assert set(Playing(ADA_VECTOR, people=()).play(2)) == {None}


def test_one_look_never_decides() -> None:
    door = Playing(vector(7))
    door.play(1)
    door.embedder.vector = ADA_VECTOR
    door.play(0.3)
    door.embedder.vector = vector(8)
    assert set(door.play(3)) == {None}


def test_somebody_else_on_the_same_track_is_noticed() -> None:
    door = Playing(ADA_VECTOR)
    door.play(2)
    door.embedder.vector = vector(7)
    wait_s = RECHECK_S + DOUBTFUL_LOOKS * SETTINGS.interval_s
    assert door.play(wait_s + 0.2)[-1] is None, "soon: a door may be open for them"
    door.embedder.vector = BOB_VECTOR
    assert door.play(2 * AVERAGED_LOOKS * RECHECK_S)[-1] == Identity(BOB.id, BOB.name)


def test_who_is_not_seen_well_any_more_is_unknown_again() -> None:
    """Somebody else may have taken their place, and looks away."""
    door = Playing(ADA_VECTOR)
    door.play(2)
    door.embedder.points = turned()
    found = door.play(STALE_S + 1)
    assert found[0] == Identity(ADA.id, ADA.name), "a glance aside changes nothing"
    assert found[-1] is None
    door.embedder.points = FRONTAL
    assert door.play(2)[-1] == Identity(ADA.id, ADA.name)


def test_hysteresis_keeps_who_is_known_and_admits_nobody() -> None:
    door = Playing(ADA_VECTOR)
    door.play(2)
    door.embedder.vector = near(ADA_VECTOR, (THRESHOLD + relaxed(THRESHOLD, HYSTERESIS)) / 2)
    assert set(door.play(20)) == {Identity(ADA.id, ADA.name)}
    assert set(Playing(door.embedder.vector).play(20)) == {None}


@pytest.mark.parametrize("threshold", [0.5, 0.9, 0.98])
def test_what_is_close_to_the_threshold_depends_on_the_threshold(threshold: float) -> None:
    """Some models give all faces cosines near 1: a fixed step below the threshold would admit everybody there."""
    door = Playing(ADA_VECTOR)
    door.gallery = Gallery((ADA,), MODEL, threshold)
    door.play(2)
    door.embedder.vector = near(ADA_VECTOR, relaxed(threshold, HYSTERESIS + 0.2))
    assert door.play(20)[-1] is None
    assert relaxed(threshold, 1.0) == pytest.approx(threshold)


def test_whoever_is_removed_is_not_known_any_more() -> None:
    door = Playing(ADA_VECTOR)
    door.play(2)
    door.gallery = Gallery((BOB,), MODEL, THRESHOLD)
    assert door.play(RECHECK_S + 0.2)[-1] is None


def test_a_track_that_ends_is_forgotten() -> None:
    door = Playing(ADA_VECTOR)
    door.play(2)
    door.recogniser.keep({2})
    assert door.recogniser.known == {}
    assert door.play(0.1) == [None, None]


def test_the_work_is_limited_however_many_people_there_are() -> None:
    seconds = 4.0
    door = Playing(vector(7))
    door.play(seconds)
    most = AVERAGED_LOOKS + (seconds - AVERAGED_LOOKS * SETTINGS.interval_s) / RECHECK_S + 1
    assert door.embedder.calls <= most
    crowd = Playing(vector(7))
    before = 0
    for _ in range(60):
        crowd.play(1 / 15, *range(1, 11))
        assert crowd.embedder.calls - before <= 1, "one in a frame"
        before = crowd.embedder.calls
    fast = Playing(ADA_VECTOR, settings=msgspec.structs.replace(SETTINGS, interval_s=0.05))
    fast.play(10)
    assert fast.embedder.calls <= AVERAGED_LOOKS + 10 / RECHECK_S + 1


def test_a_face_that_is_never_seen_well_takes_nobodys_turn() -> None:
    """With few frames a second, it would be due in every frame, before the others."""
    door = Playing(ADA_VECTOR)
    for _ in range(12):
        for number, points in ((2, turned()), (1, FRONTAL)):
            door.embedder.points = points
            door.recogniser.look(number, SHARP, FACE, door.t)
        door.t += 0.25
    assert door.recogniser.known == {1: Identity(ADA.id, ADA.name)}


def small() -> tuple[Point, ...]:
    return tuple((x / 4, y / 4) for x, y in FRONTAL)


def turned() -> tuple[Point, ...]:
    nose = (FRONTAL[2][0] + 22, FRONTAL[2][1])
    return (*FRONTAL[:2], nose, *FRONTAL[3:])


@pytest.mark.parametrize(
    ("points", "picture"), [(small(), SHARP), (turned(), SHARP), (FRONTAL, np.full_like(SHARP, 90))]
)
def test_small_turned_and_blurred_faces_do_not_count(points: tuple[Point, ...], picture: Picture) -> None:
    door = Playing(ADA_VECTOR)
    door.embedder.points, door.embedder.picture = points, picture
    assert set(door.play(3)) == {None}
    assert door.embedder.calls == 0


def test_a_template_of_another_model_is_never_compared() -> None:
    foreign = person("Ada", 1, model="f" * 16)
    gallery = Gallery((foreign, BOB), MODEL, THRESHOLD)
    assert (gallery.people, gallery.foreign) == ((BOB,), (foreign,))
    assert set(Playing(ADA_VECTOR, people=(foreign,)).play(3)) == {None}


def test_one_of_a_hundred_people_is_found() -> None:
    gallery = Gallery([person(str(k), k) for k in range(100)], MODEL, THRESHOLD)
    for k in (0, 42, 99):
        found = gallery.find(to_vector(gallery.people[k].template))
        assert found is not None
        assert found.person.name == str(k)
