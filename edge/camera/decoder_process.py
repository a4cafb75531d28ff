"""DecoderProcess: a child process that decodes the pictures of an untrusted source.

OpenCV 4.11 reads beyond its buffers, and may crash, if a stream changes its picture size or announces a wrong one.
FFmpeg allocates the memory that a file announces, and can be kept busy for ever. The child's messages are discarded.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from ..imaging.images import Picture
from .picture_process import PictureProcess


class DecoderProcess(PictureProcess, ABC):
    """A video or stream that a child process opens and decodes. Used by one thread."""

    @abstractmethod
    def read(self) -> Picture | None:
        """Return the next picture, (H, W, 3) uint8 RGB, upright; None at the end and after a failure."""
