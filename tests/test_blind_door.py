"""When the door is blind: pictures that are covered, empty, incomplete or noise, and what is none of these."""

from __future__ import annotations

from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

import edge
from edge import door
from edge.camera.factory import open_source
from edge.config import DoorSettings
from edge.imaging.blindness import find_blindness
from edge.imaging.cells import cells
from edge.imaging.images import Picture
from edge.imaging.noise import looks_like_noise
from edge.inference import manifest
from edge.inference.perception import Perception
from edge.pipeline import Decision, Pipeline, decide_image
from edge.records import Detection, Frame, Signal
from support.clip import EMPTY_S, MASKED_S, frame_at
from support.door import CONFIG, play
from support.textures import TEXTURES, frames_of, snow


@pytest.fixture(scope="module")
def perception() -> Perception:
    return Perception(CONFIG, manifest.load())


def covered(seed: int = 1) -> Picture:
    """A hand on the lens: one colour that gets darker to one side, with the noise of the sensor."""
    light = np.linspace(0.4, 1.0, 640)[None, :, None] * np.array([170, 110, 90])
    return np.clip(light + np.random.default_rng(seed).normal(0, 5, (480, 640, 3)), 0, 255).astype(np.uint8)


def cut_off(picture: Picture) -> Picture:
    """The lower half is missing."""
    return np.vstack([picture[:240], np.full((240, 640, 3), 128, np.uint8)])


@pytest.mark.parametrize(
    ("empty", "reason"),
    [
        (np.zeros((480, 640, 3), np.uint8), "the picture is black: is the camera covered"),
        (np.full((480, 640, 3), 255, np.uint8), "the picture is white"),
        (np.full((480, 640, 3), (0, 135, 0), np.uint8), "the picture is one colour (green): is the lens covered?"),
        (covered(), "the picture is without any detail: is the lens covered"),
        (cut_off(frame_at(MASKED_S)), "the picture is incomplete"),
    ],
    ids=["black", "white", "green", "hand", "half"],
)
def test_picture_without_content_makes_the_door_blind(perception: Perception, empty: Picture, reason: str) -> None:
    masked = frame_at(MASKED_S)
    decisions = play(perception, [masked] * 20 + [empty] * 20 + [masked] * 25)
    assert decisions[19].signal is Signal.PASS
    assert Signal.PASS not in {d.signal for d in decisions[26:40]}, "green ends with the person"
    assert {d.signal for d in decisions[30:40]} == {Signal.FAULT}, "blind after a second"
    assert decisions[-1].signal is Signal.PASS
    events = [e for d in decisions for e in d.events if e.kind.startswith("camera_")]
    assert [e.kind for e in events] == ["camera_lost", "camera_back"]
    assert reason in str(events[0].data["reason"])


#: Corners of the parts of the picture to the left of the visitor and around them.
LEFT_HALF = ((0.0, 0.0), (0.45, 0.0), (0.45, 1.0), (0.0, 1.0))
RIGHT_HALF = ((0.45, 0.0), (1.0, 0.0), (1.0, 1.0), (0.45, 1.0))


def before_a_plain_wall(perception: Perception, settings: DoorSettings) -> list[Decision]:
    """Return the decisions for a wall as plain as a covered lens, before which a visitor arrives after 20 frames."""
    camera = msgspec.structs.replace(CONFIG.camera, min_detail=20.0)
    pipeline = Pipeline(msgspec.structs.replace(CONFIG, camera=camera, door=settings), perception)
    visitor = cv2.cvtColor(cv2.imread(str(Path(edge.__file__).parent / "bench/visitor.jpg")), cv2.COLOR_BGR2RGB)
    visitor = cv2.resize(visitor, (100, round(100 * visitor.shape[0] / visitor.shape[1])))
    arrived = covered(3)
    arrived[200 : 200 + len(visitor), 300:400] = visitor
    assert find_blindness(cells(arrived), 20.0) is not None, "only a small part is not plain"
    pictures = [covered(k) for k in range(20)] + [arrived] * 20
    return [pipeline.step(Frame(k, k / 10, picture)) for k, picture in enumerate(pictures)]


def test_covered_lens_is_searched_until_a_face_shows(perception: Perception) -> None:
    """A person in front of a plain wall proves that the door sees."""
    decisions = before_a_plain_wall(perception, CONFIG.door)
    assert {d.signal for d in decisions[11:20]} == {Signal.FAULT}
    assert decisions[-1].signal is Signal.STOP


@pytest.mark.parametrize(
    "settings", [DoorSettings(LEFT_HALF, (), 0.0), DoorSettings((), (RIGHT_HALF,), 0.0)], ids=["zone", "ignore"]
)
def test_a_face_outside_the_zone_proves_that_the_lens_is_not_covered(
    perception: Perception, settings: DoorSettings
) -> None:
    decisions = before_a_plain_wall(perception, settings)
    assert {d.signal for d in decisions[11:20]} == {Signal.FAULT}
    assert {d.signal for d in decisions[20:]} == {Signal.IDLE}
    assert not any(d.tracks for d in decisions)


@pytest.mark.parametrize("level", [0, 255])
def test_a_picture_in_which_nothing_can_be_seen_is_not_searched(
    perception: Perception, monkeypatch: pytest.MonkeyPatch, level: int
) -> None:
    searched: list[float] = []

    def detect(frame: Frame) -> list[Detection]:
        searched.append(frame.t)
        return []

    monkeypatch.setattr(perception, "detect", detect)
    empty, blind = frame_at(EMPTY_S), np.full((480, 640, 3), level, np.uint8)
    play(perception, [empty, *[blind] * 2, empty, *[blind] * 15])
    assert searched == [0.0, 0.3], "the first picture after a flash is"


def test_snow_makes_the_door_blind_within_two_seconds(perception: Perception) -> None:
    decisions = play(perception, [frame_at(EMPTY_S), *snow(20), frame_at(EMPTY_S)])
    assert {d.signal for d in decisions[:11]} == {Signal.IDLE}
    assert {d.signal for d in decisions[14:21]} == {Signal.FAULT}
    assert decisions[-1].signal is Signal.IDLE
    events = [e for d in decisions for e in d.events if e.kind.startswith("camera_")]
    assert [e.kind for e in events] == ["camera_lost", "camera_back"]
    assert str(events[0].data["reason"]).startswith("the picture is only noise: is the lens covered?")


def test_a_gravel_wall_is_no_fault(perception: Perception) -> None:
    """Snow and gravel look alike in a single picture; the sensor's noise differs from frame to frame."""
    wall = frames_of(TEXTURES["gravel"](480, 640), 6)
    assert looks_like_noise(cells(wall[0]).brightness)
    assert {d.signal for d in play(perception, wall * 4)} == {Signal.IDLE}


def test_a_camera_that_sends_snow_twice_is_blind_too(perception: Perception) -> None:
    """A capture device of 25 frames a second delivers 30, and repeats some."""
    frames = [frame for frame in snow(10) for _ in range(2)]
    pipeline = Pipeline(CONFIG, perception)
    repeats = [pipeline.step(Frame(k, k / 10, frame, is_repeat=k % 2 == 1)) for k, frame in enumerate(frames)]
    assert {d.signal for d in repeats[:14]} == {Signal.IDLE}
    assert {d.signal for d in repeats[14:]} == {Signal.FAULT}


def test_a_still_picture_of_noise_is_no_fault(perception: Perception) -> None:
    """It may be a photograph of gravel."""
    assert decide_image(CONFIG, perception, snow(1)[0]).fault is None


def test_pictures_of_a_folder_are_not_compared(perception: Perception, tmp_path: Path) -> None:
    for number, picture in enumerate(snow(4)):
        cv2.imwrite(str(tmp_path / f"{number}.png"), picture)
    with open_source(CONFIG.camera, str(tmp_path)) as source:
        decisions = [decision for _, decision in door.decisions(Pipeline(CONFIG, perception), source)]
    assert len(decisions) > 4
    assert {d.signal for d in decisions} == {Signal.IDLE}


def test_one_broken_picture_ends_no_track(perception: Perception) -> None:
    masked = frame_at(MASKED_S)
    decisions = play(perception, [masked] * 15 + [covered()] + [masked] * 10)
    assert {d.signal for d in decisions[14:]} == {Signal.PASS}


def test_min_detail_is_a_setting(perception: Perception) -> None:
    camera = msgspec.structs.replace(CONFIG.camera, min_detail=0.0)
    pipeline = Pipeline(msgspec.structs.replace(CONFIG, camera=camera), perception)
    assert {pipeline.step(Frame(k, k / 10, covered(k))).signal for k in range(20)} == {Signal.IDLE}


def test_flash_is_no_fault(perception: Perception) -> None:
    white = np.full((480, 640, 3), 255, np.uint8)
    decisions = play(perception, [frame_at(EMPTY_S)] * 10 + [white] * 3 + [frame_at(EMPTY_S)] * 10)
    assert {d.signal for d in decisions} == {Signal.IDLE}
