"""The frames of a scene: who is where, who hides whom, and what else moves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from support.faces import BOX, drawn_face
from training.arrays import Picture
from training.records import Face
from training.rendering import HEIGHT, WIDTH
from training.walkups import moving_things
from training.walkups.actors import Actor, Looks, shaded, turned
from training.walkups.camera import Camera, Sensor
from training.walkups.paths import Knot, Path
from training.walkups.script import Role, Script
from training.walkups.stage import Cast, Shown, frames
from training.walkups.truth import MASKED, UNMASKED

PLAIN = Camera("daylight", 1.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.01, 23)
FACE = Face(BOX, "no_mask", "human")


def actor(*looks: Looks, gain: float = 1.0, shirt: Picture | None = None) -> Actor:
    return Actor.of(drawn_face(gain=gain), FACE, set(looks), shirt, 1)


def standing(x: float, face: float, seconds: float = 2.0) -> Path:
    return Path((Knot(0.0, x, 0.4, face), Knot(seconds, x, 0.4, face)))


def play(*roles: Role, camera: Camera = PLAIN, seconds: float = 2.0) -> Script:
    return Script("alone", 4.0, seconds, camera, roles)


def place() -> Picture:
    return np.full((HEIGHT, WIDTH, 3), 90, np.uint8)


def test_a_face_is_where_the_truth_says() -> None:
    cast = Cast([actor(gain=1.2)], place(), [])
    shown: list[tuple[float, Picture, list[Shown]]] = list(
        frames(play(Role(UNMASKED, standing(0.3, 0.25))), cast, np.random.default_rng(0))
    )
    assert [t for t, _, _ in shown] == [k / 4 for k in range(8)]
    _, frame, (face,) = shown[-1]
    x1, y1, x2, y2 = face.box
    assert face.visible == 1.0
    assert y2 - y1 == pytest.approx(0.25 * HEIGHT)
    assert (x1 + x2) / 2 == pytest.approx(0.3 * WIDTH)
    assert frame[int((y1 + y2) / 2), int(0.3 * WIDTH), 0] > 120
    assert abs(int(frame[30, 600, 0]) - 90) < 12


def test_somebody_in_front_hides_the_one_behind() -> None:
    crosses = Path((Knot(0.0, -0.3, 0.4, 0.4), Knot(2.0, 1.3, 0.4, 0.4)))
    roles = (Role(MASKED, standing(0.5, 0.2)), Role(UNMASKED, crosses))
    cast = Cast([actor(), actor()], place(), [])
    visible = [
        {s.role: s.visible for s in shown} for _, _, shown in frames(play(*roles), cast, np.random.default_rng(0))
    ]
    assert visible[0][0] == 1.0
    assert visible[4][0] < 0.2, "the other one is in front"
    assert visible[4][1] == 1.0
    assert visible[7][0] == 1.0


def test_a_person_has_feet() -> None:
    cast = Cast([actor()], place(), [])
    *_, (_, frame, _) = frames(play(Role(MASKED, standing(0.5, 0.04))), cast, np.random.default_rng(0))
    assert abs(frame[HEIGHT - 10, WIDTH // 2].astype(int) - 90).max() < 12


def test_the_same_generator_renders_the_same_frames() -> None:
    cast = Cast([actor()], place(), [])
    roles = (Role(MASKED, standing(0.5, 0.3)),)
    first, again = (list(frames(play(*roles), cast, np.random.default_rng(5))) for _ in range(2))
    assert all(np.array_equal(a[1], b[1]) for a, b in zip(first, again, strict=True))


# ---- Actors ----------------------------------------------------------------------------------------------------------


def test_a_mask_and_a_hand_change_only_the_face() -> None:
    both = actor(Looks(mask=True), Looks(hand=True))
    plain = both.sprites[Looks()].levels[0]
    x1, y1, x2, y2 = (round(v) for v in plain.box)
    for looks in (Looks(mask=True), Looks(hand=True)):
        other = both.sprites[looks].levels[0]
        change = np.abs(other.picture.astype(int) - plain.picture).max(2)
        assert change[round(y1 + 0.6 * (y2 - y1)) : y2, x1:x2].mean() > 4
        assert change[: y1 + (y2 - y1) // 4].max() < 20
        assert other.matte.shape == plain.matte.shape


def test_a_print_is_on_the_shirt_and_not_on_the_face() -> None:
    red = np.zeros((40, 40, 3), np.uint8)
    red[..., 0] = 255
    plain, printed = (actor(shirt=shirt).sprites[Looks()].levels[0] for shirt in (None, red))
    change = np.abs(printed.picture.astype(int) - plain.picture).max(2)
    chin = round(plain.box[3])
    assert change[:chin].max() == 0
    assert change[chin:].max() > 60


@pytest.mark.parametrize("degrees", [-30.0, 30.0])
def test_a_turned_head_moves_the_nose_and_keeps_the_outline(degrees: float) -> None:
    person = actor().sprites[Looks()].levels[0]
    x1, y1, x2, y2 = (round(v) for v in person.box)
    marked = person.picture.copy()
    nose = (x1 + x2) // 2
    marked[y1 + 50 : y2 - 50, nose - 3 : nose + 3] = (0, 0, 255)
    out = turned(replace(person, picture=marked), degrees).picture
    row = out[(y1 + y2) // 2].astype(int)
    blue = np.flatnonzero(row[:, 2] - row[:, 0] > 120)
    assert np.sign(blue.mean() - nose) == np.sign(degrees)
    assert abs(blue.mean() - nose) > 0.15 * (x2 - x1)
    assert np.array_equal(out[:5], marked[:5])
    assert np.array_equal(out[-5:], marked[-5:])


def test_a_person_against_the_light_is_darker() -> None:
    bright = actor()
    dark = shaded(bright, 0.4)
    means = [float(a.sprites[Looks()].levels[0].picture.mean()) for a in (bright, dark)]
    assert means[1] == pytest.approx(0.4 * means[0], rel=0.1)


# ---- Camera ----------------------------------------------------------------------------------------------------------


def test_a_light_behind_washes_the_middle_out() -> None:
    sensor = Sensor(replace(PLAIN, glare=150.0), np.random.default_rng(0), (WIDTH, HEIGHT))
    dark = np.full((HEIGHT, WIDTH, 3), 30, np.uint8)
    frame = sensor.frame(dark)
    assert frame.max() > 90
    assert sensor.background(dark).mean() > 60
    assert frame[-5:, :5].mean() < 60


def test_a_dim_camera_is_dark_and_noisy_and_a_night_camera_grey() -> None:
    scene = np.full((HEIGHT, WIDTH, 3), (160, 120, 90), np.uint8)
    good, dim, night = (
        Sensor(camera, np.random.default_rng(0), (WIDTH, HEIGHT)).frame(scene)
        for camera in (PLAIN, replace(PLAIN, gain=0.3, noise=8.0), replace(PLAIN, grey=True))
    )
    assert dim.mean() < 0.5 * good.mean()
    assert dim.std(axis=(0, 1)).mean() > 3 * good.std(axis=(0, 1)).mean()
    assert np.ptp(night, axis=2).max() == 0


def test_all_kinds_of_light_occur() -> None:
    lights = {Camera.random(np.random.default_rng(k)).light for k in range(80)}
    assert lights == {"daylight", "dim", "low-key", "backlit", "night"}


# ---- Things ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", moving_things.KINDS)
def test_a_thing_moves_and_is_the_same_again(kind: str) -> None:
    animal = np.random.default_rng(1).integers(0, 255, (60, 60, 3), np.uint8)
    first, again = (
        moving_things.random_thing(kind, 8.0, (WIDTH, HEIGHT), [animal], np.random.default_rng(2)) for _ in range(2)
    )
    drawn = []
    for t in (0.0, 3.0, 4.0, 5.0):
        frame = place()
        first.draw(frame, t, 0.01)
        other = place()
        again.draw(other, t, 0.01)
        assert np.array_equal(frame, other)
        drawn.append(frame)
    assert any(not np.array_equal(drawn[0], frame) for frame in drawn[1:])


def test_without_pictures_of_animals_a_wheel_comes() -> None:
    thing = moving_things.random_thing("animal", 8.0, (WIDTH, HEIGHT), [], np.random.default_rng(2))
    assert isinstance(thing, moving_things.Moving)
    assert thing.parts[0].spin > 0
