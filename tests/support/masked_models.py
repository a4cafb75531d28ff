"""A folder of models that has one for expressions above a mask: the shipped one for bare faces, under its name."""

from __future__ import annotations

import shutil
from pathlib import Path

from edge.inference import manifest
from edge.inference.manifest import MANIFEST_NAME, Manifest

BARE, MASKED = "expression_classifier", "masked_expression_classifier"


def masked_manifest() -> Manifest:
    """Return the shipped manifest with the row of `masked_expression_classifier`."""
    shipped = manifest.load()
    return Manifest(shipped.folder, {**shipped, MASKED: shipped[BARE]})


def manifest_without() -> Manifest:
    """Return the shipped manifest without that row."""
    shipped = manifest.load()
    return Manifest(shipped.folder, {name: row for name, row in shipped.items() if name != MASKED})


def write_models(folder: Path) -> Path:
    """Write the same into `folder`, the model as a file of its own; return the folder."""
    shipped = manifest.find_shipped_models()
    folder.mkdir(parents=True, exist_ok=True)
    for path in shipped.glob("*.tflite"):
        shutil.copy(path, folder)
    shutil.copy(shipped / f"{BARE}.tflite", folder / f"{MASKED}.tflite")
    text = (shipped / MANIFEST_NAME).read_text(encoding="utf-8")
    if f"[{MASKED}]" not in text:
        tables = text.split(f"\n[{BARE}]\n", 1)[1]
        own = f"[{BARE}]\n" + tables.split("\n\n", 1)[0]
        text += "\n" + own.replace(BARE, MASKED) + "\n"
    (folder / MANIFEST_NAME).write_text(text, encoding="utf-8")
    return folder
