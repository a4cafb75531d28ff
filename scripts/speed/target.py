"""The result of a target."""

from __future__ import annotations

from typing import NamedTuple


class TargetResult(NamedTuple):
    """A target, and what was measured. `met` is None if it was not measured; then `measured` is the reason."""

    target: str
    measured: str
    met: bool | None
