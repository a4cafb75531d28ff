"""The report of `doorlight bench`: records that are the JSON output, and tables for a terminal."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..counted import counted

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

#: The tables need this many columns.
MIN_WIDTH = 96


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Percentiles and mean of times in milliseconds. Percentiles are nearest-rank: a frame really took each of them."""

    p50: float
    p95: float
    p99: float
    mean: float


@dataclass(frozen=True, slots=True)
class StageTime:
    """The time of a stage in the `frames` that had it. `share` is its share of the loop time; None for "capture"."""

    frames: int
    ms: Percentiles
    share: float | None


@dataclass(frozen=True, slots=True)
class Situation:
    """The frames in which the door sees the same: nobody, only people with a verdict, or a person without one.

    `people` and `looks` (faces that the classifiers look at) are means per frame. `light_ms` is the time from having
    the frame until the light is set, `loop_ms` until the next frame can be read. `overhead_ms` is loop time minus model
    time. `processor_ms` is the processor time per frame of all threads; for a camera it includes capturing.
    `frames_per_s` is the rate of a loop that never waits for a frame.
    """

    name: str
    frames: int
    people: float
    looks: float
    light_ms: Percentiles
    loop_ms: Percentiles
    overhead_ms: Percentiles
    processor_ms: float
    frames_per_s: float
    stages: dict[str, StageTime]


@dataclass(frozen=True, slots=True)
class SourceResult:
    """The result of one source, measured for `seconds`: `frames` that count, after `warm_up_frames` that do not.

    `times_lost` says how often a camera was lost. `growth_mb_per_hour` is the growth of memory; None if the time was
    too short to measure it.
    """

    name: str
    picture_size: str
    fps: float | None
    seconds: float
    frames: int
    warm_up_frames: int
    times_lost: int
    growth_mb_per_hour: float | None
    situations: tuple[Situation, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """The report of a benchmark. It has no serial number, address, or name of a file, folder or person.

    `complete` is False if the benchmark was interrupted. `start_s` is the time of each part of the start, `caveats` are
    reasons to doubt the figures.
    """

    doorlight: str
    time: str
    complete: bool
    machine: dict[str, Any]
    libraries: dict[str, str]
    models: dict[str, dict[str, str]]
    runs_on: str
    threads: int
    start_s: dict[str, float]
    memory_mb: dict[str, float]
    heat: tuple[str, ...]
    sources: tuple[SourceResult, ...]
    caveats: tuple[str, ...]


def render(report: Report, width: int = 100, colour: bool = False) -> str:
    """Return the report as text for a terminal of `width` columns."""
    # rich is not imported at the top: the JSON output does not need it, and `run` measures how long imports take.
    from rich.console import Console, Group
    from rich.text import Text

    parts: list[RenderableType] = [_head_table(report)]
    for source in report.sources:
        parts += ["", Text(_title(source), "bold"), _situation_table(source)]
        for situation in source.situations:
            parts += ["", _stage_table(situation)]
    for caveat in report.caveats:
        parts += ["", Text(f"note: {caveat}")]
    out = io.StringIO()
    console = Console(file=out, width=max(width, MIN_WIDTH), force_terminal=colour, no_color=not colour)
    console.print(Group(*parts))
    return "\n".join(map(str.rstrip, out.getvalue().splitlines()))


def _head_table(report: Report) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in _head(report):
        table.add_row(name, Text(text))
    return table


def _situation_table(source: SourceResult) -> Table:
    """Return a table with one row for each situation."""
    table = _table("", "frames", "to the light: p50", "p95", "p99 ms", "own ms", "processor ms", "frames/s", "looks")
    for each in source.situations:
        table.add_row(
            each.name,
            str(each.frames),
            *map(_ms, (each.light_ms.p50, each.light_ms.p95, each.light_ms.p99)),
            _ms(each.overhead_ms.p50),
            _ms(each.processor_ms),
            f"{each.frames_per_s:.0f}",
            f"{each.looks:.2f}",
        )
    return table


def _stage_table(situation: Situation) -> Table:
    """Return a table with one row for each stage, with a bar for its share of the time."""
    from rich.bar import Bar

    table = _table(f"{situation.name}:", "in frames", "ms: p50", "p95", "p99", "share", "")
    table.columns[-1].justify = "left"
    max_share = max(stage.share or 0 for stage in situation.stages.values())
    for name, stage in situation.stages.items():
        table.add_row(
            f"  {name}",
            f"{stage.frames / situation.frames:.0%}",
            *map(_ms, (stage.ms.p50, stage.ms.p95, stage.ms.p99)),
            "" if stage.share is None else f"{stage.share:.1%}",
            "(not counted)" if stage.share is None else Bar(max_share, 0, stage.share, width=24),
        )
    return table


def _table(*columns: str) -> Table:
    """Return an empty table: the first column is aligned left, the others right."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for k, name in enumerate(columns):
        table.add_column(name, justify="left" if k == 0 else "right", no_wrap=True)
    return table


def _ms(value: float) -> str:
    return f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def _title(source: SourceResult) -> str:
    rate = f" at {source.fps:g} frames/s" if source.fps else ""
    warm_up = counted(source.warm_up_frames, "warm-up frame")
    frames = f"{counted(source.frames, 'frame')} in {source.seconds:.1f} s, after {warm_up}"
    lost = f"; camera lost {counted(source.times_lost, 'time')}" if source.times_lost else ""
    growth = source.growth_mb_per_hour
    memory = "" if growth is None else f"; memory {growth:+.1f} MB an hour"
    return f"{source.name}, {source.picture_size}{rate}: {frames}{lost}{memory}"


def _head(report: Report) -> list[tuple[str, str]]:
    machine = report.machine
    machine_parts = (
        machine["model"],
        machine["processor"],
        counted(machine["cores"], "core"),
        f"{machine['memory_mb']} MB",
        machine["architecture"],
        machine["system"],
        f"Linux {machine['kernel']}",
        f"Python {machine['python']}",
    )
    threads = counted(report.threads, "thread")
    models = ", ".join(f"{name} {each['date']} ({each['sha256'][:8]})" for name, each in report.models.items())
    start = ", ".join(f"{name} {seconds:.2f}" for name, seconds in report.start_s.items())
    lines = {
        "doorlight": f"{report.doorlight}, bench of {report.time}",
        "machine": ", ".join(filter(None, machine_parts)),
        "models": f"{report.runs_on}, {threads}: {models}",
        "libraries": ", ".join(f"{name} {version}" for name, version in report.libraries.items()),
        "start": f"{sum(report.start_s.values()):.2f} s to the first decided frame: {start}",
        "memory": f"{report.memory_mb['now']:.0f} MB, at most {report.memory_mb['peak']:.0f}",
        "heat": "; ".join(report.heat),
    }
    return [(name, text) for name, text in lines.items() if text]
