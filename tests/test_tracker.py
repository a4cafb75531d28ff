"""The tracker: who is who, and evidence over time, by example and for any sequence of detections."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import config
from edge.records import Box, Detection
from edge.tracker import Tracker

SETTINGS = config.load().tracker
GONE_S, MEMORY_S, LIMIT = SETTINGS.gone_s, SETTINGS.memory_s, SETTINGS.look_limit
HEIGHT = 480


def face(x: float, y: float = 100, size: float = 100) -> Detection:
    return Detection(Box(x, y, x + size, y + size), 0.9)


def seen(tracker: Tracker, t: float, *found: Detection) -> list[int]:
    return tracker.update(found, t, HEIGHT)


def evidence(looks: Sequence[tuple[float, float]]) -> float:
    """What the tracker makes of looks (log-odds, t) at one person who stays in view."""
    tracker = Tracker(msgspec.structs.replace(SETTINGS, gone_s=10))
    for log_odds, t in looks:
        seen(tracker, t, face(0))
        tracker.saw_mask(1, log_odds, t)
    return tracker.tracks[0].evidence


class TestWhoIsWho:
    def test_nobody(self) -> None:
        tracker = Tracker(SETTINGS)
        assert seen(tracker, 0.0) == []
        assert tracker.tracks == ()

    def test_a_new_person(self) -> None:
        tracker = Tracker(SETTINGS)
        assert seen(tracker, 2.0, face(10, size=120)) == [1]
        (track,) = tracker.tracks
        assert (track.person, track.box, track.since, track.seen) == (1, face(10, size=120).box, 2.0, 2.0)
        assert track.height == pytest.approx(120 / HEIGHT)
        assert (track.looks, track.evidence, track.agitation) == (0, 0, 0)
        assert (track.first_look, track.last_look, track.last_expression) == (None, None, None)

    def test_somebody_walking_stays_the_same(self) -> None:
        tracker = Tracker(SETTINGS)
        for k in range(30):
            assert seen(tracker, k / 10, face(20 * k)) == [1]
        (track,) = tracker.tracks
        assert (track.box, track.since, track.seen) == (face(580).box, 0.0, 2.9)

    def test_a_jump_is_somebody_else(self) -> None:
        tracker = Tracker(SETTINGS)
        assert seen(tracker, 0.0, face(0)) == [1]
        assert seen(tracker, 0.1, face(300)) == [2]

    def test_the_order_of_detections_does_not_matter(self) -> None:
        tracker = Tracker(SETTINGS)
        assert seen(tracker, 0.0, face(0), face(300)) == [1, 2]
        assert seen(tracker, 0.1, face(305), face(5)) == [2, 1]

    def test_the_better_overlap_wins(self) -> None:
        """Two boxes on one person: the closer one is the person, the other is new."""
        tracker = Tracker(SETTINGS)
        seen(tracker, 0.0, face(0))
        assert seen(tracker, 0.1, face(40), face(10)) == [2, 1]

    def test_people_passing_each_other(self) -> None:
        """The one in front hides the one behind for a moment; neither takes the other's number."""
        tracker = Tracker(SETTINGS)
        owners: dict[str, set[int]] = {"near": set(), "far": set()}
        for k in range(41):
            near, far = face(10 * k, y=150, size=120), face(400 - 10 * k, y=100, size=60)
            hidden = abs(near.box.x1 + 30 - far.box.x1) < 50
            found = {"near": near} if hidden else {"near": near, "far": far}
            for who, person in zip(found, seen(tracker, k / 10, *found.values()), strict=True):
                owners[who].add(person)
        assert owners["near"] == {1}
        assert 1 not in owners["far"]
        assert len(tracker.tracks) == 2

    @pytest.mark.parametrize(("gap_s", "same"), [(0.1, True), (GONE_S - 0.05, True), (GONE_S + 0.05, False)])
    def test_out_of_sight(self, gap_s: float, same: bool) -> None:
        tracker = Tracker(SETTINGS)
        seen(tracker, 1.0, face(0))
        for k in range(int(gap_s * 10)):
            seen(tracker, 1.0 + k / 10)
        assert seen(tracker, 1.0 + gap_s, face(0)) == [1 if same else 2]

    def test_gone_without_a_frame_in_between(self) -> None:
        """A camera that stalled: whoever stands there afterwards is somebody new."""
        tracker = Tracker(SETTINGS)
        seen(tracker, 0.0, face(0))
        assert seen(tracker, 5.0, face(0)) == [2]
        assert [track.person for track in tracker.tracks] == [2]

    def test_forget_all(self) -> None:
        tracker = Tracker(SETTINGS)
        seen(tracker, 0.0, face(0), face(300))
        tracker.forget_all()
        assert tracker.tracks == ()
        assert seen(tracker, 0.1, face(0)) == [3]

    @pytest.mark.parametrize(("size", "near"), [(42, False), (44, True)])
    def test_near_enough_to_be_judged(self, size: float, near: bool) -> None:
        tracker = Tracker(msgspec.structs.replace(SETTINGS, least_height=43 / HEIGHT))
        seen(tracker, 0.0, face(0, size=size))
        assert tracker.near(1) is near

    def test_walking_through_the_place_of_somebody_who_has_just_gone(self) -> None:
        tracker = Tracker(SETTINGS)
        assert seen(tracker, 0.0, face(0), face(60)) == [1, 2]
        walked = [seen(tracker, k / 10, face(10 * k)) for k in range(1, 12)]
        assert walked == [[1]] * 11

    def test_an_unsure_face_begins_nobody_but_goes_on_with_somebody(self) -> None:
        tracker = Tracker(SETTINGS)
        unsure = Detection(face(10).box, SETTINGS.new_score - 0.01)
        assert seen(tracker, 0.0, unsure) == [0]
        assert tracker.tracks == ()
        assert seen(tracker, 0.1, face(10)) == [1]
        assert seen(tracker, 0.2, unsure) == [1]
        assert tracker.tracks[0].seen == 0.2


class TestEvidence:
    def test_the_first_look_counts_as_it_is(self) -> None:
        assert evidence([(1.5, 0.0)]) == 1.5

    def test_looks_at_once_are_averaged(self) -> None:
        """No time has passed: nothing is older than anything else, so the plain mean."""
        looks = [2.0, -1.0, 0.5, 1.3, -2.5]
        assert evidence([(x, 1.0) for x in looks]) == pytest.approx(sum(looks) / len(looks))

    @pytest.mark.parametrize("pause_s", [0.6, 1.0, 2.5])
    def test_old_looks_fade_with_time(self, pause_s: float) -> None:
        """One look for, then many against: for * e^(-T/memory) + against * (1 - e^(-T/memory))."""
        assert pause_s >= MEMORY_S * math.log(2), "a shorter pause begins as the plain mean"
        looks = 6
        faded = math.exp(-pause_s * looks / MEMORY_S)
        expected = 2.0 * faded - 1.0 * (1 - faded)
        assert evidence([(2.0, 0.0)] + [(-1.0, pause_s * k) for k in range(1, looks + 1)]) == pytest.approx(expected)

    def test_the_frame_rate_does_not_matter(self) -> None:
        """Beyond the first looks, evidence depends on how long something was seen, not on how often."""

        def after(fps: int) -> float:
            warm = [(2.0, k / fps) for k in range(3 * fps)]
            return evidence(warm + [(-2.0, 3.0 + k / fps) for k in range(fps)])

        assert after(10) == pytest.approx(after(30), abs=0.15)

    def test_one_odd_look_counts_for_little(self) -> None:
        calm = [(2.0, k / 10) for k in range(20)]
        assert evidence([*calm, (-50.0, 2.0)]) > 1.2

    @pytest.mark.parametrize("log_odds", [50.0, -50.0, math.inf, -math.inf])
    def test_a_look_is_limited(self, log_odds: float) -> None:
        assert evidence([(log_odds, 0.0)]) == math.copysign(LIMIT, log_odds)

    def test_bookkeeping(self) -> None:
        tracker = Tracker(SETTINGS)
        seen(tracker, 0.0, face(0))
        for t in (0.5, 0.7, 0.9):
            tracker.saw_mask(1, 1.0, t)
        tracker.saw_expression(1, 0.25, 0.8)
        (track,) = tracker.tracks
        assert (track.looks, track.first_look, track.last_look) == (3, 0.5, 0.9)
        assert (track.expression_looks, track.last_expression, track.agitation) == (1, 0.8, 0.25)

    def test_each_person_has_their_own(self) -> None:
        tracker = Tracker(SETTINGS)
        seen(tracker, 0.0, face(0), face(300))
        tracker.saw_mask(1, 2.0, 0.0)
        tracker.saw_mask(2, -2.0, 0.0)
        tracker.saw_expression(2, 0.9, 0.0)
        assert [(track.evidence, track.agitation) for track in tracker.tracks] == [(2.0, 0.0), (-2.0, 0.9)]

    def test_a_moved_box_keeps_the_evidence(self) -> None:
        tracker = Tracker(SETTINGS)
        seen(tracker, 0.0, face(0))
        tracker.saw_mask(1, 2.0, 0.0)
        seen(tracker, 0.1, face(5))
        assert (tracker.tracks[0].evidence, tracker.tracks[0].looks) == (2.0, 1)


# Few places and sizes, so that boxes often meet; pauses around gone_s.
detections = st.builds(face, st.integers(0, 12).map(lambda k: k * 25.0), st.just(100.0), st.sampled_from([60.0, 100.0]))
frames = st.lists(
    st.tuples(st.sampled_from([0.0, 0.05, 0.1, 0.3, GONE_S, 1.0]), st.lists(detections, max_size=5)), max_size=25
)


@given(frames)
def test_one_owner_each_and_numbers_never_come_back(moments: list[tuple[float, list[Detection]]]) -> None:
    tracker = Tracker(SETTINGS)
    t, highest = 0.0, 0
    present: dict[int, float] = {}
    for pause_s, found in moments:
        t += pause_s
        owners = tracker.update(found, t, HEIGHT)
        assert len(owners) == len(found)
        assert len(set(owners)) == len(owners), "two detections share a person"
        tracks = {track.person: track for track in tracker.tracks}
        for detection, person in zip(found, owners, strict=True):
            assert person in present or person > highest, "a number came back"
            assert (tracks[person].box, tracks[person].seen) == (detection.box, t)
        highest = max([highest, *owners])
        present |= dict.fromkeys(owners, t)
        present = {person: last for person, last in present.items() if t - last <= GONE_S}
        assert list(tracks) == sorted(present), "oldest first, and only who was seen lately"


@given(
    st.lists(
        st.tuples(
            st.floats(0, 5),
            st.floats(allow_nan=False),
            st.none() | st.floats(0, 1),
        ),
        min_size=1,
        max_size=30,
    )
)
def test_averages_stay_within_what_was_seen(looks: list[tuple[float, float, float | None]]) -> None:
    tracker = Tracker(msgspec.structs.replace(SETTINGS, gone_s=10))
    t = 0.0
    masks: list[float] = []
    heats: list[float] = [0.0]
    for pause_s, log_odds, heat in looks:
        t += pause_s
        seen(tracker, t, face(0))
        tracker.saw_mask(1, log_odds, t)
        masks.append(min(max(log_odds, -LIMIT), LIMIT))
        if heat is not None:
            tracker.saw_expression(1, heat, t)
            heats = [*([] if heats == [0.0] and tracker.tracks[0].expression_looks == 1 else heats), heat]
        (track,) = tracker.tracks
        assert min(masks) - 1e-9 <= track.evidence <= max(masks) + 1e-9
        assert min(heats) - 1e-9 <= track.agitation <= max(heats) + 1e-9
        assert track.looks == len(masks)
