"""PicameraDriver: Picamera2, as the child process of picamera_process uses it.

The camera's image processor provides two pictures of each frame in one request: a large one (main stream), from which
faces are cropped, and a small one (low-resolution stream), in which faces are detected. So the CPU scales nothing.

Traps of Picamera2 (0.3.22 to 0.3.38) and libcamera:

- libcamera's Python module never releases the GIL. If a kernel driver hangs while the camera is opened, started or
  stopped, every thread of the process stands still.
- Format names describe little-endian words: an array in format "RGB888" is BGR, and one in "BGR888", used here, is RGB.
- Rows are padded to a stride. Picamera2 removes the padding of RGB arrays, but not of YUV420 arrays.
- Video with 720 or more lines is encoded as BT.709 by default. OpenCV's conversion from YUV assumes BT.601.
- The default sensor mode is the one closest to the picture size. On most modules it crops to the centre.
- No call has a timeout by default. stop() queues behind a capture that never arrives; close() does not.
- With `queue`, a picture is kept for the next request, however old it is by then.
- If the constructor fails, it raises "Camera __init__ sequence did not complete"; the reason is in the error's context.
- After a request was cancelled, as after a timeout of the sensor, it is never queued again.

Nothing here loads OpenCV: the parent converts colours, and the child process stays small.
"""

from __future__ import annotations

import importlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import CameraError
from ..system.open_files import processes_using
from .picamera_request import PicameraRequest

if TYPE_CHECKING:  # its module loads OpenCV
    from ..imaging.images import Picture

#: Enough to keep the sensor busy while a picture is copied. A small Pi has little memory for more.
BUFFERS = 4
#: A picture arrives a few frames after it was taken, later on a busy CPU. If it was taken longer than this before it was
#: requested, it is left over from a stall and is dropped.
MAX_AGE_S, MAX_AGE_FRAMES = 0.3, 3
#: A frame may follow the previous one this much (share of the frame time) earlier than `fps` says.
MIN_INTERVAL = 0.9
FORMATS = {"main": "BGR888", "lores": "YUV420"}
METERING = {"centre": "CentreWeighted", "spot": "Spot", "matrix": "Matrix"}
CHECK_HINT = "check it with: rpicam-hello --list-cameras"


class PicameraStreams(NamedTuple):
    """What the camera gives. `lores_width` is 0 without a small picture; `removes_colour`: it can, if it is asked to."""

    lores_width: int
    hflip: bool
    vflip: bool
    removes_colour: bool


class RawCapture(NamedTuple):
    """Both pictures of a frame, as Picamera2 gives them.

    `main` is (H, W, 3) uint8 RGB. `lores` is I420 with padded rows, (h * 3 / 2, stride) uint8, BT.601, limited range; None
    if it is off.
    """

    main: Picture
    lores: Picture | None


class PicameraDriver:
    """Camera 0 of Picamera2, with both streams. One thread prepares it, opens it once, reads from it and closes it."""

    def __init__(self, request: PicameraRequest) -> None:
        self._request = request
        self._camera: Any = None
        # An exposure ends with its frame: a short frame is the only hard limit that auto-exposure respects.
        self._frame_s = min(1 / request.fps, request.max_exposure_s)
        self._last_ns = 0
        self._has_lores = False

    def prepare(self) -> None:
        """Import Picamera2, which takes seconds on a small Pi. Raises CameraError if it is missing or unusable."""
        try:
            api = importlib.import_module("picamera2").Picamera2
        except ImportError as error:
            raise _import_error(error) from None
        except Exception as error:  # Bookworm's Picamera2 is built for NumPy 1 and raises ValueError with NumPy 2
            raise CameraError(
                f"picamera: Picamera2 cannot be used: {type(error).__name__}: {error}",
                "if the message names numpy: pip install 'numpy<2' in this venv",
            ) from None
        if not hasattr(api, "cancel_all_and_flush"):  # the release that added it also added timeouts for captures
            raise CameraError("picamera: this Picamera2 is too old", "sudo apt update && sudo apt full-upgrade")

    def open(self) -> PicameraStreams:
        """Configure and start the camera. Raises CameraError."""
        try:
            return self._open()
        except CameraError:
            raise
        except Exception as error:  # such as "Failed to start camera: Input/output error"
            raise CameraError(f"picamera: cannot be opened: {_describe(error)}", CHECK_HINT) from None

    def read(self, timeout_s: float) -> RawCapture:
        """Return the next frame. Raises CameraError if none arrives within `timeout_s` (seconds)."""
        requested_ns, deadline = time.monotonic_ns(), time.monotonic() + timeout_s
        while True:
            request = self._next_request(deadline, timeout_s)
            try:
                if self._is_due(request.get_metadata(), requested_ns):
                    lores = request.make_array("lores") if self._has_lores else None
                    return RawCapture(request.make_array("main"), lores)
            finally:
                request.release()

    def close(self) -> None:
        """Release the camera. What a capture that never came still holds is freed with the process."""
        camera, self._camera = self._camera, None
        if camera is not None:
            camera.close()

    def _open(self) -> PicameraStreams:
        api = importlib.import_module("picamera2").Picamera2
        cameras = api.global_camera_info()
        if not cameras:
            raise _no_camera_error()
        if "/usb" in cameras[0]["Id"]:  # Picamera2 lists the Pi's own cameras first
            raise CameraError("picamera: only a USB camera is attached", 'give it by name: source = "/dev/video0"')
        try:
            camera = self._camera = api()
        except Exception as error:
            raise _open_error(error) from None
        camera.configure(self._configuration(camera))
        # libcamera may "adjust" the configuration.
        actual = camera.camera_configuration()
        for stream, wanted in FORMATS.items():
            if actual[stream] and actual[stream]["format"] != wanted:
                raise CameraError(
                    f"picamera: gives {actual[stream]['format']}, not {wanted}", "use a Raspberry Pi camera module"
                )
        self._has_lores = bool(actual["lores"])
        lores_width = actual["lores"]["size"][0] if actual["lores"] else 0
        transform = actual["transform"]
        removes_colour = "Saturation" in camera.camera_controls
        camera.start()
        return PicameraStreams(lores_width, bool(transform.hflip), bool(transform.vflip), removes_colour)

    def _configuration(self, camera: Any) -> dict[str, Any]:
        """Return the Picamera2 configuration for the request."""
        request, libcamera = self._request, importlib.import_module("libcamera")
        frame_us, enums = round(1e6 * self._frame_s), libcamera.controls
        controls = {
            "FrameDurationLimits": (frame_us, frame_us),
            # Raise the gain before the exposure time: noise harms recognition less than motion blur.
            "AeExposureMode": enums.AeExposureModeEnum.Short,
            "AeMeteringMode": getattr(enums.AeMeteringModeEnum, METERING[request.metering]),
            "ExposureValue": request.exposure_stops,
            "Saturation": 0.0 if request.grey else 1.0,
        }
        size, lores_size = (request.width, request.height), None
        if 0 < request.lores_width < request.width:
            lores_size = (request.lores_width, round(request.lores_width * request.height / request.width))
        width, height = camera.sensor_resolution
        configuration: dict[str, Any] = camera.create_video_configuration(
            main={"format": FORMATS["main"], "size": size},
            lores={"format": FORMATS["lores"], "size": lores_size} if lores_size else None,
            transform=libcamera.Transform(hflip=request.hflip, vflip=request.vflip),
            colour_space=libcamera.ColorSpace.Smpte170m(),
            buffer_count=BUFFERS,
            # Not every sensor supports every control, and an unsupported one raises an error.
            controls={name: value for name, value in controls.items() if name in camera.camera_controls},
            queue=False,
            # Half the sensor's width and height: on all Pi modules a fast mode with the full field of view.
            sensor={"output_size": (width // 2, height // 2)},
        )
        return configuration

    def _next_request(self, deadline: float, timeout_s: float) -> Any:
        """Return the next completed request; the caller releases it. Raises CameraError after `deadline` (monotonic)."""
        job = self._camera.capture_request(wait=False)
        try:
            return job.get_result(timeout=max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            raise CameraError(
                f"picamera: no picture within {timeout_s:g} s", "check the ribbon cable of the camera"
            ) from None

    def _is_due(self, metadata: dict[str, Any], requested_ns: int) -> bool:
        """Return whether a frame is neither left over from before its request nor too soon after the last one.

        With a short maximum exposure the sensor runs faster than `fps`.
        """
        # Documented as time since boot, but it is CLOCK_MONOTONIC. They differ only by suspend, which a Pi does not have.
        taken_ns = int(metadata.get("SensorTimestamp", time.monotonic_ns()))
        if taken_ns < requested_ns - 1e9 * (MAX_AGE_S + MAX_AGE_FRAMES * self._frame_s):
            return False
        if taken_ns < self._last_ns + 1e9 * MIN_INTERVAL / self._request.fps:
            return False
        self._last_ns = taken_ns
        return True


def _import_error(error: ImportError) -> CameraError:
    from ..system import libraries  # takes as long to import as a frame takes to arrive

    if (error.name or "").partition(".")[0] == "libcamera":
        return CameraError(
            f"picamera: Picamera2 is installed, but not libcamera: {error}",
            f"pip's Picamera2 does not contain it: pip uninstall picamera2, then {libraries.apt_install('python3-picamera2')}",
        )
    if problem := libraries.hidden_system_package("picamera2"):
        return CameraError(f"picamera: {problem.message}", problem.fix)
    return CameraError(f"picamera: Picamera2 cannot be imported: {error}", libraries.missing_picamera_fix())


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
        return CameraError(f"picamera: cannot be opened: {_describe(error)}", CHECK_HINT)
    nodes = [str(node) for pattern in ("media*", "video*") for node in Path("/dev").glob(pattern)]
    users = [f"{name} (process {pid})" for pid, name in processes_using(*nodes) if pid != os.getpid()]
    # Only root sees the open files of other users, so the program may not be found.
    names = ", ".join(users) or "another program, or an earlier capture of this program that hangs"
    return CameraError(
        f"picamera: is in use by {names}", "stop that program (rpicam-*, motion, …), or restart this one"
    )


def _describe(error: BaseException) -> str:
    """Return the text of an error, with its type unless that says nothing."""
    return str(error) if type(error) is RuntimeError else f"{type(error).__name__}: {error}"
