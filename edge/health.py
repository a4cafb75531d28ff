"""What is degraded, in words: all that a door loop must know about itself. Pure: no clock, nothing in or out."""

from __future__ import annotations


class Health:
    """What is wrong, by name ("camera", "event log", …)."""

    def __init__(self) -> None:
        self._problems: dict[str, str] = {}

    def set(self, name: str, problem: str | None) -> None:
        """Say what is wrong with `name`; None: all is well again."""
        if problem is None:
            self._problems.pop(name, None)
        else:
            self._problems[name] = problem

    def summary(self) -> str:
        """One line, for systemd's STATUS= and for people: "all well", or what is wrong, the longest standing first."""
        return "; ".join(f"{name}: {problem}" for name, problem in self._problems.items()) or "all well"
