"""The door's current problems by component, as one line of text. No clock, no input or output."""

from __future__ import annotations


class Health:
    """The current problems, by the name of the component ("camera", "event log", …)."""

    def __init__(self) -> None:
        self._problems: dict[str, str] = {}

    def set(self, name: str, problem: str | None) -> None:
        """Store the problem of component `name`; None means that it works."""
        if problem is None:
            self._problems.pop(name, None)
        else:
            self._problems[name] = problem

    def summary(self) -> str:
        """Return one line for systemd's STATUS=: "all well", or the problems, the oldest first."""
        return "; ".join(f"{name}: {problem}" for name, problem in self._problems.items()) or "all well"
