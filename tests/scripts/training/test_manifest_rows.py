"""The manifest that a training writes says what the door reads."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec

from edge.inference import manifest
from training import manifest_rows


def test_a_figure_may_have_any_name(tmp_path: Path) -> None:
    shipped = manifest.load()
    row = shipped["mask_classifier"]
    shutil.copy(shipped.folder / row.file, tmp_path)
    figures = {"plain": 0.5, "at_0.01": 0.25, 'a "b"': {"c.d": 1.0}}
    manifest_rows.write(tmp_path, {"mask_classifier": msgspec.structs.replace(row, metrics=figures, edgetpu=None)})
    assert manifest.load(tmp_path)["mask_classifier"].metrics == figures
