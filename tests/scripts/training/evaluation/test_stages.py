"""Opening the stages of a task."""

from __future__ import annotations

import pytest

from edge import config
from training.evaluation import stages


def test_detector_is_judged_on_more_than_the_door_looks_at(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(stages, "Model", lambda *_: None)
    monkeypatch.setattr(stages, "FaceDetector", lambda model, threshold, overlap, most: asked.append(most))
    monkeypatch.setattr(stages, "MaskClassifier", lambda model: None)
    shipped = config.load()
    for task in ("detector", "mask"):
        stages.open_stages(task, shipped, {}, None)  # type: ignore[arg-type]
    assert asked == [10_000, shipped.detector.max_faces]
