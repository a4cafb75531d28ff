"""The Raspberry Pi's own camera, through Picamera2.

The camera's chip gives two pictures of every frame, from one request: a large one (main stream) that faces are cut out
of, and a small one (low-resolution stream) that they are looked for in, so that the processor has nothing to shrink.

What is worth knowing about Picamera2 (0.3.22 to 0.3.33) and libcamera:

- Formats are named after little-endian words: arrays called "RGB888" are BGR, and "BGR888", asked for here, are RGB.
- Rows are padded to a stride. Picamera2 takes the padding off RGB arrays, but leaves it in YUV420.
- A video of 720 lines or more is by default coded as BT.709, which OpenCV's conversion from YUV does not know.
- The default sensor mode is the one nearest to the picture's size, which on most modules sees only the middle.
- Nothing has a time limit by itself, and stop() queues behind a capture that never comes. close() does not.
- It may keep a picture back for whoever asks next, however old that is by then (`queue`).
- A constructor that fails says "Camera __init__ sequence did not complete", hides why, and leaves a pipe open.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import time
from pathlib import Path
from typing import Any

from .config import CameraSettings
from .device import Device, Shot, first_s
from .errors import CameraError
from .holders import holders
from .images import from_yuv420, turned

#: Enough to keep the sensor busy while one picture is copied; the memory for each is scarce on a small Pi.
BUFFERS = 4
#: A picture is some frames old when it arrives, and later still where the processor is busy. One that was taken longer
#: than this before it was asked for is left over from a stall, and is thrown away.
LATE_S, LATE_FRAMES = 0.3, 3
FORMATS = {"main": "BGR888", "lores": "YUV420"}
METERING = {"centre": "CentreWeighted", "spot": "Spot", "matrix": "Matrix"}
APT = "sudo apt install python3-picamera2, and make the venv with: /usr/bin/python3 -m venv --system-site-packages"


class PiCamera(Device):
    """Camera 0 of Picamera2, with both streams; see the top of this module."""

    def __init__(self, settings: CameraSettings) -> None:
        self._settings = settings
        self._camera: Any = None
        self._job: Any = None  # the capture under way
        self._limit_s = first_s(settings)
        # Exposures end with their frame: short frames are the one hard limit that automatic exposure respects.
        self._frame_s = min(1 / settings.fps, settings.longest_exposure_s)
        self._last_ns = 0
        self._turn: tuple[int, bool] = (0, False)  # what the hardware leaves to do
        self._small_width = 0

    def prepare(self) -> None:
        """Import Picamera2, which takes seconds on a small Pi and is no fault of the camera."""
        try:
            api = importlib.import_module("picamera2").Picamera2
        except ImportError as error:
            if (error.name or "").partition(".")[0] == "libcamera":
                raise CameraError(
                    f"picamera: Picamera2 is there, but not libcamera: {error}",
                    f"it cannot come from pip: pip uninstall picamera2, then {APT}",
                ) from None
            raise CameraError(f"picamera: Picamera2 cannot be imported: {error}", APT) from None
        except Exception as error:  # Bookworm's is built for NumPy 1 and raises ValueError when it meets NumPy 2
            raise CameraError(
                f"picamera: Picamera2 does not work here: {type(error).__name__}: {error}",
                "if it is about numpy: pip install 'numpy<2' in this venv",
            ) from None
        if not hasattr(api, "cancel_all_and_flush"):  # came together with captures that can time out
            raise CameraError("picamera: this Picamera2 is too old", "sudo apt update && sudo apt full-upgrade")

    def open(self) -> None:
        api = importlib.import_module("picamera2").Picamera2
        attached = api.global_camera_info()
        if not attached:
            raise _absent()
        if "/usb" in attached[0]["Id"]:  # Picamera2 lists the Pi's own cameras first
            raise CameraError("picamera: only a USB camera is attached", 'give it by name: source = "/dev/video0"')
        camera = api.__new__(api)  # in hand even if the constructor fails, to clear up after it
        try:
            camera.__init__()
        except Exception as error:
            with contextlib.suppress(Exception):
                if camera.is_open:
                    camera.close()
                else:  # close() would do nothing; one pipe for every attempt, every few seconds, adds up
                    camera.notifymeread.close()
                    os.close(camera.notifyme_w)
            raise _refused(error) from error
        self._camera = camera
        camera.configure(self._configuration(camera))
        # libcamera may "adjust" what it was asked for.
        given = camera.camera_configuration()
        for stream, wanted in FORMATS.items():
            if given[stream] and given[stream]["format"] != wanted:
                raise CameraError(
                    f"picamera: gives {given[stream]['format']}, not {wanted}", "is it a Raspberry Pi camera module?"
                )
        self._small_width = given["lores"]["size"][0] if given["lores"] else 0
        self._turn = left_to_turn(self._settings, given["transform"].hflip, given["transform"].vflip)
        camera.start()

    def _configuration(self, camera: Any) -> dict[str, Any]:
        settings, libcamera = self._settings, importlib.import_module("libcamera")
        frame_us, controls = round(1e6 * self._frame_s), libcamera.controls
        wanted = {
            "FrameDurationLimits": (frame_us, frame_us),
            # Amplify before exposing longer: grain harms less than smear.
            "AeExposureMode": controls.AeExposureModeEnum.Short,
            "AeMeteringMode": getattr(controls.AeMeteringModeEnum, METERING[settings.metering]),
            "ExposureValue": settings.exposure_stops,
            "Saturation": 0.0 if settings.grey else 1.0,
        }
        size, small = (settings.width, settings.height), None
        if 0 < settings.small_width < settings.width:
            small = (settings.small_width, round(settings.small_width * settings.height / settings.width))
        hflip, vflip = flips(settings)
        width, height = camera.sensor_resolution
        configuration: dict[str, Any] = camera.create_video_configuration(
            main={"format": FORMATS["main"], "size": size},
            lores={"format": FORMATS["lores"], "size": small} if small else None,
            transform=libcamera.Transform(hflip=hflip, vflip=vflip),
            colour_space=libcamera.ColorSpace.Smpte170m(),
            buffer_count=BUFFERS,
            # Not every sensor has every control, and one that is not there is an error.
            controls={name: value for name, value in wanted.items() if name in camera.camera_controls},
            queue=False,
            # Half the sensor's width and height: the mode that sees everything and is still fast, on all Pi modules.
            sensor={"output_size": (width // 2, height // 2)},
        )
        return configuration

    def read(self) -> Shot:
        asked_ns, deadline = time.monotonic_ns(), time.monotonic() + self._limit_s
        while True:
            request = self._capture(deadline)
            try:
                if self._is_due(request.get_metadata(), asked_ns):
                    self._limit_s = self._settings.timeout_s
                    return self._shot(request)
            finally:
                request.release()

    def _capture(self, deadline: float) -> Any:
        """The next request, which is to be released. Raises CameraError if none comes before `deadline` (monotonic)."""
        self._job = self._camera.capture_request(wait=False)
        try:
            request = self._job.get_result(timeout=max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            raise CameraError(
                f"picamera: no picture within {self._limit_s:g} s", "check the ribbon cable of the camera"
            ) from None
        self._job = None
        return request

    def _is_due(self, metadata: dict[str, Any], asked_ns: int) -> bool:
        """Whether a frame is neither left over from before it was asked for, nor too soon after the last one.

        The sensor runs faster than settings.fps where exposures must be short.
        """
        # Documented as the time since boot, in truth CLOCK_MONOTONIC; they differ by sleep, which a Pi does not know.
        taken_ns = int(metadata.get("SensorTimestamp", time.monotonic_ns()))
        if taken_ns < asked_ns - 1e9 * (LATE_S + LATE_FRAMES * self._frame_s):
            return False
        if taken_ns < self._last_ns + 0.9e9 / self._settings.fps:
            return False
        self._last_ns = taken_ns
        return True

    def _shot(self, request: Any) -> Shot:
        picture = turned(request.make_array("main"), *self._turn)
        if not self._small_width:
            return Shot(picture)
        return Shot(picture, turned(from_yuv420(request.make_array("lores"), self._small_width), *self._turn))

    def close(self) -> None:
        camera, self._camera = self._camera, None
        if camera is None:
            return
        try:
            if self._job is not None:
                camera.stop_preview()  # ends the thread that works for us, so that a late picture has come by now or never
                with contextlib.suppress(TimeoutError):
                    self._job.get_result(timeout=0).release()
        finally:
            camera.close()


def flips(settings: CameraSettings) -> tuple[bool, bool]:
    """What the hardware is asked to do: flip left to right, flip top to bottom. Quarter turns it cannot do."""
    if settings.rotate in (90, 270):
        return False, settings.mirror  # turned afterwards, top and bottom are left and right
    return (settings.rotate == 180) != settings.mirror, settings.rotate == 180


def left_to_turn(settings: CameraSettings, hflip: bool, vflip: bool) -> tuple[int, bool]:
    """What is left to do, as (clockwise degrees, then mirrored), to pictures that the hardware has flipped like this."""
    # Seen as a turn and then a mirror, top to bottom is half a turn mirrored; and beyond a mirror, turns go backwards.
    mirrored, half = hflip != vflip, 180 * vflip
    return (half + (-settings.rotate if mirrored else settings.rotate)) % 360, settings.mirror != mirrored


def _absent() -> CameraError:
    nodes = sorted(Path("/dev").glob("media*"))
    if nodes and not any(os.access(node, os.R_OK | os.W_OK) for node in nodes):
        return CameraError(f"picamera: no permission for {nodes[0]}", "sudo usermod -aG video $USER, and log in again")
    return CameraError("picamera: no camera found", "check its ribbon cable with: rpicam-hello --list-cameras")


def _refused(error: BaseException) -> CameraError:
    """Why the camera could not be had: the first of the errors that Picamera2 raised one upon the other."""
    while error.__context__ is not None:
        error = error.__context__
    if "acquire" not in str(error):  # "Failed to acquire camera: Device or resource busy"
        return CameraError(f"picamera: cannot be opened: {error}", "does rpicam-hello --list-cameras show it?")
    nodes = [str(node) for pattern in ("media*", "video*") for node in Path("/dev").glob(pattern)]
    users = [f"{name} (process {number})" for number, name in holders(*nodes) if number != os.getpid()]
    # Only root can see what other users' programs hold, so that nobody found proves nothing.
    who = ", ".join(users) or "another program, or an earlier capture of ours that hangs"
    return CameraError(
        f"picamera: is in use by {who}", "stop that program (rpicam-*, motion, …), or restart if it is our own"
    )
