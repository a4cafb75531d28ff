"""What shall happen in a scene."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from training.walkups import script
from training.walkups.script import KINDS, NOBODY, Role, Turn, kinds_of, write_script
from training.walkups.truth import MASKED, UNMASKED

ALL = [name for name, _ in KINDS]


def test_the_kinds_have_their_shares() -> None:
    counts = Counter(kinds_of(300, np.random.default_rng(0)))
    assert counts == {name: round(300 * share) for name, share in KINDS}


@pytest.mark.parametrize("kind", ALL)
def test_a_script_can_be_played(kind: str) -> None:
    for seed in range(25):
        play = write_script(kind, np.random.default_rng(seed))
        assert 2 <= play.fps <= 15
        assert 5 < play.seconds <= 10
        visitors = [role for role in play.roles if role.is_visitor]
        assert len(visitors) in {"alone": {1}, "crowd": {4}, NOBODY: {0}}.get(kind, {2, 3})
        for role in play.roles:
            times = [knot.t for knot in role.path.knots]
            assert times == sorted(times)
            assert len(set(times)) == len(times)
            assert all(knot.face > 0 for knot in role.path.knots)
            if not role.is_visitor:
                assert max(knot.face for knot in role.path.knots) < 0.09, "too near for the background"
            if role.changes_s is not None:
                assert role.kind == UNMASKED
                assert {worn.label for worn in role.worn()} == {MASKED, UNMASKED}


def test_the_same_seed_writes_the_same_script() -> None:
    first, again, other = (write_script("crossing", np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert first == again
    assert first != other


@pytest.mark.parametrize("takes_off", [False, True])
def test_a_mask_changes_behind_a_hand(takes_off: bool) -> None:
    there = write_script("alone", np.random.default_rng(0)).roles[0].path
    role = Role(UNMASKED, there, changes_s=3.0, takes_off=takes_off)
    assert [role.has_mask(t) for t in (2.9, 3.9)] == [takes_off, not takes_off]
    assert [role.has_hand(t) for t in (2.9, 3.2, 3.6, 3.9)] == [False, True, True, False]
    first, second = role.worn()
    assert (first.label == MASKED) is takes_off
    assert second.from_s == 3.0 < first.until_s


def test_a_turned_head_is_not_clear_at_its_peak() -> None:
    there = write_script("alone", np.random.default_rng(0)).roles[0].path
    role = Role(MASKED, there, turns=(Turn(2.0, 4.0, -34.0),))
    assert [role.degrees(t) for t in (1.9, 3.0, 4.1)] == [0.0, -34.0, 0.0]
    assert [role.is_clear(t) for t in (1.9, 3.0, 4.1)] == [True, False, True]


def test_scenes_are_tagged_with_what_makes_them_hard() -> None:
    plays = [write_script(kind, np.random.default_rng(k)) for k in range(20) for kind in ALL]
    tags = {tag for play in plays for tag in play.tags}
    wanted = {"dim", "backlit", "night", "low-key", "slow camera", "hand", "turn", "mask put on", "mask taken off"}
    assert wanted | {"background", *script.THING_KINDS} == tags
