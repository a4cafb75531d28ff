"""Tiny data sets for the tests of the training code, made on the fly, and its commands."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

from .paths import SCRIPTS

EXPRESSIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


def script(name: str, *args: object, check: bool = True, **kw: object) -> subprocess.CompletedProcess[str]:
    """Run `python -m training.NAME`; with `check` it must succeed. Each such process imports PyTorch for seconds."""
    done = subprocess.run(  # type: ignore[call-overload]
        [sys.executable, "-m", f"training.{name}", *map(str, args)],
        cwd=SCRIPTS,
        capture_output=True,
        text=True,
        timeout=300,
        **kw,
    )
    if check:
        assert done.returncode == 0, done.stderr[-3000:]
    return done


def script_here(name: str, *args: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run `main` of training.NAME in this process, which imports PyTorch only once; otherwise as `script`."""
    import torch  # not at the top: this module is also for tests without PyTorch

    threads = torch.get_num_threads()
    main = importlib.import_module(f"training.{name}").main
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(SCRIPTS), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main([*map(str, args)])
        except SystemExit as end:  # wrong usage
            code = end.code
        finally:
            torch.set_num_threads(threads)  # --threads would hold for the tests after this one, too
    if check:
        assert code == 0, err.getvalue()[-3000:]
    return subprocess.CompletedProcess([name, *map(str, args)], code, out.getvalue(), err.getvalue())


def write_data(folder: Path) -> None:
    """Write about 150 pictures in the project's format: scenes with boxed faces, crops with labels, 48x48 expressions."""
    rng = np.random.default_rng(5)
    rows: list[dict[str, object]] = []
    landmarks: list[dict[str, object]] = []

    def add(name: str, picture: np.ndarray, **fields: object) -> None:
        rows.append(_written(folder, name, picture, **fields))

    for k in range(60):
        scene = cv2.resize(rng.integers(0, 256, (3, 4, 3), np.uint8), (160, 120), interpolation=cv2.INTER_CUBIC)
        size, masked = int(rng.integers(30, 70)), bool(k % 2)
        x, y = int(rng.integers(45, 115)), int(rng.integers(45, 75))
        _draw_face(scene, x, y, size, masked, k % 7, rng)
        box = [x - size * 0.38, y - size / 2, x + size * 0.38, y + size / 2]
        label = ("mask" if k % 10 else "incorrect") if masked else "no_mask"
        faces = [{"box": box, "label": label, "by": "human"}] if k % 12 else []
        add(f"scenes/{k:03}.png", scene, faces=faces)
        if faces:
            landmarks.append({"file": f"scenes/{k:03}.png", "faces": [{"box": box, "points": _points(x, y, size)}]})
    for k in range(90):
        crop = rng.integers(60, 200, (48, 48, 3), np.uint8)
        _draw_face(crop, 24, 24, 46, False, k % 7, rng)
        votes = [0] * 10
        votes[k % 7] = 10
        split = "Training" if k < 60 else "PublicTest"
        add(
            f"fer/{k:03}.png", crop, crop=True, label="no_mask", expression=EXPRESSIONS[k % 7], split=split, votes=votes
        )
    _write_lines(folder / "index.jsonl", rows)
    _write_lines(folder / "points.jsonl", landmarks)


def write_portraits(folder: Path, count: int = 80) -> None:
    """Write bare face crops with age, sex and ethnicity: the sexes differ in colour, so that a network can learn them."""
    rng = np.random.default_rng(7)
    rows: list[dict[str, object]] = []
    for k in range(count):
        crop = rng.integers(60, 200, (96, 96, 3), np.uint8)
        _draw_face(crop, 48, 48, 80, False, k % 7, rng)
        sex = ("male", "female")[k % 2]
        crop[:, :, 0 if sex == "male" else 2] //= 4
        people = {"age": float((k * 37 + 20) % 90), "sex": sex, "ethnicity": ("white", "black", "asian")[k % 3]}
        rows.append(_written(folder, f"utk/{k:03}.png", crop, crop=True, label="no_mask", **people))
    _write_lines(folder / "index.jsonl", rows)


def _written(folder: Path, name: str, picture: np.ndarray, **fields: object) -> dict[str, object]:
    """Write a picture; return its line of the index."""
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / name), picture)
    height, width = picture.shape[:2]
    return {"file": name, "source": name.split("/")[0], "width": width, "height": height, **fields}


def _write_lines(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def _draw_face(
    picture: np.ndarray, x: int, y: int, size: int, masked: bool, mood: int, rng: np.random.Generator
) -> None:
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


def _points(x: int, y: int, size: int) -> list[list[float]]:
    """Return the landmarks of a face that `_draw_face` draws."""
    side, eyes, mouth = size / 6, y - size / 8, y + size / 5
    return [[x - side, eyes], [x + side, eyes], [x, y + size / 20], [x - side, mouth], [x + side, mouth]]
