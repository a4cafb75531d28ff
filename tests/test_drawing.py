"""What is drawn: labels beside the faces, the lights above the picture, and texts that agree with the colours."""

from __future__ import annotations

import itertools
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from edge import config, drawing
from edge.drawing import (
    HELD_FRAMES,
    OUTSIDE,
    SIGNAL_TEXTS,
    VERDICT_COLOURS,
    Drawing,
    Label,
    bar_height,
    enlargement,
    layout,
)
from edge.imaging.label_layout import Rectangle, overlap
from edge.inference import manifest
from edge.inference.perception import Perception
from edge.pipeline import Decision
from edge.policy import Person, Verdict
from edge.records import Box, Face, Signal, Track

CONFIG = config.load()
ANGRY = (0.85, 0.03, 0.02, 0.02, 0.02, 0.02, 0.04)
MASKED, UNMASKED, UNKNOWN = Verdict.MASKED, Verdict.UNMASKED, Verdict.UNKNOWN


@pytest.fixture(scope="module")
def perception() -> Perception:
    return Perception(CONFIG, manifest.load())


def person(number: int, box: Rectangle, evidence: float = 0.0, height: float = 0.25, last_seen: float = 1.0) -> Track:
    return Track(number, Box(*box), height, 0.0, last_seen, looks=5, evidence=evidence)


def decision(
    tracks: list[Track],
    verdicts: dict[int, Verdict] | None = None,
    signal: Signal = Signal.IDLE,
    expressions: dict[int, tuple[float, ...] | None] | None = None,
    agitated: frozenset[int] = frozenset(),
    fault: str | None = None,
) -> Decision:
    faces = {number: Face(Box(0, 0, 1, 1), 0.9, 0.1, expression) for number, expression in (expressions or {}).items()}
    people = {
        number: Person(0.0, verdict, 0 if verdict is UNKNOWN else number, agitated=number in agitated)
        for number, verdict in (verdicts or {}).items()
    }
    return Decision(1.0, signal, tuple(tracks), faces, people, [], fault)


def labels(perception: Perception, seen: Decision) -> list[Label]:
    return Drawing(CONFIG, perception).labels(seen, 640, 480)


class TestText:
    @pytest.mark.parametrize(
        ("verdict", "evidence", "line"),
        [
            (MASKED, 3.0, "#7 mask 95 %"),
            (UNMASKED, -2.0, "#7 no mask 88 %"),
            (UNKNOWN, 1.0, "undecided"),
            # Evidence that has turned, while the verdict stays for now, would contradict the colour.
            (MASKED, -1.5, "#7 mask"),
            (UNMASKED, 1.5, "#7 no mask"),
        ],
    )
    def test_says_the_same_as_the_colour(
        self, perception: Perception, verdict: Verdict, evidence: float, line: str
    ) -> None:
        (label,) = labels(perception, decision([person(7, (10, 10, 90, 100), evidence)], {7: verdict}))
        assert (label.lines, label.colour) == ((line,), VERDICT_COLOURS[verdict])

    def test_small_face_is_too_far_and_a_waiting_one_is_not(self, perception: Perception) -> None:
        tracks = [person(1, (0, 0, 20, 30), height=0.05), person(2, (50, 50, 150, 180))]
        assert [label.lines for label in labels(perception, decision(tracks))] == [("too far",), ("undecided",)]

    def test_expression_is_only_shown_without_a_mask(self, perception: Perception) -> None:
        tracks = [person(k, (10 * k, 10, 90, 100), 2.0 if k == 1 else -2.0) for k in (1, 2, 3)]
        seen = decision(
            tracks, {1: MASKED, 2: UNMASKED, 3: UNMASKED}, Signal.ALARM, dict.fromkeys((1, 2, 3), ANGRY), frozenset({3})
        )
        masked, calm, agitated = labels(perception, seen)
        assert masked.lines == ("#1 mask 88 %",)
        assert calm.lines == ("#2 no mask 88 %", "angry 85 %")
        assert agitated.lines == ("#3 no mask 88 %", "agitated: angry 85 %")
        assert agitated.short == ("#3 no mask", "agitated")

    def test_last_look_is_remembered_until_the_person_has_gone(self, perception: Perception) -> None:
        drawing = Drawing(CONFIG, perception)
        track = person(1, (10, 10, 90, 100), -2.0)
        drawing.add_looks(decision([track], {1: UNMASKED}, expressions={1: ANGRY}))
        (label,) = drawing.labels(decision([track], {1: UNMASKED}), 640, 480)
        assert label.lines[1:] == ("angry 85 %",)
        drawing.add_looks(decision([]))
        (label,) = drawing.labels(decision([track], {1: UNMASKED}), 640, 480)
        assert label.lines[1:] == ()

    def test_people_who_are_not_in_the_frame_are_not_drawn(self, perception: Perception) -> None:
        assert labels(perception, decision([person(1, (10, 10, 90, 100), last_seen=0.5)], {1: MASKED})) == []

    def test_every_signal_but_idle_has_a_meaning(self) -> None:
        assert set(SIGNAL_TEXTS) == set(Signal) - {Signal.IDLE}


@pytest.mark.parametrize(
    "boxes",
    [
        [(60 + 88 * k, 20 + k % 3 * 8, 140 + 88 * k, 130 + k % 3 * 8) for k in range(6)],
        [(10 + 62 * k, 120 + 90 * j, 66 + 62 * k, 195 + 90 * j) for k in range(10) for j in range(2)],
        [(-30, -20, 70, 110), (600, 180, 700, 320), (280, 380, 380, 500), (0, 400, 90, 520), (560, -30, 640, 60)],
    ],
    ids=["shoulder to shoulder at the top", "two rows", "at the borders"],
)
def test_labels_of_a_crowd_cover_nobody(perception: Perception, boxes: list[Rectangle]) -> None:
    """With the longest texts, in every second label two lines."""
    numbers = range(1, len(boxes) + 1)
    tracks = [person(k, box, -2.0) for k, box in zip(numbers, boxes, strict=True)]
    seen = decision(
        tracks,
        dict.fromkeys(numbers, UNMASKED),
        Signal.ALARM,
        {k: ANGRY for k in numbers if k % 2},
        frozenset(k for k in numbers if k % 4 == 1),
    )
    found = labels(perception, seen)
    placed, texts, _, _ = layout(found, 640, 480)
    assert placed.covered == 0
    assert all(overlap(place, label.box) == 0 for place in placed.places for label in found)
    assert all(overlap(one, other) == 0 for one, other in itertools.combinations(placed.places, 2))
    assert all(lines in (label.lines, label.short) for lines, label in zip(texts, found, strict=True))


@pytest.mark.parametrize("signal", Signal)
@pytest.mark.parametrize("size", [(480, 640), (1080, 1920), (240, 320), (48, 64), (60, 3000), (3000, 60), (1, 1)])
def test_lights_are_above_the_picture(perception: Perception, size: tuple[int, int], signal: Signal) -> None:
    """So they cover no face, wherever it is, also one that fills the picture."""
    picture = np.random.default_rng(1).integers(0, 255, (*size, 3), dtype=np.uint8)
    fault = "black picture" if signal is Signal.FAULT else None
    drawn = Drawing(CONFIG, perception).draw(picture, decision([], signal=signal, fault=fault))
    scale = enlargement(*size)
    bar = drawn.shape[0] - scale * size[0]
    assert bar == bar_height(scale * size[0], scale * size[1]) >= 24
    assert bar % 2 == 0
    assert drawn.shape[1] == scale * size[1]
    if scale == 1:
        assert np.array_equal(drawn[bar:], picture)


@pytest.mark.parametrize(
    ("signal", "green", "red"), [("IDLE", 0, 0), ("PASS", 1, 0), ("STOP", 0, 1), ("ALARM", 0, 1), ("FAULT", 0, 1)]
)
def test_lamps(perception: Perception, signal: str, green: int, red: int) -> None:
    bar = Drawing(CONFIG, perception).draw(np.zeros((480, 640, 3), np.uint8), decision([], signal=Signal(signal)))[:44]
    saturation = bar[:, :90].max(2).astype(int) - bar[:, :90].min(2)
    lit = bar[:, :90][saturation > 100]
    assert (lit[:, 1] > 200).any() == bool(green)
    assert (lit[:, 0] > 200).any() == bool(red)


@pytest.mark.parametrize(("size", "factor"), [((480, 640), 1), ((240, 320), 2), ((48, 64), 10), ((60, 3000), 1)])
def test_small_pictures_are_enlarged(size: tuple[int, int], factor: int) -> None:
    assert enlargement(*size) == factor


def test_boxes_grow_with_a_small_picture(perception: Perception) -> None:
    seen = decision([person(1, (10, 10, 20, 25))], {1: MASKED})
    (label,) = Drawing(CONFIG, perception).labels(seen, 640, 480, 10)
    assert label.box == (100, 100, 200, 250)


def test_labels_do_not_flicker(perception: Perception) -> None:
    """Labels that had to become shorter stay so for a while, although there is room again."""
    drawing, numbers = Drawing(CONFIG, perception), range(1, 11)
    row = [person(k, (62 * k - 52, 200, 62 * k + 4, 275), 2.0) for k in numbers]
    picture = np.zeros((480, 640, 3), np.uint8)
    alone = decision(row[:1], {1: MASKED})
    large = Drawing(CONFIG, perception).draw(picture, alone)
    drawing.draw(picture, decision(row, dict.fromkeys(numbers, MASKED)))
    after = [np.array_equal(drawing.draw(picture, alone), large) for _ in range(HELD_FRAMES + 1)]
    assert not any(after[:-2])
    assert after[-1]


#: The left half, and the upper half of the right quarter.
ZONE = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))
CORNER = ((0.75, 0.0), (1.0, 0.0), (1.0, 0.5), (0.75, 0.5))


def with_areas(zone: config.Polygon, *ignore: config.Polygon) -> config.Config:
    return msgspec.structs.replace(CONFIG, door=config.DoorSettings(zone, ignore, 0.0))


class TestZone:
    def test_areas_are_drawn(self, perception: Perception) -> None:
        picture = np.full((480, 640, 3), 200, np.uint8)
        drawn = Drawing(with_areas(ZONE, CORNER), perception).draw(picture, decision([]))[44:]
        assert (drawn[100:400, 318:321] != 200).any(2).any(1).all(), "the right side of the zone"
        assert (drawn[20:220, 500:620] < 150).all(), "the ignored area is darker"
        assert (drawn[300:, 400:] == 200).all(), "the rest is unchanged"

    def test_faces_that_do_not_count_are_grey_and_say_why(self, perception: Perception) -> None:
        right = Box(520, 50, 600, 150)
        seen = replace(decision([person(1, (10, 100, 90, 200), 3.0)], {1: MASKED}), outside=(right,))
        for zone, line in ((ZONE, "outside the zone"), ((), "in an ignored area")):
            for scale in (1, 2):
                inside, outside = Drawing(with_areas(zone, CORNER), perception).labels(
                    seen, 640 * scale, 480 * scale, scale
                )
                assert inside.colour == VERDICT_COLOURS[MASKED]
                assert (outside.lines, outside.colour) == ((line,), OUTSIDE)
                assert outside.box == tuple(scale * v for v in right)

    @pytest.mark.parametrize(
        ("zone", "tracks", "text"),
        [
            (ZONE, [], "nobody is in the zone"),
            ((), [], "nobody is there"),
            (ZONE, [person(1, (10, 100, 90, 200))], "nobody is decided yet"),
        ],
    )
    def test_the_bar_says_where_nobody_is(
        self,
        perception: Perception,
        monkeypatch: pytest.MonkeyPatch,
        zone: config.Polygon,
        tracks: list[Track],
        text: str,
    ) -> None:
        written: list[str] = []
        monkeypatch.setattr(drawing, "write", lambda out, text, *_: written.append(text))
        Drawing(with_areas(zone), perception).draw(np.zeros((480, 640, 3), np.uint8), decision(tracks))
        assert text in written


class TestLandmarks:
    POINTS = ((30.0, 40.0), (50.0, 40.0), (40.0, 50.0), (33.0, 60.0), (47.0, 60.0))

    @pytest.mark.parametrize("size", [(480, 640), (120, 160)])
    def test_landmarks_of_this_frames_looks_are_dots(self, perception: Perception, size: tuple[int, int]) -> None:
        """Also in a small picture, which is enlarged."""
        box = (20, 20, 60, 80)
        face = Face(Box(*box), 0.9, 0.1, None, self.POINTS)
        seen = replace(decision([person(1, box)]), faces={1: face})
        picture = np.full((*size, 3), 90, np.uint8)
        scale, bar = enlargement(*size), bar_height(*(enlargement(*size) * v for v in size))
        drawn = Drawing(CONFIG, perception).draw(picture, seen)[bar:]
        for x, y in self.POINTS:
            assert (drawn[round(scale * y), round(scale * x)] == 255).all()
        plain = Drawing(CONFIG, perception).draw(picture, replace(seen, faces={}))[bar:]
        changed = (drawn != plain).any(2)
        assert 0 < changed.sum() < 0.1 * scale**2 * 40 * 60, "small dots"

    def test_landmarks_beside_the_picture_are_no_crash(self, perception: Perception) -> None:
        points = tuple((x - 60.0, y + 5000.0) for x, y in self.POINTS)
        seen = replace(decision([]), faces={1: Face(Box(-40, 20, 20, 80), 0.9, 0.1, None, points)})
        Drawing(CONFIG, perception).draw(np.zeros((480, 640, 3), np.uint8), seen)
