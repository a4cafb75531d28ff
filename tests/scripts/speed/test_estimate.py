"""Estimates for Raspberry Pis, and the table in the README."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from support.paths import SCRIPTS
from support.speed import CONFIG

pytest.importorskip("tflite", reason="speed.estimate reads models: pip install .[dev]")

from edge.errors import OutputError
from edge.inference import manifest
from speed import estimate
from training import modelfile
from training.boards import BOARDS


def test_multiplications_are_counted() -> None:
    rows = manifest.load()
    # The first layer of the expression classifier alone: 48x48 positions, 3x3 of one channel, 32 times.
    assert modelfile.macs(rows.read("expression_classifier")) > 48 * 48 * 9 * 32
    assert modelfile.macs(rows.read("mask_classifier")) == 64_688_128


def test_estimates_follow_the_board_and_the_models() -> None:
    rows = manifest.load()
    mmacs = estimate.count_mmacs(rows)
    by = {
        (board.name, mode): estimate.estimate(board, mode, rows, mmacs, CONFIG)
        for board in BOARDS
        for mode in estimate.MODES
    }
    for name in ("Zero 2 W", "3B+", "4", "5"):
        one, four, coral = (by[name, mode] for mode in estimate.MODES)
        assert one.detector == pytest.approx(four.detector * 189.95 / 67.39)
        assert one.rest == four.rest == coral.rest
        assert one.new_fps < four.new_fps < coral.new_fps
        assert one.new_fps <= one.settled_fps
    assert by["4", "4 threads"].mask == pytest.approx(3.66, rel=0.01)
    assert by["4", "Coral"].detector == by["5", "Coral"].detector < by["3B+", "Coral"].detector


def test_the_first_light_needs_looks_and_time() -> None:
    """Four looks over half a second or more, at 15 frames/s."""
    settings = replace(
        CONFIG,
        policy=replace(CONFIG.policy, min_looks=4, min_decide_s=0.5),
        camera=replace(CONFIG.camera, fps=15.0),
    )
    assert estimate.first_light_s(10, settings) == pytest.approx(0.5 / 15 + 8 / 15 + 0.01)
    assert estimate.first_light_s(1000, settings) == pytest.approx(0.5 + 3 + 1)


def test_the_table_replaces_the_text_between_the_markers(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text(f"above\n{estimate.BEGIN}\nold\n{estimate.END}\nbelow\n")
    assert estimate.main(["--table", str(page)]) == 0
    text = page.read_text()
    assert text.startswith(f"above\n{estimate.BEGIN}\n\n| **Estimate, not measured**")
    assert text.endswith(f"\n\n{estimate.END}\nbelow\n")
    assert "\nold\n" not in text
    assert [p.name for p in tmp_path.iterdir()] == ["README.md"]


def test_a_file_without_markers_stays_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "README.md"
    page.write_text("no markers")
    assert estimate.main(["--table", str(page)]) == OutputError.exit_code
    assert "has no markers for the estimate" in capsys.readouterr().err
    assert page.read_text() == "no markers"


def test_the_readme_has_the_estimate_of_the_shipped_models() -> None:
    readme = SCRIPTS / "speed" / "README.md"
    text = readme.read_text(encoding="utf-8").partition(estimate.BEGIN)[2].partition(estimate.END)[0].strip()
    command = "python -m speed.estimate --table scripts/speed/README.md"
    assert text == estimate.table(manifest.load(), CONFIG), f"update it: {command}"
