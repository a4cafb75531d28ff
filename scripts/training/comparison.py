"""Compare the models with public models: the tables in models_tflite/README.md.

They are made from the manifest and from scripts/peers/figures.json, which `python -m training.evaluate_peers` writes.
So an export can update them without the public models.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.errors import OutputError
from edge.inference.manifest import ModelEntry

from .figures import held_back
from .files import replace_text

#: The file beside the models that holds the tables, between two markers.
README = "README.md"
BEGIN, END = "<!-- comparison: written by python -m training.evaluate_peers -->", "<!-- end of comparison -->"
#: The figures of the public models.
PEERS = Path(__file__).parents[1] / "peers" / "figures.json"


@dataclass(frozen=True)
class Figure:
    """A row of a table: its text, the key of the figure, its format, and whether a lower value is better."""

    text: str
    key: str
    form: str
    lower_is_better: bool = False


@dataclass(frozen=True)
class Table:
    """The table of one model. `task` is its name in training.evaluate; `counts` are the figures that must be equal."""

    name: str
    task: str
    title: str
    figures: Sequence[Figure]
    counts: Sequence[str]


TABLES = (
    Table(
        "face_detector",
        "detector",
        "Finding faces",
        (
            Figure("AP at IoU 0.35, faces ≥ 10 % of the height", "ap35_h10", "{:.3f}"),
            Figure("AP at IoU 0.35, faces ≥ 20 %", "ap35_h20", "{:.3f}"),
            Figure("AP at IoU 0.5, faces ≥ 10 %", "ap50_h10", "{:.3f}"),
            Figure("AP at IoU 0.5, faces ≥ 20 %", "ap50_h20", "{:.3f}"),
            Figure("recall at the threshold", "recall", "{:.1%}"),
            Figure("precision at the threshold", "precision", "{:.1%}"),
            Figure("pictures without a face that get a box", "empty_fp", "{:.1%}", lower_is_better=True),
        ),
        ("images", "faces", "empty_images"),
    ),
    Table(
        "mask_classifier",
        "mask",
        "Mask or no mask, as the door sees it",
        (
            Figure("accuracy; a face not found is wrong", "accuracy", "{:.1%}"),
            Figure("balanced accuracy: masks and bare faces have the same weight", "balanced_accuracy", "{:.1%}"),
            Figure("wrongly worn masks that count as no mask, of those found", "incorrect_refused", "{:.1%}"),
        ),
        ("n",),
    ),
    Table(
        "expression_classifier",
        "expression",
        "Expressions",
        (
            Figure("accuracy by label", "accuracy", "{:.1%}"),
            Figure("macro F1", "macro_f1", "{:.3f}"),
            Figure("accuracy by the majority of ten people", "votes_accuracy", "{:.1%}"),
            Figure("AUC of agitated, by label", "agitated_auc", "{:.3f}"),
            Figure("AUC of agitated, by votes", "votes_agitated_auc", "{:.3f}"),
        ),
        ("n", "votes_n"),
    ),
)
FILE_SIZE = Figure("**file**, MB", "", "{:.2f}", lower_is_better=True)
TIME = Figure(
    "**time of one inference**, ours = 1 (same run, 1 thread; YuNet in ONNX Runtime, the rest in LiteRT)",
    "",
    "{:.1f}",
    lower_is_better=True,
)
COUNTED = {
    "images": "pictures",
    "faces": "faces",
    "empty_images": "pictures without a face",
    "n": "faces",
    "votes_n": "with a majority",
}
PARTS = {"test": "all", "wild": "faces in whole pictures, found by our detector"}


def comparison(rows: Mapping[str, ModelEntry], peers: Mapping[str, Any]) -> str:
    """Return the tables as Markdown.

    `rows` are the manifest's, `peers` is the content of PEERS. If our model was evaluated on other pictures than a
    public one, which the counts show, its figures are left out, and a line says so.
    """
    blocks = []
    for table in TABLES:
        known = [peer for _, peer in sorted(peers.items()) if table.task in peer]
        if table.name in rows and known:
            blocks.append("\n".join(_table_lines(table, rows[table.name], known)))
    return "\n\n".join(blocks)


def _table_lines(table: Table, row: ModelEntry, peers: Sequence[Mapping[str, Any]]) -> list[str]:
    titles = [f"ours, 8-bit ({row.date})", *(f"{p['name']}, float ({p['date']})" for p in peers)]
    lines = [f"### {table.title}", "", f"| | {' | '.join(titles)} |", "|---|" + "---:|" * len(titles)]
    ours = held_back(row.metrics)
    not_comparable = []
    for part, first in held_back(peers[0][table.task]).items():
        if not first.get(table.counts[0]):
            continue  # a source with pictures without a face only: too few for a figure
        figures = [ours.get(part, {}), *(p[table.task].get(part, {}) for p in peers)]
        counts = {k: first[k] for k in table.counts if first.get(k)}
        if any(figures[0].get(k) != n for k, n in counts.items()):
            figures[0] = {}
            not_comparable.append(_part_name(table, part))
        body = [_line(figure, [f.get(figure.key) for f in figures]) for figure in table.figures]
        if any(body):
            numbers = ", ".join(f"{n:,} {COUNTED[k]}" for k, n in counts.items())
            lines += [f"| **{_part_name(table, part)}** ({numbers}) |" + " |" * len(titles), *filter(None, body)]
    lines.append(_line(FILE_SIZE, [m["bytes"] / 1e6 for m in (row.metrics, *peers)]))
    if all("times_ours" in p and p["ours"] == row.architecture for p in peers):
        lines.append(_line(TIME, [1.0, *(p["times_ours"] for p in peers)]))
    if not_comparable:
        lines += ["", f"No figure of ours for exactly these faces: {', '.join(not_comparable)}."]
    return lines


def _part_name(table: Table, part: str) -> str:
    if table.task == "expression" and part == "test":
        return "FER2013 PublicTest"
    return PARTS.get(part) or f"`{part.removeprefix('test_')}`"


def _line(figure: Figure, values: Sequence[float | None]) -> str:
    """Return a line of a table with the best of several values in bold; an empty string if there is no value."""
    known = [v for v in values if v is not None]
    if not known:
        return ""
    best = _format(figure, min(known) if figure.lower_is_better else max(known))
    cells = [_format(figure, v) for v in values]
    return f"| {figure.text} | {' | '.join(f'**{c}**' if c == best and len(known) > 1 else c for c in cells)} |"


def _format(figure: Figure, value: float | None) -> str:
    return "–" if value is None else figure.form.format(value).replace("%", " %")


def write_comparison(readme: Path, rows: Mapping[str, ModelEntry]) -> None:
    """Replace the tables in `readme`, between its markers. Raises OutputError if a marker is missing."""
    before, begin, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise OutputError(f"{readme}: has no markers for the comparison", f"add the lines '{BEGIN}' and '{END}'")
    peers = json.loads(PEERS.read_text(encoding="utf-8"))
    replace_text(readme, f"{before}{BEGIN}\n\n{comparison(rows, peers)}\n\n{END}{after}")
