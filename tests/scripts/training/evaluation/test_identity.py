"""Tracks compared with people: identity switches and IDF1."""

from __future__ import annotations

import pytest

pytest.importorskip("scipy", reason="training.evaluation needs the extra: pip install .[train]")
pytest.importorskip("sklearn", reason="training.evaluation needs the extra: pip install .[train]")

from edge.records import Box
from training.evaluation.identity import Followed, Identity, TrueFace, compare

LEFT, RIGHT = Box(0, 0, 40, 50), Box(100, 0, 140, 50)


def frame(people: dict[int, Box], tracks: dict[int, Box]) -> tuple[list[TrueFace], list[Followed]]:
    return [TrueFace(p, box, True) for p, box in people.items()], [Followed(t, box) for t, box in tracks.items()]


def test_perfect_tracks() -> None:
    counts, whose = compare([frame({1: LEFT, 2: RIGHT}, {7: LEFT, 8: RIGHT})] * 5)
    assert counts == Identity(faces=10, tracked=10, identified=10)
    assert counts.idf1 == 1.0
    assert whose == {7: 1, 8: 2}


def test_two_people_who_exchange_their_tracks() -> None:
    before, after = frame({1: LEFT, 2: RIGHT}, {7: LEFT, 8: RIGHT}), frame({1: RIGHT, 2: LEFT}, {7: LEFT, 8: RIGHT})
    counts, whose = compare([before] * 3 + [after] * 2)
    assert counts.switches == 2
    assert counts.identified == 6
    assert counts.idf1 == pytest.approx(0.6)
    assert whose == {7: 1, 8: 2}


def test_a_new_track_after_a_gap_is_a_switch() -> None:
    counts, whose = compare([frame({1: LEFT}, {7: LEFT})] * 4 + [frame({1: LEFT}, {})] + [frame({1: LEFT}, {9: LEFT})])
    assert (counts.switches, counts.missed, counts.false) == (1, 1, 0)
    assert counts.idf1 == pytest.approx(2 * 4 / (6 + 5))
    assert whose == {7: 1, 9: 1}


def test_a_track_of_nobody_is_false() -> None:
    counts, whose = compare([frame({1: LEFT}, {7: LEFT, 8: RIGHT})] * 2)
    assert (counts.false, counts.tracked, counts.identified) == (2, 4, 2)
    assert whose == {7: 1, 8: 0}


def test_a_face_that_does_not_count_is_neither_missed_nor_false() -> None:
    far = [TrueFace(1, LEFT, False)]
    for tracks in ([], [Followed(7, LEFT)]):
        counts, _ = compare([(far, tracks)] * 3)
        assert counts == Identity()
        assert counts.idf1 is None


def test_a_switch_of_a_face_that_does_not_count_is_none() -> None:
    far = [TrueFace(1, LEFT, False)]
    near = [TrueFace(1, LEFT, True)]
    counts, _ = compare([(far, [Followed(7, LEFT)]), (far, [Followed(8, LEFT)]), (near, [Followed(8, LEFT)])])
    assert counts == Identity(faces=1, tracked=1, identified=1)


def test_a_pair_stays_while_it_overlaps_though_another_overlaps_more() -> None:
    near = Box(15, 0, 55, 50)
    frames = [frame({1: LEFT}, {7: LEFT}), frame({1: LEFT}, {7: near, 8: LEFT})]
    assert compare(frames)[0].switches == 0
