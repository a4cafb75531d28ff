"""What belongs to the laboratory stays out of the product: above all the model of age and sex."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from edge.inference import manifest
from support.paths import ROOT

#: In the name of any file of the laboratory model.
NAME = "age_sex"


def test_no_model_of_the_product_knows_age_or_sex() -> None:
    known = {*manifest.MODEL_NAMES, *manifest.OPTIONAL_MODEL_NAMES}
    shipped = manifest.load(ROOT / "models_tflite")
    assert set(shipped) <= known
    words = {word for row in shipped.values() for label in row.labels for word in label.split("_")}
    assert not words & {"male", "female", "man", "woman", "sex", "gender", "age", "years"}
    listed = {row.file for row in shipped.values()} | {row.edgetpu.file for row in shipped.values() if row.edgetpu}
    assert {path.name for path in (ROOT / "models_tflite").glob("*.tflite")} == listed


def test_the_wheel_takes_only_the_package_and_its_models() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]["targets"]
    assert build["wheel"] == {"packages": ["edge"], "force-include": {"models_tflite": "edge/models_tflite"}}


def test_nothing_of_the_laboratory_model_is_in_a_folder_that_is_installed() -> None:
    folders = (ROOT / "edge", ROOT / "models_tflite", ROOT / "systemd")
    assert [path for folder in folders for path in folder.rglob(f"*{NAME}*")] == []
    # Nor is the model itself anywhere else among the sources.
    assert list((ROOT / "scripts").rglob(f"*{NAME}*.tflite")) == []


def test_a_wheel_that_is_built_holds_nothing_of_it(tmp_path: Path) -> None:
    pytest.importorskip("hatchling", reason="building a wheel needs hatchling: pip install hatchling")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    [wheel] = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "edge/models_tflite/mask_classifier.tflite" in names
    assert [name for name in names if NAME in name or name.startswith(("scripts/", "training/"))] == []
