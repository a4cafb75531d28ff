"""Write a video completely or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType

import cv2

from ..arrays import Picture
from . import HEIGHT, WIDTH


class Video:
    """An .mp4 file that appears at `path` when it is complete. Frames are (H, W, 3) uint8 RGB.

    Use it as a context manager. Raises OSError if OpenCV cannot write the video.
    """

    def __init__(self, path: Path, fps: float, width: int = WIDTH, height: int = HEIGHT) -> None:
        self.path = path
        self.size = (width, height)
        self._part = path.with_name(f".{path.stem}.part{path.suffix}")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._writer = cv2.VideoWriter(str(self._part), cv2.VideoWriter.fourcc(*"mp4v"), fps, self.size)
        if not self._writer.isOpened():
            raise OSError(f"{self._part}: OpenCV cannot write this video (folder not writable, or no mp4v encoder)")

    def write(self, frame: Picture) -> None:
        """Append a frame. Raises ValueError if its size is not that of the video."""
        if frame.shape != (self.size[1], self.size[0], 3):
            raise ValueError(f"frame is {frame.shape}, the video is {self.size[0]}x{self.size[1]}")
        self._writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))

    def __enter__(self) -> Video:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.release()
        if kind is None:
            os.replace(self._part, self.path)
        else:
            self._part.unlink(missing_ok=True)
