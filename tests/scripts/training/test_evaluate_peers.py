"""The command training.evaluate_peers."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("sklearn", reason="training.evaluation needs the extra: pip install .[train]")
pytest.importorskip("tqdm", reason="training.evaluation needs the extra: pip install .[train]")

from peers import detectors
from support.peers import LEFT, RIGHT, FakeGraph, FakeUltraLight, draw_faces
from training import comparison, evaluate_peers


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
    monkeypatch.setattr(comparison, "PEERS", tmp_path / "peers.json")
    monkeypatch.setattr(detectors, "Graph", FakeGraph)
    (tmp_path / "aizoo.tflite").write_bytes(b"not used")
    page = tmp_path / "README.md"
    page.write_text(f"{comparison.BEGIN}\n{comparison.END}\n")
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
    assert figures["bytes"] == 8
    assert json.loads((tmp_path / "peers.json").read_text()) == found
    assert "| **all** (" in page.read_text()

    # The figures of another peer are added; those of the first one stay.
    monkeypatch.setattr(detectors, "Graph", FakeUltraLight)
    given[2:4] = ["--ultralight", str(tmp_path / "aizoo.tflite")]
    assert evaluate_peers.main(given) == 0
    assert set(json.loads((tmp_path / "peers.json").read_text())) == {"aizoo", "ultralight"}
    assert "| AIZOO, float (" in page.read_text()
    assert "| Ultra-Light RFB-320, float (" in page.read_text()


def test_the_command_without_a_peer_only_updates_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "peers.json"
    kept.write_text(
        json.dumps(
            {
                "p": {
                    "name": "Peer",
                    "date": "2026-02-02",
                    "bytes": 4_060_000,
                    "mask": {"test": {"accuracy": 0.5, "n": 7}},
                }
            }
        )
    )
    monkeypatch.setattr(comparison, "PEERS", kept)
    page = tmp_path / "README.md"
    page.write_text(f"{comparison.BEGIN}\n{comparison.END}\n")
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
    monkeypatch.setattr(comparison, "PEERS", tmp_path / "peers.json")
    assert evaluate_peers.main(given) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert named in err


@pytest.mark.parametrize("given", [[], ["--aizoo", "x"], ["--data", "x"]])
def test_wrong_arguments_are_usage_errors(given: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        evaluate_peers.main(given)
    assert caught.value.code == 2
