"""What `doorlight bench` has measured: records that are the JSON it prints, and the tables that people read."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Spread:
    """Milliseconds. Percentiles are of the nearest rank: times that some frame really took."""

    p50: float
    p95: float
    p99: float
    mean: float


@dataclass(frozen=True, slots=True)
class StageTime:
    """One stage in the `frames` in which it happened; `share` of the time of all frames, None for waiting for them."""

    frames: int
    ms: Spread
    share: float | None


@dataclass(frozen=True, slots=True)
class Situation:
    """The frames in which the door saw the same: nobody, only people it has decided about, or someone it has not.

    `people` and `looks` (faces shown to the classifiers) are means a frame. From having the frame, `light_ms` lasts until the
    light is right, and `loop_ms` until the next one may come; `overhead_ms` is what of this is not the models' own.
    `processor_ms` is the processor's time a frame, all threads together; of a camera, capturing included. `frames_per_s` is
    what the loop could do if it never had to wait for a frame.
    """

    name: str
    frames: int
    people: float
    looks: float
    light_ms: Spread
    loop_ms: Spread
    overhead_ms: Spread
    processor_ms: float
    frames_per_s: float
    stages: dict[str, StageTime]


@dataclass(frozen=True, slots=True)
class Passage:
    """One source, watched for `seconds`: `frames` that count after `warm_up` that do not.

    A camera was `lost` so many times. `growth_mb_per_hour` is that of memory, None where it was too short to tell.
    """

    name: str
    picture: str
    fps: float | None
    seconds: float
    frames: int
    warm_up: int
    lost: int
    growth_mb_per_hour: float | None
    situations: tuple[Situation, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """Everything there is to say. No serial number, no address, no name of a file, folder or person is in it."""

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
    passages: tuple[Passage, ...]
    notes: tuple[str, ...]


def shown(report: Report, width: int = 100, colour: bool = False) -> str:
    """The report as text for a terminal of `width` columns."""
    # Not at the top: what prints JSON, and `run`, whose start is measured, need none of it.
    from rich.bar import Bar
    from rich.console import Console, Group, RenderableType
    from rich.table import Table
    from rich.text import Text

    def table(*columns: str, left: int = 1) -> Table:
        made = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
        for k, name in enumerate(columns):
            made.add_column(name, justify="left" if k < left else "right", no_wrap=True)
        return made

    head = Table.grid(padding=(0, 2))
    head.add_column(style="bold", no_wrap=True)
    head.add_column(overflow="fold")
    for name, text in _head(report):
        head.add_row(name, Text(text))
    parts: list[RenderableType] = [head]

    for passage in report.passages:
        summary = table(
            "", "frames", "to the light: p50", "p95", "p99 ms", "own ms", "processor ms", "frames/s", "looks"
        )
        for each in passage.situations:
            summary.add_row(
                each.name,
                str(each.frames),
                *map(_ms, (each.light_ms.p50, each.light_ms.p95, each.light_ms.p99)),
                _ms(each.overhead_ms.p50),
                _ms(each.processor_ms),
                f"{each.frames_per_s:.0f}",
                f"{each.looks:.2f}",
            )
        parts += ["", Text(_title(passage), "bold"), summary]
        for each in passage.situations:
            stages = table(f"{each.name}:", "in frames", "ms: p50", "p95", "p99", "share", "")
            stages.columns[-1].justify = "left"
            most = max(stage.share or 0 for stage in each.stages.values())
            for name, stage in each.stages.items():
                stages.add_row(
                    f"  {name}",
                    f"{stage.frames / each.frames:.0%}",
                    *map(_ms, (stage.ms.p50, stage.ms.p95, stage.ms.p99)),
                    "" if stage.share is None else f"{stage.share:.1%}",
                    "(not counted)" if stage.share is None else Bar(most, 0, stage.share, width=24),
                )
            parts += ["", stages]
    for note in report.notes:
        parts += ["", Text(f"note: {note}")]
    out = io.StringIO()
    Console(file=out, width=max(width, 96), force_terminal=colour, no_color=not colour).print(Group(*parts))
    return "\n".join(map(str.rstrip, out.getvalue().splitlines()))


def _ms(value: float) -> str:
    return f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def _title(passage: Passage) -> str:
    rate = f" at {passage.fps:g} frames/s" if passage.fps else ""
    counted = f"frames counted: {passage.frames}, after {passage.warm_up} to warm up, in {passage.seconds:.1f} s"
    lost = f"; blind {passage.lost} times" if passage.lost else ""
    growth = "" if passage.growth_mb_per_hour is None else f"; memory {passage.growth_mb_per_hour:+.1f} MB an hour"
    return f"{passage.name}, {passage.picture}{rate}: {counted}{lost}{growth}"


def _head(report: Report) -> list[tuple[str, str]]:
    of = report.machine
    machine = (
        of["model"], of["processor"], f"{of['cores']} cores", f"{of['memory_mb']} MB", of["architecture"], of["system"],
        f"Linux {of['kernel']}", f"Python {of['python']}",
    )  # fmt: skip
    threads = "1 thread" if report.threads == 1 else f"{report.threads} threads"
    start = ", ".join(f"{name} {seconds:.2f}" for name, seconds in report.start_s.items())
    lines = {
        "doorlight": f"{report.doorlight}, bench of {report.time}",
        "machine": ", ".join(filter(None, machine)),
        "models": f"{report.runs_on}, {threads}: "
        + ", ".join(f"{name} {each['date']} ({each['sha256'][:8]})" for name, each in report.models.items()),
        "libraries": ", ".join(f"{name} {version}" for name, version in report.libraries.items()),
        "start": f"{sum(report.start_s.values()):.2f} s to the first frame decided: {start}",
        "memory": f"{report.memory_mb['now']:.0f} MB, at most {report.memory_mb['peak']:.0f}",
        "heat": "; ".join(report.heat),
    }
    return [(name, text) for name, text in lines.items() if text]
