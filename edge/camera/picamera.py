"""PiCamera: the Raspberry Pi camera, through Picamera2.

The camera's image processor provides two pictures of each frame in one request: a large one (main stream), from which
faces are cropped, and a small one (low-resolution stream), in which faces are detected. So the CPU scales nothing.

Traps of Picamera2 (0.3.22 to 0.3.33) and libcamera:

- Format names describe little-endian words: an array in format "RGB888" is BGR, and one in "BGR888", used here, is RGB.
- Rows are padded to a stride. Picamera2 removes the padding of RGB arrays, but not of YUV420 arrays.
- Video with 720 or more lines is encoded as BT.709 by default. OpenCV's conversion from YUV assumes BT.601.
- The default sensor mode is the one closest to the picture size. On most modules it crops to the centre.
- No call has a timeout by default. stop() queues behind a capture that never arrives; close() does not.
- With `queue`, a picture is kept for the next request, however old it is by then.
- If the constructor fails, it raises "Camera __init__ sequence did not complete" without the reason, and leaks a pipe.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import time
from pathlib import Path
from typing import Any

from ..config import CameraSettings
from ..errors import CameraError
from ..imaging.images import Picture, orient, yuv420_to_rgb
from ..system import libraries
from ..system.open_files import processes_using
from .adjust import without_colour
from .device import CameraDevice, Capture, open_timeout_s

#: Enough to keep the sensor busy while a picture is copied. A small Pi has little memory for more.
BUFFERS = 4
#: A picture arrives a few frames after it was taken, later on a busy CPU. If it was taken longer than this before it was
#: requested, it is left over from a stall and is dropped.
MAX_AGE_S, MAX_AGE_FRAMES = 0.3, 3
#: A frame may follow the previous one this much (share of the frame time) earlier than settings.fps says.
MIN_INTERVAL = 0.9
FORMATS = {"main": "BGR888", "lores": "YUV420"}
METERING = {"centre": "CentreWeighted", "spot": "Spot", "matrix": "Matrix"}


class PiCamera(CameraDevice):
    """Camera 0 of Picamera2, with both streams."""

    def __init__(self, settings: CameraSettings) -> None:
        self._settings = settings
        self._camera: Any = None
        self._job: Any = None  # the capture in progress
        self._timeout_s = open_timeout_s(settings)
        # An exposure ends with its frame: a short frame is the only hard limit that auto-exposure respects.
        self._frame_s = min(1 / settings.fps, settings.max_exposure_s)
        self._last_ns = 0
        self._orientation: tuple[int, bool] = (0, False)  # arguments of orient()
        self._lores_width = 0
        self._chip_removes_colour = False

    def prepare(self) -> None:
        """Import Picamera2, which takes seconds on a small Pi. Raises CameraError if it is missing or unusable."""
        try:
            api = importlib.import_module("picamera2").Picamera2
        except ImportError as error:
            if (error.name or "").partition(".")[0] == "libcamera":
                raise CameraError(
                    f"picamera: Picamera2 is installed, but not libcamera: {error}",
                    f"pip's Picamera2 does not contain it: pip uninstall picamera2, then {libraries.apt_install('python3-picamera2')}",
                ) from None
            if problem := libraries.hidden_system_package("picamera2"):
                raise CameraError(f"picamera: {problem.message}", problem.fix) from None
            raise CameraError(
                f"picamera: Picamera2 cannot be imported: {error}", libraries.missing_picamera_fix()
            ) from None
        except Exception as error:  # Bookworm's Picamera2 is built for NumPy 1 and raises ValueError with NumPy 2
            raise CameraError(
                f"picamera: Picamera2 cannot be used: {type(error).__name__}: {error}",
                "if the message names numpy: pip install 'numpy<2' in this venv",
            ) from None
        if not hasattr(api, "cancel_all_and_flush"):  # the release that added it also added timeouts for captures
            raise CameraError("picamera: this Picamera2 is too old", "sudo apt update && sudo apt full-upgrade")

    def open(self) -> None:
        api = importlib.import_module("picamera2").Picamera2
        cameras = api.global_camera_info()
        if not cameras:
            raise _no_camera_error()
        if "/usb" in cameras[0]["Id"]:  # Picamera2 lists the Pi's own cameras first
            raise CameraError("picamera: only a USB camera is attached", 'give it by name: source = "/dev/video0"')
        camera = self._camera = _construct(api)
        camera.configure(self._configuration(camera))
        # libcamera may "adjust" the configuration.
        actual = camera.camera_configuration()
        for stream, wanted in FORMATS.items():
            if actual[stream] and actual[stream]["format"] != wanted:
                raise CameraError(
                    f"picamera: gives {actual[stream]['format']}, not {wanted}", "use a Raspberry Pi camera module"
                )
        self._lores_width = actual["lores"]["size"][0] if actual["lores"] else 0
        transform = actual["transform"]
        self._orientation = remaining_orientation(self._settings, transform.hflip, transform.vflip)
        camera.start()

    def read(self) -> Capture:
        requested_ns, deadline = time.monotonic_ns(), time.monotonic() + self._timeout_s
        while True:
            request = self._next_request(deadline)
            try:
                if self._is_due(request.get_metadata(), requested_ns):
                    self._timeout_s = self._settings.timeout_s
                    return self._to_capture(request)
            finally:
                request.release()

    def close(self) -> None:
        camera, self._camera = self._camera, None
        if camera is None:
            return
        try:
            if self._job is not None:
                # Ends Picamera2's thread: from here on, a late picture has either arrived or never will.
                camera.stop_preview()
                with contextlib.suppress(TimeoutError):
                    self._job.get_result(timeout=0).release()
        finally:
            camera.close()

    def _configuration(self, camera: Any) -> dict[str, Any]:
        """Return the Picamera2 configuration for the settings."""
        settings, libcamera = self._settings, importlib.import_module("libcamera")
        frame_us, enums = round(1e6 * self._frame_s), libcamera.controls
        controls = {
            "FrameDurationLimits": (frame_us, frame_us),
            # Raise the gain before the exposure time: noise harms recognition less than motion blur.
            "AeExposureMode": enums.AeExposureModeEnum.Short,
            "AeMeteringMode": getattr(enums.AeMeteringModeEnum, METERING[settings.metering]),
            "ExposureValue": settings.exposure_stops,
            "Saturation": 0.0 if settings.grey else 1.0,
        }
        size, lores_size = (settings.width, settings.height), None
        if 0 < settings.lores_width < settings.width:
            lores_size = (settings.lores_width, round(settings.lores_width * settings.height / settings.width))
        hflip, vflip = hardware_flips(settings)
        self._chip_removes_colour = "Saturation" in camera.camera_controls
        width, height = camera.sensor_resolution
        configuration: dict[str, Any] = camera.create_video_configuration(
            main={"format": FORMATS["main"], "size": size},
            lores={"format": FORMATS["lores"], "size": lores_size} if lores_size else None,
            transform=libcamera.Transform(hflip=hflip, vflip=vflip),
            colour_space=libcamera.ColorSpace.Smpte170m(),
            buffer_count=BUFFERS,
            # Not every sensor supports every control, and an unsupported one raises an error.
            controls={name: value for name, value in controls.items() if name in camera.camera_controls},
            queue=False,
            # Half the sensor's width and height: on all Pi modules a fast mode with the full field of view.
            sensor={"output_size": (width // 2, height // 2)},
        )
        return configuration

    def _next_request(self, deadline: float) -> Any:
        """Return the next completed request; the caller releases it. Raises CameraError after `deadline` (monotonic)."""
        self._job = self._camera.capture_request(wait=False)
        try:
            request = self._job.get_result(timeout=max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            raise CameraError(
                f"picamera: no picture within {self._timeout_s:g} s", "check the ribbon cable of the camera"
            ) from None
        self._job = None
        return request

    def _is_due(self, metadata: dict[str, Any], requested_ns: int) -> bool:
        """Return whether a frame is neither left over from before its request nor too soon after the last one.

        With a short maximum exposure the sensor runs faster than settings.fps.
        """
        # Documented as time since boot, but it is CLOCK_MONOTONIC. They differ only by suspend, which a Pi does not have.
        taken_ns = int(metadata.get("SensorTimestamp", time.monotonic_ns()))
        if taken_ns < requested_ns - 1e9 * (MAX_AGE_S + MAX_AGE_FRAMES * self._frame_s):
            return False
        if taken_ns < self._last_ns + 1e9 * MIN_INTERVAL / self._settings.fps:
            return False
        self._last_ns = taken_ns
        return True

    def _to_capture(self, request: Any) -> Capture:
        picture = self._adjust(request.make_array("main"))
        if not self._lores_width:
            return Capture(picture)
        return Capture(picture, self._adjust(yuv420_to_rgb(request.make_array("lores"), self._lores_width)))

    def _adjust(self, picture: Picture) -> Picture:
        """Apply the rest of rotate, mirror and grey, which the hardware has not done."""
        picture = orient(picture, *self._orientation)
        return picture if self._chip_removes_colour or not self._settings.grey else without_colour(picture)


def hardware_flips(settings: CameraSettings) -> tuple[bool, bool]:
    """Return the flips requested from the hardware: (left to right, top to bottom). It cannot rotate by 90 degrees."""
    if settings.rotate in (90, 270):
        return False, settings.mirror  # rotated afterwards, which exchanges the axes
    return (settings.rotate == 180) != settings.mirror, settings.rotate == 180


def remaining_orientation(settings: CameraSettings, hflip: bool, vflip: bool) -> tuple[int, bool]:
    """Return (rotate, mirror) for orient(), given the flips that the hardware has applied."""
    # The flips equal a rotation followed by a mirror: vflip is 180 degrees and a mirror. A mirror reverses the direction
    # of later rotations.
    is_mirrored, half_turn = hflip != vflip, 180 * vflip
    rotate = half_turn + (-settings.rotate if is_mirrored else settings.rotate)
    return rotate % 360, settings.mirror != is_mirrored


def _construct(api: Any) -> Any:
    """Return a new Picamera2 object. Raises CameraError without leaking the files of a failed constructor."""
    camera = api.__new__(api)  # keeps the object accessible if the constructor fails
    try:
        camera.__init__()
    except Exception as error:
        with contextlib.suppress(Exception):
            if camera.is_open:
                camera.close()
            else:  # close() would do nothing, and each attempt would leak a pipe
                camera.notifymeread.close()
                os.close(camera.notifyme_w)
        raise _open_error(error) from error
    return camera


def _no_camera_error() -> CameraError:
    nodes = sorted(Path("/dev").glob("media*"))
    if nodes and not any(os.access(node, os.R_OK | os.W_OK) for node in nodes):
        return CameraError(f"picamera: no permission for {nodes[0]}", "sudo usermod -aG video $USER, and log in again")
    return CameraError("picamera: no camera found", "check its ribbon cable with: rpicam-hello --list-cameras")


def _open_error(error: BaseException) -> CameraError:
    """Return an error with the cause of a failed constructor: the first exception in the chain."""
    while error.__context__ is not None:
        error = error.__context__
    if "acquire" not in str(error):  # "Failed to acquire camera: CameraDevice or resource busy"
        return CameraError(f"picamera: cannot be opened: {error}", "check it with: rpicam-hello --list-cameras")
    nodes = [str(node) for pattern in ("media*", "video*") for node in Path("/dev").glob(pattern)]
    users = [f"{name} (process {pid})" for pid, name in processes_using(*nodes) if pid != os.getpid()]
    # Only root sees the open files of other users, so the program may not be found.
    names = ", ".join(users) or "another program, or an earlier capture of this program that hangs"
    return CameraError(
        f"picamera: is in use by {names}", "stop that program (rpicam-*, motion, …), or restart this one"
    )
