"""The command training.evaluate_peers, and the comparison of the public models with ours."""

from __future__ import annotations

import doctest
import json
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest

pytest.importorskip("sklearn", reason="training.metrics needs the extra: pip install .[train]")

pytest.importorskip("tqdm", reason="training.evaluate_peers needs the extra: pip install .[train]")

from edge.errors import OutputError
from edge.inference import manifest
from speed import peers
from support.peers import LEFT, RIGHT, FakeGraph, FakeUltraLight, draw_faces
from training import cards, evaluate_peers


def test_examples_in_docstrings() -> None:
    failed, tried = doctest.testmod(cards, extraglobs={"np": np})
    assert tried
    assert not failed


# ---- The comparison -------------------------------------------------------------------------------------------------


def row(name: str, **metrics: Any) -> manifest.ModelEntry:
    return msgspec.structs.replace(manifest.load()[name], metrics={"bytes": 888_000, **metrics}, date="2026-01-01")


def peer(**figures: Any) -> dict[str, Any]:
    return {"name": "Peer", "date": "2026-02-02", "bytes": 4_060_000, **figures}


DETECTOR = {"ap35_h10": 0.97, "empty_fp": 0.02, "images": 228, "faces": 450, "empty_images": 11}


def test_the_better_figure_is_bold() -> None:
    rows = {"face_detector": row("face_detector", test=DETECTOR, test_ilc={"ap35_h10": 0.9, "images": 9, "faces": 20})}
    figures = {
        "test": DETECTOR | {"ap35_h10": 0.94, "empty_fp": 0.01},
        "test_ilc": {"ap35_h10": 0.95, "images": 9, "faces": 20, "empty_fp": None},
        "test_bikes": {"ap35_h10": None, "images": 0, "empty_images": 2, "empty_fp": 0.0},
    }
    lines = cards.comparison(
        rows, {"p": peer(detector=figures, times_ours=5.43, ours="another architecture")}
    ).splitlines()
    assert lines[:4] == [
        "### Finding faces",
        "",
        "| | ours, 8-bit (2026-01-01) | Peer, float (2026-02-02) |",
        "|---|---:|---:|",
    ]
    assert lines[4:] == [
        "| **all** (228 pictures, 450 faces, 11 pictures without a face) | | |",
        "| AP at IoU 0.35, faces ≥ 10 % of the height | **0.970** | 0.940 |",
        "| pictures without a face that get a box | 2.0 % | **1.0 %** |",
        "| **`ilc`** (9 pictures, 20 faces) | | |",
        "| AP at IoU 0.35, faces ≥ 10 % of the height | 0.900 | **0.950** |",
        "| **file**, MB | **0.89** | 4.06 |",
    ]


def test_times_are_shown_only_for_the_architecture_they_were_measured_with() -> None:
    ours = row("face_detector", test=DETECTOR)
    text = cards.comparison(
        {"face_detector": ours}, {"p": peer(detector={"test": DETECTOR}, times_ours=5.43, ours=ours.architecture)}
    )
    assert "| **1.0** | 5.4 |" in text


def test_figures_of_other_pictures_are_not_compared() -> None:
    rows = {"mask_classifier": row("mask_classifier", test={"accuracy": 0.99, "n": 99})}
    text = cards.comparison(rows, {"p": peer(mask={"test": {"accuracy": 0.9, "n": 100}})})
    assert "| right; a face not found is wrong | – | 90.0 % |" in text
    assert "99.0 %" not in text
    assert text.endswith("Not judged yet on the same pictures as the peers: ours on all.")


def test_only_models_with_a_peer_are_compared() -> None:
    rows = {name: row(name, test={"n": 5}) for name in manifest.MODEL_NAMES}
    text = cards.comparison(rows, {"p": peer(expression={"test": {"accuracy": 0.5, "n": 5}})})
    assert text.count("###") == 1
    assert "**FER2013 PublicTest** (5 judged)" in text
    assert cards.comparison(rows, {}) == ""


def test_the_rest_of_the_page_stays(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text(f"above\n\n{cards.BEGIN}\nold\n{cards.END}\n\nbelow\n")
    cards.write_comparison(page, manifest.load())
    text = page.read_text()
    assert text.startswith(f"above\n\n{cards.BEGIN}\n\n")
    assert text.endswith(f"\n\n{cards.END}\n\nbelow\n")
    assert "\nold\n" not in text
    cards.write_comparison(page, manifest.load())
    assert page.read_text() == text
    assert [p.name for p in tmp_path.iterdir()] == ["README.md"]

    page.write_text("no place for it")
    with pytest.raises(OutputError, match="no place"):
        cards.write_comparison(page, manifest.load())
    assert page.read_text() == "no place for it"


def test_the_shipped_page_shows_the_shipped_figures(tmp_path: Path) -> None:
    shipped = manifest.load()
    page = tmp_path / "README.md"
    page.write_bytes((shipped.folder / cards.README).read_bytes())
    cards.write_comparison(page, shipped)
    assert page.read_bytes() == (shipped.folder / cards.README).read_bytes(), (
        "renew it: python -m training.evaluate_peers --table models_tflite/README.md"
    )


# ---- The command ----------------------------------------------------------------------------------------------------


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Forty pictures, some of them in the split `test`; every second one has a masked face and one without a mask."""
    folder = tmp_path / "data"
    (folder / "made").mkdir(parents=True)
    rng = np.random.default_rng(3)
    rows = []
    for k in range(40):
        picture = draw_faces((LEFT, 0.9, 0.95), (RIGHT, 0.1, 0.9)) if k % 2 else draw_faces()
        # A dark background, so that no two pictures are alike.
        noise = cv2.resize(rng.integers(0, 90, (6, 8, 3), np.uint8), (640, 480))
        picture = np.where(picture.max(axis=2, keepdims=True) > 0, picture, noise)
        name = f"made/{k:02}.png"
        assert cv2.imwrite(str(folder / name), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        faces = [
            {"box": list(box), "label": label, "by": "human"}
            for box, label in (((LEFT, "mask"), (RIGHT, "no_mask")) if k % 2 else ())
        ]
        rows.append({"file": name, "source": "made", "width": 640, "height": 480, "faces": faces})
    (folder / "index.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    return folder


def test_the_command_keeps_the_figures_and_updates_the_page(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cards, "PEERS", tmp_path / "peers.json")
    monkeypatch.setattr(peers, "Graph", FakeGraph)
    (tmp_path / "aizoo.tflite").write_bytes(b"stands in")
    page = tmp_path / "README.md"
    page.write_text(f"{cards.BEGIN}\n{cards.END}\n")
    given = ["--data", str(data), "--aizoo", str(tmp_path / "aizoo.tflite"), "--table", str(page)]
    assert evaluate_peers.main(given) == 0
    out, err = capsys.readouterr()
    found = json.loads(out.splitlines()[-1])
    assert "face_detector" in err  # progress
    assert list(found) == ["aizoo"]
    figures = found["aizoo"]
    test = figures["detector"]["test"]
    assert test["images"] > 0
    assert (test["ap35_h10"], test["ap50_h20"], test["recall"], test["precision"]) == (1.0, 1.0, 1.0, 1.0)
    assert figures["detector"]["test_made"] == test
    assert (figures["mask"]["test"]["accuracy"], figures["mask"]["test"]["n"]) == (1.0, 2 * test["images"])
    assert figures["times_ours"] > 0
    assert figures["bytes"] == 9
    assert json.loads((tmp_path / "peers.json").read_text()) == found
    assert "| **all** (" in page.read_text()

    # The figures of another peer are added; those of the first one stay.
    monkeypatch.setattr(peers, "Graph", FakeUltraLight)
    given[2:4] = ["--ultralight", str(tmp_path / "aizoo.tflite")]
    assert evaluate_peers.main(given) == 0
    assert set(json.loads((tmp_path / "peers.json").read_text())) == {"aizoo", "ultralight"}
    assert "| AIZOO, float (" in page.read_text()
    assert "| Ultra-Light RFB-320, float (" in page.read_text()


def test_the_command_without_a_peer_only_updates_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "peers.json"
    kept.write_text(json.dumps({"p": peer(mask={"test": {"accuracy": 0.5, "n": 7}})}))
    monkeypatch.setattr(cards, "PEERS", kept)
    page = tmp_path / "README.md"
    page.write_text(f"{cards.BEGIN}\n{cards.END}\n")
    assert evaluate_peers.main(["--table", str(page)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "{}"
    assert "Mask or no mask" in page.read_text()


@pytest.mark.parametrize(
    ("given", "code", "named"),
    [
        (["--data", "nowhere", "--aizoo", "aizoo.tflite"], 65, "index.jsonl"),
        (["--table", "/nowhere/README.md"], 74, "/nowhere/README.md"),
        (["--models", "/nowhere", "--table", "x"], 69, "manifest.toml"),
    ],
)
def test_a_missing_file_is_named(
    given: list[str],
    code: int,
    named: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(cards, "PEERS", tmp_path / "peers.json")
    assert evaluate_peers.main(given) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert named in err


@pytest.mark.parametrize("given", [[], ["--aizoo", "x"], ["--data", "x"]])
def test_wrong_arguments_are_usage_errors(given: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        evaluate_peers.main(given)
    assert caught.value.code == 2
