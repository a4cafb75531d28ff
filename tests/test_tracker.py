"""The tracker: which face is which person, and the evidence over time."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import config
from edge.policy import is_consistent
from edge.records import Box, Detection
from edge.tracker import Tracker

SETTINGS, POLICY = config.load().tracker, config.load().policy
FORGET_S, AVERAGING_S, LIMIT = SETTINGS.forget_after_s, SETTINGS.averaging_s, SETTINGS.max_log_odds
HEIGHT = 480


def face(x: float, y: float = 100, size: float = 100) -> Detection:
    return Detection(Box(x, y, x + size, y + size), 0.9)


def update(tracker: Tracker, t: float, *found: Detection) -> list[int]:
    return tracker.update(found, t, HEIGHT)


def evidence(looks: Sequence[tuple[float, float]]) -> float:
    """Return the evidence after looks (log-odds, t) at one person who stays in view."""
    tracker = Tracker(msgspec.structs.replace(SETTINGS, forget_after_s=10))
    for log_odds, t in looks:
        update(tracker, t, face(0))
        tracker.add_mask_score(1, log_odds, t)
    return tracker.tracks[0].evidence


class TestMatching:
    def test_no_detections(self) -> None:
        tracker = Tracker(SETTINGS)
        assert update(tracker, 0.0) == []
        assert tracker.tracks == ()

    def test_new_person(self) -> None:
        tracker = Tracker(SETTINGS)
        assert update(tracker, 2.0, face(10, size=120)) == [1]
        (track,) = tracker.tracks
        assert (track.number, track.box, track.first_seen, track.last_seen) == (1, face(10, size=120).box, 2.0, 2.0)
        assert track.height == pytest.approx(120 / HEIGHT)
        assert (track.looks, track.evidence, track.agitation) == (0, 0, 0)
        assert (track.first_look, track.last_look, track.last_expression) == (None, None, None)

    def test_walking_person_keeps_their_number(self) -> None:
        tracker = Tracker(SETTINGS)
        for k in range(30):
            assert update(tracker, k / 10, face(20 * k)) == [1]
        (track,) = tracker.tracks
        assert (track.box, track.first_seen, track.last_seen) == (face(580).box, 0.0, 2.9)

    def test_jump_starts_a_new_person(self) -> None:
        tracker = Tracker(SETTINGS)
        assert update(tracker, 0.0, face(0)) == [1]
        assert update(tracker, 0.1, face(300)) == [2]

    def test_order_of_detections_does_not_matter(self) -> None:
        tracker = Tracker(SETTINGS)
        assert update(tracker, 0.0, face(0), face(300)) == [1, 2]
        assert update(tracker, 0.1, face(305), face(5)) == [2, 1]

    def test_larger_overlap_takes_precedence(self) -> None:
        """If two boxes overlap one person, the closer box is the person and the other one is new."""
        tracker = Tracker(SETTINGS)
        update(tracker, 0.0, face(0))
        assert update(tracker, 0.1, face(40), face(10)) == [2, 1]

    def test_people_who_pass_each_other_keep_their_numbers(self) -> None:
        """The near person hides the far one for a moment."""
        tracker = Tracker(SETTINGS)
        owners: dict[str, set[int]] = {"near": set(), "far": set()}
        for k in range(41):
            near, far = face(10 * k, y=150, size=120), face(400 - 10 * k, y=100, size=60)
            hidden = abs(near.box.x1 + 30 - far.box.x1) < 50
            found = {"near": near} if hidden else {"near": near, "far": far}
            for who, person in zip(found, update(tracker, k / 10, *found.values()), strict=True):
                owners[who].add(person)
        assert owners["near"] == {1}
        assert 1 not in owners["far"]
        assert len(tracker.tracks) == 2

    @pytest.mark.parametrize(("gap_s", "same"), [(0.1, True), (FORGET_S - 0.05, True), (FORGET_S + 0.05, False)])
    def test_unseen_person_is_kept_for_forget_after_s(self, gap_s: float, same: bool) -> None:
        tracker = Tracker(SETTINGS)
        update(tracker, 1.0, face(0))
        for k in range(int(gap_s * 10)):
            update(tracker, 1.0 + k / 10)
        assert update(tracker, 1.0 + gap_s, face(0)) == [1 if same else 2]

    def test_person_after_a_gap_without_frames_is_new(self) -> None:
        """A camera may stall for longer than forget_after_s."""
        tracker = Tracker(SETTINGS)
        update(tracker, 0.0, face(0))
        assert update(tracker, 5.0, face(0)) == [2]
        assert [track.number for track in tracker.tracks] == [2]

    def test_clear_drops_all_tracks_and_reuses_no_number(self) -> None:
        tracker = Tracker(SETTINGS)
        update(tracker, 0.0, face(0), face(300))
        tracker.clear()
        assert tracker.tracks == ()
        assert update(tracker, 0.1, face(0)) == [3]

    def test_person_who_crosses_another_persons_last_position_keeps_their_number(self) -> None:
        tracker = Tracker(SETTINGS)
        assert update(tracker, 0.0, face(0), face(60)) == [1, 2]
        walked = [update(tracker, k / 10, face(10 * k)) for k in range(1, 12)]
        assert walked == [[1]] * 11

    def test_face_with_a_low_score_continues_a_track_but_starts_none(self) -> None:
        tracker = Tracker(SETTINGS)
        unsure = Detection(face(10).box, SETTINGS.new_score - 0.01)
        assert update(tracker, 0.0, unsure) == [0]
        assert tracker.tracks == ()
        assert update(tracker, 0.1, face(10)) == [1]
        assert update(tracker, 0.2, unsure) == [1]
        assert tracker.tracks[0].last_seen == 0.2  # type: ignore[misc]


class TestEvidence:
    def test_first_look_is_the_evidence(self) -> None:
        assert evidence([(1.5, 0.0)]) == 1.5

    def test_looks_at_the_same_time_are_averaged(self) -> None:
        """Looks of the same age have equal weight, which gives the plain mean."""
        looks = [2.0, -1.0, 0.5, 1.3, -2.5]
        assert evidence([(x, 1.0) for x in looks]) == pytest.approx(sum(looks) / len(looks))

    @pytest.mark.parametrize("pause_s", [0.6, 1.0, 2.5])
    def test_old_looks_fade_with_time(self, pause_s: float) -> None:
        """After one masked look and unmasked ones for T seconds: masked * e^(-T/s) + unmasked * (1 - e^(-T/s))."""
        assert pause_s >= AVERAGING_S * math.log(2), "with a shorter pause the plain mean has more weight"
        looks = 6
        faded = math.exp(-pause_s * looks / AVERAGING_S)
        expected = 2.0 * faded - 1.0 * (1 - faded)
        assert evidence([(2.0, 0.0)] + [(-1.0, pause_s * k) for k in range(1, looks + 1)]) == pytest.approx(expected)

    def test_frame_rate_does_not_matter(self) -> None:
        """After the first looks, the evidence depends on the time in view, not on the number of looks."""

        def after(fps: int) -> float:
            warm = [(2.0, k / fps) for k in range(3 * fps)]
            return evidence(warm + [(-2.0, 3.0 + k / fps) for k in range(fps)])

        assert after(10) == pytest.approx(after(30), abs=0.15)

    def test_one_wrong_look_has_little_weight(self) -> None:
        calm = [(2.0, k / 10) for k in range(20)]
        assert evidence([*calm, (-50.0, 2.0)]) > 1.2

    @pytest.mark.parametrize("log_odds", [50.0, -50.0, math.inf, -math.inf])
    def test_single_look_is_limited(self, log_odds: float) -> None:
        assert evidence([(log_odds, 0.0)]) == math.copysign(LIMIT, log_odds)

    def test_looks_and_their_times_are_counted(self) -> None:
        tracker = Tracker(SETTINGS)
        update(tracker, 0.0, face(0))
        for t in (0.5, 0.7, 0.9):
            tracker.add_mask_score(1, 1.0, t)
        tracker.add_expression_score(1, 0.25, 0.8)
        (track,) = tracker.tracks
        assert (track.looks, track.first_look, track.last_look) == (3, 0.5, 0.9)
        assert (track.expression_looks, track.last_expression, track.agitation) == (1, 0.8, 0.25)

    def test_each_person_has_their_own_evidence(self) -> None:
        tracker = Tracker(SETTINGS)
        update(tracker, 0.0, face(0), face(300))
        tracker.add_mask_score(1, 2.0, 0.0)
        tracker.add_mask_score(2, -2.0, 0.0)
        tracker.add_expression_score(2, 0.9, 0.0)
        assert [(track.evidence, track.agitation) for track in tracker.tracks] == [(2.0, 0.0), (-2.0, 0.9)]

    def test_moved_box_keeps_the_evidence(self) -> None:
        tracker = Tracker(SETTINGS)
        update(tracker, 0.0, face(0))
        tracker.add_mask_score(1, 2.0, 0.0)
        update(tracker, 0.1, face(5))
        assert (tracker.tracks[0].evidence, tracker.tracks[0].looks) == (2.0, 1)


# Few positions and sizes, so that boxes often overlap, and pauses around forget_after_s.
detections = st.builds(face, st.integers(0, 12).map(lambda k: k * 25.0), st.just(100.0), st.sampled_from([60.0, 100.0]))
frames = st.lists(
    st.tuples(st.sampled_from([0.0, 0.05, 0.1, 0.3, FORGET_S, 1.0]), st.lists(detections, max_size=5)), max_size=25
)


@given(frames)
def test_each_person_has_one_detection_and_no_number_is_reused(moments: list[tuple[float, list[Detection]]]) -> None:
    tracker = Tracker(SETTINGS)
    t, highest = 0.0, 0
    present: dict[int, float] = {}
    for pause_s, found in moments:
        t += pause_s
        owners = tracker.update(found, t, HEIGHT)
        assert len(owners) == len(found)
        assert len(set(owners)) == len(owners), "two detections have one person"
        tracks = {track.number: track for track in tracker.tracks}
        for detection, person in zip(found, owners, strict=True):
            assert person in present or person > highest, "a number is reused"
            assert (tracks[person].box, tracks[person].last_seen) == (detection.box, t)
        highest = max([highest, *owners])
        present |= dict.fromkeys(owners, t)
        present = {person: last for person, last in present.items() if t - last <= FORGET_S}
        assert list(tracks) == sorted(present), "oldest first, and only people seen within forget_after_s"


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
def test_averages_stay_within_the_range_of_the_looks(looks: list[tuple[float, float, float | None]]) -> None:
    tracker = Tracker(msgspec.structs.replace(SETTINGS, forget_after_s=10))
    t = 0.0
    masks: list[float] = []
    agitations: list[float] = [0.0]
    for pause_s, log_odds, agitation in looks:
        t += pause_s
        update(tracker, t, face(0))
        tracker.add_mask_score(1, log_odds, t)
        masks.append(min(max(log_odds, -LIMIT), LIMIT))
        if agitation is not None:
            tracker.add_expression_score(1, agitation, t)
            agitations = [
                *([] if agitations == [0.0] and tracker.tracks[0].expression_looks == 1 else agitations),
                agitation,
            ]
        (track,) = tracker.tracks
        assert min(masks) - 1e-9 <= track.evidence <= max(masks) + 1e-9
        assert min(agitations) - 1e-9 <= track.agitation <= max(agitations) + 1e-9
        assert track.looks == len(masks)


class TestConsistency:
    """A person's score, place and size make sense over several frames."""

    def test_a_person_who_walks_up_fits(self) -> None:
        tracker = Tracker(SETTINGS)
        rng = np.random.default_rng(1)
        for k in range(20):
            size = 60 * 1.03**k * math.exp(rng.normal(0, 0.04))
            update(tracker, k / 10, face(100 + 12 * k + rng.normal(0, 2), 100 + rng.normal(0, 2), size))
        (track,) = tracker.tracks
        assert track.frames == 20
        assert track.score == pytest.approx(0.9)
        assert track.misfit < 1.5 < POLICY.max_misfit

    @pytest.mark.parametrize(
        ("place", "size"),
        [(0.5, 0.0), (0.8, 0.0), (0.0, 0.3), (0.0, 0.6), (0.3, 0.2)],
    )
    def test_a_blurred_wheel_does_not_fit(self, place: float, size: float) -> None:
        """It jumps, or grows and shrinks: its tracks misfit, or each has only some of the frames."""
        tracker = Tracker(SETTINGS)
        for k in range(20):
            sign = (-1) ** k
            update(tracker, k / 10, face(200 + 100 * place * sign / 2, 100, 100 * math.exp(size * sign / 2)))
        assert not any(is_consistent(track, POLICY) for track in tracker.tracks)

    def test_a_face_only_now_and_then_has_a_low_score(self) -> None:
        tracker = Tracker(SETTINGS)
        for k in range(12):
            update(tracker, k / 10, *([Detection(face(100).box, 0.85 if k % 4 == 0 else 0.58)] if k % 2 == 0 else []))
        (track,) = tracker.tracks
        assert not is_consistent(track, POLICY)

    def test_first_sighting(self) -> None:
        tracker = Tracker(SETTINGS)
        update(tracker, 0.0, face(0))
        (track,) = tracker.tracks
        assert (track.frames, track.score, track.misfit) == (1, 0.9, 0.0)


class TestCrossing:
    """Two people who cross keep their numbers, at every rate at which a door runs."""

    @pytest.mark.parametrize("fps", [3, 5, 10, 15])
    def test_people_of_one_size_who_cross(self, fps: int) -> None:
        """One hides the other while they are close; IoU alone swaps them."""
        tracker = Tracker(msgspec.structs.replace(SETTINGS, forget_after_s=1.0))
        owners: dict[str, list[int]] = {"right": [], "left": []}
        for k in range(2 * fps):
            t = k / fps
            found = {"right": face(50 + 220 * t, size=80), "left": face(490 - 220 * t, 104, 80)}
            if abs(found["right"].box.x1 - found["left"].box.x1) < 45:
                del found["left"]
            for who, number in zip(found, update(tracker, t, *found.values()), strict=True):
                owners[who].append(number)
        assert {who: set(numbers) for who, numbers in owners.items()} == {"right": {1}, "left": {2}}

    def test_person_who_walks_fast_before_a_slow_camera(self) -> None:
        """At 5 frames/s a passer-by moves by more than a face's width from frame to frame."""
        tracker = Tracker(SETTINGS)
        assert {update(tracker, k / 5, face(110 * k))[0] for k in range(6)} == {1}

    def test_person_who_left_does_not_come_back_as_another(self) -> None:
        tracker = Tracker(SETTINGS)
        for k in range(8):
            update(tracker, k / 10, face(500 + 20 * k))
        assert update(tracker, 1.0, face(100)) == [2]

    def test_nothing_moves_while_a_video_shows_one_frame(self) -> None:
        tracker = Tracker(SETTINGS)
        tracker.update([face(100), face(300)], 0.0, HEIGHT)
        assert tracker.update([face(304), face(103)], 5.0, HEIGHT, 5.0) == [2, 1]
        assert tracker.update([face(600)], 10.0, HEIGHT, 5.0) == [3]
