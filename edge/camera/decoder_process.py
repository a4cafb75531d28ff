"""DecoderProcess: a child process that decodes the pictures of an untrusted source.

OpenCV 4.11 reads beyond its buffers, and may crash, if a stream changes its picture size or announces a wrong one.
FFmpeg allocates the memory that a file announces, and can be kept busy for ever. The child's messages are discarded.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..imaging.images import Picture
from .picture_process import READ_GRACE_S, PictureProcess, start

#: As READ_GRACE_S, for opening, which includes the start of the child.
OPEN_GRACE_S = 5.0


class DecoderProcess(PictureProcess, ABC):
    """A video or stream that a child process opens and decodes. Used by one thread."""

    def __init__(
        self, command: Sequence[str], request: Sequence[object], open_timeout_s: float, read_timeout_s: float
    ) -> None:
        """Start `command`, whose `serve` gets `request`. The timeouts (seconds) limit the opening and each picture."""
        super().__init__(start(command, request))
        self._open_timeout_s, self._read_timeout_s = open_timeout_s + OPEN_GRACE_S, read_timeout_s + READ_GRACE_S
        #: For the first picture: that of a stream may have to wait for a key frame.
        self._first_timeout_s = self._open_timeout_s

    @abstractmethod
    def read(self) -> Picture | None:
        """Return the next picture, (H, W, 3) uint8 RGB, upright; None at the end and after a failure."""

    def _receive_header(self, header: struct.Struct) -> tuple[Any, ...] | None:
        """Return the fields of a picture's header; None, and set `failure`, if it is late or the child ends."""
        timeout_s, self._first_timeout_s = self._first_timeout_s, self._read_timeout_s
        data = bytearray(header.size)
        return header.unpack(data) if self._receive(memoryview(data), timeout_s) else None

    def _receive_picture(self, height: int, width: int) -> Picture | None:
        """Return a picture, (height, width, 3) uint8 RGB; None, and set `failure`, as above."""
        picture = np.empty((height, width, 3), np.uint8)
        return picture if self._receive(picture.data.cast("B"), self._read_timeout_s) else None
