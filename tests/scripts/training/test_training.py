"""The training code from end to end, on a tiny set made on the fly: train, kill, resume, export, evaluate."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from support.paths import SCRIPTS
from support.training import script, script_here
from training import cards

pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("default")]

SHIPPED = SCRIPTS.parent / "models_tflite"
NAMES = {
    "detector": "face_detector",
    "mask": "mask_classifier",
    "expression": "expression_classifier",
    "landmarks": "face_landmarks",
}


@pytest.fixture(autouse=True)
def few_regions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Show a detector that learns in this process fewer face-free regions than a real data set has."""
    from training import detector

    monkeypatch.setattr(detector, "FACE_FREE", 12)
    monkeypatch.setattr(detector, "MINED_REGIONS", 40)


@pytest.mark.parametrize("model", ["detector", "mask", "expression", "landmarks"])
def test_train_export_evaluate(model: str, data: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    base = tmp_path_factory.getbasetemp()
    run, models = base / f"run-{model}", base / "models"
    plan = ("--data", data, "--out", run, "--steps", 6, "--batch", 6, "--validate-every", 3, "--threads", 1, "--quiet")
    start = script if model == "mask" else script_here
    start("train", model, *plan)
    history = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    assert [row["step"] for row in history] == [3, 6]
    assert all(np.isfinite(row["loss"]) for row in history)
    assert (run / "curves.png").stat().st_size > 1000

    done = start("export", model, "--data", data, "--run", run, "--models", models, "--samples", 8)
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["bytes"] < 4_000_000
    name = NAMES[model]
    assert f"[{name}]" in (models / "manifest.toml").read_text()
    card = (models / f"{name}.md").read_text()
    assert name in card
    assert cards.main([str(models)]) == 0
    assert (models / f"{name}.md").read_text() == card, "the export writes the card as a later change of the cards will"

    done = start("evaluate", model, "--data", data, "--models", models, "--split", "all")
    figures = json.loads(done.stdout.splitlines()[-1])
    own = {"detector": "ap35_h10", "mask": "accuracy", "expression": "votes_accuracy", "landmarks": "bare"}
    assert own[model] in figures


@pytest.mark.parametrize("command", [("train", "mask"), ("leave_one_out",)])
def test_a_program_that_starts_itself_again_imports_pytorch_once(command: tuple[str, ...], tmp_path: Path) -> None:
    name, *arguments = command
    program = [
        sys.executable,
        "-X",
        "importtime",
        "-m",
        f"training.{name}",
        *arguments,
        "--data",
        str(tmp_path / "none"),
    ]
    environ = {key: value for key, value in os.environ.items() if not key.startswith("MALLOC_")}
    done = subprocess.run(program, cwd=SCRIPTS, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 65, done.stderr[-3000:]
    assert len(re.findall(r"\| +torch$", done.stderr, re.MULTILINE)) == 1


def test_a_killed_run_goes_on_where_it_was(data: Path, tmp_path: Path) -> None:
    plan = (
        "--data",
        data,
        "--out",
        tmp_path / "run",
        "--steps",
        400,
        "--batch",
        4,
        "--validate-every",
        5,
        "--threads",
        2,
    )
    program = [sys.executable, "-m", "training.train", "expression", *map(str, plan), "--quiet"]
    process = subprocess.Popen(program, cwd=SCRIPTS, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    last = tmp_path / "run" / "last.pt"
    deadline = time.monotonic() + 600
    while not last.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert last.exists()
    history = tmp_path / "run" / "history.jsonl"
    before = [json.loads(line)["step"] for line in history.read_text().splitlines()]
    process = subprocess.Popen(program, cwd=SCRIPTS, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)  # type: ignore[assignment]
    while len(history.read_text().splitlines()) <= len(before) and time.monotonic() < deadline + 60:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "continues from" in said  # type: ignore[operator]
    steps = [json.loads(line)["step"] for line in history.read_text().splitlines()]
    assert steps == sorted(steps), "a resumed run must not begin again"
    assert steps[len(before)] > 5


@pytest.mark.parametrize("name", ["face_detector", "mask_classifier", "expression_classifier", "face_embedding"])
def test_an_exported_model_becomes_the_network_again(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not only its shape: the same answers, with batch norms that have statistics to train with."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import torch

    from edge.inference import manifest
    from edge.inference.interpreter import Model
    from training import embedder_net, nets, tflite_weights

    model = Model(manifest.load(SHIPPED), name)
    _, h, w, c = model.entry.input.shape
    rng = np.random.default_rng(3)
    coarse = [rng.integers(0, 256, (4, 5, c), np.uint8) for _ in range(16)]
    pictures = [cv2.resize(p, (w, h), interpolation=cv2.INTER_CUBIC).reshape(h, w, c) for p in coarse]
    x = nets.normalise(nets.stack(pictures))
    net = {
        "face_detector": nets.FaceDetector,
        "mask_classifier": nets.MaskClassifier,
        "expression_classifier": nets.ExpressionClassifier,
        "face_embedding": embedder_net.Embedder,
    }[name]()
    tflite_weights.restore(net, SHIPPED / model.entry.file, x)
    if isinstance(net, nets.ExpressionClassifier):
        net = net.folded(0.25)
    with torch.no_grad():
        out = net.eval()(x)
    if name == "face_detector":
        ours, key = out[1].sigmoid(), "scores"
    elif name == "face_embedding":
        ours, key = out, "embedding"
    else:
        ours, key = out.softmax(1), "probabilities"
    theirs = []
    for picture in pictures:
        model.invoke(picture)  # type: ignore[arg-type]
        theirs.append(model.dequantized(key))
    # Rounding to 8 bits moves an answer by a few hundredths, another order of layers by halves.
    difference = np.abs(ours.numpy().reshape(16, -1) - np.stack(theirs).reshape(16, -1))
    assert np.quantile(difference, 0.99) < 0.1
    assert difference.mean() < 0.02
    spread = [m.running_var for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert all((v != 1).all() for v in spread), "calibrated, not left as they come"  # type: ignore[union-attr]


@pytest.mark.parametrize("model", ["mask", "expression"])
def test_training_goes_on_from_an_exported_model(model: str, data: Path, tmp_path: Path) -> None:
    """Judged before the first step, so that what comes out is never worse than what went in."""
    plan = ("--data", data, "--out", tmp_path, "--steps", 3, "--batch", 4, "--validate-every", 3, "--quiet")
    arguments = ("train", model, *plan, "--weights", SHIPPED / f"{model}_classifier.tflite")
    script_here(*arguments)
    history = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert [row["step"] for row in history] == [0, 3]
    assert history[0]["loss"] is None
    assert history[1]["loss"] > 0
    assert (tmp_path / "best.pt").is_file()
    script_here(*arguments)
    again = (tmp_path / "history.jsonl").read_text().splitlines()
    assert len(again) == 2, "a finished run is not started again from what it started from"


@pytest.mark.parametrize("model", ["detector", "mask"])
def test_a_full_size_network_is_pruned_and_trained_on(data: Path, tmp_path: Path, model: str) -> None:
    plan = ("--data", data, "--batch", 2, "--quiet")
    short = (*plan, "--steps", 1, "--validate-every", 1)
    script_here("train", model, *short, "--full-size", "--out", tmp_path / "full")
    pruned = tmp_path / "pruned.pt"
    weights = ("--weights", tmp_path / "full" / "best.pt")
    script("prune_network", model, "--data", data, *weights, "--out", pruned, "--samples", 4)
    script_here("train", model, *short, "--weights", pruned, "--out", tmp_path / "small")
    steps = [json.loads(line)["step"] for line in (tmp_path / "small" / "history.jsonl").read_text().splitlines()]
    assert steps == [0, 1]
    done = script_here(
        "prune_network", model, "--data", data, "--weights", pruned, "--out", tmp_path / "x.pt", check=False
    )
    assert done.returncode == 65
    assert "pruned.pt: not the weights of such a network" in done.stderr
    done = script_here("train", model, *plan, "--pretrained", pruned, check=False)
    assert done.returncode == 2
    assert "add --full-size" in done.stderr


def test_teachers_are_learnt_from(data: Path, tmp_path: Path) -> None:
    plan = ("--data", data, "--steps", 2, "--batch", 4, "--validate-every", 2, "--quiet")
    script_here("train", "teacher", *plan, "--out", tmp_path / "teacher")
    best = tmp_path / "teacher" / "best.pt"
    first_loss = []
    for teachers in ((), ("--teacher", best, "--teacher", SHIPPED / "expression_classifier.tflite")):
        out = tmp_path / f"run{len(teachers)}"
        script_here("train", "expression", *plan, "--out", out, *teachers)
        first_loss.append(json.loads((out / "history.jsonl").read_text())["loss"])
    assert first_loss[0] != first_loss[1], "the same faces in the same order, with other targets"
    done = script_here(
        "train", "expression", *plan, "--out", tmp_path / "x", "--teacher", data / "index.jsonl", check=False
    )
    assert done.returncode == 65
    assert "index.jsonl: not the weights of such a network" in done.stderr
    done = script_here("train", "mask", *plan, "--out", tmp_path / "x", "--teacher", best, check=False)
    assert done.returncode == 2
    assert "--teacher is for expression" in done.stderr


@pytest.mark.parametrize(
    ("given", "why"),
    [("mask_classifier.tflite", "layers with weights instead of 9"), ("manifest.toml", "not the weights")],
)
def test_weights_of_something_else_are_named(given: str, why: str, data: Path, tmp_path: Path) -> None:
    plan = ("--data", data, "--out", tmp_path, "--steps", 3, "--batch", 4, "--quiet")
    done = script_here("train", "expression", *plan, "--weights", SHIPPED / given, check=False)
    assert done.returncode == 65
    assert given in done.stderr
    assert why in done.stderr


def test_landmarks_do_not_start_from_an_exported_model(data: Path, tmp_path: Path) -> None:
    weights = ("--weights", SHIPPED / "face_landmarks.tflite")
    done = script_here("train", "landmarks", "--data", data, "--out", tmp_path / "run", *weights, check=False)
    assert done.returncode == 2
    assert "--weights of landmarks takes best.pt" in done.stderr


def test_a_file_that_only_bears_the_name_of_a_model_is_named(data: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.tflite").write_bytes(b"TFL3" * 99)
    plan = ("--data", data, "--out", tmp_path / "run", "--steps", 3, "--batch", 4, "--quiet")
    done = script_here("train", "expression", *plan, "--weights", tmp_path / "broken.tflite", check=False)
    assert done.returncode == 65
    assert "broken.tflite: not a model of such a network" in done.stderr


def test_leaving_one_source_out(data: Path, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in (data / "index.jsonl").read_text().splitlines()]
    for row in rows[:30]:
        row["source"] = "street"
    (tmp_path / "index.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    for folder in ("scenes", "fer"):
        os.symlink(data / folder, tmp_path / folder)
    plan = ("--data", tmp_path, "--out", tmp_path / "runs", "--steps", 2, "--batch", 4, "--quiet")
    done = script("leave_one_out", *plan, "--sources", "street")
    figures = json.loads(done.stdout.splitlines()[-1])["street"]
    assert figures["n"] > 0
    assert figures["cost"] == pytest.approx(figures["with"] - figures["without"], abs=2e-4)
    chosen_by = [json.loads((tmp_path / "runs" / run / "history.jsonl").read_text()) for run in ("all", "street")]
    assert "val street" in chosen_by[0]
    assert "val street" not in chosen_by[1], "what is left out must not choose the checkpoint either"


def test_a_source_that_cannot_be_left_out_is_named(data: Path, tmp_path: Path) -> None:
    plan = ("--data", data, "--out", tmp_path, "--steps", 2, "--batch", 4, "--quiet")
    done = script_here("leave_one_out", *plan, "--sources", "scenes", check=False)
    assert done.returncode == 65
    assert "holds no face with masked=True" in done.stderr
    done = script_here("leave_one_out", *plan, "--sources", "fer", check=False)
    assert done.returncode == 65
    assert "--sources: needs faces both to train on and to evaluate on, found none in fer" in done.stderr


def test_a_loss_that_is_no_number_names_the_checkpoint(data: Path, tmp_path: Path) -> None:
    plan = ("--data", data, "--out", tmp_path, "--steps", 60, "--batch", 4, "--validate-every", 5, "--quiet")
    done = script_here("train", "expression", *plan, "--rate", 1e30, check=False)
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
    done = script_here("train", "mask", "--data", tmp_path, "--out", tmp_path / "run", check=False)
    assert done.returncode == 65
    assert named in done.stderr
    assert not (tmp_path / "run").exists()


def test_an_empty_split_is_named(data: Path, tmp_path: Path) -> None:
    done = script_here("train", "mask", "--data", data, "--sources", "fer", "--out", tmp_path / "run", check=False)
    assert done.returncode == 65
    assert "holds no face with masked=True" in done.stderr


def test_export_without_a_run_leaves_the_models_alone(data: Path, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    args = ("--data", data, "--run", tmp_path / "none", "--models", tmp_path / "models")
    done = script_here("export", "mask", *args, check=False)
    assert done.returncode == 65
    assert "train first" in done.stderr
    assert not list((tmp_path / "models").iterdir())
