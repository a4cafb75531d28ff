"""Fill the folder of the sensor with a video, and give orders to it (libcamera/virtual.cpp describes both)."""

from __future__ import annotations

from pathlib import Path

import cv2


def show_video(folder: Path, video: Path) -> None:
    """Let the sensor see a video, again and again."""
    folder.mkdir(parents=True, exist_ok=True)
    capture = cv2.VideoCapture(str(video))
    size = [capture.get(key) for key in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FPS)]
    with (folder / "frames").open("wb") as frames:
        while (read := capture.read())[0]:
            frames.write(cv2.cvtColor(read[1], cv2.COLOR_BGR2YUV_I420).tobytes())
    capture.release()
    (folder / "camera").write_text("{:.0f} {:.0f} {:g}\n".format(*size))


def order(folder: Path, word: str) -> None:
    """Change how the sensor behaves, from its next frame on."""
    new = folder / "state.new"  # renamed, so that the sensor never reads half a word
    new.write_text(f"{word}\n")
    new.rename(folder / "state")
