"""What is handed from layer to layer: frozen records without behaviour of their own."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:  # not otherwise: whoever shows signals need not load NumPy
    import numpy as np
    import numpy.typing as npt


class Box(NamedTuple):
    """A rectangle in pixels of the frame, x to the right, y down; may reach beyond the frame."""

    x1: float
    y1: float
    x2: float
    y2: float

    @property
    def width(self) -> float:
        return self.x2 - self.x1

    @property
    def height(self) -> float:
        return self.y2 - self.y1


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture of a source.

    `picture` is (H, W, 3) uint8, RGB. `small`, where a camera makes one, shows the same scene at the same moment in
    fewer pixels, to find faces in; what is found is told in pixels of `picture`. `t` is in seconds since the source began, on the source's own clock: frame
    number divided by the rate for a file, monotonic time for a camera. `number` counts from 0 and has gaps where a
    live source dropped frames.
    """

    number: int
    t: float
    picture: npt.NDArray[np.uint8]
    small: npt.NDArray[np.uint8] | None = None


class Detection(NamedTuple):
    """A face found: where, and how sure the detector is (0..1)."""

    box: Box
    score: float


@dataclass(frozen=True, slots=True)
class Face:
    """A face that was looked at.

    `masked` is the calibrated probability (0..1) of a properly worn mask. `expression` holds the seven calibrated
    probabilities in the order of the manifest's labels, and is None where nobody asked: the face is masked, or the
    stage is turned off.
    """

    box: Box
    score: float
    masked: float
    expression: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class Track:
    """One person over time, as the tracker knows them.

    `evidence` is the time-averaged log-odds of "wears a mask": positive for, negative against. `agitation` is the
    time-averaged probability of the agitated expressions, 0..1. Times are in seconds on the source's clock. `height`
    is the face's share of the frame's height. `latest` is the log-odds that the last look gave, `looked_box` where the
    face was then.
    """

    person: int
    box: Box
    height: float
    since: float
    seen: float
    looks: int = 0
    first_look: float | None = None
    last_look: float | None = None
    evidence: float = 0.0
    agitation: float = 0.0
    expression_looks: int = 0
    last_expression: float | None = None
    latest: float = 0.0
    looked_box: Box | None = None


class Signal(enum.Enum):
    """What the door shows, weakest first."""

    IDLE = "IDLE"
    PASS = "PASS"
    STOP = "STOP"
    ALARM = "ALARM"
    FAULT = "FAULT"

    @property
    def strength(self) -> int:
        """0 for IDLE to 4 for FAULT: the stronger one wins."""
        return _STRENGTH[self]


_STRENGTH = {signal: k for k, signal in enumerate(Signal)}


@dataclass(frozen=True, slots=True)
class Event:
    """Something worth a line in the log; `t` is in seconds on the source's clock.

    `data` holds further fields of the line (person, scores, dwell, …), JSON values only, never pixels.
    """

    kind: str
    t: float
    data: dict[str, object] = field(default_factory=dict)
