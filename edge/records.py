"""Records that the layers exchange: frozen dataclasses and named tuples without logic.

All times `t` are seconds on the source's clock: presentation time for a video, monotonic time since the source was
opened for a camera. Boxes are in pixels of `Frame.picture`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:  # The pin process imports this module and must not load NumPy.
    import numpy as np
    import numpy.typing as npt

#: (x, y) in pixels, x to the right, y down.
Point = tuple[float, float]

#: Tolerance for comparing times. The difference of two frame times, such as 1.9 - 1.5, can be slightly too small.
TIME_EPSILON_S = 1e-6


class Box(NamedTuple):
    """A rectangle in pixels, x to the right, y down. It may extend beyond the picture."""

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
    """A picture with its number and time.

    `picture` is (H, W, 3) uint8 RGB. `lores` is the same moment in fewer pixels, if the camera delivers it; the face
    detector prefers it. `number` counts from 0 and has gaps if a live source dropped frames. `still_s` is the time
    (seconds) before `t` in which the source showed the frame before this one: a video stores no frame while nothing
    changes. It is 0 if the source does not know what happened between the two. `is_repeat` is True if a camera has sent the
    picture of the frame before this one again: the camera works, but this is not another look at anyone.
    """

    number: int
    t: float
    picture: npt.NDArray[np.uint8]
    lores: npt.NDArray[np.uint8] | None = None
    still_s: float = 0.0
    is_repeat: bool = False


class Detection(NamedTuple):
    """A detected face: its box and the detector's score, 0..1."""

    box: Box
    score: float


@dataclass(frozen=True, slots=True)
class Face:
    """The result of one look: the classifiers' output for one face.

    `mask_probability` is the calibrated probability (0..1) of a properly worn mask. `expression` has the calibrated
    probabilities of the expressions, in the order of the labels in the manifest. It is None if the face is masked or
    undecided, or if the expression stage is disabled. `landmarks` are two eyes, nose tip and two mouth corners, of each
    pair the left one in the picture first; None if that stage is disabled. `is_undecided` is True if the face looks bare
    but is turned too far to the side to tell: the look is no evidence. `masked_expression` is the same as `expression` for
    a masked face, in the order of that model's labels: a guess from what the mask leaves. None if that stage is disabled.
    """

    box: Box
    score: float
    mask_probability: float
    expression: tuple[float, ...] | None = None
    landmarks: tuple[Point, ...] | None = None
    is_undecided: bool = False
    masked_expression: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class Track:
    """One face over time, as the tracker knows it: a person, or a false detection that soon ends.

    `number` counts from 1 and is internal; a person's number in the event log is `policy.Person.number`. `height` is
    the face's share of the picture's height. `evidence` is the time-averaged log-odds of a mask, positive for masked.
    `agitation` is the time-averaged probability (0..1) of the agitated expressions in looks at the bare face,
    `masked_agitation` that in looks above a mask; neither has a share in the other. `last_log_odds` is the result of
    the last look, `last_look_box` the face's position then. `frames` counts the frames since the first. `score` is the
    average score in the latest of them, 0 where the face was not seen. `misfit` is the average squared distance, in
    standard deviations, from where and how large the face was expected.
    """

    number: int
    box: Box
    height: float
    first_seen: float
    last_seen: float
    looks: int = 0
    first_look: float | None = None
    last_look: float | None = None
    evidence: float = 0.0
    agitation: float = 0.0
    expression_looks: int = 0
    last_expression: float | None = None
    last_log_odds: float = 0.0
    last_look_box: Box | None = None
    frames: int = 1
    score: float = 1.0
    misfit: float = 0.0
    masked_agitation: float = 0.0
    masked_expression_looks: int = 0
    last_masked_expression: float | None = None


class Signal(enum.Enum):
    """The signal that the lights show, weakest first."""

    IDLE = "IDLE"
    PASS = "PASS"
    STOP = "STOP"
    ALARM = "ALARM"
    FAULT = "FAULT"

    @property
    def strength(self) -> int:
        """Return 0 for IDLE to 4 for FAULT. The strongest signal takes precedence."""
        return _STRENGTH[self]


#: The names of the signals, as log and network have them.
SIGNAL_NAMES = frozenset(signal.value for signal in Signal)
_STRENGTH = {signal: k for k, signal in enumerate(Signal)}


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened and that the event log records.

    `data` holds the further fields of the log record (person, scores, dwell, …): JSON values only, never pixels.
    """

    kind: str
    t: float
    data: dict[str, object] = field(default_factory=dict)
