"""The state of updates in words: which version runs, whether it is on trial, how the last update ended."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import NamedTuple

from ..errors import UnavailableError
from .door import Door
from .layout import Layout, version_of
from .trial import BY_HAND, HEALTHY_S, Health, Result, Trial, read

__all__ = ["BY_HAND", "Status", "collect", "describe", "describe_result"]


class Status(NamedTuple):
    """The versions: `chosen` is what the service starts, `running` what runs now. Each is "" if there is none.

    `previous` is the version that `--rollback` brings back.
    """

    chosen: str
    running: str
    previous: str
    trial: Trial | None
    healthy_s: float
    result: Result | None


def collect(layout: Layout, door: Door) -> Status:
    """Return the state. Raises UnavailableError if the files of a trial are damaged."""
    current, previous = layout.release_of(layout.current), layout.release_of(layout.previous)
    trial = read(layout.trial, Trial)
    result = None
    with contextlib.suppress(UnavailableError):
        result = read(layout.result, Result)
    can_go_back = previous is not None and previous != current and layout.undo.is_dir()
    chosen = version_of(current) if current else ""
    return Status(
        chosen,
        _running(layout, door, chosen),
        version_of(previous) if previous and can_go_back else "",
        trial,
        _healthy_s(layout),
        result,
    )


def _running(layout: Layout, door: Door, chosen: str) -> str:
    """Return the version of the door's process; "" if it does not run. `chosen`, if its program cannot be seen."""
    with contextlib.suppress(UnavailableError):
        pid = door.state().main_pid
        if not pid:
            return ""
        parts = Path(door.program_of(pid)).parts
        if "releases" in parts[:-1]:
            return version_of(layout.releases / parts[parts.index("releases") + 1])
        return chosen
    return ""


def _healthy_s(layout: Layout) -> float:
    with contextlib.suppress(UnavailableError):
        health = read(layout.health, Health)
        if health is not None:
            return max(time.clock_gettime(time.CLOCK_BOOTTIME) - health.healthy_since_s, 0.0)
    return 0.0


def describe(status: Status) -> list[str]:
    """Return the state as lines."""
    if not status.chosen:
        return ["Doorlight is not installed here"]
    lines = []
    running = f"version {status.running or status.chosen} " + (
        "runs" if status.running else "is installed; the door does not run"
    )
    if status.running and status.running != status.chosen:
        running += f"; version {status.chosen} starts with the next restart"
    lines.append(running)
    trial = status.trial
    if trial is not None:
        lines.append(
            {
                "trying": f"version {trial.version} is on trial since {trial.began}, healthy for {status.healthy_s / 60:.0f} of "
                f"{HEALTHY_S / 60:g} minutes; otherwise version {trial.previous_version} comes back",
                "switching": f"version {trial.version} is being installed; if that is interrupted, version "
                f"{trial.previous_version} comes back",
                "back": f"version {trial.previous_version} is coming back: {trial.reason}",
            }[trial.phase]
        )
    elif status.previous:
        lines.append(f"version {status.previous} can come back: sudo doorlight update --rollback")
    if status.result is not None and trial is None:
        lines.append(f"last update: {describe_result(status.result)}")
    return lines


def describe_result(result: Result) -> str:
    """Return how an update ended."""
    if result.kept:
        return f"{result.time}, from {result.previous_version} to {result.version}: kept"
    return f"{result.time}, to {result.version}: taken back to {result.previous_version}, because: {result.reason}"
