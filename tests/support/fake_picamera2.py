"""Fakes of Picamera2 and libcamera with the traps of the real libraries.

`support.picamera` installs them in the process of a test. `support/fake_libraries` has them as modules, for child processes.
tests/camera/test_picamera_scenarios.py and test_picamera_process.py hold them to the real libraries.
"""

from __future__ import annotations

import enum
import errno
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:  # its module loads OpenCV, and a child process should start quickly
    from edge.imaging.images import Picture

#: (2, 2, 3) RGB: the colours of the quarters of every picture.
SCENE = np.array([[[220, 30, 10], [20, 200, 40]], [[30, 60, 210], [230, 220, 190]]], np.uint8)


# ---- libcamera -------------------------------------------------------------------------------------------------------


class Transform:
    def __init__(self, hflip: bool = False, vflip: bool = False) -> None:
        self.hflip, self.vflip = bool(hflip), bool(vflip)


class ColorSpace(enum.Enum):
    """Weights of red and blue in luma; minimum and span of luma; span of chroma."""

    SYCC = (0.299, 0.114, 0, 255, 255)
    SMPTE170M = (0.299, 0.114, 16, 219, 224)
    REC709 = (0.2126, 0.0722, 16, 219, 224)

    @staticmethod
    def Smpte170m() -> ColorSpace:
        return ColorSpace.SMPTE170M


class AeMeteringModeEnum(enum.Enum):
    CentreWeighted, Spot, Matrix = range(3)


class AeExposureModeEnum(enum.Enum):
    Normal, Short, Long = range(3)


def yuv420(picture: Picture, space: ColorSpace, stride: int) -> Picture:
    """Return I420 as the image processor writes it, (H * 3 / 2, stride): rows are padded with random bytes."""
    red, blue, luma_min, luma_span, chroma_span = space.value
    rgb = picture.astype(float) / 255
    y = red * rgb[..., 0] + (1 - red - blue) * rgb[..., 1] + blue * rgb[..., 2]
    u, v = (rgb[..., 2] - y) / (2 - 2 * blue), (rgb[..., 0] - y) / (2 - 2 * red)
    planes: list[Picture] = []
    for plane, step in ((luma_min + luma_span * y, 1), (128 + chroma_span * u, 2), (128 + chroma_span * v, 2)):
        rows = plane[::step, ::step]
        padded = np.random.default_rng(1).integers(0, 256, (len(rows), stride // step), np.uint8)
        padded[:, : rows.shape[1]] = rows.round()
        planes.append(padded.ravel())
    return np.concatenate(planes).reshape(-1, stride)


# ---- Picamera2 -------------------------------------------------------------------------------------------------------


class World:
    """The attached cameras, how they behave, and what the code under test did with them."""

    def __init__(self) -> None:
        self.cameras: list[dict[str, object]] = [{"Id": "/base/soc/i2c0mux/i2c@1/imx708@1a", "Num": 0}]
        self.busy = False
        self.broken = ""  # what fails although the camera is free: "start" or "configure"
        self.forbidden = ""  # the device file with memory for pictures, if it may not be opened
        self.can_flip = True
        self.gives: dict[str, str] = {}  # formats of streams, whatever is configured
        self.hang = threading.Event()  # set: no pictures arrive
        self.age_s: Callable[[int], float] = lambda number: 0.0  # age of a picture on arrival, by number
        self.controls = {
            *("FrameDurationLimits", "AeExposureMode", "AeMeteringMode", "ExposureValue"),
            *("Saturation", "NoiseReductionMode"),
        }
        self.made: list[FakePicamera2] = []
        self.out: set[FakeRequest] = set()  # requests not yet released
        self.given_up: list[FakeJob] = []  # jobs that nobody waits for any more; they may hold a request
        self.used: list[FakeRequest] = []  # requests whose pictures were read

    def look(self, number: int) -> tuple[Picture, int | None]:
        """Return the colours of the quarters that frame `number` shows, and the seed of its noise, None for no noise."""
        return SCENE, number

    def on_construct(self) -> None:
        """Raise if another process has the camera."""

    def on_start(self, controls: dict[str, Any]) -> None:
        """Raise if the camera does not start."""

    def on_stop(self) -> None:
        """Hang if the camera does not stop."""


class FakeJob:
    def __init__(self, function: Callable[[], tuple[bool, Any]], given_up: list[FakeJob]) -> None:
        self.function = function
        self.future: Future[Any] = Future()
        self.result: Any = None
        self.given_up = given_up

    def execute(self) -> bool:
        done, self.result = self.function()
        return done

    def get_result(self, timeout: float | None = None) -> Any:
        try:
            return self.future.result(timeout)
        except TimeoutError:
            self.given_up.append(self)
            raise


class FakeRequest:
    def __init__(self, camera: FakePicamera2) -> None:
        self.camera = camera
        self.number = camera.count
        self.taken_ns = time.monotonic_ns() - round(1e9 * camera.world.age_s(self.number))
        camera.world.out.add(self)

    def get_metadata(self) -> dict[str, Any]:
        assert self in self.camera.world.out, "used after release"
        return {"SensorTimestamp": self.taken_ns, "ExposureTime": 5000}

    def make_array(self, name: str) -> Picture:
        assert self in self.camera.world.out, "used after release"
        if self not in self.camera.world.used:
            self.camera.world.used.append(self)
        stream, transform = self.camera.config[name], self.camera.config["transform"]
        width, height = stream["size"]
        x, y = np.arange(width) * 2 // width, np.arange(height) * 2 // height
        quarters, seed = self.camera.world.look(self.number)
        seen = quarters[y[::-1] if transform.vflip else y][:, x[::-1] if transform.hflip else x]
        if seed is not None:  # one level of noise: no two pictures are identical
            seen = seen ^ np.random.default_rng(seed).integers(0, 2, (height, width, 1), np.uint8)
        if stream["format"] == "YUV420":
            return yuv420(seen, self.camera.config["colour_space"], stream["stride"])
        if stream["format"] == "RGB888":
            seen = seen[:, :, ::-1]
        buffer = np.full((height, stride_of(stream)), 99, np.uint8)
        buffer[:, : 3 * width] = seen.reshape(height, -1)
        return np.ascontiguousarray(buffer[:, : 3 * width]).reshape(
            height, width, 3
        )  # Picamera2 removes the padding of RGB

    def release(self) -> None:
        if self not in self.camera.world.out:
            raise RuntimeError("CompletedRequest: lock now has negative ref_count")
        self.camera.world.out.remove(self)


def stride_of(stream: dict[str, Any]) -> int:
    """Return the length of a row in bytes, padding included."""
    width: int = stream["size"][0]
    return -(-width // 64) * 64 if stream["format"] == "YUV420" else -(-3 * width // 32) * 32


class FakePicamera2:
    """The used part of Picamera2. As in the real one, a thread executes queued jobs when pictures arrive."""

    world: World

    def __init__(self) -> None:
        self.notifyme_r, self.notifyme_w = os.pipe2(os.O_NONBLOCK)
        self.notifymeread = os.fdopen(self.notifyme_r, "rb")
        self._preview: threading.Thread | None = None
        self.is_open = self.started = self.is_constructed = False
        self.camera_idx = self.global_camera_info()[0]["Num"]
        self.lock = threading.Lock()
        self.jobs: list[FakeJob] = []
        self.completed: list[FakeRequest] = []
        self.count = 0
        self.abort = threading.Event()
        self.sensor_resolution = (4608, 2592)
        self.camera_controls = dict.fromkeys(self.world.controls, (0, 1, None))
        self.world.made.append(self)
        try:
            if self.world.busy:
                raise RuntimeError("Failed to acquire camera: CameraDevice or resource busy")
            self.world.on_construct()
            self.is_open = True
            if self.world.broken == "start":
                raise KeyError("tuning file")
        except Exception:
            raise RuntimeError("Camera __init__ sequence did not complete.")  # noqa: B904 - as in Picamera2
        if self.world.forbidden:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), self.world.forbidden)
        self.is_constructed = True

    @classmethod
    def global_camera_info(cls) -> list[dict[str, Any]]:
        return cls.world.cameras

    def cancel_all_and_flush(self) -> None:
        raise AssertionError("leaks a request that arrived in the meantime")

    def create_video_configuration(
        self,
        main: dict[str, Any],
        lores: dict[str, Any] | None = None,
        transform: Transform | None = None,
        colour_space: ColorSpace | None = None,
        buffer_count: int = 6,
        controls: dict[str, Any] | None = None,
        queue: bool = True,
        sensor: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        main = {"format": "XBGR8888", "size": (1280, 720)} | main
        if colour_space is None:
            large = main["size"][0] >= 1280 and main["size"][1] >= 720
            colour_space = ColorSpace.REC709 if large else ColorSpace.SMPTE170M
        if lores is not None:
            lores = {"format": "YUV420", "size": main["size"]} | lores
        for stream in (main, lores):
            if stream is not None:
                stream["size"] = tuple(side - side % 2 for side in stream["size"])
        return {
            "main": main,
            "lores": lores,
            "transform": transform or Transform(),
            "colour_space": colour_space,
            "buffer_count": buffer_count,
            "controls": {"NoiseReductionMode": "Fast", "FrameDurationLimits": (33333, 33333)} | (controls or {}),
            "queue": queue,
            "sensor": sensor or {},
        }

    def configure(self, config: dict[str, Any]) -> None:
        if self.world.broken == "configure":
            raise RuntimeError("Configuration failed")
        if config["lores"] is not None:
            assert all(
                small <= large for small, large in zip(config["lores"]["size"], config["main"]["size"], strict=True)
            )
        for name in config["controls"]:
            if name not in self.world.controls:
                raise RuntimeError(f"Control {name} is not advertised by libcamera")
        if not self.world.can_flip:  # adjusted silently, as by libcamera
            config["transform"] = Transform()
        for name in ("main", "lores"):
            if config[name] is not None:
                config[name]["format"] = self.world.gives.get(name, config[name]["format"])
                config[name]["stride"] = stride_of(config[name])
        self.config = config

    def camera_configuration(self) -> dict[str, Any]:
        return self.config

    def start(self) -> None:
        self.world.on_start(self.config["controls"])
        self.started = True
        self._preview = threading.Thread(target=self._work, daemon=True)
        self._preview.start()

    def _work(self) -> None:
        keep = 1 if self.config["queue"] else 0
        while not self.abort.wait(self.config["controls"]["FrameDurationLimits"][0] / 1e6):
            finished = []
            with self.lock:
                starved = len(self.world.out) >= self.config["buffer_count"]
                if self.started and not starved and not self.world.hang.is_set():
                    self.completed.append(FakeRequest(self))
                    self.count += 1
                while self.jobs and self.jobs[0].execute():
                    finished.append(self.jobs.pop(0))
                while len(self.completed) > keep:
                    self.completed.pop(0).release()
            for job in finished:
                job.future.set_result(job.result)

    def _dispatch(self, function: Callable[[], tuple[bool, Any]]) -> FakeJob:
        job = FakeJob(function, self.world.given_up)
        with self.lock:
            self.jobs.append(job)
        return job

    def _take(self) -> tuple[bool, Any]:
        return (True, self.completed.pop(0)) if self.completed else (False, None)

    def capture_request(self, wait: bool | float | None = None) -> Any:
        job = self._dispatch(self._take)
        return job if wait is False else job.get_result(None if wait in (True, None) else wait)

    def _stop(self) -> tuple[bool, Any]:
        self.world.on_stop()
        self.started = False
        while self.completed:
            self.completed.pop(0).release()
        return True, None

    def stop(self) -> None:
        if self._preview is not None:
            self._dispatch(self._stop).get_result()  # queues behind a waiting capture, for ever if none arrives
        else:
            self._stop()

    def stop_preview(self) -> None:
        if self._preview is None:
            raise RuntimeError("No preview specified.")
        self.abort.set()
        self._preview.join()
        self._preview = None

    def close(self) -> None:
        if self._preview is not None:
            self.stop_preview()
        if not self.is_open:
            return
        self.stop()
        self.is_open = False
        self.notifymeread.close()
        os.close(self.notifyme_w)
