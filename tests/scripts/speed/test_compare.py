"""The command speed.compare."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from edge.inference import manifest
from speed import check, compare, scenes
from speed.measure import Pipeline, Timing
from support.paths import ROOT, SCRIPTS
from support.speed import FakePipeline, scene_of


def test_the_table_has_ratios_to_the_first_pipeline() -> None:
    timings = {
        "ours": Timing([2.0, 1.0, 3.0], [9.0] * 3, 1.0),
        "AIZOO, network alone": Timing([14.0] * 3, [9.0] * 3, 0.0),
    }
    lines = compare.table("one face", timings).splitlines()
    assert lines[1].split() == ["ours", "2", "(1.5", "to", "2.5)", "1.00", "1.0"]
    assert lines[2].split() == ["AIZOO,", "network", "alone", "14", "(14", "to", "14)", "7.00"]


@pytest.mark.parametrize(
    ("given", "code", "message"),
    [
        (["nowhere.mp4"], 66, "nowhere.mp4: no such file"),
        (["{tmp}/grey.png"], 66, "grey.png: shows no person who is alone"),
        (["--aizoo", "nowhere.tflite"], 69, "nowhere.tflite: cannot be read"),
        (["--aizoo", "{tmp}/text.tflite"], 69, "text.tflite: is not a TFLite model"),
        (["--ultralight", "{detector}"], 69, "face_detector.tflite: its input is not one float picture"),
        (["--mobilenet", "{tmp}/text.tflite"], 69, "text.tflite: is not a TFLite model"),
        (["--models", "{tmp}"], 69, "manifest.toml"),
        (["--config", "nowhere.toml"], 78, "nowhere.toml"),
    ],
)
@pytest.mark.parametrize("command", [compare, check])
def test_bad_input_is_one_line(
    command: Any, given: list[str], code: int, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cv2.imwrite(str(tmp_path / "grey.png"), np.full((480, 640, 3), 120, np.uint8))
    (tmp_path / "text.tflite").write_text("no model\n" * 20)
    models = manifest.load()
    filled = [g.format(tmp=tmp_path, detector=models.folder / models["face_detector"].file) for g in given]
    assert command.main([*filled, "--json"]) == code
    out, err = capsys.readouterr()
    assert out == ""
    lines = [line for line in err.splitlines() if line.startswith(f"{command.__name__}: ")]
    assert len(lines) == 1
    assert message in lines[0]


@pytest.mark.parametrize("given", [["--rounds", "0"], ["--rounds", "x"], ["--ssd", "one"]])
def test_wrong_arguments_are_usage_errors(given: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        compare.main(given)
    assert stopped.value.code == 2


class FakeComparison:
    """A comparison of two fake pipelines on one scene."""

    fps = 5.0
    perception = SimpleNamespace(runtime="none")

    def __init__(self, args: Any) -> None:
        self.scenes = {"one face": lambda: scene_of(4)}
        clock: list[float] = [0.0]
        self.pipelines = [FakePipeline("ours", 0.1, clock, []), FakePipeline("theirs", 0.2, clock, [])]

    def time(self, scene: str, pipelines: Sequence[Pipeline], rounds: int) -> dict[str, Timing]:
        return {p.name: Timing([float(k + 1)] * rounds, [1.0] * rounds, 1.0) for k, p in enumerate(pipelines)}


def test_the_command_prints_tables_or_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(compare, "Comparison", FakeComparison)
    assert compare.main(["--rounds", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "processor time, median of 2 rounds, in turn on the same frames"
    assert lines[-1].split() == ["theirs", "2", "(2", "to", "2)", "2.00", "1.0"]
    assert compare.main(["--rounds", "2", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["threads"], report["width"], report["rounds"]) == (1, 640, 2)
    assert report["scenes"]["one face"]["theirs"]["times_ours"] == 2


def test_two_rounds_with_the_real_door(footage: scenes.Footage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenes, "collect_footage", lambda *_: {"unmasked": footage["unmasked"]})
    args = Namespace(config=None, models=None, aizoo=None, ultralight=None, mobilenet=None, ssd=None, footage="")
    comparison = compare.Comparison(args)
    assert list(comparison.scenes) == ["one settled face, unmasked", "one new face, unmasked", "ten faces"]
    assert comparison.config.models.threads == 1
    monkeypatch.setattr(compare, "ROUND_S", 0.4)
    timings = comparison.time("one new face, unmasked", comparison.pipelines, 2)
    assert list(timings) == ["Doorlight, frame to light"]
    assert len(timings["Doorlight, frame to light"].cpu_ms) == 2
    assert timings["Doorlight, frame to light"].faces == 1


@pytest.mark.train
def test_the_real_tutorial_pipelines(footage: scenes.Footage, tmp_path: Path) -> None:
    """Keras, its port to TFLite and the Haar cascade, in a child process because of TensorFlow's threads."""
    assert cv2.imwrite(str(tmp_path / "bare.png"), footage["unmasked"][-1].picture[:, :, ::-1])
    command = [sys.executable, "-m", "speed.compare", str(tmp_path / "bare.png")]
    path = os.pathsep.join([str(ROOT), str(SCRIPTS), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [*command, "--mobilenet", "build", "--rounds", "1", "--json"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": path},
    )
    assert done.returncode == 0, done.stderr
    scene = json.loads(done.stdout)["scenes"]["one settled face, unmasked"]
    assert list(scene)[1:] == ["tutorial: Haar + Keras predict", "tutorial, ported: Haar + TFLite"]
    assert {name: row["faces"] for name, row in scene.items()} == dict.fromkeys(scene, 1.0)
