"""Write the figures of `training.backbones` as JSON, as Markdown and as a plot.

The figures are {task: {network: row}}; `backbone_judge` makes the rows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from . import plots
from .files import replace_text
from .metrics import wilson

#: Boards whose estimated time has a column.
BOARDS = ("Zero 2 W", "4", "5")
Row = Mapping[str, Any]
#: The figures of a network or of the shipped model, in their folder.
FIGURES, SHIPPED = "figures.json", "shipped"


def collect(out: Path, tasks: Sequence[str], networks: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the figures of all networks that are complete in `out`, and of the shipped models."""
    found: dict[str, dict[str, Any]] = {}
    for task in tasks:
        files = {key: out / task / key / FIGURES for key in (*networks, SHIPPED)}
        rows = {key: json.loads(file.read_text(encoding="utf-8")) for key, file in files.items() if file.is_file()}
        if rows:
            found[task] = rows
    return found


def write(out: Path, figures: Mapping[str, Any]) -> None:
    """Write backbones.json, backbones.md and backbones.png into `out`."""
    replace_text(out / "backbones.json", json.dumps(figures, indent=1) + "\n")
    replace_text(out / "backbones.md", tables(figures) + "\n")
    plots.draw_points(
        out / "backbones.png",
        {task: _points(rows) for task, rows in figures.items()},
        "ms a face, LiteRT, one thread",
        "accuracy, 8-bit",
    )


def _points(rows: Mapping[str, Row]) -> dict[str, tuple[float, float, float, float]]:
    """Return (milliseconds, accuracy, low, high) by title, of the faces that judge first."""
    out = {}
    for row in rows.values():
        own = next(iter(row["int8"].values()))
        out[row["title"].split(";")[0]] = (row["ms_here"], own["accuracy"], own["low"], own["high"])
    return out


def tables(figures: Mapping[str, Any]) -> str:
    """Return a Markdown table for each task."""
    return "\n\n".join("\n".join(_table(task, rows)) for task, rows in figures.items())


def _table(task: str, rows: Mapping[str, Row]) -> list[str]:
    sets = list(next(iter(rows.values()))["int8"])
    equal_s = min((row["train_seconds"] for row in rows.values() if "train_seconds" in row), default=0.0)
    head = [task]
    for name in sets:
        faces = next(iter(rows.values()))["int8"][name]["n"]
        head += [f"float, {name} ({faces:,})", f"8-bit, {name}"]
    head += [f"8-bit minus float, points, {sets[0]}", "steps", "training, s", f"validation after {equal_s:.0f} s of it"]
    head += ["KB", "million multiplications", "ms here", *(f"ms on a {board}, estimated" for board in BOARDS)]
    head.append("not on the Edge TPU")
    lines = [f"| {' | '.join(head)} |", "|---|" + "---:|" * (len(head) - 2) + "---|"]
    for row in rows.values():
        cells = [row["title"]]
        for name in sets:
            cells += [_accuracy(row.get("float", {}).get(name)), _accuracy(row["int8"][name])]
        cells += [_loss_by_rounding(row, sets[0]), *_training(row, equal_s)]
        cells += [f"{row['bytes'] / 1000:,.0f}", f"{row['mmacs']:.0f}", f"{row['ms_here']:.2f}"]
        cells += [_ms(row["ms_estimated"][board]) for board in BOARDS]
        cells.append(", ".join(row["not_on_edge_tpu"]) or "–")
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _accuracy(found: Row | None) -> str:
    if found is None:
        return "–"
    return f"{found['accuracy']:.1%} ({100 * found['low']:.1f} to {100 * found['high']:.1f})"


def _loss_by_rounding(row: Row, name: str) -> str:
    if "float" not in row:
        return "–"
    return f"{100 * (row['int8'][name]['accuracy'] - row['float'][name]['accuracy']):+.1f}"


def _training(row: Row, equal_s: float) -> tuple[str, str, str]:
    """Return steps and seconds of the training, and the validation accuracy after `equal_s` of them with its interval."""
    if "train_seconds" not in row:
        return "–", "–", "–"
    reached = at_time(row["curve"], equal_s)
    steps, seconds = f"{row['steps']:,}", f"{row['train_seconds']:.0f}"
    if reached is None:
        return steps, seconds, "–"
    n = row["validation_faces"]
    low, high = wilson(round(reached * n), n) or (0.0, 1.0)
    return steps, seconds, _accuracy({"accuracy": reached, "low": low, "high": high})


def at_time(curve: list[tuple[float, float]], seconds: float) -> float | None:
    """Return the accuracy of the last validation that a training reached in time; None if there is none.

    >>> at_time([(10, 0.5), (20, 0.7), (30, 0.8)], 25)
    0.7
    """
    reached = [accuracy for s, accuracy in curve if s <= seconds]
    return reached[-1] if reached else None


def _ms(value: float) -> str:
    return f"{value:.1f}" if value < 9.95 else f"{value:.0f}"
