"""The command training.evaluate, on pictures made here; without TensorFlow and PyTorch."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("sklearn", reason="training.evaluation needs the extra: pip install .[train]")
pytest.importorskip("tqdm", reason="training.evaluation needs the extra: pip install .[train]")

from edge.errors import ModelError
from edge.inference import manifest
from support.evaluation import STAGES, A, B, FakeDetector, World, blue_of, crop, human, needs_matplotlib, scene
from support.paths import SCRIPTS
from training import evaluate
from training.dataset import SPLITS
from training.evaluation.selection import choose


def shipped_models() -> set[str]:
    try:
        return set(manifest.load())
    except ModelError:
        return set()


needs_models = pytest.mark.skipif(
    not shipped_models() >= set(manifest.MODEL_NAMES), reason="models_tflite/ is not complete yet"
)


@pytest.fixture
def faked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "load", lambda _: None)
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
def test_the_command_prints_json_and_draws(
    world: World, tmp_path: Path, task: str, full: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    if full:
        votes = [9, 1, 0, 0, 0, 0, 0, 0, 0, 0]
        world.add(scene((A, 0.9, 0.9), (B, 0.8, 0.1)), faces=[human(A, "mask"), human((1, 90, 30, 140), "incorrect")])
        world.add(scene((A, 0.9, blue_of("angry"))), label="no_mask", expression="angry")
        world.add(crop(blue_of("happy")), label="no_mask", expression="disgust", votes=votes, crop=True)
        world.add(crop(blue_of("happy")), label="mask", expression="happy", votes=votes[::-1], crop=True)
        world.add(scene((A, 0.9, 0.9)), faces=[])
    else:
        world.add(scene())  # no face: figures are null, and there are drawings
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
    """Damage the second picture in images.zip."""
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
def test_bad_data_is_named_before_inference(
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
def test_sources_and_splits_choose_records(world: World, capsys: pytest.CaptureFixture[str]) -> None:
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


def test_a_source_has_the_same_split_alone(world: World) -> None:
    rng = np.random.default_rng(1)
    for k in range(40):
        picture = np.asarray(cv2.resize(rng.integers(0, 256, (6, 8, 3), np.uint8), (80, 60)), np.uint8)
        world.add(picture, "a", label="mask")
        # The same picture in a source that sorts later or earlier: the smaller file name names the family.
        world.add(picture, "0" if k % 2 else "z", label="mask")
    folder = world.write()
    for split in SPLITS:
        together = {r.file for r in choose([folder], None, split)[1] if r.source == "z"}
        assert {r.file for r in choose([folder], ["z"], split)[1]} == together


def test_missing_models_have_their_exit_code(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world.add(crop(0.5), label="mask", crop=True)
    assert evaluate.main(["mask", "--data", str(world.write()), "--models", str(tmp_path)]) == 69
    assert "manifest.toml" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["mask"], ["passages", "--video", "x.mp4"], ["nothing"]])
def test_wrong_arguments_are_usage_errors(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        evaluate.main(arguments)
    assert caught.value.code == 2


@needs_models
@pytest.mark.parametrize("task", KEYS)
def test_the_command_with_the_shipped_models(world: World, task: str) -> None:
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
