"""Heartbeats and what is degraded: all that a door loop must know about itself. Pure: no clock, nothing in or out."""

from __future__ import annotations

from collections.abc import Mapping


class Health:
    """What is alive and what is wrong, by name ("camera", "events", …).

    Times are seconds on whatever clock the caller uses, as long as it is always the same one.
    """

    def __init__(self) -> None:
        self._beats: dict[str, float] = {}
        self._problems: dict[str, str] = {}

    def beat(self, name: str, t: float) -> None:
        """`name` did its work at time `t`."""
        self._beats[name] = t

    def set(self, name: str, problem: str | None) -> None:
        """Say what is wrong with `name`; None: all is well again."""
        if problem is None:
            self._problems.pop(name, None)
        else:
            self._problems[name] = problem

    @property
    def problems(self) -> dict[str, str]:
        """What is wrong now, by name, the longest standing first; a copy."""
        return dict(self._problems)

    def stale(self, t: float, limits: Mapping[str, float]) -> list[str]:
        """Names that have not beaten within their limit (seconds), in the order of `limits`.

        A name that has never beaten is stale: silence must not keep a watchdog quiet.
        """
        return [name for name, limit in limits.items() if name not in self._beats or t - self._beats[name] > limit]

    def summary(self) -> str:
        """One line, for systemd's STATUS= and for people: "all well", or what is wrong."""
        return "; ".join(f"{name}: {problem}" for name, problem in self._problems.items()) or "all well"
