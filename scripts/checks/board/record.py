"""What the host has seen of one step: its lines on the console, and the pins meanwhile."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from .emulator import Line
from .pins import PinChange, between

OUTPUT = "| "
MARK = "BOARD mark "


@dataclass(frozen=True)
class StepRecord:
    """Lines and pins from the begin of a step to its end; times are seconds since power-on."""

    lines: Sequence[Line]
    changes: Sequence[PinChange]
    begin: float
    end: float

    @property
    def output(self) -> list[Line]:
        """The lines of the step's own output, without their mark."""
        return [Line(line.t, line.text[len(OUTPUT) :]) for line in self.lines if line.text.startswith(OUTPUT)]

    def lines_of(self, prefix: str) -> list[str]:
        """Return the lines of the output that begin with a word such as "event", without it."""
        return [line.text[len(prefix) + 1 :] for line in self.output if line.text.startswith(prefix + " ")]

    def find(self, pattern: str) -> list[tuple[float, re.Match[str]]]:
        """Return the time and the match of each line of the output that matches a pattern."""
        return [(line.t, match) for line in self.output if (match := re.search(pattern, line.text))]

    def marked(self, word: str) -> float | None:
        """Return when the guest did something; None if it did not."""
        return next((line.t for line in self.lines if line.text.startswith(MARK + word)), None)

    def pins(self, begin: float | None = None, end: float | None = None) -> list[PinChange]:
        """Return the pins of the step, or of a part of it: the state at its beginning, and the changes."""
        return between(self.changes, self.begin if begin is None else begin, self.end if end is None else end)

    def states(self, begin: float | None = None, end: float | None = None) -> list[str]:
        """Return the pins as texts, without those that follow the same one."""
        states: list[str] = []
        for change in self.pins(begin, end):
            if not states or states[-1] != str(change.pins):
                states.append(str(change.pins))
        return states
