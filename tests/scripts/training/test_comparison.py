"""The comparison with public models in models_tflite/README.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge.errors import OutputError
from edge.inference import manifest
from training import comparison


def row(name: str, **metrics: Any) -> manifest.ModelEntry:
    return msgspec.structs.replace(manifest.load()[name], metrics={"bytes": 888_000, **metrics}, date="2026-01-01")


def peer(**figures: Any) -> dict[str, Any]:
    return {"name": "Peer", "date": "2026-02-02", "bytes": 4_060_000, **figures}


DETECTOR = {"ap35_h10": 0.97, "empty_fp": 0.02, "images": 228, "faces": 450, "empty_images": 11}


def test_the_best_figure_is_bold() -> None:
    rows = {"face_detector": row("face_detector", test=DETECTOR, test_ilc={"ap35_h10": 0.9, "images": 9, "faces": 20})}
    figures = {
        "test": DETECTOR | {"ap35_h10": 0.94, "empty_fp": 0.01},
        "test_ilc": {"ap35_h10": 0.95, "images": 9, "faces": 20, "empty_fp": None},
        "test_bikes": {"ap35_h10": None, "images": 0, "empty_images": 2, "empty_fp": 0.0},
    }
    lines = comparison.comparison(
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
    text = comparison.comparison(
        {"face_detector": ours}, {"p": peer(detector={"test": DETECTOR}, times_ours=5.43, ours=ours.architecture)}
    )
    assert "| **1.0** | 5.4 |" in text


def test_figures_of_other_pictures_are_not_compared() -> None:
    rows = {"mask_classifier": row("mask_classifier", test={"accuracy": 0.99, "n": 99})}
    text = comparison.comparison(rows, {"p": peer(mask={"test": {"accuracy": 0.9, "n": 100}})})
    assert "| accuracy; a face not found is wrong | – | 90.0 % |" in text
    assert "99.0 %" not in text
    assert text.endswith("No figure of ours for exactly these faces: all.")


def test_only_models_with_a_peer_are_compared() -> None:
    rows = {name: row(name, test={"n": 5}) for name in manifest.MODEL_NAMES}
    text = comparison.comparison(rows, {"p": peer(expression={"test": {"accuracy": 0.5, "n": 5}})})
    assert text.count("###") == 1
    assert "**FER2013 PublicTest** (5 faces)" in text
    assert comparison.comparison(rows, {}) == ""


def test_the_rest_of_the_page_stays(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text(f"above\n\n{comparison.BEGIN}\nold\n{comparison.END}\n\nbelow\n")
    comparison.write_comparison(page, manifest.load())
    text = page.read_text()
    assert text.startswith(f"above\n\n{comparison.BEGIN}\n\n")
    assert text.endswith(f"\n\n{comparison.END}\n\nbelow\n")
    assert "\nold\n" not in text
    comparison.write_comparison(page, manifest.load())
    assert page.read_text() == text
    assert [p.name for p in tmp_path.iterdir()] == ["README.md"]

    page.write_text("no markers")
    with pytest.raises(OutputError, match="has no markers"):
        comparison.write_comparison(page, manifest.load())
    assert page.read_text() == "no markers"


def test_the_shipped_page_shows_the_shipped_figures(tmp_path: Path) -> None:
    shipped = manifest.load()
    page = tmp_path / "README.md"
    page.write_bytes((shipped.folder / comparison.README).read_bytes())
    comparison.write_comparison(page, shipped)
    assert page.read_bytes() == (shipped.folder / comparison.README).read_bytes(), (
        "update it: python -m training.evaluate_peers --table models_tflite/README.md"
    )
