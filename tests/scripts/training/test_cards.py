"""Model cards, and the figures in them."""

from __future__ import annotations

import doctest
import shutil
from pathlib import Path

import pytest

pytest.importorskip("tflite", reason="training.cards reads models: pip install .[dev]")

from edge.inference import manifest
from training import cards, figures


def test_examples_in_docstrings() -> None:
    failed, tried = doctest.testmod(figures)
    assert tried
    assert not failed


@pytest.mark.parametrize("name", [*manifest.load()])
def test_the_shipped_cards_are_up_to_date(name: str, tmp_path: Path) -> None:
    shipped = manifest.load()
    folder = tmp_path / "models"
    shutil.copytree(shipped.folder, folder)
    assert cards.main([str(folder)]) == 0
    expected = (folder / f"{name}.md").read_text(encoding="utf-8")
    assert (shipped.folder / f"{name}.md").read_text(encoding="utf-8") == expected, (
        "update it: python -m training.cards models_tflite"
    )


def test_figures_that_no_source_has_are_left_out() -> None:
    lines = cards._table({"test": {"n": 5, "recall_95": None}, "test_ilc": {"accuracy": 0.5, "recall_95": None}})
    assert lines == ["| figure | test | test_ilc |", "|---|---|---|", "| n | 5 | – |", "| accuracy | – | 0.5 |"]


def test_a_folder_without_models_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cards.main([str(tmp_path)]) == 69
    assert "manifest.toml" in capsys.readouterr().err
