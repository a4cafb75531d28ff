"""Where the time of a frame goes: laps of a stopwatch, each by the name of a stage."""

from __future__ import annotations

from typing import Literal

#: In the order of a frame's way. "detect", "mask" and "expression" are the raw calls of the models; what leads up to them
#: and what is made of them is "resize", "decode" and "crop". A new frame begins when "capture" ends.
Stage = Literal[
    "capture", "motion", "resize", "detect", "decode", "track", "crop", "mask", "expression", "evidence", "decide",
    "lights", "log",
]  # fmt: skip


class Stages:
    """The stopwatch that nobody looks at: costs a call a lap. bench has one that counts."""

    __slots__ = ()

    def lap(self, stage: Stage) -> None:
        """Whatever was done since the last lap was `stage`."""


UNTIMED = Stages()
