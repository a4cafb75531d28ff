"""The training code from end to end, on a tiny set made on the fly: train, kill, resume, export, evaluate."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("default")]

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"
EXPRESSIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


def _face(picture: np.ndarray, x: int, y: int, size: int, masked: bool, mood: int, rng: np.random.Generator) -> None:
    skin = tuple(int(v) for v in rng.integers(90, 220, 3))
    cv2.ellipse(picture, (x, y), (int(size * 0.38), size // 2), 0, 0, 360, skin, -1)
    for side in (-1, 1):
        cv2.circle(picture, (x + side * size // 6, y - size // 8), max(1, size // 14), (20, 20, 20), -1)
    if masked:
        cv2.rectangle(
            picture, (x - size // 3, y + size // 20), (x + size // 3, y + int(size * 0.42)), (200, 120, 60), -1
        )
    else:
        bend = 20 + 20 * mood
        cv2.ellipse(picture, (x, y + size // 5), (size // 6, size // 12), 0, bend, bend + 140, (30, 30, 150), 2)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """About 150 pictures in the project's format: scenes with boxed faces, crops with labels, 48x48 expressions."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(5)
    rows = []

    def add(name: str, picture: np.ndarray, **fields: object) -> None:
        (folder / name).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(folder / name), picture)
        source = name.split("/")[0]
        rows.append({"file": name, "source": source, "width": picture.shape[1], "height": picture.shape[0], **fields})

    for k in range(60):
        scene = cv2.resize(rng.integers(0, 256, (3, 4, 3), np.uint8), (160, 120), interpolation=cv2.INTER_CUBIC)
        size, masked = int(rng.integers(30, 70)), bool(k % 2)
        x, y = int(rng.integers(45, 115)), int(rng.integers(45, 75))
        _face(scene, x, y, size, masked, k % 7, rng)
        box = [x - size * 0.38, y - size / 2, x + size * 0.38, y + size / 2]
        label = ("mask" if k % 10 else "incorrect") if masked else "no_mask"
        faces = [{"box": box, "label": label, "by": "human"}] if k % 12 else []
        add(f"scenes/{k:03}.png", scene, faces=faces)
    for k in range(90):
        crop = rng.integers(60, 200, (48, 48, 3), np.uint8)
        _face(crop, 24, 24, 46, False, k % 7, rng)
        votes = [0] * 10
        votes[k % 7] = 10
        split = "Training" if k < 60 else "PublicTest"
        add(
            f"fer/{k:03}.png", crop, crop=True, label="no_mask", expression=EXPRESSIONS[k % 7], split=split, votes=votes
        )
    (folder / "index.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    return folder


def _script(name: str, *args: object, check: bool = True, **kw: object) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, str(SCRIPTS / name), *map(str, args)], capture_output=True, text=True, timeout=300, **kw
    )
    if check:
        assert done.returncode == 0, done.stderr[-3000:]
    return done


@pytest.mark.parametrize("model", ["detector", "mask", "expression"])
def test_train_export_evaluate(model: str, data: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    base = tmp_path_factory.getbasetemp()
    run, models = base / f"run-{model}", base / "models"
    plan = ("--data", data, "--out", run, "--steps", 6, "--batch", 6, "--validate-every", 3, "--threads", 2, "--quiet")
    _script("train.py", model, *plan)
    history = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    assert [row["step"] for row in history] == [3, 6]
    assert all(np.isfinite(row["loss"]) for row in history)
    assert (run / "curves.png").stat().st_size > 1000

    done = _script("export.py", model, "--data", data, "--run", run, "--models", models, "--samples", 8)
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["bytes"] < 4_000_000
    name = {"detector": "face_detector", "mask": "mask_classifier", "expression": "expression_classifier"}[model]
    assert f"[{name}]" in (models / "manifest.toml").read_text()
    assert name in (models / f"{name}.md").read_text()

    done = _script("evaluate.py", model, "--data", data, "--models", models, "--split", "all")
    figures = json.loads(done.stdout.splitlines()[-1])
    assert {"detector": "ap35_h10", "mask": "accuracy", "expression": "votes_accuracy"}[model] in figures


def test_a_killed_run_goes_on_where_it_was(data: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        str(SCRIPTS / "train.py"),
        "expression",
        "--data",
        str(data),
        "--out",
        str(tmp_path / "run"),
    ]
    command += ["--steps", "400", "--batch", "4", "--validate-every", "5", "--threads", "2", "--quiet"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    last = tmp_path / "run" / "last.pt"
    deadline = time.monotonic() + 120
    while not last.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert last.exists()
    history = tmp_path / "run" / "history.jsonl"
    before = [json.loads(line)["step"] for line in history.read_text().splitlines()]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while len(history.read_text().splitlines()) <= len(before) and time.monotonic() < deadline + 60:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "goes on from" in said
    steps = [json.loads(line)["step"] for line in history.read_text().splitlines()]
    assert steps == sorted(steps), "a resumed run must not begin again"
    assert steps[len(before)] > 5


def test_a_loss_that_is_no_number_names_the_checkpoint(data: Path, tmp_path: Path) -> None:
    plan = ("--data", data, "--out", tmp_path, "--steps", 60, "--batch", 4, "--validate-every", 5, "--quiet")
    done = _script("train.py", "expression", *plan, "--rate", 1e30, check=False)
    assert done.returncode == 65
    assert "loss is" in done.stderr
    assert "checkpoint" in done.stderr


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda r: r.update(file="scenes/none.png"), "field 'file'"),
        (lambda r: r.update(label="maybe"), "field 'label'"),
        (lambda r: r["faces"][0].update(box=[500, 500, 600, 600]), "faces[0].box"),
        (lambda r: r["faces"][0].update(label="helmet"), "faces[0].label"),
        (lambda r: r.update(width="wide"), "field 'width'"),
    ],
)
def test_damaged_data_is_named_before_training(damage: object, named: str, data: Path, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in (data / "index.jsonl").read_text().splitlines()]
    damage(rows[1])  # type: ignore[operator]
    for folder in ("scenes", "fer"):
        os.symlink(data / folder, tmp_path / folder)
    (tmp_path / "index.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    done = _script("train.py", "mask", "--data", tmp_path, "--out", tmp_path / "run", check=False)
    assert done.returncode == 65
    assert named in done.stderr
    assert not (tmp_path / "run").exists()


def test_an_empty_split_is_named(data: Path, tmp_path: Path) -> None:
    done = _script("train.py", "mask", "--data", data, "--sources", "fer", "--out", tmp_path / "run", check=False)
    assert done.returncode == 65
    assert "holds no face with masked=True" in done.stderr


def test_export_without_a_run_leaves_the_models_alone(data: Path, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    args = ("--data", data, "--run", tmp_path / "none", "--models", tmp_path / "models")
    done = _script("export.py", "mask", *args, check=False)
    assert done.returncode == 65
    assert "train first" in done.stderr
    assert not list((tmp_path / "models").iterdir())
