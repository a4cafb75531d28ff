"""Limits of verdicts and agitation, one track at a time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge import config
from edge.policy import Person, State, Verdict, step
from edge.records import Box, Track

POLICY = config.load().policy


def track(evidence: float = 0.0, *, looks: int = 100, since: float = 0.0, until: float = 100.0) -> Track:
    """Return the track of person 1, who was looked at from `since` until `until`."""
    return Track(1, Box(0, 0, 9, 9), 0.5, 0.0, until, looks, since, until, evidence)


def verdict(person: Person, *moments: tuple[float, Track]) -> Verdict:
    state = State({1: person})
    for now, seen in moments:
        state, _, _ = step(state, [seen], now, POLICY)
    return state.people[1].verdict


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (track(POLICY.masked_threshold), Verdict.MASKED),
        (track(POLICY.masked_threshold - 0.01), Verdict.UNKNOWN),
        (track(POLICY.unmasked_threshold), Verdict.UNMASKED),
        (track(POLICY.unmasked_threshold + 0.01), Verdict.UNKNOWN),
        (track(3.0, looks=POLICY.min_looks), Verdict.MASKED),
        (track(3.0, looks=POLICY.min_looks - 1), Verdict.UNKNOWN),
        (track(3.0, since=0.0, until=POLICY.min_decide_s), Verdict.MASKED),
        (track(3.0, since=0.0, until=POLICY.min_decide_s - 0.01), Verdict.UNKNOWN),
        (Track(1, Box(0, 0, 9, 9), 0.5, 0.0, 100.0), Verdict.UNKNOWN),
    ],
)
def test_limits_of_the_first_verdict(seen: Track, expected: Verdict) -> None:
    assert verdict(Person(0.0), (100.0, seen)) is expected


@pytest.mark.parametrize(
    ("start", "evidence", "seconds", "expected"),
    [
        (Verdict.MASKED, POLICY.change_to_unmasked, POLICY.change_s, Verdict.UNMASKED),
        (Verdict.MASKED, POLICY.change_to_unmasked, POLICY.change_s - 0.01, Verdict.MASKED),
        (Verdict.MASKED, POLICY.change_to_unmasked + 0.01, 60.0, Verdict.MASKED),
        (Verdict.UNMASKED, POLICY.change_to_masked, POLICY.change_s, Verdict.MASKED),
        (Verdict.UNMASKED, POLICY.change_to_masked, POLICY.change_s - 0.01, Verdict.UNMASKED),
        (Verdict.UNMASKED, POLICY.change_to_masked - 0.01, 60.0, Verdict.UNMASKED),
    ],
)
def test_limits_of_a_changed_verdict(start: Verdict, evidence: float, seconds: float, expected: Verdict) -> None:
    person = Person(0.0, start)
    assert verdict(person, (100.0, track(evidence)), (100.0 + seconds, track(evidence))) is expected


def test_doubt_starts_again_after_a_look_that_confirms_the_verdict() -> None:
    bad, good = track(POLICY.change_to_unmasked), track(0.0)
    moments = [(100.0, bad), (100.9, bad), (101.0, good), (101.1, bad), (102.0, bad)]
    assert verdict(Person(0.0, Verdict.MASKED), *moments) is Verdict.MASKED


def test_changing_back_also_takes_change_s() -> None:
    moments = [(100.0, track(-3.0)), (100.0 + POLICY.change_s, track(-3.0)), (101.1, track(3.0))]
    assert verdict(Person(0.0, Verdict.MASKED), *moments) is Verdict.UNMASKED


def test_second_agitation_also_takes_agitated_s() -> None:
    state = State({1: Person(0.0, Verdict.UNMASKED)})
    agitated = []
    for now, agitation in [(100.0, 0.9), (100.0 + POLICY.agitated_s, 0.9), (101.0, 0.1), (101.1, 0.9)]:
        seen = replace(track(-3.0), agitation=agitation, last_expression=now)
        state, _, _ = step(state, [seen], now, POLICY)
        agitated.append(state.people[1].agitated)
    assert agitated == [False, True, False, False]


@pytest.mark.parametrize(
    ("agitated", "agitation", "expected"),
    [
        (False, POLICY.agitated_threshold, True),
        (False, POLICY.agitated_threshold - 0.01, False),
        (True, POLICY.calm_threshold, True),
        (True, POLICY.calm_threshold - 0.01, False),
    ],
)
def test_agitation_has_two_thresholds(agitated: bool, agitation: float, expected: bool) -> None:
    state = State({1: Person(0.0, Verdict.UNMASKED, agitated=agitated)})
    seen = replace(track(-3.0), agitation=agitation, last_expression=100.0)
    for now in (100.0, 100.0 + POLICY.agitated_s):
        state, _, _ = step(state, [seen], now, POLICY)
    assert state.people[1].agitated is expected
