"""Describe tensors, and write manifest.toml. Imports nothing from the extra `train`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from edge.inference import manifest

from .files import replace_text


def _toml(value: Any) -> str:
    """Return `value` as TOML on one line; None fields are left out."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(k)} = {_toml(v)}" for k, v in value.items() if v is not None) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(v) for v in value) + "]"
    return json.dumps(value)


def _key(text: str) -> str:
    """Return a key as TOML: a dot in a bare key would begin a table."""
    return text if re.fullmatch(r"[\w-]+", text, re.ASCII) else json.dumps(text)


def write(folder: Path, rows: dict[str, manifest.ModelEntry]) -> None:
    """Replace the manifest of `folder` by one with these rows, completely or not at all."""
    lines = [
        "# What is in this folder; written by python -m training.export together with the models and their cards.",
        "# A model whose file, shapes, types or quantisation differ from its row is refused.",
    ]
    order = (*manifest.MODEL_NAMES, *manifest.OPTIONAL_MODEL_NAMES)
    for name in sorted(rows, key=order.index):
        lines += ["", f"[{name}]"]
        fields = msgspec.to_builtins(rows[name])
        tables = {k: fields.pop(k) for k in ("outputs", "metrics", "data")}
        lines += [f"{key} = {_toml(value)}" for key, value in fields.items() if value not in ("", [], (), None)]
        for table, content in tables.items():
            lines.append(f"[{name}.{table}]")
            lines += [f"{_key(key)} = {_toml(value)}" for key, value in content.items() if value is not None]
    replace_text(folder / manifest.MANIFEST_NAME, "\n".join(lines) + "\n")


def tensor_of(detail: Mapping[str, Any]) -> manifest.Tensor:
    """Return an input or output of an interpreter as the manifest describes it."""
    scale, zero_point = detail["quantization"]
    shape = tuple(int(v) for v in detail["shape"])
    dtype: Any = np.dtype(detail["dtype"]).name
    return manifest.Tensor(shape, dtype, float(scale), int(zero_point))
