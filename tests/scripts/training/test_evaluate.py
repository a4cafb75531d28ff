"""evaluate.py: every rule of its figures, on pictures made here; no TensorFlow and no PyTorch."""

from __future__ import annotations

import importlib.util
import json
import math
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from support.paths import SCRIPTS

pytest.importorskip("sklearn", reason="training.evaluate needs the extra: pip install .[train]")
pytest.importorskip("tqdm", reason="training.evaluate needs the extra: pip install .[train]")

from edge import config
from edge.errors import ModelError
from edge.inference import manifest
from edge.records import Box, Detection, Signal
from edge.timing import NO_TIMER
from training import contact_sheet, evaluate, metrics, passages
from training.dataset import EXPRESSIONS, DataError, Dataset, Face
from training.passages import Passage, judge, read_truth

needs_matplotlib = pytest.mark.skipif(
    importlib.util.find_spec("matplotlib") is None, reason="drawing needs the extra: pip install .[train]"
)


def shipped_models() -> set[str]:
    try:
        return set(manifest.load())
    except ModelError:
        return set()


needs_models = pytest.mark.skipif(
    not shipped_models() >= set(manifest.MODEL_NAMES), reason="models_tflite/ is not complete yet"
)

# ---- A world where faces are rectangles: red 200; green is the detector's score, blue what the classifiers say (/255).


class FakeDetector:
    threshold = 0.5

    def detect(self, picture: np.ndarray, threshold: float | None = None) -> list[Detection]:
        _, _, stats, centres = cv2.connectedComponentsWithStats((picture[..., 0] == 200).astype(np.uint8))
        found = []
        for (x, y, w, h, _), centre in zip(stats[1:], centres[1:], strict=True):
            score = float(picture[round(centre[1]), round(centre[0]), 1]) / 255
            if score >= (self.threshold if threshold is None else threshold):
                found.append(Detection(Box(float(x), float(y), float(x + w), float(y + h)), score))
        return sorted(found, key=lambda d: -d.score)


class FakeMask:
    threshold = 0.6

    def probability(self, picture: np.ndarray, box: Box) -> float:
        return float(picture[int(box.y1 + box.y2) // 2, int(box.x1 + box.x2) // 2, 2]) / 255

    def probability_of_crop(self, picture: np.ndarray) -> float:
        return float(picture[picture.shape[0] // 2, picture.shape[1] // 2, 2]) / 255


class FakeExpression:
    """Says the expression whose number is blue / 10, with 0.4; the others share the rest. Labels in another order."""

    labels = tuple(reversed(EXPRESSIONS))

    def probabilities(self, picture: np.ndarray, box: Box) -> tuple[float, ...]:
        return self.probabilities_of_crop(picture[int(box.y1) : int(box.y2), int(box.x1) : int(box.x2)])

    def probabilities_of_crop(self, picture: np.ndarray) -> tuple[float, ...]:
        said = EXPRESSIONS[int(picture[picture.shape[0] // 2, picture.shape[1] // 2, 2]) // 10]
        return tuple(0.4 if label == said else 0.1 for label in self.labels)


STAGES = evaluate.Stages(FakeDetector(), FakeMask(), FakeExpression(), 0.65)  # type: ignore[arg-type]


def scene(*faces: tuple[tuple[int, int, int, int], float, float], size: tuple[int, int] = (200, 150)) -> np.ndarray:
    """A picture (H, W, 3) RGB with faces ((x1, y1, x2, y2), score 0..1, blue 0..1)."""
    picture = np.full((size[1], size[0], 3), 60, np.uint8)
    for (x1, y1, x2, y2), score, blue in faces:
        picture[y1:y2, x1:x2] = 200, round(score * 255), round(blue * 255)
    return picture


def crop(blue: float) -> np.ndarray:
    return scene(((0, 0, 48, 48), 0.0, blue), size=(48, 48))


class World:
    """A data set in the making."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: list[dict[str, Any]] = []

    def add(self, picture: np.ndarray, source: str = "made", **fields: Any) -> str:
        name = f"{source}/{len(self.rows):04d}.png"
        (self.folder / source).mkdir(exist_ok=True)
        assert cv2.imwrite(str(self.folder / name), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        row = {"file": name, "source": source, "width": picture.shape[1], "height": picture.shape[0], **fields}
        self.rows.append(row)
        return name

    def write(self) -> Path:
        (self.folder / "index.jsonl").write_text("".join(json.dumps(r) + "\n" for r in self.rows))
        return self.folder

    def judge(self, task: str) -> dict[str, Any]:
        data = Dataset(self.write())
        figures: dict[str, Any] = evaluate.TASKS[task](data, data.records, STAGES).figures
        return figures


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def human(box: tuple[int, int, int, int], label: str = "no_mask") -> dict[str, Any]:
    return {"box": list(box), "label": label, "by": "human"}


A, B, SMALL = (10, 10, 50, 60), (100, 20, 140, 80), (180, 5, 190, 17)  # 33 %, 40 % and 8 % of the height


# ---------------------------------------------------------------- detector


def test_detector_counts_what_is_big_enough_and_not_ignored(world: World) -> None:
    # Found, found below the shipped threshold, missed, too small (and found), to be ignored (and found).
    world.add(
        scene((A, 0.9, 0), (B, 0.3, 0), (SMALL, 0.95, 0), ((60, 100, 90, 140), 0.99, 0)),
        faces=[human(A), human(B), human((150, 60, 190, 140)), human(SMALL), human((60, 100, 90, 140), "ignore")],
    )
    figures = world.judge("detector")
    assert (figures["images"], figures["faces"]) == (1, 3)
    assert figures["ap35_h10"] == pytest.approx(2 / 3)
    assert figures["recall"] == pytest.approx(1 / 3)
    assert figures["precision"] == 1.0
    assert figures["empty_fp"] is None


def test_detector_heights_and_overlaps(world: World) -> None:
    low = (10, 100, 40, 125)  # 17 % of the height
    loose = (100, 20, 140, 60)  # IoU with what is found there (B): 2/3
    world.add(scene((B, 0.9, 0), (low, 0.8, 0)), faces=[human(loose), human(low)])
    tight = (10, 10, 50, 30)  # IoU with A 0.4: found at 0.35, not at 0.5
    world.add(scene((A, 0.7, 0)), faces=[human(tight)])
    figures = world.judge("detector")
    assert figures["faces"] == 3
    assert figures["ap35_h10"] == 1.0
    assert figures["ap50_h10"] == pytest.approx(2 / 3)
    assert figures["ap35_h20"] == 1.0  # `tight` is 13 % high: only `loose` is asked for
    assert figures["precision"] == 1.0


def test_detector_false_boxes_cost_precision(world: World) -> None:
    world.add(scene((A, 0.8, 0), (B, 0.9, 0)), faces=[human(A)])
    figures = world.judge("detector")
    assert figures["precision"] == 0.5
    assert figures["recall"] == 1.0
    assert figures["ap35_h10"] == 0.5  # the false one comes first


def test_detector_empty_pictures_at_the_shipped_threshold(world: World) -> None:
    world.add(scene((A, 0.9, 0)), faces=[])
    world.add(scene((A, 0.4, 0)), faces=[])
    world.add(scene(), faces=[])
    world.add(scene(), faces=[])
    world.add(scene((A, 0.9, 0)))  # nobody looked for faces
    world.add(crop(0.5), crop=True, faces=[])
    world.add(scene((A, 0.9, 0)), faces=[{"box": list(B), "label": "mask", "by": "teacher"}])
    figures = world.judge("detector")
    assert figures["empty_fp"] == 0.25
    assert (figures["images"], figures["faces"], figures["ap35_h10"], figures["recall"]) == (0, 0, None, None)


def test_detector_finds_what_a_teacher_boxed(world: World) -> None:
    """A box of ours that the teacher lacks is no mistake: the teacher misses faces."""

    def taught(box: tuple[int, int, int, int], score: float = 0.9) -> dict[str, Any]:
        return {"box": list(box), "label": "mask", "by": "teacher", "score": score, "looks": 3}

    world.add(scene((A, 0.9, 0), (B, 0.9, 0)), "wild", faces=[taught(A)])
    world.add(scene((A, 0.4, 0)), "wild", faces=[taught(A), taught(B, 0.3), taught(SMALL)])  # unsure, too small
    world.add(scene((A, 0.9, 0)), "ilc", faces=[human(A), taught(B)])
    figures = world.judge("detector")
    assert (figures["taught_images"], figures["taught_faces"], figures["taught_recall"]) == (2, 2, 0.5)
    assert (figures["images"], figures["faces"], figures["recall"], figures["precision"]) == (1, 1, 1.0, 1.0)
    assert figures["per_source"]["wild"]["taught_recall"] == 0.5
    assert figures["per_source"]["ilc"]["taught_recall"] is None


def test_detector_counts_who_would_be_new(world: World) -> None:
    for score in (0.9, 0.6, 0.4, 0.0):
        world.add(scene((A, score, 0)), faces=[])
    figures = world.judge("detector")
    assert (figures["empty_fp"], figures["empty_new"]) == (0.5, 0.25)
    assert figures["empty_new_95"] == pytest.approx((0.046, 0.699), abs=1e-3)
    data = Dataset(world.folder)
    without = evaluate.evaluate_detector(data, data.records, STAGES._replace(new_score=None)).figures
    assert "empty_new" not in without


def test_intervals() -> None:
    assert metrics.wilson(0, 0) is None
    assert metrics.wilson(10, 10) == (pytest.approx(0.722, abs=1e-3), 1.0)
    hit, miss = (metrics.Matched(np.array([0.9]), np.array([0]), np.array([face]), 1) for face in (0, -1))
    assert metrics.ap_interval([hit] * 5) == (1.0, 1.0)
    low, high = metrics.ap_interval([hit, miss] * 10)
    assert 0 < low < high < 1


def test_detector_figures_by_source(world: World) -> None:
    world.add(scene((A, 0.9, 0)), "ilc", faces=[human(A)])
    world.add(scene((B, 0.8, 0)), "maks", faces=[human(A), human(B)])
    world.add(scene((B, 0.8, 0)), "bikes", faces=[])
    figures = world.judge("detector")
    own = figures["per_source"]
    assert list(own) == ["bikes", "ilc", "maks"]
    assert [own[s]["ap35_h10"] for s in own] == [None, 1.0, 0.5]
    assert [own[s]["faces"] for s in own] == [0, 1, 2]
    assert [own[s]["empty_fp"] for s in own] == [1.0, None, None]
    assert (figures["ap35_h10"], figures["empty_fp"], figures["empty_images"]) == (pytest.approx(2 / 3), 1.0, 1)


@needs_matplotlib
def test_detector_sheet_shows_what_the_figures_count(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, right = (10, 10, 29, 60), (31, 10, 50, 60)  # both are A, IoU 0.475: one of them is one too many
    world.add(
        scene((left, 0.8, 0), (right, 0.7, 0), (B, 0.95, 0), (SMALL, 0.9, 0), ((60, 100, 90, 140), 0.3, 0)),
        faces=[human(A), human((150, 60, 190, 140))],
    )
    world.add(scene((SMALL, 0.6, 0)), faces=[])  # without a face every box is a false one, however small
    data = Dataset(world.write())
    result = evaluate.evaluate_detector(data, data.records, STAGES)
    shown: list[contact_sheet.Mistake] = []
    monkeypatch.setattr(evaluate, "_sheet", lambda _d, _r, groups, _o: shown.extend(m for g in groups for m in g))
    result.draw(tmp_path)
    assert [m.lines[-1] for m in shown] == ["false 0.95", "false 0.70", "no face 0.60", "missed no_mask 53%"]
    assert [m.box for m in shown[:2]] == [Box(*B), Box(*right)]
    assert (result.figures["precision"], result.figures["recall"]) == (pytest.approx(1 / 3), 0.5)


def test_pair_uses_each_detection_once_and_the_best_fit_first() -> None:
    faces = [Face((0, 0, 10, 10), "mask", "human"), Face((2, 0, 12, 10), "mask", "human")]
    found = [Detection(Box(2, 0, 12, 10), 0.6), Detection(Box(50, 50, 60, 60), 0.9)]
    assert evaluate.pair(faces, found) == [None, 0]
    assert evaluate.pair(faces, []) == [None, None]
    assert evaluate.pair([], found) == []


# ---------------------------------------------------------------- mask


def test_mask_on_human_boxes(world: World) -> None:
    far = (150, 100, 190, 145)
    world.add(
        scene((A, 0.9, 0.9), (B, 0.9, 0.55), (SMALL, 0.9, 0.9)),
        "ilc",
        faces=[human(A, "mask"), human(B, "mask"), human(far, "no_mask"), human(SMALL, "no_mask")],
        label="no_mask",  # boxes say more than the picture's label
    )
    world.add(scene((A, 0.9, 0.2), (B, 0.9, 0.8)), "maks", faces=[human(A, "incorrect"), human(B, "incorrect")])
    world.add(scene((A, 0.4, 0.2)), "maks", faces=[human(A, "incorrect")])  # below the shipped score: not found
    figures = world.judge("mask")
    # Right: A. Wrong: B (0.55 is below the manifest's 0.6), far (not found). SMALL is not asked for.
    assert (figures["n"], figures["no_face"]) == (3, 1)
    assert figures["accuracy"] == pytest.approx(1 / 3)
    assert figures["balanced_accuracy"] == 0.25
    assert figures["auc"] is None  # no face without a mask was found
    assert figures["incorrect_refused"] == 0.5
    assert figures["per_source"] == {
        "ilc": {"accuracy": pytest.approx(1 / 3), "n": 3, "no_face": 1, "incorrect_refused": None},
        "maks": {"accuracy": None, "n": 0, "no_face": 0, "incorrect_refused": 0.5},
    }


def test_mask_by_picture_label_takes_the_largest_face(world: World) -> None:
    world.add(scene((A, 0.99, 0.1), (B, 0.6, 0.9)), label="mask")  # B is larger, A surer
    world.add(scene((A, 0.9, 0.1)), label="no_mask", faces=[{"box": list(B), "label": "mask", "by": "teacher"}])
    world.add(scene(), label="no_mask")
    world.add(crop(0.95), "k12", label="mask", crop=True)
    world.add(crop(0.7), "k12", label="no_mask", crop=True)
    world.add(scene((A, 0.9, 0.1)))  # without a label: not judged
    figures = world.judge("mask")
    assert (figures["n"], figures["no_face"]) == (5, 1)
    assert figures["accuracy"] == pytest.approx(3 / 5)
    assert figures["balanced_accuracy"] == pytest.approx((1 + 1 / 3) / 2)
    assert figures["auc"] == 1.0
    assert figures["incorrect_refused"] is None
    assert figures["per_source"]["k12"]["accuracy"] == 0.5


# ---------------------------------------------------------------- expression


def said(expression: str) -> float:
    """The blue that makes FakeExpression say so."""
    return EXPRESSIONS.index(expression) * 10 / 255


def test_expression_crops_and_pictures(world: World) -> None:
    world.add(crop(said("angry")), expression="angry", crop=True)
    world.add(crop(said("happy")), expression="sad", crop=True)
    world.add(scene((A, 0.9, said("fear")), (B, 0.9, said("sad"))), expression="sad")  # B is the larger
    world.add(scene(), expression="happy")
    world.add(scene((A, 0.9, 0)), label="no_mask")
    figures = world.judge("expression")
    assert (figures["n"], figures["no_face"]) == (4, 1)
    assert figures["accuracy"] == 0.5
    assert figures["agitated_auc"] == 1.0
    counts = np.array(figures["confusion"])
    assert counts.shape == (7, 7)
    angry, happy, sad = (EXPRESSIONS.index(e) for e in ("angry", "happy", "sad"))
    assert counts.sum() == 3
    assert (counts[angry, angry], counts[sad, happy], counts[sad, sad]) == (1, 1, 1)
    assert figures["macro_f1"] == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert (figures["votes_accuracy"], figures["votes_n"], figures["votes_agitated_auc"]) == (None, 0, None)


def test_expression_votes(world: World) -> None:
    #           a  d  f  h  s  su n  c  u  not
    clear = [6, 0, 0, 2, 0, 0, 0, 2, 0, 0]
    half = [3, 2, 0, 5, 0, 0, 0, 0, 0, 0]  # half is not more than half; but half is agitated
    other = [0, 0, 0, 0, 0, 0, 0, 9, 1, 0]  # contempt is none of the seven
    happy = [0, 0, 0, 9, 0, 0, 0, 0, 0, 0]
    for votes, answer in ((clear, "disgust"), (half, "angry"), (other, "sad"), (happy, "happy")):
        world.add(crop(said(answer)), expression="happy", votes=votes, crop=True)
    figures = world.judge("expression")
    assert (figures["votes_n"], figures["votes_accuracy"]) == (2, 0.5)
    assert figures["votes_agitated_auc"] == 1.0
    assert figures["agitated_auc"] is None
    assert figures["accuracy"] == 0.25


def test_majority_is_of_all_votes() -> None:
    assert evaluate.majority([5, 0, 0, 0, 0, 0, 0, 4, 0, 0]) == "angry"
    assert evaluate.majority([5, 0, 0, 0, 0, 0, 0, 5, 0, 0]) is None
    assert evaluate.majority([0] * 10) is None
    assert evaluate.majority(None) is None
    assert evaluate.mostly_agitated([2, 3, 0, 0, 0, 0, 0, 5, 0, 0])
    assert not evaluate.mostly_agitated([2, 2, 0, 0, 0, 0, 0, 5, 0, 0])
    assert not evaluate.mostly_agitated([0] * 10)


# ---------------------------------------------------------------- passages


def lights(*spans: tuple[float, Signal], end: float) -> list[tuple[float, Signal]]:
    """Ten frames a second; each span lasts until the next."""
    return [(k / 10, [s for t, s in spans if t <= k / 10][-1]) for k in range(round(end * 10))]


IDLE, PASS, STOP, ALARM = Signal.IDLE, Signal.PASS, Signal.STOP, Signal.ALARM


def test_passages_are_judged_by_their_last_light_and_by_any_wrong_one() -> None:
    shown = lights((0, IDLE), (2, STOP), (2.5, PASS), (5, IDLE), (11, STOP), (12, ALARM), (15, IDLE), end=20)
    outcomes, empty = judge([Passage("masked", 1, 4.5), Passage("agitated", 10, 14.5)], shown)
    masked, agitated = outcomes
    assert (masked.right, masked.wrong_t, masked.alarm, masked.decided_s) == (True, 2.0, False, 1.0)
    assert (agitated.right, agitated.wrong_t, agitated.alarm, agitated.decided_s) == (True, None, True, 1.0)
    assert empty == 0.0
    figures = passages.passage_figures(outcomes, empty)
    assert figures["masked"] == {"n": 1, "right": 1, "wrong_light_ever": 1, "alarm": 0, "median_decision_s": 1.0}
    assert figures["unmasked"] == {"n": 0, "right": 0, "wrong_light_ever": 0, "alarm": 0, "median_decision_s": None}


def test_passages_never_decided_are_not_right() -> None:
    outcomes, empty = judge([Passage("masked", 0, 4)], lights((0, IDLE), end=5))
    assert (outcomes[0].right, outcomes[0].wrong_t, outcomes[0].decided_s) == (False, None, None)
    assert empty is None  # the video ends before the scene counts as empty


@pytest.mark.parametrize(
    ("until", "wrong", "decided_s"),
    [
        (2.5, False, None),  # the previous person's green goes out soon after the next one came
        (3.5, True, 1.0),  # it stays: after two seconds it is shown to the wrong one
    ],
)
def test_passages_tell_a_leftover_light_from_a_wrong_one(until: float, wrong: bool, decided_s: float | None) -> None:
    shown = lights((0, IDLE), (0.5, PASS), (until, IDLE), end=6)
    outcomes, _ = judge([Passage("masked", 0, 1), Passage("unmasked", 2, 5)], shown)
    assert (outcomes[1].wrong_t is not None, outcomes[1].decided_s) == (wrong, decided_s)
    assert outcomes[0].right


def test_passages_a_light_that_comes_again_is_not_a_leftover() -> None:
    shown = lights((0, PASS), (2.1, IDLE), (2.3, PASS), (2.5, STOP), end=6)
    outcomes, _ = judge([Passage("masked", 0, 1), Passage("unmasked", 2, 5)], shown)
    assert outcomes[1].wrong_t == 2.3
    assert outcomes[1].right


def test_passages_lights_in_an_empty_scene() -> None:
    # Empty: 0 to 1 and 5 to 10. Lit: 0 to 0.5, and 5 to 6.
    shown = lights((0, STOP), (0.5, IDLE), (2, PASS), (6, IDLE), end=10)
    _, empty = judge([Passage("masked", 1, 3)], shown)
    assert empty == pytest.approx(14 / 59)  # the frame at 5.0 s is still within the two seconds


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("{", "not JSON"),
        ("[]", "at least one"),
        ("[3]", "passage 0"),
        (
            '[{"kind": "masked", "start_s": 0, "end_s": 1}, {"kind": "calm", "start_s": 0, "end_s": 1}]',
            "passage 1: field 'kind'",
        ),
        ('[{"kind": "masked", "end_s": 1}]', "field 'start_s'"),
        ('[{"kind": "masked", "start_s": NaN, "end_s": 1}]', "field 'start_s'"),
        ('[{"kind": "masked", "start_s": 2, "end_s": 1}]', "field 'end_s'"),
    ],
)
def test_truth_that_is_wrong_is_named(tmp_path: Path, text: str, named: str) -> None:
    truth = tmp_path / "truth.json"
    truth.write_text(text)
    with pytest.raises(DataError, match=r"truth\.json") as caught:
        read_truth(truth)
    assert named in str(caught.value)


class FakePerception:
    """Faces are bright: green ones wear a mask, red ones do not."""

    expression = None
    runtime = "fake"
    timer = NO_TIMER

    def __init__(self, *_: Any) -> None:
        self.detector = SimpleNamespace(detect=self._detect)

    def _detect(self, picture: np.ndarray) -> list[Detection]:
        bright = (picture.max(axis=2) > 150).astype(np.uint8)
        x, y, w, h = cv2.boundingRect(bright)
        return [Detection(Box(x, y, x + w, y + h), 0.9)] if w > 4 else []

    def detect(self, frame: Any) -> list[Detection]:
        return self._detect(frame.picture)

    def classify(self, picture: np.ndarray, found: Detection) -> Any:
        from edge.records import Face as Seen

        x1, y1, x2, y2 = (int(v) for v in found.box)
        red, green, _ = picture[y1:y2, x1:x2].reshape(-1, 3).mean(axis=0)
        return Seen(found.box, found.score, 0.97 if green > red else 0.03)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """12 s at 10 frames/s: nobody, green from 1 to 4, nobody, red from 7 to 10, nobody."""
    path = tmp_path / "walk.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (160, 120))  # type: ignore[attr-defined]
    for k in range(120):
        frame = np.full((120, 160, 3), 40, np.uint8)
        for start, colour in ((10, (40, 220, 40)), (70, (40, 40, 220))):
            if start <= k < start + 30:
                size = 30 + (k - start)
                frame[20 : 20 + size, 50 : 50 + size] = colour
        writer.write(frame)
    writer.release()
    (tmp_path / "truth.json").write_text(
        '[{"kind": "masked", "start_s": 1, "end_s": 4}, {"kind": "unmasked", "start_s": 7, "end_s": 10}]'
    )
    return path


@pytest.mark.parametrize("drawn", [False, pytest.param(True, marks=needs_matplotlib)])
def test_passages_run_through_the_door(
    video: Path, drawn: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(evaluate, "Perception", FakePerception)
    monkeypatch.setattr(evaluate.manifest, "load", lambda _: None)
    truth = video.parent / "truth.json"
    out = ["--out", str(video.parent / "out")] if drawn else []
    assert evaluate.main(["passages", "--video", str(video), "--truth", str(truth), *out]) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(figures) == {"masked", "unmasked", "agitated", "light_while_empty"}
    for kind in ("masked", "unmasked"):
        assert (figures[kind]["n"], figures[kind]["right"], figures[kind]["wrong_light_ever"]) == (1, 1, 0)
        assert 0 < figures[kind]["median_decision_s"] < 2
    assert figures["light_while_empty"] == 0.0
    for name in ("timeline", "confusion", "worst") if drawn else ():
        assert cv2.imread(str(video.parent / "out" / f"{name}.png")) is not None


@pytest.mark.parametrize(
    ("start", "code", "named"), [(60, 65, "passage 0: field 'start_s'"), (None, 66, "no such file")]
)
def test_passages_that_do_not_fit_the_video(
    video: Path,
    start: int | None,
    code: int,
    named: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(evaluate, "Perception", FakePerception)
    monkeypatch.setattr(evaluate.manifest, "load", lambda _: None)
    truth = video.parent / "other.json"
    truth.write_text(json.dumps([{"kind": "masked", "start_s": start or 1, "end_s": 90}]))
    film = video if start else video.parent / "nothing.avi"
    assert evaluate.main(["passages", "--video", str(film), "--truth", str(truth)]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert named in err


# ---------------------------------------------------------------- the command


@pytest.fixture
def faked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate.manifest, "load", lambda _: None)
    monkeypatch.setattr(evaluate, "open_stages", lambda *_: STAGES)


KEYS = {
    "detector": (
        "ap35_h10 ap35_h10_95 ap35_h20 ap35_h20_95 ap50_h10 ap50_h10_95 ap50_h20 ap50_h20_95 "
        "recall recall_95 precision taught_recall taught_recall_95 empty_fp empty_fp_95 empty_new empty_new_95 "
        "images faces taught_images taught_faces empty_images per_source"
    ),
    "mask": "accuracy balanced_accuracy auc n no_face per_source incorrect_refused",
    "expression": "accuracy macro_f1 agitated_auc n no_face confusion votes_accuracy votes_n votes_agitated_auc",
}


@needs_matplotlib
@pytest.mark.usefixtures("faked")
@pytest.mark.parametrize("task", KEYS)
@pytest.mark.parametrize("full", [True, False])
def test_command_prints_json_last_and_draws(
    world: World, tmp_path: Path, task: str, full: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    if full:
        votes = [9, 1, 0, 0, 0, 0, 0, 0, 0, 0]
        world.add(scene((A, 0.9, 0.9), (B, 0.8, 0.1)), faces=[human(A, "mask"), human((1, 90, 30, 140), "incorrect")])
        world.add(scene((A, 0.9, said("angry"))), label="no_mask", expression="angry")
        world.add(crop(said("happy")), label="no_mask", expression="disgust", votes=votes, crop=True)
        world.add(crop(said("happy")), label="mask", expression="happy", votes=votes[::-1], crop=True)
        world.add(scene((A, 0.9, 0.9)), faces=[])
    else:
        world.add(scene())  # nothing that any task could judge: figures are null, and the drawings still come
    out = tmp_path / "out"
    assert evaluate.main([task, "--data", str(world.write()), "--out", str(out)]) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1], parse_constant=lambda c: pytest.fail(c))
    assert " ".join(figures) == KEYS[task]
    assert json.loads((out / "metrics.json").read_text()) == figures
    drawn = {p.name for p in out.glob("*.png")}
    assert drawn >= {"precision_recall.png", "scores.png", "reliability.png", "worst.png"}
    for path in out.glob("*.png"):
        assert cv2.imread(str(path)) is not None, path


def broken_zip(world: World) -> None:
    """The second picture's bytes are damaged inside images.zip."""
    with zipfile.ZipFile(world.folder / "images.zip", "w", zipfile.ZIP_STORED) as archive:
        for row in world.rows:
            archive.write(world.folder / row["file"], row["file"])
    with zipfile.ZipFile(world.folder / "images.zip") as archive:
        info = archive.getinfo(world.rows[1]["file"])
    data = bytearray((world.folder / "images.zip").read_bytes())
    middle = info.header_offset + 30 + len(info.filename) + info.file_size // 2
    data[middle : middle + 8] = b"\0" * 8
    (world.folder / "images.zip").write_bytes(bytes(data))


def set_field(name: str, value: Any) -> Any:
    return lambda world: world.rows[1].update({name: value})


@pytest.mark.usefixtures("faked")
@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (set_field("label", "masked"), ("index.jsonl:2", "'label'")),
        (set_field("faces", [human((300, 10, 320, 40))]), ("index.jsonl:2", "'faces[0].box'")),
        (set_field("faces", [human(A, "beard")]), ("index.jsonl:2", "'faces[0].label'")),
        (set_field("votes", [1, 2]), ("index.jsonl:2", "'votes'")),
        (set_field("width", 201), ("made/0001.png", "'width'")),
        (lambda w: (w.folder / "made/0001.png").unlink(), ("made/0001.png", "'file'")),
        (lambda w: (w.folder / "made/0001.png").write_bytes(b"no picture"), ("made/0001.png", "'file'")),
        (broken_zip, ("made/0001.png", "'file'")),
    ],
    ids=["label", "box", "face label", "votes", "width", "missing", "not a picture", "zip"],
)
def test_bad_data_is_named_before_any_figure(
    world: World,
    damage: Any,
    named: tuple[str, str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(FakeDetector, "detect", lambda *_: pytest.fail("inference has begun"))
    for _ in range(2):
        world.add(scene((A, 0.9, 0.9)), faces=[human(A)])
    damage(world)
    assert evaluate.main(["mask", "--data", str(world.write())]) == 65
    out, err = capsys.readouterr()
    assert out == ""
    for part in named:
        assert part in err


@pytest.mark.usefixtures("faked")
def test_sources_and_splits_choose(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    for k in range(3):
        world.add(crop(0.9), "fer2013", label="mask", crop=True, split="Training" if k else "PublicTest")
    world.add(crop(0.9), "other", label="mask", crop=True)
    folder = str(world.write())

    def n(*arguments: str) -> Any:
        assert evaluate.main(["mask", "--data", folder, *arguments]) == 0
        return json.loads(capsys.readouterr().out.splitlines()[-1])["n"]

    assert n() == 4
    assert n("--sources", "fer2013") == 3
    assert n("--sources", "fer2013", "--split", "val") == 1
    assert evaluate.main(["mask", "--data", folder, "--sources", "fer2013", "--split", "test"]) == 65
    assert "split 'test'" in capsys.readouterr().err
    assert evaluate.main(["mask", "--data", folder, "--sources", "nowhere"]) == 65
    assert "nowhere" in capsys.readouterr().err


def test_a_source_keeps_its_split_when_judged_alone(world: World) -> None:
    rng = np.random.default_rng(1)
    for k in range(40):
        picture = cv2.resize(rng.integers(0, 256, (6, 8, 3), np.uint8), (80, 60))
        world.add(picture, "a", label="mask")
        # A twin in a source that sorts later or earlier: the pair's family is named by the smaller file name.
        world.add(picture, "0" if k % 2 else "z", label="mask")
    folder = world.write()
    for split in evaluate.SPLITS:
        together = {r.file for r in evaluate.choose([folder], None, split)[1] if r.source == "z"}
        assert {r.file for r in evaluate.choose([folder], ["z"], split)[1]} == together


def test_missing_models_end_in_their_own_exit_code(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world.add(crop(0.5), label="mask", crop=True)
    assert evaluate.main(["mask", "--data", str(world.write()), "--models", str(tmp_path)]) == 69
    assert "manifest.toml" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["mask"], ["passages", "--video", "x.mp4"], ["nothing"]])
def test_usage(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        evaluate.main(arguments)
    assert caught.value.code == 2


@needs_models
@pytest.mark.parametrize("task", KEYS)
def test_the_shipped_models_as_a_command(world: World, task: str) -> None:
    rng = np.random.default_rng(2)
    world.add(rng.integers(0, 256, (150, 200, 3), np.uint8), faces=[])
    world.add(scene(), faces=[human(A)], label="no_mask", expression="happy")
    world.add(crop(0.5), label="mask", expression="angry", votes=[9, 1, 0, 0, 0, 0, 0, 0, 0, 0], crop=True)
    command = [sys.executable, "-m", "training.evaluate", task, "--data", str(world.write())]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=SCRIPTS)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert " ".join(figures) == KEYS[task]
    assert all(v is None or not isinstance(v, float) or math.isfinite(v) for v in figures.values())


def test_detector_is_judged_on_more_than_the_door_looks_at(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(evaluate, "Model", lambda *_: None)
    monkeypatch.setattr(evaluate, "FaceDetector", lambda model, threshold, overlap, most: asked.append(most))
    monkeypatch.setattr(evaluate, "MaskClassifier", lambda model: None)
    shipped = config.load()
    for task in ("detector", "mask"):
        evaluate.open_stages(task, shipped, {}, None)  # type: ignore[arg-type]
    assert asked == [10_000, shipped.detector.max_faces]
