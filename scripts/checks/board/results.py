"""The results of the steps: passed, failed or not run, with what was seen and how long it took."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

Verdict = Literal["passed", "failed", "not run"]


@dataclass
class Result:
    """The result of one step. It is "not run" until something has been checked."""

    name: str
    description: str
    seconds: float = 0.0
    #: What was seen, in short sentences with figures.
    seen: list[str] = field(default_factory=list)
    #: What was not as expected; why the step did not run.
    problems: list[str] = field(default_factory=list)
    verdict: Verdict = "not run"

    def check(self, ok: object, expected: str, seen: object = "", *, instead: object = None) -> None:
        """Add a check, and what was seen if that says more than what was expected.

        `instead` is what was seen if the check fails, where that differs.
        """
        if self.verdict == "not run":
            self.verdict = "passed"
        if ok:
            self.seen.append(f"{expected}: {seen}" if seen != "" else expected)
        else:
            self.fail(f"expected {expected}, seen {seen if instead is None else instead}")

    def check_delay(self, seconds: float | None, limit_s: float, expected: str) -> None:
        """Add a check that something happened within a time; `seconds` is None if it did not happen."""
        seen = "never" if seconds is None else f"after {seconds:.1f} s"
        self.check(seconds is not None and seconds <= limit_s, f"{expected} within {limit_s:g} s", seen)

    def note(self, text: str) -> None:
        """Add something that was seen and has no limit."""
        self.seen.append(text)

    def fail(self, problem: str) -> None:
        self.problems.append(problem)
        self.verdict = "failed"

    def render(self) -> str:
        """Return the result as lines for a terminal."""
        lines = [f"{self.verdict:8} {self.name:20} {self.seconds:6.0f} s  {self.description}"]
        lines += [f"{'':9}{'not as expected: ' if self.verdict == 'failed' else ''}{text}" for text in self.problems]
        lines += [f"{'':9}{text}" for text in self.seen]
        return "\n".join(lines)


def exit_code(results: Sequence[Result]) -> int:
    """Return 0 if every step has passed, 1 otherwise: a step that did not run shows nothing."""
    return 0 if results and all(result.verdict == "passed" for result in results) else 1


def write(folder: Path, results: Sequence[Result], about: dict[str, str]) -> None:
    """Write board-report.md and board-report.json into `folder`. `about` are its first lines."""
    folder.mkdir(parents=True, exist_ok=True)
    data = {"about": about, "steps": [asdict(result) for result in results]}
    (folder / "board-report.json").write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n")
    lines = ["# An emulated Raspberry Pi: report", ""]
    lines += [f"- {key}: {value}" for key, value in about.items()]
    lines += ["", "| step | verdict | seconds | seen |", "|---|---|---|---|"]
    for result in results:
        seen = "; ".join([*(f"**{problem}**" for problem in result.problems), *result.seen])
        lines.append(
            f"| {result.name}: {result.description} | {result.verdict} | {result.seconds:.0f} | {_cell(seen)} |"
        )
    (folder / "board-report.md").write_text("\n".join(lines) + "\n")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", "<br>")
