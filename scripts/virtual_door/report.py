"""The checks of a scenario, and a report of all scenarios in Markdown and JSON.

A scenario is a test with several checks. A failed check does not stop the scenario: the report shows what was done how
often, what was expected and what was seen. The test fails at its end if any check failed.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Step:
    """One check and its result."""

    done: str
    expected: str
    seen: str
    ok: bool
    times: int = 1


@dataclass(frozen=True)
class Measure:
    """The values of one measured quantity, with an optional maximum."""

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
    """The report of one scenario, filled while the scenario runs."""

    name: str
    description: str
    steps: list[Step] = field(default_factory=list)
    measures: list[Measure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    error: str = ""
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether there is at least one step, all steps and measures are OK, and no exception ended the scenario."""
        return bool(self.steps) and not self.error and not self.failures()

    def failures(self) -> list[str]:
        """Return one line for each step and measure that is not OK."""
        return [
            *(f"{s.done}: expected {s.expected}, seen {s.seen}" for s in self.steps if not s.ok),
            *(f"{m.name}: {m}" for m in self.measures if not m.ok),
        ]

    def check(self, ok: object, done: str, expected: object, seen: object, times: int = 1) -> bool:
        """Add a step: `done` says what was done `times` times, `ok` whether `seen` is as `expected`. Return `ok`."""
        self.steps.append(Step(done, str(expected), str(seen), bool(ok), times))
        return bool(ok)

    def equal(self, seen: object, expected: object, done: str, times: int = 1) -> bool:
        """Add a step whose result must be equal to what is expected."""
        return self.check(seen == expected, done, str(expected), seen, times)

    def measure(self, name: str, values: float | Sequence[float], unit: str, at_most: float | None = None) -> None:
        """Add one or more measured values. The largest must not exceed `at_most`."""
        found = tuple(values) if isinstance(values, Sequence) else (values,)
        self.measures.append(Measure(name, unit, tuple(round(v, 4) for v in found), at_most))

    def note(self, text: str) -> None:
        """Add a remark that a reader of the report needs."""
        self.notes.append(text)


def write(folder: Path, reports: Sequence[Report], about: dict[str, Any]) -> None:
    """Write vdoor-report.md and vdoor-report.json into `folder`.

    `about` are its first lines: date, versions, machine.
    """
    data = {"about": about, "scenarios": [{"ok": r.ok, **asdict(r)} for r in reports]}
    (folder / "vdoor-report.json").write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n")
    lines = ["# The virtual door: report", ""]
    lines += [f"- {key}: {value}" for key, value in about.items()]
    lines += ["", "| scenario | verdict | steps | as expected | seconds |", "|---|---|---|---|---|"]
    for r in reports:
        passed = sum(s.ok for s in r.steps)
        lines.append(f"| {r.name} | {_verdict(r)} | {len(r.steps)} | {passed} | {r.seconds:.0f} |")
    for r in reports:
        lines += _section(r)
    (folder / "vdoor-report.md").write_text("\n".join(lines) + "\n")


def _section(report: Report) -> list[str]:
    lines = ["", f"## {report.name}: {_verdict(report)}", "", report.description, ""]
    if report.steps:
        lines += ["| what was done | times | expected | seen | |", "|---|---|---|---|---|"]
        lines += [
            f"| {_cell(s.done)} | {s.times} | {_cell(s.expected)} | {_cell(s.seen)} | {_tick(s.ok)} |"
            for s in report.steps
        ]
    if report.measures:
        lines += ["", "| measured | value | |", "|---|---|---|"]
        lines += [f"| {_cell(m.name)} | {m} | {_tick(m.ok)} |" for m in report.measures]
    for note in report.notes:
        lines += ["", note]
    if report.error:
        lines += ["", "The scenario ended early:", "", "```", report.error.strip(), "```"]
    return lines


def _verdict(report: Report) -> str:
    return "passed" if report.ok else "FAILED"


def _tick(ok: bool) -> str:
    return "ok" if ok else "**no**"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", "<br>")
