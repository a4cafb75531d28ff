"""A frame and its decision on their way from the door's loop to those who watch."""

from __future__ import annotations

from typing import NamedTuple

from ..pipeline import Decision
from ..records import Box, Frame


class Offer(NamedTuple):
    """What the loop has handed over. `faces` are to be hidden; None: hide everything."""

    frame: Frame | None
    decision: Decision
    faces: tuple[Box, ...] | None
    frame_rate: float

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height of the frame in pixels; None without one."""
        return None if self.frame is None else (self.frame.picture.shape[1], self.frame.picture.shape[0])
