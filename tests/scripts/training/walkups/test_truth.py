"""Which lights are right when, and the file that says so."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from edge.errors import InputError
from edge.records import Signal
from training.records import DataError
from training.walkups import truth
from training.walkups.truth import AGITATED, CHANGE_S, DECIDE_S, HOLD_S, MASKED, UNMASKED, Claim, Person, Sight, Worn

IDLE, PASS, STOP, ALARM = Signal.IDLE, Signal.PASS, Signal.STOP, Signal.ALARM
FPS = 10.0


def seen(until_s: float, near_s: float = 0.0, hand: tuple[float, float] = (9e9, 9e9)) -> list[Sight]:
    """Return a face that is in view until `until_s`, and near from `near_s` on."""
    return [
        Sight(k / FPS, 0.3 if k / FPS >= near_s else 0.08, 1.0, not hand[0] <= k / FPS <= hand[1])
        for k in range(round(until_s * FPS))
    ]


def scene(*people: tuple[str, list[truth.Interval], list[truth.Interval]]) -> truth.SceneTruth:
    """Return a scene of people (label, may, must)."""
    claims = [Person(k + 1, truth.VISITOR, "a.png", [Claim(*p)]) for k, p in enumerate(people)]
    return truth.SceneTruth("0.mp4", "alone", FPS, 10.0, 640, 480, [], claims, [])


def test_a_face_must_be_decided_once_it_was_near_for_long_enough() -> None:
    (claim,) = truth.claims(seen(8.0, near_s=2.0), [Worn(MASKED, 0, 8)], FPS)
    assert claim.may == [(0.0, 7.9 + HOLD_S)]
    ((begin, end),) = claim.must
    assert begin == pytest.approx(2.0 + DECIDE_S, abs=0.11)
    assert end == 7.9


def test_a_hand_and_a_slow_camera_give_more_time() -> None:
    (with_hand,) = truth.claims(seen(8.0, 2.0, hand=(2.5, 4.0)), [Worn(MASKED, 0, 8)], FPS)
    assert with_hand.must[0][0] == pytest.approx(2.0 + DECIDE_S + 1.6, abs=0.11)
    slow = [s for s in seen(12.0) if s.t * 2 == int(s.t * 2)]
    (claim,) = truth.claims(slow, [Worn(MASKED, 0, 12)], 2.0)
    assert claim.must[0][0] >= 2.5


def test_a_face_that_is_hidden_need_not_be_decided() -> None:
    sights = [s._replace(visible=0.2) if 4 <= s.t < 5 else s for s in seen(10.0)]
    (claim,) = truth.claims(sights, [Worn(UNMASKED, 0, 10)], FPS)
    assert [m[0] for m in claim.must] == pytest.approx([1.9, 6.9], abs=0.11)
    assert claim.must[0][1] < 4


def test_both_labels_may_be_shown_while_a_mask_is_put_on() -> None:
    worn = [Worn(UNMASKED, 0, 4.8), Worn(MASKED, 4.0, 12)]
    bare, masked = truth.claims(seen(12.0), worn, FPS)
    assert bare.must == [(pytest.approx(DECIDE_S - 0.1, abs=0.11), 4.0)]
    assert masked.may[0][0] == 4.0
    assert bare.may[0][1] == pytest.approx(4.8 + CHANGE_S)
    assert masked.must[0][0] >= 4.8 + CHANGE_S - 0.11
    both = msgspec.structs.replace(scene(), people=[Person(1, truth.VISITOR, "a.png", [bare, masked])])
    assert {PASS, STOP} <= truth.lights(both, 6.0).allowed
    assert truth.lights(both, 6.0).required is None
    assert truth.lights(both, 3.5).required == {STOP}
    assert truth.lights(both, 10.0).required == {PASS}
    assert STOP not in truth.lights(both, 10.0).allowed


@pytest.mark.parametrize(
    ("labels", "allowed", "required"),
    [
        ([], {IDLE}, {IDLE}),
        ([MASKED], {IDLE, PASS}, {PASS}),
        ([MASKED, MASKED], {IDLE, PASS}, {PASS}),
        ([UNMASKED], {IDLE, STOP}, {STOP}),
        ([AGITATED], {IDLE, STOP, ALARM}, {STOP, ALARM}),
        ([MASKED, UNMASKED], {IDLE, STOP}, {STOP}),
        ([MASKED, AGITATED], {IDLE, STOP, ALARM}, {STOP, ALARM}),
    ],
)
def test_the_lights_for_a_group(labels: list[str], allowed: set[Signal], required: set[Signal]) -> None:
    right = truth.lights(scene(*[(label, [(0.0, 9.0)], [(2.0, 8.0)]) for label in labels]), 5.0)
    assert (right.allowed, right.required) == (allowed, required)


def test_green_may_wait_for_somebody_who_comes_but_red_may_not() -> None:
    comes = (MASKED, [(4.0, 9.0)], [(7.0, 8.0)])
    assert truth.lights(scene((MASKED, [(0, 9)], [(2, 8)]), comes), 5.0).required is None
    bare = scene((UNMASKED, [(0, 9)], [(2, 8)]), comes)
    assert truth.lights(bare, 5.0).required == {STOP}
    late = scene((MASKED, [(0, 9)], [(2, 8)]), (UNMASKED, [(4.0, 9.0)], [(7.0, 8.0)]))
    assert truth.lights(late, 5.0).allowed == {IDLE, PASS, STOP}  # not decided yet: either is right


def written(folder: Path) -> Path:
    (folder / "0.mp4").write_bytes(b"")
    people = scene((MASKED, [(0, 9)], [(2, 8)]))
    truth.write(folder, truth.Truth(truth.VERSION, "val", 3, "H.264", [people, people]))
    return folder / truth.FILE


def test_a_truth_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert len(written(tmp_path).read_text().splitlines()) == 4  # a scene a line
    read = truth.read(tmp_path)
    assert (read.split, read.seed, len(read.scenes)) == ("val", 3, 2)
    assert read.scenes[0] == scene((MASKED, [(0, 9)], [(2, 8)]))


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('"split"', "split", "not JSON"),
        ('"version":2', '"version":1', "field 'version'"),
        ('"fps":10.0', '"fps":"x"', "field 'scenes[0].fps'"),
        ('"label":"masked"', '"label":"scarf"', "scene 0: field 'label'"),
        ('"file":"0.mp4"', '"file":"1.mp4"', "scene 0: field 'file': no such video"),
    ],
)
def test_a_wrong_truth_is_named(tmp_path: Path, old: str, new: str, named: str) -> None:
    path = written(tmp_path)
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(DataError, match=r"truth\.json") as caught:
        truth.read(tmp_path)
    assert named in str(caught.value)


def test_a_folder_without_truth_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"truth\.json: cannot be read"):
        truth.read(tmp_path)


@pytest.mark.parametrize(
    ("label", "right", "kept"),
    [
        (MASKED, "incorrect", False),
        (MASKED, "unknown", False),
        (MASKED, "no_mask", False),
        (MASKED, "mask", True),
        (UNMASKED, "no_mask", True),
        (UNMASKED, "mask", False),
        (MASKED, "not_a_face", True),
    ],
)
def test_scenes_that_contradict_a_corrected_label_are_left_out(
    label: str,
    right: str,
    kept: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    corrections = tmp_path / "corrections.jsonl"
    corrections.write_text('{"file": "a.png", "faces": [{"box": [1, 2, 3, 4], "label": "' + right + '"}]}\n')
    monkeypatch.setattr(truth, "CORRECTIONS", corrections)
    corrected = scene((label, [(0.0, 5.0)], []))
    other = msgspec.structs.replace(corrected, people=[msgspec.structs.replace(corrected.people[0], file="b.png")])
    (tmp_path / "0.mp4").touch()
    truth.write(tmp_path, truth.Truth(truth.VERSION, "val", 1, "H.264", [corrected, other]))
    assert len(truth.read(tmp_path).scenes) == 1 + kept
    assert ("1 scene left out" in capsys.readouterr().err) is not kept
