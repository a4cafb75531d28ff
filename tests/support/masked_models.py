"""The shipped models, with and without the one for expressions above a mask."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from edge.inference import manifest
from edge.inference.manifest import MANIFEST_NAME, Manifest

MASKED = "masked_expression_classifier"


def manifest_without() -> Manifest:
    """Return the shipped manifest without the model's row."""
    shipped = manifest.load()
    return Manifest(shipped.folder, {name: row for name, row in shipped.items() if name != MASKED})


def write_models_without(folder: Path) -> Path:
    """Write the same into `folder`; return it."""
    shipped = manifest.find_shipped_models()
    folder.mkdir(parents=True)
    for path in shipped.glob("*.tflite"):
        if path.stem != MASKED:
            shutil.copy(path, folder)
    text = (shipped / MANIFEST_NAME).read_text(encoding="utf-8")
    tables = re.split(r"^(?=\[)", text, flags=re.MULTILINE)
    kept = [table for table in tables if not table.startswith((f"[{MASKED}]", f"[{MASKED}."))]
    assert len(kept) < len(tables)
    (folder / MANIFEST_NAME).write_text("".join(kept), encoding="utf-8")
    return folder
