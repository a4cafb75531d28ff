"""Figures beyond the detector's, and pictures of them: curves, confusion matrices, contact sheets of mistakes.

The figures need nothing but NumPy; matplotlib (extra `train`) is imported by what draws with it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]
Curve = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]
Scores = Sequence[float] | npt.NDArray[Any]
Flags = Sequence[bool] | npt.NDArray[Any]
T = TypeVar("T")

TILE_PX, TEXT_PX, COLUMNS = 144, 40, 8


# ---------------------------------------------------------------- figures


def auc(scores: Scores, positive: Flags) -> float | None:
    """Area under the ROC curve: how often a positive scores above a negative, ties counting half.

    None where one of the two is missing.
    """
    is_positive = np.asarray(positive, bool)
    n, m = int(is_positive.sum()), int((~is_positive).sum())
    if not n or not m:
        return None
    _, level, counts = np.unique(np.asarray(scores, float), return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[level]
    return float((ranks[is_positive].sum() - n * (n + 1) / 2) / (n * m))


def share(right: Flags) -> float | None:
    """How many of them, 0..1; None where there are none."""
    return float(np.mean(np.asarray(right, float))) if len(right) else None


def balanced_accuracy(truth: Sequence[str], right: Sequence[bool], labels: Sequence[str]) -> float | None:
    """Mean over `labels` of the share that is right; None where a label never occurs."""
    recalls = [share([r for t, r in zip(truth, right, strict=True) if t == label]) for label in labels]
    return None if any(r is None for r in recalls) else float(np.mean([r for r in recalls if r is not None]))


def macro_f1(truth: Sequence[str], answers: Sequence[str | None]) -> float | None:
    """Mean F1 of the labels that occur among truth or answers, as scikit-learn has it; an answer of None is wrong."""
    labels = {*truth, *(a for a in answers if a is not None)}
    pairs = list(zip(truth, answers, strict=True))
    scores = []
    for label in labels:
        hits = sum(t == a == label for t, a in pairs)
        scores.append(2 * hits / (sum(t == label for t, _ in pairs) + sum(a == label for _, a in pairs)))
    return float(np.mean(scores)) if truth else None


def confusion(
    truth: Sequence[str], answers: Sequence[str | None], rows: Sequence[str], columns: Sequence[str]
) -> npt.NDArray[np.int64]:
    """Counts, (rows, columns): what it is down, what was answered across; answers outside `columns` are left out."""
    counts = np.zeros((len(rows), len(columns)), np.int64)
    for t, a in zip(truth, answers, strict=True):
        if t in rows and a in columns:
            counts[rows.index(t), columns.index(a)] += 1
    return counts


def roc(scores: Scores, positive: Flags) -> Curve:
    """False and true positive rates as the threshold falls, from (0, 0) to (1, 1); one point a distinct score."""
    falls, hits, _ = _cumulated(scores, positive)
    return np.append(0.0, falls / max(falls[-1], 1)), np.append(0.0, hits / max(hits[-1], 1))


def precision_recall(scores: Scores, positive: Flags) -> Curve:
    """Recall and precision as the threshold falls; one point a distinct score."""
    falls, hits, _ = _cumulated(scores, positive)
    return hits / max(hits[-1], 1), hits / (hits + falls)


def _cumulated(scores: Scores, positive: Flags) -> tuple[npt.NDArray[Any], ...]:
    """Negatives and positives at or above each distinct score, highest first, and those scores."""
    levels, level = np.unique(-np.asarray(scores, float), return_inverse=True)
    hits = np.bincount(level, np.asarray(positive, float), len(levels)).cumsum()
    return np.bincount(level, minlength=len(levels)).cumsum() - hits, hits, -levels


def reliability(
    scores: Scores, positive: Flags, bins: int = 10, weights: Scores | None = None
) -> list[tuple[float, float, float]]:
    """Mean score, share of positives and count of each of `bins` equal steps of the score that holds any.

    With `weights`, each counts as much as its weight says.
    """
    s, p = np.asarray(scores, float), np.asarray(positive, float)
    w = np.ones(len(s)) if weights is None else np.asarray(weights, float)
    step = np.clip((s * bins).astype(int), 0, bins - 1)
    sums = (np.bincount(step, values, bins) for values in (w * s, w * p, w))
    return [(float(a / n), float(b / n), float(n)) for a, b, n in zip(*sums, strict=True) if n > 0]


def calibration_error(points: Sequence[tuple[float, float, float]]) -> float:
    """The expected calibration error of `reliability`'s points: how far what is said is from what is so, on average."""
    x, y, n = np.array(points).reshape(-1, 3).T
    return float((np.abs(x - y) * n).sum() / max(n.sum(), 1e-9))


def plain(value: Any) -> Any:
    """`value` as JSON can hold it: NumPy numbers unwrapped, reals rounded to 5 digits, what is not finite None."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, float | np.floating):
        return round(float(value), 5) if math.isfinite(value) else None
    if isinstance(value, np.integer | np.bool_):
        return value.item()
    return value


# ---------------------------------------------------------------- contact sheet


class Mistake(NamedTuple):
    """A tile of the contact sheet: which picture, where in it (None: all of it), and up to three lines below it."""

    file: str
    box: tuple[float, float, float, float] | None
    lines: tuple[str, ...]


def interleave(groups: Sequence[Sequence[T]], most: int) -> list[T]:
    """The first of each group, then the second of each, …: so that no kind of mistake crowds out another."""
    missing = object()
    mixed = [x for x in chain.from_iterable(zip_longest(*groups, fillvalue=missing)) if x is not missing]
    return mixed[:most]  # type: ignore[return-value]


def tile(picture: Picture, box: tuple[float, float, float, float] | None, lines: Sequence[str]) -> Picture:
    """One mistake, (TILE_PX + TEXT_PX, TILE_PX, 3) uint8 RGB: the box in yellow with surroundings, text below."""
    h, w = picture.shape[:2]
    x1, y1, x2, y2 = 0, 0, w, h
    if box is not None:
        side = max(box[2] - box[0], box[3] - box[1]) * 2.2
        cx, cy = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        x1, x2 = (min(max(round(v), 0), w) for v in (cx - side / 2, cx + side / 2))
        y1, y2 = (min(max(round(v), 0), h) for v in (cy - side / 2, cy + side / 2))
        if x2 - x1 < 2 or y2 - y1 < 2:
            x1, y1, x2, y2 = 0, 0, w, h
    out = np.full((TILE_PX + TEXT_PX, TILE_PX, 3), 255, np.uint8)
    scale = (TILE_PX - 2) / max(x2 - x1, y2 - y1)
    tw, th = max(1, round((x2 - x1) * scale)), max(1, round((y2 - y1) * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    inside = np.ascontiguousarray(cv2.resize(picture[y1:y2, x1:x2], (tw, th), interpolation=how))
    if box is not None:
        a, b = ((round((box[k] - x1) * scale), round((box[k + 1] - y1) * scale)) for k in (0, 2))
        cv2.rectangle(inside, a, b, (255, 220, 0), 1)
    out[:th, (TILE_PX - tw) // 2 : (TILE_PX - tw) // 2 + tw] = inside
    for k, line in enumerate(lines[:3]):
        # The end of a file name tells more than its beginning.
        text = line if len(line) <= 25 else "..." + line[-22:]
        at = (2, TILE_PX + 10 + 13 * k)
        cv2.putText(out, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.33, (0, 0, 0), 1, cv2.LINE_AA)
    return out


def contact_sheet(path: Path, tiles: Sequence[Picture]) -> None:
    """Write tiles as one PNG, eight a row; an empty sheet where there is no mistake."""
    rows = max(1, math.ceil(len(tiles) / COLUMNS))
    sheet = np.full((rows * (TILE_PX + TEXT_PX), COLUMNS * TILE_PX, 3), 255, np.uint8)
    for k, picture in enumerate(tiles):
        y, x = k // COLUMNS * (TILE_PX + TEXT_PX), k % COLUMNS * TILE_PX
        sheet[y : y + TILE_PX + TEXT_PX, x : x + TILE_PX] = picture
    if not cv2.imwrite(str(path), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR)):
        raise OSError(f"{path}: cannot be written")


# ---------------------------------------------------------------- drawings (matplotlib)


def _axes(wide: float = 4.4, high: float = 4.0, panels: int = 1) -> tuple[Any, Any]:
    """A figure and its axes: one, or an array of `panels` beside each other."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    return plt.subplots(1, panels, figsize=(wide, high))


def _save(figure: Any, path: Path) -> None:
    from matplotlib import pyplot as plt
    from PIL import Image

    figure.set_dpi(110)
    figure.tight_layout()
    figure.canvas.draw()
    # Lines on white need few colours: a third of the size that savefig would make of it.
    picture = Image.fromarray(np.asarray(figure.canvas.buffer_rgba())).convert("RGB").quantize(64)
    picture.save(path, optimize=True)
    plt.close(figure)


def draw_confusion(path: Path, counts: npt.NDArray[np.int64], rows: Sequence[str], columns: Sequence[str]) -> None:
    """A confusion matrix, coloured by the share of each row, with the counts written in."""
    figure, axis = _axes(1.8 + 0.75 * len(columns), 1.4 + 0.6 * len(rows))
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for y, x in np.ndindex(*counts.shape):
        text = f"{counts[y, x]}\n{shares[y, x]:.1%}"
        axis.text(x, y, text, ha="center", va="center", fontsize=8, color="white" if shares[y, x] > 0.6 else "black")
    axis.set_xticks(range(len(columns)), columns, rotation=30, ha="right")
    axis.set_yticks(range(len(rows)), rows)
    axis.set(xlabel="answered", ylabel="is")
    _save(figure, path)


def draw_curves(path: Path, curves: Mapping[str, Curve], across: str, up: str, diagonal: bool = False) -> None:
    """ROC or precision-recall curves, both axes from 0 to 1."""
    figure, axis = _axes()
    if diagonal:
        axis.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    _lines(axis, curves, across, up)
    axis.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    if curves:
        axis.legend(loc="lower right" if diagonal else "lower left", fontsize=8)
    _save(figure, path)


def _lines(axis: Any, curves: Mapping[str, Curve], across: str, up: str) -> None:
    for name, (x, y) in curves.items():
        axis.plot(x, y, label=name, linewidth=1.4)
    axis.set(xlabel=across, ylabel=up)
    axis.grid(alpha=0.3)


def _reliability(axis: Any, said: Mapping[str, tuple[Scores, Flags]], what: str, weights: Scores | None = None) -> None:
    axis.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    for name, (scores, positive) in said.items():
        points = reliability(scores, positive, weights=weights)
        if points:
            x, y, n = np.array(points).T
            (line,) = axis.plot(x, y, linewidth=1, label=f"{name}calibration error {calibration_error(points):.3f}")
            axis.scatter(x, y, s=12 + 200 * n / n.sum(), color=line.get_color(), alpha=0.8)
            axis.legend(loc="upper left", fontsize=8)
    axis.set(xlabel=f"said: {what}", ylabel="was so", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axis.grid(alpha=0.3)


def draw_reliability(path: Path, scores: Scores, positive: Flags, what: str) -> None:
    """Stated against actual frequency; a calibrated score lies on the diagonal. Dots grow with their count."""
    figure, axis = _axes()
    _reliability(axis, {"": (scores, positive)}, what)
    _save(figure, path)


class Said(NamedTuple):
    """What a model said before and after calibration, by name: (scores, whether so); `weights` as in `reliability`."""

    what: str
    by: Mapping[str, tuple[Scores, Flags]]
    weights: Scores | None = None


def draw_choice(
    path: Path,
    curves: Mapping[str, Curve],
    across: str,
    up: str,
    chosen: tuple[str, float],
    top: float | None = None,
    said: Said | None = None,
) -> None:
    """The curves by which a number in the manifest was chosen, and where on them it lies: (its name, its value).

    `top` cuts the upward axis; `said` puts the reliability that came of the choice beside it.
    """
    figure, axes = _axes(4.8 if said is None else 8.8, 3.6, 1 if said is None else 2)
    axis = axes
    if said is not None:
        _reliability(axes[0], {f"{name}: ": pair for name, pair in said.by.items()}, said.what, said.weights)
        axis = axes[1]
    _lines(axis, curves, across, up)
    name, value = chosen
    axis.axvline(value, color="0.3", linestyle="--", linewidth=1, label=f"{name} {value:.3f}")
    if top is not None:
        axis.set_ylim(-0.01 * top, top)
    axis.legend(fontsize=8)
    _save(figure, path)


def draw_histograms(path: Path, groups: Mapping[str, Scores], what: str, threshold: float | None) -> None:
    """Score histograms of several groups over each other, counts on a log scale, the shipped threshold marked."""
    figure, axis = _axes(5.2, 3.6)
    for name, scores in groups.items():
        if len(scores):
            axis.hist(scores, bins=40, range=(0, 1), histtype="step", linewidth=1.4, label=f"{name} ({len(scores)})")
    if threshold is not None:
        axis.axvline(threshold, color="0.4", linestyle="--", linewidth=1, label=f"threshold {threshold:.3f}")
    axis.set(xlabel=what, ylabel="count", yscale="symlog", xlim=(-0.01, 1.01))
    if axis.get_legend_handles_labels()[0]:
        axis.legend(fontsize=8)
    _save(figure, path)


def draw_bars(path: Path, names: Sequence[str], shares: Sequence[float | None], what: str) -> None:
    """Shares 0..1 as bars; None leaves a gap."""
    figure, axis = _axes(1.5 + 0.7 * max(len(names), 4), 3.4)
    axis.bar(range(len(names)), [0 if s is None else s for s in shares])
    axis.set_xticks(range(len(names)), names, rotation=30, ha="right", fontsize=8)
    axis.set(ylabel=what, ylim=(0, 1.02))
    axis.grid(axis="y", alpha=0.3)
    _save(figure, path)


def draw_timeline(
    path: Path, shown: Sequence[tuple[float, str]], spans: Sequence[tuple[str, float, float]], row_s: float = 60.0
) -> None:
    """Lights over time, `row_s` seconds a row: who was there (pale, above) and what the door showed (below).

    `shown` is (t, signal) a frame, t rising; `spans` is (kind, start_s, end_s).
    """
    colours = {"IDLE": "0.85", "PASS": "tab:green", "STOP": "tab:red", "ALARM": "darkviolet", "FAULT": "black"}
    kinds = {"masked": "palegreen", "unmasked": "lightsalmon", "agitated": "plum"}
    last = max([t for t, _ in shown[-1:]] + [end for _, _, end in spans], default=0.0)
    rows = max(1, math.ceil(last / row_s))
    figure, axis = _axes(12, 0.8 + 0.35 * rows)

    def bar(start: float, end: float, top: float, colour: str) -> None:
        while start < end:
            row = int(start // row_s)
            stop = min(end, (row + 1) * row_s)
            axis.broken_barh([(start - row * row_s, stop - start)], (row + top, 0.38), color=colour)
            start = stop

    for kind, start, end in spans:
        bar(start, end, 0.08, kinds.get(kind, "0.5"))
    begun = 0
    for k in range(1, len(shown) + 1):
        if k == len(shown) or shown[k][1] != shown[begun][1]:
            bar(shown[begun][0], shown[min(k, len(shown) - 1)][0], 0.5, colours.get(shown[begun][1], "black"))
            begun = k
    for name, colour in {**kinds, **colours}.items():
        axis.plot([], [], color=colour, linewidth=6, label=name)
    axis.set(xlim=(0, row_s), ylim=(rows, 0), xlabel="seconds")
    axis.set_yticks([r + 0.5 for r in range(rows)], [f"{r * row_s:.0f} s" for r in range(rows)], fontsize=7)
    axis.legend(ncol=8, fontsize=7, loc="upper center", bbox_to_anchor=(0.5, 1.0 + 0.9 / (rows + 1)))
    _save(figure, path)
