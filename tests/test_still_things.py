"""Faces that never move: what is a thing, and what must never be taken for one."""

from __future__ import annotations

import math
from collections.abc import Iterable

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from edge import still_things
from edge.imaging.images import Picture
from edge.records import Box
from edge.still_things import MAX_STEP_S, SETTLED_LOOKS, StillThings, grey_patch

STILL_S = 5.0
FPS = 4
FACE = Box(30, 20, 66, 68)
NOISE = np.random.default_rng(1).normal(0, 1, (96, 100, 3)).astype(np.float32)


def scene(dx: float = 0.0, seed: int = 5) -> npt.NDArray[np.float32]:
    """Return a face-like texture on a plain wall, (96, 100, 3) float32, shifted by a part of a pixel."""
    rng = np.random.default_rng(seed)
    picture = np.full((96, 100, 3), 120, np.float32)
    texture = rng.uniform(20, 235, (9, 7, 3)).astype(np.float32)
    picture[20:68, 30:66] = cv2.resize(texture, (36, 48), interpolation=cv2.INTER_CUBIC)
    shift = np.array([[1, 0, dx], [0, 1, 0]], np.float32)
    return cv2.warpAffine(picture, shift, (100, 96), borderMode=cv2.BORDER_REPLICATE).astype(np.float32)


def camera(light: npt.NDArray[np.float32], k: int, noise: float = 4.0, gain: float = 1.0) -> Picture:
    """Return the picture number `k` of a camera, with fresh noise."""
    fresh = np.roll(NOISE, (17 * k, 31 * k), (0, 1))
    return np.clip(light * gain + fresh * noise, 0, 255).astype(np.uint8)


def flags(things: StillThings, pictures: Iterable[Picture], start: int = 0, box: Box = FACE) -> list[bool]:
    """Show pictures, FPS a second; return for each whether the face is a thing."""
    return [things.look([box], p, (start + k) / FPS).things[0] for k, p in enumerate(pictures)]


def poster(seconds: float, start: int = 0, noise: float = 4.0) -> list[Picture]:
    light = scene()
    return [camera(light, start + k, noise) for k in range(round(seconds * FPS))]


def test_a_face_has_moved_only_if_it_did() -> None:
    things = StillThings(STILL_S)
    flags(things, poster(3))
    assert things.motion(FACE).at == -math.inf, "a place may be forgotten and found again while its track lives"
    flags(things, [camera(scene(2.0), 12)], start=12)
    assert things.motion(FACE) == (12 / FPS, False)
    flags(things, [camera(scene(2.0), k) for k in range(13, 20)], start=13)
    assert things.motion(FACE) == (12 / FPS, False)
    assert things.motion(Box(0, 0, 5, 5)).at == -math.inf, "nobody is known to be there"
    assert StillThings(0).motion(FACE).at == -math.inf, "nothing is looked for"


@pytest.mark.parametrize("hung_s", [2.0, STILL_S + 1], ids=["a face", "a thing"])
@pytest.mark.parametrize("shadows", [(40,), (35, 50, 42)], ids=["one shadow", "a shadow that pauses"])
def test_a_picture_is_back_after_a_shadow(hung_s: float, shadows: tuple[int, ...]) -> None:
    """The detector sees its box a little elsewhere while the shadow is there."""
    things = StillThings(STILL_S, sees_return=True)
    k = len(flags(things, poster(hung_s)))
    for edge in shadows:
        shaded = scene()
        shaded[:, :edge] *= 0.5
        pictures = [camera(shaded, k + n) for n in range(SETTLED_LOOKS + 1)]
        flags(things, pictures, start=k, box=Box(FACE.x1 + 2, FACE.y1 - 2, FACE.x2 + 2, FACE.y2 - 2))
        k += len(pictures)
        assert not things.motion(FACE).is_back
    flags(things, poster(2, start=k), start=k)
    assert things.motion(FACE).is_back
    flags(things, [camera(scene(3.0), k + 10)], start=k + 10)
    assert not things.motion(FACE).is_back


@pytest.mark.parametrize("shift", [0.4, 3.0])
def test_a_person_who_stands_still_elsewhere_is_not_back(shift: float) -> None:
    things = StillThings(STILL_S, sees_return=True)
    flags(things, poster(2))
    flags(things, [camera(scene(3 * shift * np.sin(k)), k) for k in range(8, 12)], start=8)
    flags(things, [camera(scene(shift), k) for k in range(12, 20)], start=12)
    assert not things.motion(FACE).is_back


def test_a_picture_that_repeats_is_not_back() -> None:
    """It has never been away."""
    things, picture = StillThings(STILL_S, sees_return=True), camera(scene(), 9)
    flags(things, poster(1))
    flags(things, [picture] * 9, start=FPS)
    assert not things.motion(FACE).is_back


@pytest.mark.parametrize("sees_return", [False, True])
def test_a_door_that_recognises_nobody_looks_once_at_a_face_that_moves(
    sees_return: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0

    def counted(picture: Picture, box: Box) -> npt.NDArray[np.uint8]:
        nonlocal looks
        looks += 1
        return grey_patch(picture, box)

    monkeypatch.setattr(still_things, "grey_patch", counted)
    things = StillThings(STILL_S, sees_return=sees_return)
    pictures = [*poster(2), *(camera(scene(3.0 * k), 8 + k) for k in range(1, 5))]
    flags(things, pictures)
    if sees_return:
        assert looks > len(pictures)
    else:
        assert looks == len(pictures)


@pytest.fixture
def ignored() -> StillThings:
    """Return the state after a poster has just become a thing."""
    things = StillThings(STILL_S)
    assert flags(things, poster(STILL_S + 1))[-1]
    return things


@pytest.mark.parametrize("noise", [1.0, 4.0, 9.0])
def test_a_poster_is_a_thing_after_the_set_time(noise: float) -> None:
    shown = flags(StillThings(STILL_S), poster(STILL_S + 2, noise=noise))
    assert shown.index(True) == pytest.approx(STILL_S * FPS, abs=1)
    assert all(shown[shown.index(True) :])


def test_it_becomes_a_thing_once() -> None:
    things = StillThings(STILL_S)
    found = [things.look([FACE], p, k / FPS) for k, p in enumerate(poster(STILL_S + 2))]
    assert sum(f.new[0] for f in found) == 1


def test_zero_turns_it_off() -> None:
    assert not any(flags(StillThings(0.0), poster(3 * STILL_S)))


def test_brightness_and_contrast_do_not_matter() -> None:
    light = scene()
    pictures = [camera(light, k, gain=1 - 0.3 * k / (10 * FPS)) for k in range(10 * FPS)]
    assert flags(StillThings(STILL_S), pictures)[-1]


@pytest.mark.parametrize("sway_px", [0.3, 1.0, 3.0])
def test_a_person_who_sways_is_no_thing(sway_px: float) -> None:
    """0.3 pixels of a face of 48: 1.4 mm."""
    pictures = [camera(scene(sway_px * np.sin(2 * np.pi * k / FPS / 4)), k) for k in range(3 * 5 * FPS)]
    assert not any(flags(StillThings(STILL_S), pictures))


def test_a_slow_drift_is_seen() -> None:
    """Each frame differs from the last by less than the noise."""
    pictures = [camera(scene(0.05 * k / FPS), k) for k in range(3 * 5 * FPS)]
    assert not any(flags(StillThings(STILL_S), pictures))


def test_a_person_who_only_blinks_is_no_thing() -> None:
    open_eyes, closed = scene(), scene()
    closed[33:38, 35:46] = closed[33:38, 50:61] = 120
    pictures = [camera(closed if k % (4 * FPS) == 7 else open_eyes, k) for k in range(3 * 5 * FPS)]
    assert not any(flags(StillThings(STILL_S), pictures))


def test_a_screen_whose_picture_changes_is_no_thing() -> None:
    pictures = [camera(scene(seed=k // (4 * FPS)), k) for k in range(3 * 5 * FPS)]
    assert not any(flags(StillThings(STILL_S), pictures))


def test_pictures_that_repeat_prove_nothing() -> None:
    """A paused video, a folder of photographs, a snapshot camera that sends the same picture with a new date."""
    picture = camera(scene(), 1)
    pictures = []
    for k in range(3 * 5 * FPS):
        dated = picture.copy()
        dated[-2:] = k
        pictures.append(dated)
    assert not any(flags(StillThings(STILL_S), pictures))


def test_a_gap_between_two_looks_counts_little() -> None:
    things = StillThings(STILL_S)
    light = scene()
    shown = [things.look([FACE], camera(light, k), 3.0 * k).things[0] for k in range(8)]
    assert shown.index(True) == pytest.approx(STILL_S / MAX_STEP_S, abs=1)


def test_a_time_that_goes_back_does_no_harm() -> None:
    things = StillThings(STILL_S)
    flags(things, poster(4))
    assert not things.look([FACE], camera(scene(), 900), -1e6).things[0]
    assert not things.look([FACE], camera(scene(), 901), -1e6 + 1).things[0]


def test_a_plain_face_is_never_a_thing() -> None:
    """In fog or darkness there is nothing to compare."""
    light = np.full((96, 100, 3), 30, np.float32)
    assert not any(flags(StillThings(STILL_S), [camera(light, k) for k in range(10 * FPS)]))


def test_a_thing_that_moves_counts_at_once(ignored: StillThings) -> None:
    assert flags(ignored, [camera(scene(0.5), 900)], start=100) == [False]


def test_another_face_in_its_place_counts_at_once(ignored: StillThings) -> None:
    other = [camera(scene(seed=9), 900 + k) for k in range(5 * FPS)]
    assert not any(flags(ignored, other, start=100))


def test_a_face_beside_it_counts(ignored: StillThings) -> None:
    beside = Box(60, 25, 95, 70)
    assert ignored.look([FACE, beside], camera(scene(), 900), 8.0).things == [True, False]


def test_one_damaged_picture_changes_little(ignored: StillThings) -> None:
    damaged = camera(scene(seed=9), 900)
    assert flags(ignored, [damaged, *poster(2, start=901)], start=100) == [False, *[True] * 2 * FPS]


def test_a_poster_that_was_hidden_is_ignored_again_after_a_tenth(ignored: StillThings) -> None:
    flags(ignored, [camera(scene(seed=9), 900 + k) for k in range(3 * FPS)], start=100)
    shown = flags(ignored, poster(3, start=700), start=100 + 3 * FPS)
    assert shown.index(True) == pytest.approx(0.1 * STILL_S * FPS, abs=1.5)


def test_a_poster_that_the_detector_misses_for_a_while_stays_ignored(ignored: StillThings) -> None:
    assert ignored.look([], camera(scene(), 900), 30.0).things == []
    assert flags(ignored, poster(1, start=901), start=300 * FPS) == [True] * FPS


def test_blindness_forgets_who_is_not_yet_a_thing(ignored: StillThings) -> None:
    waiting = StillThings(STILL_S)
    flags(waiting, poster(STILL_S - 1))
    for things in (waiting, ignored):
        things.interrupt()
    assert not any(flags(waiting, poster(2, start=800), start=28))
    assert all(flags(ignored, poster(2, start=800), start=28))


def test_known_things_without_another_look(ignored: StillThings) -> None:
    assert ignored.known([FACE, Box(60, 50, 90, 90)]) == [True, False]


def test_a_face_at_the_border_of_the_picture() -> None:
    things = StillThings(STILL_S)
    outside = Box(-20, -30, 20, 20)
    for k, picture in enumerate(poster(2)):
        things.look([outside, Box(120, 120, 160, 170)], picture, k / FPS)


def test_people_who_walk_leave_no_places_behind() -> None:
    things = StillThings(STILL_S)
    for k in range(60):
        things.look([Box(k, 20, k + 40, 70)], camera(scene(), k), k / FPS)
    assert len(things._places) <= 4 * FPS
