"""Opening the stages of a task."""

from __future__ import annotations

import pytest

from edge import config
from training.evaluation import stages


def test_the_evaluation_of_the_detector_keeps_all_faces(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(stages, "Model", lambda *_: None)
    monkeypatch.setattr(stages, "FaceDetector", lambda model, threshold, max_iou, max_faces: asked.append(max_faces))
    monkeypatch.setattr(stages, "MaskClassifier", lambda model: None)
    shipped = config.load()
    for task in ("detector", "mask"):
        stages.open_stages(task, shipped, {}, None)  # type: ignore[arg-type]
    assert asked == [10_000, shipped.detector.max_faces]
