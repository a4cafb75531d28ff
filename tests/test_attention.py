"""Attention: when a frame is searched for faces, and which faces are looked at."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from edge import door
from edge.attention import Attention, Search, contradicts_verdict, has_moved
from edge.camera.factory import open_source
from edge.config import Config
from edge.imaging import cells
from edge.inference import manifest
from edge.inference.perception import Perception
from edge.pipeline import Pipeline
from edge.policy import Person, Verdict
from edge.records import Box, Detection, Frame, Signal, Track
from support.clip import EMPTY_S, MASKED_S, UNMASKED_S, frame_at
from support.door import CONFIG, play
from support.paths import CLIP

BOX = Box(100, 100, 200, 200)
FACE = Detection(BOX, 0.9)
IDLE_S, SETTLED_S = CONFIG.detector.idle_search_s, CONFIG.detector.settled_search_s
DARK = np.full((cells.HEIGHT, cells.WIDTH), 50, np.float32)
#: A grid that differs from DARK by a bright area.
CHANGED = DARK.copy()
CHANGED[10:20, 10:20] = 200

MASKED = Person(0.0, Verdict.MASKED)
UNMASKED = Person(0.0, Verdict.UNMASKED)
UNKNOWN = Person(0.0)


FOUND = Search([FACE], FACE.score)


def track(log_odds: float = 2.0, *, person: int = 1, last_look: float | None = 0.0, **changes: object) -> Track:
    """Return a track seen from 0 s on whose last look gave `log_odds`."""
    looked = Track(person, BOX, 0.2, 0.0, 0.0, 5, 0.0, last_look, last_log_odds=log_odds, last_look_box=BOX)
    return replace(looked, **changes)  # type: ignore[arg-type]


def attention(config: Config = CONFIG) -> Attention:
    return Attention(config)


class TestSearch:
    def test_first_frame_is_searched(self) -> None:
        assert attention().reusable_search(0.0, DARK, {}, ()) is None

    @pytest.mark.parametrize(("t", "reused"), [(0.1, True), (IDLE_S - 0.01, True), (IDLE_S, False)])
    def test_unchanged_picture_is_searched_every_idle_search_s(self, t: float, reused: bool) -> None:
        chosen = attention()
        chosen.record_search(0.0, DARK, FOUND)
        search = chosen.reusable_search(t, DARK, {1: MASKED}, [track()])
        assert (search is not None) is reused
        if search is not None:
            assert search is FOUND

    @pytest.mark.parametrize(("t", "reused"), [(SETTLED_S / 2, True), (SETTLED_S, False)])
    def test_changed_picture_is_searched_every_settled_search_s(self, t: float, reused: bool) -> None:
        chosen = attention()
        chosen.record_search(0.0, DARK, FOUND)
        search = chosen.reusable_search(t, CHANGED, {1: MASKED}, [track()])
        assert (search is not None) is reused
        if search is not None:
            assert (search.detections, search.best_score) == ([FACE], FACE.score)
            assert not search.is_current, "no look may use these boxes"

    def test_changed_picture_without_faces_is_searched_at_once(self) -> None:
        chosen = attention()
        chosen.record_search(0.0, DARK, Search([], 0.0))
        assert chosen.reusable_search(0.01, CHANGED, {}, ()) is None

    @pytest.mark.parametrize(
        ("person", "seen"),
        [
            (UNKNOWN, track()),
            (replace(MASKED, doubt_since=0.0), track()),
            (MASKED, track(-1.0)),
            (UNMASKED, track(1.0)),
            (UNMASKED, track(-2.0, agitation=CONFIG.policy.calm_threshold, last_expression=0.0)),
        ],
        ids=["undecided", "in doubt", "last look unmasked", "last look masked", "perhaps agitated"],
    )
    def test_every_frame_is_searched_while_a_person_is_not_settled(self, person: Person, seen: Track) -> None:
        chosen = attention()
        chosen.record_search(0.0, DARK, FOUND)
        assert chosen.reusable_search(0.01, DARK, {1: person}, [seen]) is None

    def test_intervals_of_zero_search_every_frame(self) -> None:
        every = msgspec.structs.replace(CONFIG.detector, idle_search_s=0.0, settled_search_s=0.0)
        chosen = attention(config=msgspec.structs.replace(CONFIG, detector=every))
        chosen.record_search(1.0, DARK, FOUND)
        assert chosen.reusable_search(1.0, DARK, {1: MASKED}, [track()]) is None

    def test_clear_forgets_the_last_search(self) -> None:
        chosen = attention()
        chosen.record_search(0.0, DARK, FOUND)
        chosen.clear()
        assert chosen.reusable_search(0.01, DARK, {}, ()) is None


def due(t: float, *known: tuple[Person, Track]) -> list[int]:
    """Return the people whose faces are due at `t`."""
    people = {seen.number: person for person, seen in known}
    tracks = [seen for _, seen in known]
    found = [(seen.number, FACE) for seen in tracks]
    return [person for person, _ in attention().faces_due(found, t, people, tracks)]


class TestDue:
    RECHECK_S = CONFIG.tracker.recheck_s

    @pytest.mark.parametrize(
        ("person", "seen"),
        [
            (UNKNOWN, track()),
            (UNKNOWN, track(last_look=None, last_look_box=None)),
            (MASKED, track(-1.0)),
            (MASKED, track(box=Box(140, 100, 240, 200))),
        ],
        ids=["undecided", "never looked at", "last look contradicts", "moved"],
    )
    def test_faces_that_are_due_in_every_frame(self, person: Person, seen: Track) -> None:
        assert due(0.0, (person, seen)) == [1]

    @pytest.mark.parametrize(("person", "log_odds"), [(MASKED, 2.0), (UNMASKED, -2.0)])
    def test_settled_face_is_due_every_recheck_s(self, person: Person, log_odds: float) -> None:
        assert due(self.RECHECK_S - 0.01, (person, track(log_odds))) == []
        assert due(self.RECHECK_S, (person, track(log_odds))) == [1]

    def test_face_that_may_be_agitated_is_due_more_often(self) -> None:
        seen = track(-2.0, agitation=CONFIG.policy.calm_threshold, last_expression=0.0)
        t = CONFIG.expression.recheck_s
        assert t < self.RECHECK_S
        assert due(t, (UNMASKED, seen)) == [1]
        assert due(t, (UNMASKED, replace(seen, last_expression=None))) == [], "its expression is not read"
        assert due(t, (UNMASKED, replace(seen, agitation=0.0))) == []
        assert due(t, (MASKED, replace(seen, last_log_odds=2.0))) == []

    def test_masked_face_that_may_be_agitated_is_due_as_often_as_a_bare_one(self) -> None:
        seen = track(2.0, masked_agitation=CONFIG.policy.calm_threshold, last_masked_expression=0.0)
        t = CONFIG.expression.recheck_s
        assert due(t, (MASKED, seen)) == [1]
        assert due(t, (MASKED, replace(seen, masked_agitation=0.0))) == []
        assert due(t, (MASKED, replace(seen, last_masked_expression=None))) == []
        assert due(t, (UNMASKED, replace(seen, last_log_odds=-2.0))) == [], "a look above a mask says nothing about it"

    @pytest.mark.parametrize(("share", "expected"), [(0.99, []), (1.01, [1])])
    def test_face_below_the_minimum_height_is_never_due(self, share: float, expected: list[int]) -> None:
        seen = track(height=share * CONFIG.tracker.min_face_height)
        assert due(0.0, (UNKNOWN, seen)) == expected

    def test_detection_without_a_person_is_never_due(self) -> None:
        assert attention().faces_due([(0, FACE)], 0.0, {}, ()) == []

    def test_longest_overdue_faces_come_first_up_to_the_maximum(self) -> None:
        known = [(UNKNOWN, track(person=n, last_look=1.0 - n / 10)) for n in range(1, 6)]
        assert due(1.0, *known) == [5, 4, 3]
        assert CONFIG.tracker.max_looks_per_frame == 3

    def test_of_equally_overdue_faces_the_one_with_fewer_looks_comes_first(self) -> None:
        assert due(0.0, (UNKNOWN, track(looks=2)), (UNKNOWN, track(person=2, looks=1))) == [2, 1]


@pytest.mark.parametrize(
    ("person", "log_odds", "expected"),
    [(MASKED, 0.1, False), (MASKED, -0.1, True), (UNMASKED, -0.1, False), (UNMASKED, 0.1, True)],
)
def test_contradicts_verdict(person: Person, log_odds: float, expected: bool) -> None:
    assert contradicts_verdict(track(log_odds), person) is expected


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (Box(133, 100, 233, 200), False),
        (Box(134, 100, 234, 200), True),
        (Box(100, 66, 200, 166), True),
        (Box(100, 100, 240, 240), True),
    ],
    ids=["a little", "right", "up", "nearer"],
)
def test_has_moved(now: Box, expected: bool) -> None:
    assert has_moved(BOX, now) is expected


@pytest.fixture(scope="module")
def perception() -> Perception:
    return Perception(CONFIG, manifest.load())


class TestWithModels:
    """The same with the real models and frames of the demo clip."""

    @pytest.fixture
    def searches(self, perception: Perception, monkeypatch: pytest.MonkeyPatch) -> list[float]:
        """The times of the frames that are searched for faces."""
        times: list[float] = []
        detect = perception.detect

        def counted(frame: Frame) -> list[Detection]:
            times.append(frame.t)
            return detect(frame)

        monkeypatch.setattr(perception, "detect", counted)
        return times

    def test_settled_face_is_looked_at_now_and_then(self, perception: Perception) -> None:
        decisions = play(perception, [frame_at(MASKED_S)] * 40)
        looked = [bool(d.faces) for d in decisions]
        assert all(looked[:4]), "an undecided face is looked at in every frame"
        pause = round(10 * CONFIG.tracker.recheck_s)
        assert 1 <= sum(looked[20:]) <= 20 // pause + 1

    def test_empty_door_is_searched_every_two_seconds(self, perception: Perception, searches: list[float]) -> None:
        play(perception, [frame_at(EMPTY_S)] * 40)
        assert searches == [0, 2]

    def test_new_person_is_found_at_once(self, perception: Perception, searches: list[float]) -> None:
        decisions = play(perception, [frame_at(EMPTY_S)] * 15 + [frame_at(UNMASKED_S)] * 10)
        assert searches[:3] == [0, 1.5, 1.6], "the first changed frame, and every frame until the decision"
        first = next(d.t for d in decisions if d.signal is Signal.STOP)
        assert first == 1.5 + CONFIG.policy.min_decide_s, "no later than with a search in every frame"

    def test_settled_person_who_stands_still_keeps_their_track(
        self, perception: Perception, searches: list[float]
    ) -> None:
        decisions = play(perception, [frame_at(MASKED_S)] * 60)
        assert len(searches) < 15
        assert {d.signal for d in decisions[10:]} == {Signal.PASS}
        assert {t.number for d in decisions for t in d.tracks} == {1}

    def test_crowd_is_looked_at_in_turns(self, perception: Perception) -> None:
        """With two people in view and one look per frame, both are decided."""
        both = np.hstack([frame_at(MASKED_S), frame_at(UNMASKED_S)])
        tracker = msgspec.structs.replace(CONFIG.tracker, max_looks_per_frame=1)
        pipeline = Pipeline(msgspec.structs.replace(CONFIG, tracker=tracker), perception)
        decisions = [pipeline.step(Frame(k, k / 10, both)) for k in range(20)]
        assert all(len(d.faces) <= 1 for d in decisions)
        assert [next(iter(d.faces)) for d in decisions[:6]] == [1, 2, 1, 2, 1, 2]
        assert {person.verdict.value for person in decisions[-1].people.values()} == {"masked", "unmasked"}

    def test_saving_work_changes_no_decision(self, perception: Perception) -> None:
        """The demo clip gives the same signals as with a search and a look at every face in every frame."""
        everything = msgspec.structs.replace(
            CONFIG,
            detector=msgspec.structs.replace(CONFIG.detector, idle_search_s=0.0, settled_search_s=0.0),
            tracker=msgspec.structs.replace(CONFIG.tracker, recheck_s=0.0, max_looks_per_frame=100),
            expression=msgspec.structs.replace(CONFIG.expression, recheck_s=0.0),
        )

        def signals(settings: Config) -> tuple[list[float], list[str]]:
            with open_source(settings.camera, str(CLIP)) as source:
                decisions = [d for _, d in door.decisions(Pipeline(settings, perception), source)]
            events = [e for d in decisions for e in d.events if e.kind == "signal"]
            return [e.t for e in events], [str(e.data["signal"]) for e in events]

        times, shown = signals(CONFIG)
        all_times, all_shown = signals(everything)
        assert set(shown) == {"IDLE", "PASS", "STOP", "ALARM"}
        assert shown == all_shown
        # A settled person is searched for in every other frame at 15 a second. A face at the edge of the picture may be
        # found in one frame and not in the next, so the last frame with it differs by at most two frames (0.133 s).
        assert max(abs(a - b) for a, b in zip(times, all_times, strict=True)) < 0.15
