"""Share results, pairs of faces and detections, and drawings between the tasks of the evaluation."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from edge.imaging import boxes
from edge.records import Box, Detection

from .. import contact_sheet, metrics, plots
from ..arrays import Floats
from ..contact_sheet import Mistake
from ..dataset import Dataset
from ..records import Face, Record
from .stages import Explainer

#: The minimum IoU of a face and the detection of it. The annotators' boxes are loose.
FOUND_IOU = 0.35
#: The minimum height of a face that counts, as a share of the picture's height.
MIN_FACE_HEIGHT = 0.10
#: The maximum number of mistakes on a contact sheet.
MAX_MISTAKES = 64


class Result(NamedTuple):
    """The figures of a task for JSON, a function that draws them into a folder, and a table of them for people, or ""."""

    figures: dict[str, Any]
    draw: Callable[[Path], None]
    table: str = ""


class RankedMistake(NamedTuple):
    """A mistake; the worst have the highest severity."""

    severity: float
    mistake: Mistake


def progress(records: Sequence[Record], what: str) -> Iterator[Record]:
    """Yield the records with a progress bar on stderr."""
    yield from tqdm(records, desc=what, unit="picture", file=sys.stderr, mininterval=0.5)


def as_arrays(found: Sequence[Detection]) -> tuple[Floats, Floats]:
    """Return boxes (n, 4) and scores (n,), float32."""
    return np.array([d.box for d in found], np.float32).reshape(-1, 4), np.array([d.score for d in found], np.float32)


def pair(faces: Sequence[Face], found: Sequence[Detection]) -> list[int | None]:
    """Return for each face the index of its detection, or None; see `pair_boxes`."""
    return pair_boxes([f.box for f in faces], found, FOUND_IOU)


def pair_boxes(
    faces: Sequence[tuple[float, float, float, float]], found: Sequence[Detection], min_iou: float
) -> list[int | None]:
    """Return for each box of a face the index of its detection, or None.

    Pairs have an IoU of at least `min_iou`. The closest pairs come first, and each detection is used once.
    """
    overlap = boxes.iou(as_arrays(found)[0], np.array(faces, np.float32).reshape(-1, 4))
    owners: list[int | None] = [None] * len(faces)
    taken: set[int] = set()
    for flat in np.argsort(-overlap, axis=None, kind="stable"):
        d, f = (int(v) for v in np.unravel_index(flat, overlap.shape))
        if overlap[d, f] < min_iou:
            break
        if owners[f] is None and d not in taken:
            owners[f] = d
            taken.add(d)
    return owners


def largest(found: Sequence[Detection]) -> Box | None:
    """Return the largest box, or of equal boxes the one with the best score; None without a detection."""
    return max(found, key=lambda d: (d.box.width * d.box.height, d.score)).box if found else None


def draw_sheet(
    data: Dataset,
    records: Sequence[Record],
    groups: Sequence[Sequence[RankedMistake]],
    out: Path,
    explain: Explainer | None = None,
) -> None:
    """Write worst.png: the worst mistakes of each group, in turn; with `explain` each has its heat map beside it."""
    by_file = {r.file: r for r in records}
    sorted_groups = [[m.mistake for m in sorted(group, key=lambda m: -m.severity)] for group in groups]
    worst = contact_sheet.interleave(sorted_groups, MAX_MISTAKES)
    tiles = [contact_sheet.tile(data.picture(by_file[m.file]), m.box, m.lines) for m in worst]
    if explain is not None:
        maps = [explain(data.picture(by_file[m.file]), m.box) if m.has_answer else None for m in worst]
        tiles = [contact_sheet.with_map(*pair) for pair in zip(tiles, maps, strict=True)]
    contact_sheet.write(out / "worst.png", tiles)


def draw_binary(out: Path, answers: Mapping[str, tuple[list[float], list[bool]]], what: str) -> None:
    """Draw ROC, precision-recall and reliability of a probability, with one or more truths: (scores, positive) by
    name."""
    drawable = {name: (s, p) for name, (s, p) in answers.items() if any(p) and not all(p)}
    rocs = {f"{name}, AUC {metrics.auc(s, p):.4f}": metrics.roc(s, p) for name, (s, p) in drawable.items()}
    plots.draw_curves(out / "roc.png", rocs, "false positives", "true positives", diagonal=True)
    curves = {name: metrics.precision_recall(s, p) for name, (s, p) in drawable.items()}
    plots.draw_curves(out / "precision_recall.png", curves, "recall", "precision")
    scores, positive = next(iter(answers.values()))
    plots.draw_reliability(out / "reliability.png", scores, positive, what)
