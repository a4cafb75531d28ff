"""PictureFile: a picture as a source of frames."""

from __future__ import annotations

import os
from pathlib import Path

from ..config import CameraSettings
from ..errors import InputError
from ..imaging import image_file
from ..imaging.image_header import NOT_A_PICTURE
from ..imaging.images import Picture
from ..records import Frame
from .adjust import adjust
from .source import SOURCE_KINDS, Source

PICTURE_HINT = "a picture is a JPEG, PNG, BMP or WebP file"
DAMAGED_HINT = "copy it again, or open it in an image viewer and save it as JPEG or PNG"
#: A picture that is held is shown at this rate.
HELD_FPS = 10.0


class PictureFile(Source):
    """A picture that is shown for settings.picture_s at HELD_FPS, so that its people can be decided.

    With picture_s = 0 it is a single frame. The settings `rotate`, `mirror` and `grey` apply to the upright picture.
    `damage` says what is wrong with a picture that is only readable in part.
    """

    live = False
    damage: str | None = None

    def __init__(self, path: Path, settings: CameraSettings) -> None:
        self.name = str(path)
        self._path = path
        self._settings = settings
        self.fps: float = HELD_FPS if settings.picture_s else settings.fps
        self.length: int = round(settings.picture_s * HELD_FPS) + 1
        self._number = 0
        self._picture: Picture | None = None

    def open(self) -> None:
        self.close()
        if not os.path.exists(self._path):
            raise InputError(f"{self._path}: no such file or folder", f"give {SOURCE_KINDS}")
        try:
            picture, damage, is_animation = image_file.decode(self._path)
        except OSError as error:
            raise InputError(f"{self._path}: cannot be read: {error.strerror}", "check its permissions") from None
        except image_file.UnsupportedImageError as error:
            raise InputError(f"{self._path}: {error}", error.hint) from None
        except ValueError as error:
            hint = PICTURE_HINT if str(error) == NOT_A_PICTURE else DAMAGED_HINT
            raise InputError(f"{self._path}: {error}", hint) from None
        self._picture = adjust(picture, self._settings)
        self._number, self.damage = 0, f"{self.name}: {damage}" if damage else None
        self.note = f"{self.name}: is an animation: only its first picture is used" if is_animation else None

    def read(self) -> Frame | None:
        if self._picture is None or self._number >= self.length:
            return None
        frame = Frame(self._number, self._number / self.fps, self._picture)
        self._number += 1
        return frame

    def close(self) -> None:
        self._picture = None
