"""Plots of figures, with matplotlib (extra `train`): curves, confusion matrices, histograms, timelines."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .metrics import Curve, Flags, Scores, calibration_error, reliability

#: Panels beside each other in a plot of several sweeps.
SWEEP_COLUMNS = 5
#: A mean of fewer values is not plotted.
MIN_IN_BIN = 5


def _axes(wide: float = 4.4, high: float = 4.0, panels: int = 1) -> tuple[Any, Any]:
    """Return a figure and its axes: one, or an array of `panels` beside each other. Sizes are in inches."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    return plt.subplots(1, panels, figsize=(wide, high))


def _grid(wide: float, high: float, rows: int, columns: int) -> tuple[Any, Sequence[Any]]:
    """Return a figure and the axes of its panels, row by row. Sizes are in inches."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(rows, columns, figsize=(wide, high), squeeze=False)
    return figure, list(axes.ravel())


def _save(figure: Any, path: Path, legend: float = 0.0) -> None:
    """Write the figure. `legend` is the share of its height that is kept free at the bottom."""
    from matplotlib import pyplot as plt
    from PIL import Image

    figure.set_dpi(110)
    figure.tight_layout(rect=(0, legend, 1, 1))
    figure.canvas.draw()
    # 128 colours are enough for lines and points on white; the file is smaller than that of savefig.
    picture = Image.fromarray(np.asarray(figure.canvas.buffer_rgba())).convert("RGB").quantize(128)
    picture.save(path, optimize=True)
    plt.close(figure)


def draw_confusion(path: Path, counts: npt.NDArray[np.int64], rows: Sequence[str], columns: Sequence[str]) -> None:
    """Plot a confusion matrix, coloured by the share of each row, with the counts."""
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
    """Plot ROC or precision-recall curves, both axes from 0 to 1."""
    figure, axis = _axes()
    if diagonal:
        axis.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    _lines(axis, curves, across, up)
    axis.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    if curves:
        axis.legend(loc="lower right" if diagonal else "lower left", fontsize=8)
    _save(figure, path)


def draw_panels(path: Path, panels: Mapping[str, Mapping[str, Curve]], across: str, up: str) -> None:
    """Plot curves in panels beside each other, by title. The same name has the same colour in each panel."""
    figure, axes = _axes(3.1 * len(panels), 3.2, len(panels))
    for axis, (title, curves) in zip(np.atleast_1d(axes), panels.items(), strict=True):
        _lines(axis, curves, across, up)
        axis.set(title=title, ylim=(-0.01, 1.01))
    np.atleast_1d(axes)[0].legend(fontsize=8)
    _save(figure, path)


def _lines(axis: Any, curves: Mapping[str, Curve], across: str, up: str) -> None:
    for name, (x, y) in curves.items():
        axis.plot(x, y, label=name, linewidth=1.4)
    axis.set(xlabel=across, ylabel=up)
    axis.grid(alpha=0.3)


def _reliability(
    axis: Any, groups: Mapping[str, tuple[Scores, Flags]], what: str, weights: Scores | None = None
) -> None:
    axis.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    for name, (scores, positive) in groups.items():
        points = reliability(scores, positive, weights=weights)
        if points:
            x, y, n = np.array(points).T
            (line,) = axis.plot(x, y, linewidth=1, label=f"{name}calibration error {calibration_error(points):.3f}")
            axis.scatter(x, y, s=12 + 200 * n / n.sum(), color=line.get_color(), alpha=0.8)
            axis.legend(loc="upper left", fontsize=8)
    axis.set(xlabel=f"predicted: {what}", ylabel="observed", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axis.grid(alpha=0.3)


def draw_reliability(path: Path, scores: Scores, positive: Flags, what: str) -> None:
    """Plot the score against the observed share; a calibrated score lies on the diagonal. Dots grow with the count."""
    figure, axis = _axes()
    _reliability(axis, {"": (scores, positive)}, what)
    _save(figure, path)


class CalibrationCurve(NamedTuple):
    """Scores before and after calibration, by name: (scores, truth).

    `what` names the score; `weights` as in `reliability`.
    """

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
    calibration: CalibrationCurve | None = None,
) -> None:
    """Plot the curves by which a number in the manifest was chosen, and the number: `chosen` is (name, value).

    `top` limits the upward axis; `calibration` adds its reliability curves in a second panel.
    """
    figure, axes = _axes(4.8 if calibration is None else 8.8, 3.6, 1 if calibration is None else 2)
    axis = axes
    if calibration is not None:
        _reliability(
            axes[0], {f"{name}: ": pair for name, pair in calibration.by.items()}, calibration.what, calibration.weights
        )
        axis = axes[1]
    _lines(axis, curves, across, up)
    name, value = chosen
    axis.axvline(value, color="0.3", linestyle="--", linewidth=1, label=f"{name} {value:.3f}")
    if top is not None:
        axis.set_ylim(-0.01 * top, top)
    axis.legend(fontsize=8)
    _save(figure, path)


def draw_histograms(path: Path, groups: Mapping[str, Scores], what: str, threshold: float | None) -> None:
    """Plot score histograms of several groups, counts on a log scale, with the threshold."""
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


def draw_means(
    path: Path, groups: Mapping[str, tuple[Scores, Scores]], limits: Sequence[float], across: str, up: str
) -> None:
    """Plot the mean of values by another quantity, (quantity, value) by name, in bins between `limits`.

    Bins with fewer than MIN_IN_BIN values are left out. Numbers at the points are the counts.
    """
    figure, axis = _axes(5.2, 3.6)
    for name, (quantities, values) in groups.items():
        x, y = np.asarray(quantities, np.float64), np.asarray(values, np.float64)
        bins = [(x >= low) & (x < high) for low, high in itertools.pairwise(limits)]
        kept = [own for own in bins if own.sum() >= MIN_IN_BIN]
        (line,) = axis.plot([x[own].mean() for own in kept], [y[own].mean() for own in kept], marker=".", label=name)
        for own in kept:
            at = (x[own].mean(), y[own].mean())
            axis.annotate(str(own.sum()), at, (0, 4), textcoords="offset points", fontsize=7, color=line.get_color())
    axis.set(xlabel=across, ylabel=up, ylim=(0, None))
    axis.grid(alpha=0.3)
    if groups:
        axis.legend(fontsize=8)
    _save(figure, path)


def draw_points(
    path: Path, panels: Mapping[str, Mapping[str, tuple[float, float, float, float]]], across: str, up: str
) -> None:
    """Plot named points (x, y, low, high) with their intervals, in panels beside each other; x is logarithmic.

    The same name has the same colour and marker in each panel.
    """
    from matplotlib.ticker import LogLocator

    figure, axes = _axes(5.2 * max(len(panels), 1), 5.0, max(len(panels), 1))
    names = list(dict.fromkeys(name for points in panels.values() for name in points))
    drawn: dict[str, Any] = {}
    for axis, (title, points) in zip(np.atleast_1d(axes), panels.items(), strict=False):
        for name, (x, y, low, high) in points.items():
            k = names.index(name)
            interval = [[max(0.0, y - low)], [max(0.0, high - y)]]
            marker = "osD^vP*Xph"[k % 10]
            drawn[name] = axis.errorbar([x], [y], interval, fmt=marker, color=f"C{k % 10}", capsize=2, linewidth=1)
        axis.set(title=title, xlabel=across, ylabel=up, xscale="log")
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_formatter("")
        axis.title.set_size(9)
        axis.grid(alpha=0.3, which="both")
    figure.legend(list(drawn.values()), list(drawn), fontsize=7, ncol=4, loc="lower center")
    _save(figure, path, legend=0.13)


def draw_bars(path: Path, names: Sequence[str], shares: Sequence[float | None], what: str) -> None:
    """Plot shares 0..1 as bars; None leaves a gap."""
    figure, axis = _axes(1.5 + 0.7 * max(len(names), 4), 3.4)
    axis.bar(range(len(names)), [0 if s is None else s for s in shares])
    axis.set_xticks(range(len(names)), names, rotation=30, ha="right", fontsize=8)
    axis.set(ylabel=what, ylim=(0, 1.02))
    axis.grid(axis="y", alpha=0.3)
    _save(figure, path)


def draw_timeline(
    path: Path, shown: Sequence[tuple[float, str]], spans: Sequence[tuple[str, float, float]], row_s: float = 60.0
) -> None:
    """Plot lights over time, `row_s` seconds a row: who was there (pale, above) and the signal (below).

    `shown` is (t, signal) of every frame, in order; `spans` is (kind, start_s, end_s).
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


def draw_sweeps(
    path: Path,
    sweeps: Mapping[str, Sequence[Mapping[str, Any]]],
    now: Mapping[str, float],
    shares: Mapping[str, Callable[[dict[str, Any]], float | None]],
) -> None:
    """Plot how the outcomes of walk-ups depend on settings: a panel for each key, with a line at its value `now`.

    `sweeps` are the figures by key, each with its "value"; `shares` computes each line from them.
    """
    columns = min(len(sweeps), SWEEP_COLUMNS)
    rows = math.ceil(len(sweeps) / columns)
    size = (5.2, 3.6) if len(sweeps) == 1 else (2.3 * columns, 1.75 * rows + 0.4)
    figure, axes = _grid(*size, rows, columns)
    for axis, key in zip(axes, sweeps, strict=False):
        for label, share in shares.items():
            points = [(row["value"], share(dict(row))) for row in sweeps[key]]
            known = [(value, y) for value, y in points if y is not None]
            axis.plot([v for v, _ in known], [y for _, y in known], marker=".", markersize=3, linewidth=1, label=label)
        axis.axvline(now[key], color="0.6", linewidth=0.8, linestyle="--")
        axis.set_title(key, fontsize=7)
        axis.tick_params(labelsize=6)
        axis.grid(alpha=0.3)
    for axis in axes[len(sweeps) :]:
        axis.axis("off")
    if len(axes) > len(sweeps):
        axes[-1].legend(*axes[0].get_legend_handles_labels(), fontsize=6, loc="center")
    else:
        axes[0].legend(fontsize=6)
    _save(figure, path)
