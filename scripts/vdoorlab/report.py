"""What was done, how often, what was expected, what was seen and what was measured: for one scenario, and for all."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Step:
    """One expectation and what became of it."""

    done: str
    expected: str
    seen: str
    ok: bool
    times: int = 1


@dataclass(frozen=True)
class Measure:
    """Values of one thing measured, with what they should be at most, where that matters."""

    name: str
    unit: str
    values: tuple[float, ...]
    at_most: float | None = None

    @property
    def ok(self) -> bool:
        return self.at_most is None or max(self.values) <= self.at_most

    def __str__(self) -> str:
        low, high, n = min(self.values), max(self.values), len(self.values)
        text = (
            f"{low:.3g}"
            if n == 1
            else f"median {statistics.median(self.values):.3g} ({low:.3g} to {high:.3g}, {n} times)"
        )
        return f"{text} {self.unit}".strip() + ("" if self.at_most is None else f", at most {self.at_most:g}")


@dataclass
class Report:
    """The report of one scenario, which writes into it as it goes."""

    name: str
    what: str
    steps: list[Step] = field(default_factory=list)
    measures: list[Measure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    error: str = ""
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        return (
            not self.error and all(s.ok for s in self.steps) and all(m.ok for m in self.measures) and bool(self.steps)
        )

    def check(self, ok: object, done: str, expected: object, seen: object, times: int = 1) -> bool:
        """State a step: `done` this, `times` often, `expected` that, `seen` this; `ok` says whether it is as expected."""
        self.steps.append(Step(done, str(expected), str(seen), bool(ok), times))
        return bool(ok)

    def equal(self, seen: object, expected: object, done: str, times: int = 1) -> bool:
        """A step whose outcome must be equal to what is expected."""
        return self.check(seen == expected, done, str(expected), seen, times)

    def measure(self, name: str, values: float | Sequence[float], unit: str, at_most: float | None = None) -> None:
        """State what was measured; the largest value must not exceed `at_most`."""
        found = tuple(values) if isinstance(values, Sequence) else (values,)
        self.measures.append(Measure(name, unit, tuple(round(v, 4) for v in found), at_most))

    def note(self, text: str) -> None:
        """Say something that the reader must know to judge the rest."""
        self.notes.append(text)


def write(folder: Path, reports: Sequence[Report], about: dict[str, Any]) -> None:
    """vdoor-report.md and vdoor-report.json in `folder`."""
    data = {"about": about, "scenarios": [{"ok": r.ok, **asdict(r)} for r in reports]}
    (folder / "vdoor-report.json").write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n")
    lines = ["# The virtual door: report", ""]
    lines += [f"- {key}: {value}" for key, value in about.items()]
    lines += ["", "| scenario | verdict | steps | as expected | seconds |", "|---|---|---|---|---|"]
    for r in reports:
        good = sum(s.ok for s in r.steps)
        lines.append(f"| {r.name} | {verdict(r)} | {len(r.steps)} | {good} | {r.seconds:.0f} |")
    for r in reports:
        lines += ["", f"## {r.name}: {verdict(r)}", "", r.what, ""]
        if r.steps:
            lines += ["| what was done | times | expected | seen | |", "|---|---|---|---|---|"]
            lines += [
                f"| {_cell(s.done)} | {s.times} | {_cell(s.expected)} | {_cell(s.seen)} | {_tick(s.ok)} |"
                for s in r.steps
            ]
        if r.measures:
            lines += ["", "| measured | value | |", "|---|---|---|"]
            lines += [f"| {_cell(m.name)} | {m} | {_tick(m.ok)} |" for m in r.measures]
        for note in r.notes:
            lines += ["", note]
        if r.error:
            lines += ["", "It broke off:", "", "```", r.error.strip(), "```"]
    (folder / "vdoor-report.md").write_text("\n".join(lines) + "\n")


def verdict(report: Report) -> str:
    return "passed" if report.ok else "FAILED"


def _tick(ok: bool) -> str:
    return "ok" if ok else "**no**"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", "<br>")
