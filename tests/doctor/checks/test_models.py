"""Check `models`."""

from __future__ import annotations

import shutil
from pathlib import Path

from edge.inference import manifest
from support.doctor import FakeMachine, only
from support.paths import CLIP

STILL = CLIP.with_name("still.jpg")


def test_every_damaged_model_is_named(machine: FakeMachine, tmp_path: Path) -> None:
    shutil.copytree(manifest.find_shipped_models(), tmp_path / "models")
    (tmp_path / "models/mask_classifier.tflite").write_bytes(b"something else")
    (tmp_path / "models/face_detector.tflite").unlink()
    findings = machine.check("models", models=str(tmp_path / "models"))
    assert [finding.severity for finding in findings] == ["bad", "bad"]
    assert "face_detector.tflite: cannot be read" in findings[0].message
    assert "mask_classifier.tflite: is damaged" in findings[1].message
    camera = machine.check("camera", models=str(tmp_path / "models"), source=str(STILL))[-1]
    assert "see the check models" in camera.message


def test_intact_models_are_ok(machine: FakeMachine) -> None:
    finding = only(machine.check("models"))
    assert finding.severity == "ok"
    assert "sha256 OK" in finding.message
