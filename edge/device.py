"""What a camera device is, whichever library drives it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

from .config import CameraSettings
from .images import Picture

#: Cameras take a second or two to start, streams longer: opening and the first picture together get at least this long.
FIRST_S = 10.0


def first_s(settings: CameraSettings) -> float:
    """How long (seconds) a camera may take from open() to its first picture."""
    return max(settings.timeout_s, FIRST_S)


class Shot(NamedTuple):
    """What a camera saw at one moment, turned and mirrored as the settings say.

    `picture` is (H, W, 3) uint8 RGB; `small`, where the camera makes one, the same scene in fewer pixels.
    """

    picture: Picture
    small: Picture | None = None


class Device(ABC):
    """One connection to a camera: used by one thread, for one open and one close.

    What it raises other than CameraError is taken for a failure of the camera, too.
    """

    #: For how long (seconds) one and the same picture, to the last bit, counts as a new one when it comes again: not at
    #: all from a sensor, whose noise makes every picture another.
    still_s = 0.0

    def prepare(self) -> None:  # noqa: B027  (most have nothing to do)
        """Raise CameraError for what waiting for the camera cannot mend, such as missing software."""

    @abstractmethod
    def open(self) -> None:
        """Connect. Raises CameraError, also for a device that is not there."""

    @abstractmethod
    def read(self) -> Shot:
        """Wait for the next picture. Raises CameraError if none comes."""

    @abstractmethod
    def close(self) -> None:
        """Disconnect; also called after a failed open."""
