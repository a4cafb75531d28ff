"""Source: the interface that the door reads frames from.

A file plays every frame on its own clock, so the same file always gives the same frames. A camera is
live: read() returns the newest frame and drops older ones.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from types import TracebackType
from typing import NamedTuple, Self

from ..errors import CameraError
from ..records import Frame

#: What a source can be, for hints: "give …".
SOURCE_KINDS = '"picamera", a device (/dev/video0), an address (rtsp://…), a video file, a picture or a folder of them'
#: A file that is not played: "is …".
NEITHER = "neither a picture nor a video"


class CameraLostError(CameraError):
    """A live source has no new frame. The source is reopening the camera: call read() again.

    `t` is the time of the error in seconds, on the same clock as Frame.t. `is_too_slow`: frames arrive, but too rarely.
    """

    def __init__(self, message: str, hint: str = "", t: float = 0.0, is_too_slow: bool = False) -> None:
        super().__init__(message, hint)
        self.t = t
        self.is_too_slow = is_too_slow


class LeftOut(NamedTuple):
    """A file of a folder that is not played, why ("is …"), and what to do about it ("" if nothing).

    `is_media` is False for a folder, and for a file that by name and content is neither a picture nor a video.
    """

    name: str
    reason: str
    hint: str = ""
    is_media: bool = True


class Scene(NamedTuple):
    """A file of a folder, whose people are decided by themselves."""

    file: str
    is_picture: bool


class Source(ABC):
    """A sequence of frames. As a context manager it opens and closes itself.

    `name` is safe to log: it contains no password. `live` is True for a camera, which drops old frames, and False for a
    file, which plays every frame. `length` (announced number of frames) and `fps` (rate of a file) are valid after
    open(), and None if unknown. `note` says what was assumed about a file that is not damaged, None for nothing; it is
    valid after open().
    """

    name: str
    live: bool
    length: int | None = None
    fps: float | None = None
    note: str | None = None
    #: The files of a folder that are not played. Final after the last read().
    left_out: Sequence[LeftOut] = ()
    #: The scene of the last frame; None for a source that is a single scene.
    scene: Scene | None = None

    @property
    def damage(self) -> str | None:
        """What was wrong with the file, although it was played; None if it was intact. Final after the last read()."""
        return None

    def prepare(self) -> None:  # noqa: B027 - most sources have nothing to prepare
        """Start what open() would wait for, if there is any such thing. close() also ends it."""

    @abstractmethod
    def open(self) -> None:
        """Start from the beginning. Raises InputError (files) or CameraError (cameras)."""

    @abstractmethod
    def read(self) -> Frame | None:
        """Return the next frame; None at the end of a file. A camera raises CameraLostError if no frame is in time."""

    @abstractmethod
    def close(self) -> None:
        """Release the file or device. May be called twice, and returns within seconds."""

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
