"""Settings tried on recorded walk-ups: the recording gives what the door shows, and a setting changes it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

pytest.importorskip("sklearn", reason="training.metrics needs the extra: pip install .[train]")
pytest.importorskip("matplotlib", reason="training.plots needs the extra: pip install .[train]")

from edge import config
from edge.camera.factory import open_source
from edge.door import decisions
from edge.inference import manifest
from edge.inference.perception import Perception
from edge.pipeline import Pipeline
from support.paths import CLIP
from training import recording, sweep, sweep_settings
from training.evaluation.passages import read_truth
from training.walkups import truth

TRUTH = [{"kind": "masked", "start_s": 2.0, "end_s": 6.0}, {"kind": "unmasked", "start_s": 8.0, "end_s": 12.0}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sweep")
    (out / "truth.json").write_text(json.dumps(TRUTH))
    return out


def run(folder: Path, *arguments: str) -> int:
    given = ["--video", str(CLIP), "--truth", str(folder / "truth.json"), "--out", str(folder / "out")]
    return sweep.main([*given, *arguments])


def test_settings_change_the_figures(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "--set", "policy.min_decide_s=0.4,30") == 0
    rows = json.loads((folder / "out" / "sweep.json").read_text())
    assert [row["value"] for row in rows] == [None, 0.4, 30]
    assert rows[0]["masked"] == rows[1]["masked"]
    assert rows[1]["masked"]["right"] == 1
    assert rows[2]["masked"]["right"] == 0, "nobody is decided within half a minute"
    assert (folder / "out" / "policy.min_decide_s.png").is_file()
    assert "policy.min_decide_s = 30" in capsys.readouterr().out


def test_a_recording_shows_the_lights_that_the_video_shows(folder: Path) -> None:
    settings, models = config.load(), manifest.load()
    perception = Perception(settings, models)
    with open_source(settings.camera, str(CLIP)) as source:
        shown = [(d.t, d.signal) for _, d in decisions(Pipeline(settings, perception), source)]
    replay = recording.Replay(recording.load(folder / "out" / "recording.npz"), perception)
    assert replay.signals(settings, models["face_detector"].threshold) == shown
    assert replay.figures(settings, 0.99, read_truth(folder / "truth.json"))["masked"] != {}


def test_values_around_all_numbers_are_tried_in_one_picture(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sweep_settings, "FACTORS", (1.0, 9.0))
    monkeypatch.setattr(sweep_settings, "number_keys", lambda _: ["policy.min_looks", "tracker.new_score"])
    kept = ("--recording", str(folder / "out"), "--out", str(folder / "all"))
    assert run(folder, "--all", "--jobs", "2", *kept) == 0
    rows = json.loads((folder / "all" / "sweep.json").read_text())
    tried = [(row["key"], row["value"]) for row in rows[1:]]
    assert tried == [("policy.min_looks", 4), ("policy.min_looks", 36), ("tracker.new_score", 0.8)]
    assert rows[1]["masked"] == rows[3]["masked"] == rows[0]["masked"]
    assert rows[2]["masked"]["median_decision_s"] > rows[0]["masked"]["median_decision_s"]
    assert (folder / "all" / "all.png").stat().st_size < 150_000
    assert not (folder / "all" / "recording.npz").exists()
    assert "policy.min_looks = 36" in capsys.readouterr().out


def test_the_scenes_of_make_walkups_can_be_played(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenes, kept = folder / "scenes", folder / "kept"
    claims = [truth.Claim("masked", [(1.5, 8.0)], [(4.0, 5.5)])]
    people = [truth.Person(1, truth.VISITOR, "a.png", claims)]
    scene = truth.SceneTruth("0.mp4", "alone", 10.0, 13.0, 640, 480, [], people, [[]] * 130)
    for path in (scenes, kept):
        path.mkdir()
    (scenes / "0.mp4").write_bytes(b"")
    truth.write(scenes, truth.Truth(truth.VERSION, "val", 1, "MPEG-4", [scene, scene]))
    shutil.copy(folder / "out" / "recording.npz", kept / "0.npz")
    arguments = ["--video", str(scenes), "--recording", str(kept), "--out", str(folder / "curves"), "--every", "2"]
    assert sweep.main([*arguments, "--set", "policy.min_looks=4,90"]) == 0
    rows = json.loads((folder / "curves" / "sweep.json").read_text())
    assert [row["masked_right"]["hits"] for row in rows] == [1, 1, 0]
    assert rows[0]["scenes"] == 1
    assert "masked 1/1" in capsys.readouterr().out
    assert (folder / "curves" / "policy.min_looks.png").is_file()


def test_a_video_needs_its_truth(folder: Path) -> None:
    with pytest.raises(SystemExit):
        sweep.main(["--video", str(CLIP), "--out", str(folder / "out")])


def test_all_numbers_of_tracker_and_policy_can_be_tried() -> None:
    settings = config.load()
    names = {f"{section}.{name}" for section in ("tracker", "policy") for name in vars_of(settings, section)}
    assert set(sweep_settings.number_keys(settings)) == names
    for key in names:
        assert len(sweep_settings.around(settings, key)) >= 2, key


def vars_of(settings: config.Config, section: str) -> tuple[str, ...]:
    fields: tuple[str, ...] = getattr(settings, section).__struct_fields__
    return fields


@pytest.mark.parametrize(
    "item",
    [
        "policy.min_decide_s",
        "policy.nonsense=1",
        "nonsense=1",
        "policy.min_looks=x",
        "detector.nms_iou=0.3",  # acts before the recording
        "expression.enabled=1",
        "lights.brightness=1",
        "policy.masked_threshold=2.5",  # above change_to_masked
        "tracker.new_score=1.5",
    ],
)
def test_a_setting_that_does_not_exist_is_refused(folder: Path, item: str) -> None:
    with pytest.raises(SystemExit) as caught:
        run(folder, "--set", item)
    assert caught.value.code == 2
