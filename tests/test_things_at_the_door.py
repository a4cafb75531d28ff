"""A poster before the whole pipeline: it stops counting, with an event, and counts again once it moves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import pytest
from test_still_things import FACE, camera, scene

from edge import annotate, config
from edge.config import Config
from edge.drawing import Drawing
from edge.imaging.images import Picture
from edge.pipeline import Decision, Pipeline
from edge.records import Box, Detection, Face, Frame, Signal
from edge.timing import NO_TIMER

STILL_S, FPS = 2.0, 10


@dataclass
class Models:
    """Models that find an unmasked face at FACE in every picture."""

    boxes: tuple[Box, ...] = (FACE,)
    expression = None
    masked_expression = None
    timer = NO_TIMER

    def detect(self, _: Frame) -> list[Detection]:
        return [Detection(box, 0.95) for box in self.boxes]

    def classify(self, _: Picture, found: Detection) -> Face:
        return Face(found.box, found.score, 0.01)


def settings(still_s: float = STILL_S) -> Config:
    default = config.load()
    return msgspec.structs.replace(
        default,
        camera=msgspec.structs.replace(default.camera, min_detail=0.0),
        door=msgspec.structs.replace(default.door, ignore_still_s=still_s),
    )


def play(
    seconds: float, picture: Callable[[int], Picture], still_s: float = STILL_S, is_repeat: bool = False
) -> tuple[Pipeline, list[Decision]]:
    pipeline = Pipeline(settings(still_s), Models())  # type: ignore[arg-type]
    frames = [Frame(k, k / FPS, picture(k), is_repeat=is_repeat and k > 0) for k in range(round(seconds * FPS))]
    return pipeline, [pipeline.step(frame) for frame in frames]


def poster(k: int) -> Picture:
    return camera(scene(), k)


def test_a_poster_stops_counting_and_is_logged_once() -> None:
    pipeline, decisions = play(4, poster)
    events = [event for decision in decisions for event in decision.events]
    assert [str(e.data.get("signal", e.kind)) for e in events] == ["unmasked", "STOP", "ignored", "IDLE"]
    (ignored,) = [event for event in events if event.kind == "ignored"]
    assert ignored.data == {"person": 1, "verdict": "unmasked", "dwell_s": pytest.approx(STILL_S, abs=0.3)}
    last = decisions[-1]
    assert (last.signal, last.tracks, last.still) == (Signal.IDLE, (), (FACE,))
    assert annotate.describe(last) == "IDLE: no face that counts, 1 without any motion"
    (label,) = Drawing(settings(), Models()).labels(last, 100, 96)  # type: ignore[arg-type]
    assert label.lines == ("never moves",)
    moved = [pipeline.step(Frame(40 + k, 4 + k / FPS, camera(scene(1.5 * (k + 1)), k))) for k in range(8)]
    assert moved[0].still == ()
    assert moved[-1].signal is Signal.STOP, "a new person, decided like every other"
    assert {person.number for person in moved[-1].people.values()} == {2}


def test_zero_ignores_nothing() -> None:
    _, decisions = play(4, poster, still_s=0.0)
    assert decisions[-1].signal is Signal.STOP
    assert not any(decision.still for decision in decisions)


@pytest.mark.parametrize("is_repeat", [True, False])
def test_a_picture_that_repeats_makes_nobody_a_thing(is_repeat: bool) -> None:
    """A paused film, a folder of photographs, a snapshot camera."""
    same = poster(1)
    _, decisions = play(4, lambda _: same, is_repeat=is_repeat)
    assert not any(decision.still for decision in decisions)
    assert decisions[-1].signal is (Signal.IDLE if is_repeat else Signal.STOP)


def test_a_thing_is_still_known_in_a_repeated_picture() -> None:
    pipeline, decisions = play(3, poster)
    assert decisions[-1].still
    assert pipeline.step(Frame(30, 3.0, poster(29), is_repeat=True)).still == (FACE,)


def test_a_lost_camera_starts_the_time_again() -> None:
    pipeline, _ = play(1.5, poster)
    pipeline.blind(2.0, "unplugged")
    after = [pipeline.step(Frame(k, k / FPS, poster(k))) for k in range(30, 45)]
    assert not any(decision.still for decision in after)
