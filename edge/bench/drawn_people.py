"""A source of drawn pictures in which people come, stay and go."""

from __future__ import annotations

import math
from importlib import resources

import cv2
import numpy as np

from ..camera.source import Source
from ..config import CameraSettings
from ..imaging.images import Picture
from ..records import Frame

#: People stay for STAY_S, then are away for AWAY_S (seconds on the source's clock).
STAY_S, AWAY_S = 4.0, 4.0
#: The colours of the wall and of the door in it, RGB, and the number of levels of the sensor noise.
WALL, DOOR, NOISE_LEVELS = (130, 126, 120), (96, 92, 88), 9
#: The noise is drawn once, and laid over each frame at another place within this many pixels.
NOISE_SHIFT_PX = 16
#: A visitor fills this share of the height or width of their place.
VISITOR_SIZE = 0.8


class DrawnPeople(Source):
    """`faces` people in front of a wall with a door, who come, stay for STAY_S, are away for AWAY_S, and come again.

    Each is a copy of visitor.jpg, and moves: up in the first second, then a little from side to side. Frames have
    sensor noise, and are the same in every run. The source never ends.
    """

    live = False

    def __init__(self, faces: int, settings: CameraSettings) -> None:
        self.name = {0: "nobody", 1: "1 drawn face"}.get(faces, f"{faces} drawn faces")
        self.faces = faces
        self.fps: float = settings.fps
        self._width, self._height = settings.width, settings.height
        self._number = 0

    def open(self) -> None:
        width, height = self._width, self._height
        self._random = np.random.default_rng(0)
        self._wall = _draw_wall(width, height)
        self._noise = self._random.integers(
            0, NOISE_LEVELS, (height + NOISE_SHIFT_PX, width + NOISE_SHIFT_PX, 3), np.uint8
        )
        rows = max(1, round(math.sqrt(self.faces * height / width)))
        columns = max(1, math.ceil(self.faces / rows))
        visitor = _load_visitor()
        scale = VISITOR_SIZE * min(height / rows / visitor.shape[0], width / columns / visitor.shape[1])
        size = (max(1, round(scale * visitor.shape[1])), max(1, round(scale * visitor.shape[0])))
        self._visitor = cv2.resize(visitor, size, interpolation=cv2.INTER_AREA)
        self._centres = [
            ((k % columns + 0.5) * width / columns, (k // columns + 0.5) * height / rows) for k in range(self.faces)
        ]
        self._number = 0

    def read(self) -> Frame | None:
        t = self._number / self.fps
        picture = self._wall
        since_s = t % (STAY_S + AWAY_S)
        if since_s < STAY_S:
            picture = picture.copy()
            height, width = self._visitor.shape[:2]
            lower = 0.12 * height * max(0.0, 1 - since_s)
            for k, (x, y) in enumerate(self._centres):
                left = round(x - width / 2 + 0.03 * width * math.sin(2 * t + k))
                top = round(y - height / 2 + lower)
                picture[top : top + height, left : left + width] = self._visitor
        dx, dy = self._random.integers(0, NOISE_SHIFT_PX, 2)
        noisy = cv2.add(picture, self._noise[dy : dy + self._height, dx : dx + self._width])
        frame = Frame(self._number, t, np.asarray(noisy, np.uint8))
        self._number += 1
        return frame

    def close(self) -> None:
        pass


def _draw_wall(width: int, height: int) -> Picture:
    """Return a wall with a panelled door, (H, W, 3) uint8 RGB.

    A wall without any detail would count as a covered lens.
    """
    wall = np.full((height, width, 3), WALL, np.uint8)
    thickness = max(1, width // 60)
    for x1, y1, x2, y2 in (
        (0.2, 0.1, 0.8, 1.1),
        (0.28, 0.2, 0.48, 0.5),
        (0.52, 0.2, 0.72, 0.5),
        (0.28, 0.6, 0.72, 0.9),
    ):
        corners = (round(x1 * width), round(y1 * height)), (round(x2 * width), round(y2 * height))
        cv2.rectangle(wall, *corners, DOOR, thickness)
    return wall


def _load_visitor() -> Picture:
    """Return visitor.jpg, head and shoulders of a person, (H, W, 3) uint8 RGB."""
    data = np.frombuffer(resources.files(__package__).joinpath("visitor.jpg").read_bytes(), np.uint8)
    return np.asarray(cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB), np.uint8)
