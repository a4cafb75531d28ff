"""CameraDevice: the interface of a camera driver.

To add a camera, subclass CameraDevice and let factory.open_source return a LiveSource for it. LiveSource adds the
thread, the timeouts and the reopening.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:  # a camera process needs the constants below, and neither settings nor OpenCV
    from ..config import CameraSettings
    from ..imaging.images import Picture

#: Minimum limit for open(), and for the first picture: cameras need a second or two to start, streams longer.
MIN_OPEN_TIMEOUT_S = 10.0
#: The same for the first attempt to reopen a camera that has worked, if the device can limit it.
MIN_REOPEN_TIMEOUT_S = 3.0
#: What prepare() may take: it loads software from a slow card, while all cores are busy.
PREPARE_TIMEOUT_S = 30.0


def open_timeout_s(settings: CameraSettings) -> float:
    """Return how long (seconds) open() and the first picture of a camera may take each."""
    return max(settings.timeout_s, MIN_OPEN_TIMEOUT_S)


def first_timeout_s(settings: CameraSettings, attempts: int) -> float:
    """Return how long (seconds) open() and the first picture may take each, after `attempts` failed ones to reopen it.

    A connection that was opened during a fault may never give a picture, so the first attempts are short. The limit
    doubles, so that a camera that needs longer comes back, too.
    """
    return min(open_timeout_s(settings), max(settings.timeout_s, MIN_REOPEN_TIMEOUT_S) * 2.0 ** min(attempts, 10))


class Capture(NamedTuple):
    """One picture of a camera, rotated and mirrored as the settings say.

    `picture` is (H, W, 3) uint8 RGB. `lores` is the same scene at a lower resolution, for cameras that provide one.
    """

    picture: Picture
    lores: Picture | None = None


class CameraDevice(ABC):
    """One connection to a camera. One thread makes it, prepares it, opens it once, reads from it and closes it once.

    LiveSource treats any exception of open() and read() as a failure of the camera, not only CameraError.
    """

    #: How long (seconds) a bit-identical picture still counts as new. Zero for a sensor: its noise changes every picture.
    repeat_allowed_s = 0.0
    #: How long (seconds) open() and the first picture may take each. LiveSource sets it; a device may ignore it.
    first_timeout_s = MIN_OPEN_TIMEOUT_S

    def prepare(self) -> None:  # noqa: B027 - optional: most devices need no preparation
        """Load what open() needs. Raises CameraError for a problem that waiting cannot solve, such as missing software."""

    @abstractmethod
    def open(self) -> None:
        """Connect to the camera. Raises CameraError, also if the camera is absent."""

    @abstractmethod
    def read(self) -> Capture:
        """Wait for the next picture and return it. Raises CameraError if none arrives."""

    @abstractmethod
    def close(self) -> None:
        """Disconnect. Is also called after prepare() or open() failed."""
