"""Explanations by the shipped models, of the demo's person. No figure of a model is expected, only which way it speaks."""

from __future__ import annotations

import subprocess
import sys

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from msgspec.structs import replace

from edge import config
from edge.errors import InputError, UsageError
from edge.explain import black_box, people, sheet
from edge.explain.explanation import Explanation, MaskedError, Stage, explain, percent
from edge.explain.methods import Method
from edge.explain.people import Person, explain_people, find_people
from edge.inference import manifest
from edge.inference.perception import Perception
from edge.records import Box
from support.clip import EMPTY_S, MASKED_S, UNMASKED_S, frame_at
from support.paths import ROOT

CONFIG = config.load()
Picture = npt.NDArray[np.uint8]
pytestmark = pytest.mark.usefixtures("coarse_maps")


@pytest.fixture(scope="module")
def perception() -> Perception:
    return Perception(CONFIG, manifest.load())


@pytest.fixture(scope="module")
def masked() -> Picture:
    return frame_at(MASKED_S)


@pytest.fixture(scope="module")
def bare() -> Picture:
    return frame_at(UNMASKED_S)


@pytest.fixture(scope="module")
def both(masked: Picture, bare: Picture) -> Picture:
    """A picture of two people: without a mask at the left, with one at the right."""
    return np.concatenate([bare, masked], 1)


def explained(person: Person) -> Explanation:
    assert person.explanation is not None
    return person.explanation


@pytest.mark.parametrize("method", list(Method))
def test_the_score_is_the_doors_own(perception: Perception, masked: Picture, bare: Picture, method: Method) -> None:
    for picture, verdict in ((masked, "mask, "), (bare, "no mask, ")):
        (box,) = find_people(perception, picture)
        found = explain(perception, picture, box, Stage.MASK, method)
        assert found.probability == pytest.approx(perception.mask.probability(picture, box), abs=1e-6)
        assert found.verdict.startswith(verdict)
        assert found.answer == "a mask"
        size = perception.mask.model.entry.input.shape[1]
        assert found.heat.shape == (size, size)
        assert found.pixels.shape == (size, size, 3)
        assert np.isfinite(found.heat).all()
        assert np.abs(found.heat).max() > 0


def test_the_lower_half_of_a_bare_face_speaks_against_a_mask(perception: Perception, bare: Picture) -> None:
    (box,) = find_people(perception, bare)
    regions = dict(explain(perception, bare, box, Stage.MASK).regions)
    names = {region.value: value for region, value in regions.items()}
    assert min(names["mouth"], names["nose"], names["chin"]) < 0


def test_blurring_what_speaks_for_an_answer_weakens_it(perception: Perception, bare: Picture) -> None:
    """Otherwise the map would name other pixels than those that the model uses."""
    (box,) = find_people(perception, bare)
    question = black_box.mask_box(perception.mask, bare, box)
    for method in Method:
        heat = explain(perception, bare, box, Stage.MASK, method).heat
        low, high = np.quantile(heat, (0.3, 0.7))
        without_against = question.score((heat > low).astype(np.float32))
        without_for = question.score((heat < high).astype(np.float32))
        assert without_against > without_for, method


def test_expression_stage(perception: Perception, bare: Picture) -> None:
    (box,) = find_people(perception, bare)
    assert perception.expression is not None
    given = dict(zip(perception.expression.labels, perception.expression.probabilities(bare, box), strict=True))
    found = explain(perception, bare, box, Stage.EXPRESSION)
    assert found.answer == max(given, key=lambda label: given[label])
    assert found.probability == pytest.approx(given[found.answer], abs=1e-6)


def test_agitated_expressions_count_as_one(perception: Perception, bare: Picture) -> None:
    (box,) = find_people(perception, bare)
    assert perception.expression is not None
    labels = perception.expression.labels
    given = dict(zip(labels, perception.expression.probabilities(bare, box), strict=True))
    best = max(given, key=lambda label: given[label])
    other = next(label for label in labels if label != best)
    found = black_box.expression_box(perception.expression, bare, box, (other, best))
    assert found.answer == " or ".join(label for label in labels if label in (best, other))
    whole = found.score(np.ones((found.size, found.size), np.float32))
    assert 1 / (1 + np.exp(-whole)) == pytest.approx(given[best] + given[other], abs=1e-6)


def test_face_stage(perception: Perception, masked: Picture) -> None:
    (found,) = perception.detector.detect(masked)
    explanation = explain(perception, masked, found.box, Stage.FACE)
    assert explanation.probability == pytest.approx(found.score, abs=1e-3)
    assert explanation.answer == "a face"
    values = {region.value: value for region, value in explanation.regions}
    face = [values[name] for name in ("eyes", "nose", "mouth")]
    assert np.mean(face) > values["surroundings"]


@pytest.mark.parametrize("stage", list(Stage))
def test_boxes_at_the_border_of_the_picture(perception: Perception, bare: Picture, stage: Stage) -> None:
    height, width = bare.shape[:2]
    for box in (Box(-60, -60, 90, 100), Box(width - 80.0, height - 90.0, width + 60.0, height + 40.0), Box(5, 5, 6, 6)):
        try:
            explanation = explain(perception, bare, box, stage, Method.LIME)
        except MaskedError:
            continue
        assert np.isfinite(explanation.heat).all()
        assert sheet.panel(Person(1, box, explanation), bare).dtype == np.uint8


def test_expression_of_a_masked_face(perception: Perception, masked: Picture) -> None:
    (box,) = find_people(perception, masked)
    with pytest.raises(MaskedError, match="wears a mask"):
        explain(perception, masked, box, Stage.EXPRESSION)


def test_expression_that_the_settings_turn_off(bare: Picture) -> None:
    off = replace(CONFIG, expression=replace(CONFIG.expression, enabled=False))
    without = Perception(off, manifest.load())
    (box,) = find_people(without, bare)
    with pytest.raises(UsageError, match=r"\[expression\] enabled = false"):
        explain(without, bare, box, Stage.EXPRESSION)
    assert explain(without, bare, box, Stage.MASK).answer == "a mask"


def test_people_are_numbered_from_the_left(perception: Perception, both: Picture) -> None:
    called = []
    faces, found = explain_people(perception, both, "x.jpg", on_person=lambda k, n: called.append((k, n)))
    assert len(faces) == 2
    assert called == [(1, 2), (2, 2)]
    assert [person.number for person in found] == [1, 2]
    assert explained(found[0]).verdict.startswith("no mask")
    assert explained(found[1]).verdict.startswith("mask")
    _, (second,) = explain_people(perception, both, "x.jpg", number=2)
    assert second.number == 2
    assert explained(second).heat.tobytes() == explained(found[1]).heat.tobytes()


def test_a_masked_person_among_others_has_a_reason(perception: Perception, both: Picture) -> None:
    faces, found = explain_people(perception, both, "x.jpg", Stage.EXPRESSION)
    assert [person.explanation is None for person in found] == [False, True]
    assert "wears a mask" in found[1].reason
    assert sheet.draw(both, faces, found).shape[2] == 3
    with pytest.raises(InputError, match=r"x\.jpg: person 2 wears a mask"):
        explain_people(perception, both, "x.jpg", Stage.EXPRESSION, number=2)


def test_everyone_masked(perception: Perception, masked: Picture) -> None:
    two = np.concatenate([masked, masked], 1)
    with pytest.raises(InputError, match=r"x\.jpg: everyone wears a mask"):
        explain_people(perception, two, "x.jpg", Stage.EXPRESSION)


def test_no_face(perception: Perception) -> None:
    with pytest.raises(InputError, match="no face found"):
        explain_people(perception, frame_at(EMPTY_S), "x.jpg")


def test_a_person_who_is_not_there(perception: Perception, both: Picture, masked: Picture) -> None:
    with pytest.raises(UsageError, match="--person 3: no such person") as several:
        explain_people(perception, both, "x.jpg", number=3)
    assert "1 to 2" in several.value.hint
    with pytest.raises(UsageError) as single:
        explain_people(perception, masked, "x.jpg", number=2)
    assert "leave out --person" in single.value.hint


@pytest.mark.parametrize("count", [1, 2, 5, 11])
def test_sheets_of_any_number(
    perception: Perception, bare: Picture, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    (box,) = find_people(perception, bare)
    one = explain(perception, bare, box, method=Method.LIME)
    monkeypatch.setattr(people, "explain", lambda *_: one)
    monkeypatch.setattr(people, "find_people", lambda *_: [box] * count)
    faces, found = explain_people(perception, bare, "x.jpg")
    drawn = sheet.draw(bare, faces, found)
    assert drawn.dtype == np.uint8
    assert drawn.shape[1] % sheet.PANEL_WIDTH_PX == 0
    assert drawn.shape[0] < 65_000  # what a PNG viewer shows


def test_colours_differ_for_colour_blind_people() -> None:
    """Blue and orange differ in blue, which red-green blindness leaves; and the legend's text is dark enough on paper."""
    assert abs(sheet.FOR[2] - sheet.AGAINST[2]) > 150
    for colour in (sheet.AGAINST, tuple(round(0.8 * v) for v in sheet.FOR), sheet.INK, sheet.SOFT):
        light = [(v / 255 / 12.92 if v / 255 <= 0.04045 else ((v / 255 + 0.055) / 1.055) ** 2.4) for v in colour]
        luminance = 0.2126 * light[0] + 0.7152 * light[1] + 0.0722 * light[2]
        assert 1.05 / (luminance + 0.05) > 4.0, colour


def test_an_empty_map_is_grey(perception: Perception, bare: Picture) -> None:
    """The colours of a map without differences would be noise."""
    (box,) = find_people(perception, bare)
    question = black_box.mask_box(perception.mask, bare, box)
    from dataclasses import replace as changed

    one = explain(perception, bare, box, method=Method.LIME)
    empty = changed(one, heat=np.zeros_like(one.heat))
    tile = sheet.heat_tile(empty, bare)
    assert question.size == one.pixels.shape[0]
    assert (tile[..., 0] == tile[..., 1]).all()
    assert (tile[..., 1] == tile[..., 2]).all()


def test_percentages_are_never_100() -> None:
    assert [percent(p) for p in (0.5, 0.949, 0.996, 0.9994, 0.9996, 1.0)] == [
        "50 %", "95 %", "99.6 %", "99.9 %", "more than 99.9 %", "more than 99.9 %"
    ]  # fmt: skip


def test_the_door_does_not_load_it() -> None:
    """The memory and the start of the door pay nothing for explanations."""
    program = (
        "import sys, edge.commands.run_door, edge.door, edge.annotate, edge.drawing\n"
        "print([name for name in sys.modules if name.startswith('edge.explain')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_a_score_at_the_end_of_8_bits_is_a_bound(perception: Perception, bare: Picture) -> None:
    """A stored 255 stands for everything above, so the sheet says that the score may be stronger."""
    (box,) = find_people(perception, bare)
    one = explain(perception, bare, box, method=Method.LIME)
    assert perception.mask.model.raw("probabilities").dtype in (np.uint8, np.int8)
    from dataclasses import replace as changed

    assert "or stronger" in sheet.score_line(changed(one, is_bounded=True))
    assert "or stronger" not in sheet.score_line(changed(one, is_bounded=False))
    assert np.isfinite(black_box.logit(perception.mask.probability_of_crop(np.zeros((128, 128, 3), np.uint8))))


def test_blurred_pictures_have_no_detail(bare: Picture) -> None:
    small = np.asarray(cv2.resize(bare, (128, 128)), np.uint8)
    assert cv2.Laplacian(black_box.blurred(small), cv2.CV_32F).std() < 0.1 * cv2.Laplacian(small, cv2.CV_32F).std()
