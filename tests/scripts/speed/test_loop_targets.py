"""Ratios, ten people at once, and a camera that drops frames. The tests do not check how fast anything is."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from edge.pipeline import Decision
from edge.policy import Person, Verdict
from edge.records import Box, Frame, Signal, Track
from speed import loop_targets, scenes
from speed.target import TargetResult
from support.speed import scene_of


def times(**changed: float) -> loop_targets.Times:
    """Times of a door that meets all targets, except for `changed`, as in settled_masked=3.0."""
    peer = {"AIZOO, frame to boxes": 12.0, "AIZOO, network alone": 10.0}
    tutorial = {"tutorial: Haar + Keras predict": 120.0, "tutorial, ported: Haar + TFLite": 50.0}
    ours = {"settled_masked": 2.0, "settled_unmasked": 2.5, "new_masked": 5.0, "new_unmasked": 6.5, "empty": 0.4}
    ours |= changed
    found = {scenes.EMPTY: {"ours": ours["empty"]}}
    for state in ("settled", "new"):
        for kind in ("masked", "unmasked"):
            found[scenes.one_face(state, kind)] = {"ours": ours[f"{state}_{kind}"], **peer, **tutorial}
    return found


def met(results: Sequence[TargetResult]) -> list[bool | None]:
    return [result.met for result in results]


def test_ratios_are_of_the_worse_kind_and_the_bare_network() -> None:
    results = loop_targets.ratios(times(), "ours")
    assert met(results) == [True, True, True, True]
    assert results[0].measured == "0.25 × the bare network, 0.21 × frame to boxes"
    assert results[1].measured.startswith("0.65 ×")
    assert results[2].measured == "48 × (ported to TFLite: 20 ×)"
    assert results[3].measured.startswith("8.0% (0.40 of 5.00 ms")
    assert met(loop_targets.ratios(times(settled_masked=3.01), "ours")) == [False, True, False, True]
    assert met(loop_targets.ratios(times(new_unmasked=7.01), "ours")) == [True, False, True, True]
    assert met(loop_targets.ratios(times(empty=0.51), "ours")) == [True, True, True, False]


def test_a_target_without_its_pipeline_is_not_measured() -> None:
    alone = {name: {"ours": row["ours"]} for name, row in times().items()}
    assert met(loop_targets.ratios(alone, "ours")) == [None, None, None, True]
    del alone["empty door"]
    assert met(loop_targets.ratios(alone, "ours")) == [None, None, None, None]
    ported = {name: {k: v for k, v in row.items() if "Keras" not in k} for name, row in times().items()}
    assert met(loop_targets.ratios(ported, "ours")) == [True, True, None, True]


def decision(t: float, people: dict[int, tuple[float, Verdict]]) -> Decision:
    """A decision at `t` about `people`: (present since, verdict) by number."""
    box = Box(0, 0, 100, 100)
    tracks = tuple(Track(number, box, 0.2, since, t) for number, (since, _) in people.items())
    persons = {number: Person(since, verdict) for number, (since, verdict) in people.items()}
    return Decision(t, Signal.IDLE, tracks, {}, persons, [])


def test_the_slowest_person_of_a_crowd_counts() -> None:
    unknown, masked = Verdict.UNKNOWN, Verdict.MASKED
    decisions = [
        (0.0, decision(0.0, {1: (0.0, unknown)})),
        (1.0, decision(1.0, {1: (0.0, masked), 2: (0.5, unknown), 3: (1.0, unknown)})),
        (2.0, decision(1.9, {1: (0.0, masked), 2: (0.5, masked)})),
    ]
    assert loop_targets.crowd(decisions, 3.0) == (1.0, 1.5, 2)  # the third is present for too short a time
    assert loop_targets.crowd(decisions[:2], 2.0) == (1.0, 1.0, 1)
    late = [*decisions, (3.0, decision(3.0, {1: (0.0, masked), 2: (0.5, masked), 3: (1.0, unknown)}))]
    assert loop_targets.crowd(late, 4.0)[1:] == (None, 3)
    assert loop_targets.crowd([], 1.0) == (0.0, None, 0)


@pytest.mark.parametrize(("slower", "numbers"), [(1.0, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]), (25.0, [0, 2, 5, 7])])
def test_a_slower_machine_drops_frames(slower: float, numbers: list[int]) -> None:
    """A frame takes 0.01 s; on a machine 25 times slower that is 2.5 intervals of 10 frames/s."""
    clock = [0.0]
    seen: list[tuple[int, float, int]] = []

    def step(frame: Frame) -> Decision:
        clock[0] += 0.01
        seen.append((frame.number, round(frame.t, 6), int(frame.picture[0, 0, 0])))
        return decision(frame.t, {})

    decisions = list(loop_targets.play_live(step, scene_of(4).frames, 10, 1.0, slower, lambda: clock[0]))
    assert [number for number, _, _ in seen] == numbers
    assert all(t == number / 10 and value == number % 4 for number, t, value in seen)
    decided_at = [t for t, _ in decisions]
    expected = [k / 10 + 0.01 for k in range(10)] if slower == 1 else [0.25, 0.5, 0.75, 1.0]
    assert decided_at == pytest.approx(expected)
