"""PiCamera: the Raspberry Pi camera, which a child process captures; colours and orientation of its pictures."""

from __future__ import annotations

from ..config import CameraSettings
from ..imaging.images import Picture, orient, yuv420_to_rgb
from .adjust import without_colour
from .device import CameraDevice, Capture
from .picamera_process import PicameraProcess
from .picamera_request import make_request


class PiCamera(CameraDevice):
    """Camera 0 of Picamera2, with both streams."""

    def __init__(self, settings: CameraSettings) -> None:
        self._settings = settings
        self._process: PicameraProcess | None = None
        self._timeout_s = 0.0
        self._orientation: tuple[int, bool] = (0, False)  # arguments of orient()
        self._lores_width = 0
        self._chip_removes_colour = False

    def prepare(self) -> None:
        self._process = PicameraProcess(make_request(self._settings))
        self._process.prepare()

    def open(self) -> None:
        assert self._process is not None, "prepare() comes first"
        streams = self._process.open(self.first_timeout_s)
        self._orientation = remaining_orientation(self._settings, streams.hflip, streams.vflip)
        self._lores_width, self._chip_removes_colour = streams.lores_width, streams.removes_colour
        self._timeout_s = self.first_timeout_s

    def read(self) -> Capture:
        assert self._process is not None
        main, lores = self._process.read(self._timeout_s)
        self._timeout_s = self._settings.timeout_s
        picture = self._adjust(main)
        return Capture(picture, None if lores is None else self._adjust(yuv420_to_rgb(lores, self._lores_width)))

    def close(self) -> None:
        if self._process is not None:
            self._process.close()

    def _adjust(self, picture: Picture) -> Picture:
        """Apply the rest of rotate, mirror and grey, which the hardware has not done."""
        picture = orient(picture, *self._orientation)
        return picture if self._chip_removes_colour or not self._settings.grey else without_colour(picture)


def remaining_orientation(settings: CameraSettings, hflip: bool, vflip: bool) -> tuple[int, bool]:
    """Return (rotate, mirror) for orient(), given the flips that the hardware has applied."""
    # The flips equal a rotation followed by a mirror: vflip is 180 degrees and a mirror. A mirror reverses the direction
    # of later rotations.
    is_mirrored, half_turn = hflip != vflip, 180 * vflip
    rotate = half_turn + (-settings.rotate if is_mirrored else settings.rotate)
    return rotate % 360, settings.mirror != is_mirrored
