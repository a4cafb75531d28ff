"""Measure how the time of a frame is divided between the stages of the loop.

The loop and the models call `StageTimer.mark` at the end of each stage. The default timer records nothing;
`edge.bench.measure` has one that records.
"""

from __future__ import annotations

from typing import Literal

#: The stages in the order in which a frame passes them. "detect", "mask", "landmarks", "expression" and "embedding" are the
#: model calls alone; "resize", "decode" and "crop" are the work before and after them. A new frame begins when "capture" ends.
Stage = Literal[
    "capture", "motion", "resize", "detect", "decode", "track", "crop", "mask", "landmarks", "expression", "embedding",
    "evidence", "decide", "lights", "log",
]  # fmt: skip


class StageTimer:
    """A timer that records nothing; its cost is one method call per mark."""

    __slots__ = ()

    def mark(self, stage: Stage) -> None:
        """Assign the time since the previous mark to `stage`."""


NO_TIMER = StageTimer()
