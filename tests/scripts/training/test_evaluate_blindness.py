"""evaluate_blindness.py: the choice of photographs, the halves, and the tables."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("sklearn", reason="training.evaluate needs the extra: pip install .[train]")
pytest.importorskip("tqdm", reason="training.evaluate needs the extra: pip install .[train]")

from support.clip import EMPTY_S, frame_at
from training import evaluate_blindness
from training.evaluate_blindness import Judged, candidates_table, main, report_table


def result(
    kind: str, group: str, choosing: bool, detail: float, reason: str | None = None, face: bool = False
) -> Judged:
    return Judged(kind, group, choosing, detail, reason, face)


def test_detail_reason_and_face_decide() -> None:
    assert result("hand", "", True, 1.0).is_blind(2.0)
    assert not result("hand", "", True, 3.0).is_blind(2.0)
    assert not result("dim", "people", True, 1.0, face=True).is_blind(2.0)
    assert result("no signal", "", True, 30.0, "one colour (blue)").is_blind(0.0)


def test_each_half_has_its_table() -> None:
    results = [
        *[result("dim", "people", False, 1.0), result("dim", "people", False, 9.0)],
        *[result("hand", "", False, 1.0), result("hand", "", True, 9.0)],
    ]
    report = report_table(results, 2.0)
    assert "| dim | – | 1 of 2: 50.0 %" in report
    assert "| hand | 0 of 1: 0.0 %" in report
    assert "| – | – | – | 100.0 % (20.7 to 100.0) |" in candidates_table(results)


def test_a_small_data_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = []
    for k in range(2):
        picture = np.roll(frame_at(EMPTY_S), 40 * k, axis=1)
        cv2.imwrite(str(tmp_path / f"{k}.jpg"), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        rows.append({"file": f"{k}.jpg", "source": "doors", "width": 640, "height": 480, "faces": []})
    (tmp_path / "index.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["--data", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    for kind in evaluate_blindness.BLIND_KINDS:
        assert f"| {kind} | " in printed


def test_data_without_photographs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "index.jsonl").write_text("")
    assert main(["--data", str(tmp_path)]) != 0
    assert "evaluate_blindness: " in capsys.readouterr().err
