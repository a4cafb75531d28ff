"""The lights of the whole door: how they are judged, and a video that the door watches."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("sklearn", reason="training.evaluation needs the extra: pip install .[train]")
pytest.importorskip("tqdm", reason="training.evaluation needs the extra: pip install .[train]")

from edge.inference import manifest
from edge.records import Box, Detection, Signal
from edge.records import Face as SeenFace
from edge.timing import NO_TIMER
from support.evaluation import needs_matplotlib
from training import evaluate
from training.evaluation import passages
from training.evaluation.passages import Passage, judge, read_truth
from training.records import DataError


def lights(*spans: tuple[float, Signal], end: float) -> list[tuple[float, Signal]]:
    """Return (t, signal) at ten frames a second. Each signal lasts until the next one."""
    return [(k / 10, [s for t, s in spans if t <= k / 10][-1]) for k in range(round(end * 10))]


IDLE, PASS, STOP, ALARM = Signal.IDLE, Signal.PASS, Signal.STOP, Signal.ALARM


def test_the_last_light_and_any_wrong_light_count() -> None:
    shown = lights((0, IDLE), (2, STOP), (2.5, PASS), (5, IDLE), (11, STOP), (12, ALARM), (15, IDLE), end=20)
    outcomes, empty = judge([Passage("masked", 1, 4.5), Passage("agitated", 10, 14.5)], shown)
    masked, agitated = outcomes
    assert (masked.is_right, masked.wrong_t, masked.alarm, masked.decided_s) == (True, 2.0, False, 1.0)
    assert (agitated.is_right, agitated.wrong_t, agitated.alarm, agitated.decided_s) == (True, None, True, 1.0)
    assert empty == 0.0
    figures = passages.passage_figures(outcomes, empty)
    assert figures["masked"] == {"n": 1, "right": 1, "wrong_light_ever": 1, "alarm": 0, "median_decision_s": 1.0}
    assert figures["unmasked"] == {"n": 0, "right": 0, "wrong_light_ever": 0, "alarm": 0, "median_decision_s": None}


def test_a_passage_without_a_light_is_not_right() -> None:
    outcomes, empty = judge([Passage("masked", 0, 4)], lights((0, IDLE), end=5))
    assert (outcomes[0].is_right, outcomes[0].wrong_t, outcomes[0].decided_s) == (False, None, None)
    assert empty is None  # the video ends before the scene counts as empty


@pytest.mark.parametrize(
    ("until", "wrong", "decided_s"),
    [
        (2.5, False, None),  # the green of the previous person goes off soon after the next one came
        (3.5, True, 1.0),  # it stays: after two seconds it counts for the next person
    ],
)
def test_a_leftover_light_becomes_wrong_after_two_seconds(until: float, wrong: bool, decided_s: float | None) -> None:
    shown = lights((0, IDLE), (0.5, PASS), (until, IDLE), end=6)
    outcomes, _ = judge([Passage("masked", 0, 1), Passage("unmasked", 2, 5)], shown)
    assert (outcomes[1].wrong_t is not None, outcomes[1].decided_s) == (wrong, decided_s)
    assert outcomes[0].is_right


def test_a_light_that_comes_again_is_not_a_leftover() -> None:
    shown = lights((0, PASS), (2.1, IDLE), (2.3, PASS), (2.5, STOP), end=6)
    outcomes, _ = judge([Passage("masked", 0, 1), Passage("unmasked", 2, 5)], shown)
    assert outcomes[1].wrong_t == 2.3
    assert outcomes[1].is_right


def test_lights_in_an_empty_scene() -> None:
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
def test_a_wrong_truth_file_is_named(tmp_path: Path, text: str, named: str) -> None:
    truth = tmp_path / "truth.json"
    truth.write_text(text)
    with pytest.raises(DataError, match=r"truth\.json") as caught:
        read_truth(truth)
    assert named in str(caught.value)


class FakePerception:
    """Finds bright rectangles: green ones wear a mask, red ones do not."""

    expression = None
    masked_expression = None
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
        x1, y1, x2, y2 = (int(v) for v in found.box)
        red, green, _ = picture[y1:y2, x1:x2].reshape(-1, 3).mean(axis=0)
        return SeenFace(found.box, found.score, 0.97 if green > red else 0.03)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Return a video of 12 s at 10 frames/s: empty, green from 1 to 4, empty, red from 7 to 10, empty."""
    path = tmp_path / "walk.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (160, 120))  # type: ignore[attr-defined]
    # A wall without anything in it would be a covered lens.
    y, x = np.mgrid[0:120, 0:160]
    wall = np.repeat((60 + 30 * np.sin(x / 9) + 20 * np.sin(y / 7))[:, :, None], 3, 2).astype(np.uint8)
    for k in range(120):
        frame = wall.copy()
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
def test_a_video_runs_through_the_door(
    video: Path, drawn: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(passages, "Perception", FakePerception)
    monkeypatch.setattr(manifest, "load", lambda _: None)
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
def test_a_truth_that_does_not_fit_the_video_is_named(
    video: Path,
    start: int | None,
    code: int,
    named: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(passages, "Perception", FakePerception)
    monkeypatch.setattr(manifest, "load", lambda _: None)
    truth = video.parent / "other.json"
    truth.write_text(json.dumps([{"kind": "masked", "start_s": start or 1, "end_s": 90}]))
    film = video if start else video.parent / "nothing.avi"
    assert evaluate.main(["passages", "--video", str(film), "--truth", str(truth)]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert named in err
