"""The Raspberry Pi camera, on a stand-in for Picamera2 and libcamera that has the real ones' traps."""

from __future__ import annotations

import enum
import gc
import os
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from edge import device, picamera
from edge.camera import CameraLost, LiveSource, open_source
from edge.config import CameraSettings, load
from edge.errors import CameraError
from edge.images import Picture
from edge.picamera import PiCamera
from edge.records import Frame

#: What the camera sees, RGB: top left, top right, bottom left, bottom right.
SCENE = np.array([[[220, 30, 10], [20, 200, 40]], [[30, 60, 210], [230, 220, 190]]], np.uint8)
PATIENCE_S = 10.0


def settings_with(**changes: Any) -> CameraSettings:
    """Default settings, with a camera so fast that tests are quick."""
    quick = {"fps": 100, "longest_exposure_s": 0.01, "timeout_s": 0.2, "reopen_s": 0.01, "reopen_most_s": 0.04}
    return msgspec.structs.replace(load().camera, **(quick | changes))


# ---- libcamera -------------------------------------------------------------------------------------------------------


class Transform:
    def __init__(self, hflip: bool = False, vflip: bool = False) -> None:
        self.hflip, self.vflip = bool(hflip), bool(vflip)


class ColorSpace(enum.Enum):
    """Weights of red and blue in luma; least and span of luma, span of chroma."""

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
    """As the camera's chip writes it: planes one after the other, rows padded with rubbish, (H * 3 / 2, stride)."""
    red, blue, least, luma_span, chroma_span = space.value
    rgb = picture.astype(float) / 255
    y = red * rgb[..., 0] + (1 - red - blue) * rgb[..., 1] + blue * rgb[..., 2]
    u, v = (rgb[..., 2] - y) / (2 - 2 * blue), (rgb[..., 0] - y) / (2 - 2 * red)
    planes = []
    for plane, step in ((least + luma_span * y, 1), (128 + chroma_span * u, 2), (128 + chroma_span * v, 2)):
        rows = plane[::step, ::step]
        padded = np.random.default_rng(1).integers(0, 256, (len(rows), stride // step), np.uint8)
        padded[:, : rows.shape[1]] = rows.round()
        planes.append(padded.ravel())
    return np.concatenate(planes).reshape(-1, stride)


# ---- Picamera2 -------------------------------------------------------------------------------------------------------


class World:
    """What is attached, how it behaves, and what became of it."""

    def __init__(self) -> None:
        self.cameras: list[dict[str, object]] = [{"Id": "/base/soc/i2c0mux/i2c@1/imx708@1a", "Num": 0}]
        self.busy = False
        self.broken = ""  # what fails though nobody else has the camera: "start" or "configure"
        self.can_flip = True
        self.gives: dict[str, str] = {}  # formats that it insists on
        self.hang = threading.Event()  # no more pictures
        self.age_s: Callable[[int], float] = lambda number: 0.0  # how old its pictures are, by number
        self.controls = {
            *("FrameDurationLimits", "AeExposureMode", "AeMeteringMode", "ExposureValue"),
            *("Saturation", "NoiseReductionMode"),
        }
        self.made: list[FakePicamera2] = []
        self.out: set[FakeRequest] = set()  # not given back
        self.used: list[FakeRequest] = []  # whose pictures were taken


class FakeJob:
    def __init__(self, function: Callable[[], tuple[bool, Any]]) -> None:
        self.function = function
        self.future: Future[Any] = Future()
        self.result: Any = None

    def execute(self) -> bool:
        done, self.result = self.function()
        return done

    def get_result(self, timeout: float | None = None) -> Any:
        return self.future.result(timeout)


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
        seen = SCENE[y[::-1] if transform.vflip else y][:, x[::-1] if transform.hflip else x]
        noise = np.random.default_rng(self.number).integers(0, 2, (height, width, 1), np.uint8)
        seen = seen ^ noise  # a level up or down: no two pictures are the same
        if stream["format"] == "YUV420":
            return yuv420(seen, self.camera.config["colour_space"], stream["stride"])
        if stream["format"] == "RGB888":
            seen = seen[:, :, ::-1]
        buffer = np.full((height, stride_of(stream)), 99, np.uint8)
        buffer[:, : 3 * width] = seen.reshape(height, -1)
        return np.ascontiguousarray(buffer[:, : 3 * width]).reshape(height, width, 3)  # the padding it does take off

    def release(self) -> None:
        if self not in self.camera.world.out:
            raise RuntimeError("CompletedRequest: lock now has negative ref_count")
        self.camera.world.out.remove(self)


def stride_of(stream: dict[str, Any]) -> int:
    width = stream["size"][0]
    return -(-width // 64) * 64 if stream["format"] == "YUV420" else -(-3 * width // 32) * 32


class FakePicamera2:
    """The part of Picamera2 in use, with its way of working: jobs, carried out by a thread when pictures come."""

    world: World

    def __init__(self) -> None:
        self.notifyme_r, self.notifyme_w = os.pipe2(os.O_NONBLOCK)
        self.notifymeread = os.fdopen(self.notifyme_r, "rb")
        self._preview: threading.Thread | None = None
        self.is_open = self.started = False
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
                raise RuntimeError("Failed to acquire camera: Device or resource busy")
            self.is_open = True
            if self.world.broken == "start":
                raise KeyError("tuning file")
        except Exception:
            raise RuntimeError("Camera __init__ sequence did not complete.")  # noqa: B904

    @classmethod
    def global_camera_info(cls) -> list[dict[str, Any]]:
        return cls.world.cameras

    def cancel_all_and_flush(self) -> None:
        raise AssertionError("leaves a request behind that came meanwhile")

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
            assert all(small <= large for small, large in zip(config["lores"]["size"], config["main"]["size"]))  # noqa: B905
        for name in config["controls"]:
            if name not in self.world.controls:
                raise RuntimeError(f"Control {name} is not advertised by libcamera")
        if not self.world.can_flip:  # "adjusted", without a word
            config["transform"] = Transform()
        for name in ("main", "lores"):
            if config[name] is not None:
                config[name]["format"] = self.world.gives.get(name, config[name]["format"])
                config[name]["stride"] = stride_of(config[name])
        self.config = config

    def camera_configuration(self) -> dict[str, Any]:
        return self.config

    def start(self) -> None:
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
        job = FakeJob(function)
        with self.lock:
            self.jobs.append(job)
        return job

    def _take(self) -> tuple[bool, Any]:
        return (True, self.completed.pop(0)) if self.completed else (False, None)

    def capture_request(self, wait: bool | float | None = None) -> Any:
        job = self._dispatch(self._take)
        return job if wait is False else job.get_result(None if wait in (True, None) else wait)

    def _stop(self) -> tuple[bool, Any]:
        self.started = False
        while self.completed:
            self.completed.pop(0).release()
        return True, None

    def stop(self) -> None:
        if self._preview is not None:
            self._dispatch(self._stop).get_result()  # behind whatever waits already, for ever
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


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    world = World()
    libcamera: Any = types.ModuleType("libcamera")
    libcamera.Transform, libcamera.ColorSpace = Transform, ColorSpace
    libcamera.controls = types.SimpleNamespace(
        AeMeteringModeEnum=AeMeteringModeEnum, AeExposureModeEnum=AeExposureModeEnum
    )
    picamera2: Any = types.ModuleType("picamera2")
    picamera2.Picamera2 = type("Picamera2", (FakePicamera2,), {"world": world})
    monkeypatch.setitem(sys.modules, "libcamera", libcamera)
    monkeypatch.setitem(sys.modules, "picamera2", picamera2)
    yield world
    assert not world.out, "every request was given back"
    assert not any(camera.is_open for camera in world.made), "and every camera closed"


def one_frame(settings: CameraSettings) -> Frame:
    with open_source(settings, "picamera") as source:
        frame = source.read()
    assert frame is not None
    return frame


def quarters(picture: Picture) -> Picture:
    """The colours in the middle of the four quarters, (2, 2, 3)."""
    height, width = picture.shape[:2]
    return picture[height // 4 :: height // 2, width // 4 :: width // 2][:2, :2]


def is_near(picture: Picture | None, colours: Picture) -> bool:
    assert picture is not None
    assert picture.flags.c_contiguous
    return bool(np.abs(quarters(picture).astype(int) - colours).max() <= 4)


# ---- Pictures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "small_width", "small_size"),
    [
        ((640, 480), 256, (256, 192)),  # as delivered: no padding anywhere
        ((200, 150), 100, (100, 74)),  # padding in both; rows of colour that end in the middle of a row of the array
        ((1280, 720), 322, (322, 180)),  # so large that BT.709 would be the default
        ((202, 152), 201, (200, 150)),  # sides must be even
    ],
)
def test_both_streams_show_the_same_scene_in_the_same_colours(
    world: World, size: tuple[int, int], small_width: int, small_size: tuple[int, int]
) -> None:
    frame = one_frame(settings_with(width=size[0], height=size[1], small_width=small_width))
    assert frame.small is not None
    assert frame.picture.shape == (size[1], size[0], 3)
    assert frame.small.shape == (small_size[1], small_size[0], 3)
    assert is_near(frame.picture, SCENE)
    assert is_near(frame.small, SCENE)
    # No stripe of padding at the right, no colour of the wrong rows: each quarter is of one colour throughout.
    for picture in (frame.picture, frame.small):
        height, width = picture.shape[0] // 2, picture.shape[1] // 2
        for row, column in np.ndindex(2, 2):
            quarter = picture[row * height :, column * width :][: height - 2, : width - 2][2:, 2:].astype(int)
            assert np.abs(quarter - SCENE[row, column]).max() <= 4


@pytest.mark.parametrize("small_width", [0, 640, 4096])
def test_without_a_small_picture(world: World, small_width: int) -> None:
    frame = one_frame(settings_with(width=640, height=480, small_width=small_width))
    assert frame.small is None
    assert is_near(frame.picture, SCENE)
    assert world.made[0].config["lores"] is None


@pytest.mark.parametrize("can_flip", [True, False])
@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
def test_turned_clockwise_then_mirrored_whatever_the_hardware_can_do(
    world: World, rotate: int, mirror: bool, can_flip: bool
) -> None:
    world.can_flip = can_flip
    frame = one_frame(settings_with(width=200, height=152, small_width=100, rotate=rotate, mirror=mirror))
    expected = np.rot90(SCENE, -rotate // 90)
    if mirror:
        expected = expected[:, ::-1]
    assert frame.small is not None
    assert frame.picture.shape == ((200, 152, 3) if rotate in (90, 270) else (152, 200, 3))
    assert frame.small.shape == ((100, 76, 3) if rotate in (90, 270) else (76, 100, 3))
    assert is_near(frame.picture, expected)
    assert is_near(frame.small, expected)


def test_flips_and_half_turns_are_left_to_the_hardware() -> None:
    for rotate in (0, 90, 180, 270):
        for mirror in (False, True):
            settings = settings_with(rotate=rotate, mirror=mirror)
            left = picamera.left_to_turn(settings, *picamera.flips(settings))
            assert left == (rotate % 180 and rotate, False)


# ---- Settings --------------------------------------------------------------------------------------------------------


def test_what_the_camera_is_asked_for(world: World) -> None:
    one_frame(settings_with(fps=50, longest_exposure_s=0.5, metering="spot", exposure_stops=0.5, grey=True))
    config = world.made[0].config
    assert config["controls"] == {
        "FrameDurationLimits": (20_000, 20_000),
        "AeExposureMode": AeExposureModeEnum.Short,
        "AeMeteringMode": AeMeteringModeEnum.Spot,
        "ExposureValue": 0.5,
        "Saturation": 0.0,
        "NoiseReductionMode": "Fast",
    }
    assert config["queue"] is False
    assert config["sensor"] == {"output_size": (2304, 1296)}, "the mode that sees everything"


@pytest.mark.parametrize(("metering", "name"), [("centre", "CentreWeighted"), ("spot", "Spot"), ("matrix", "Matrix")])
def test_metering_and_colour(world: World, metering: str, name: str) -> None:
    one_frame(settings_with(metering=metering))
    controls = world.made[0].config["controls"]
    assert controls["AeMeteringMode"] is AeMeteringModeEnum[name]
    assert controls["Saturation"] == 1.0


def test_controls_that_a_sensor_has_not_are_left_out(world: World) -> None:
    world.controls -= {"Saturation", "AeMeteringMode"}
    one_frame(settings_with(grey=True))
    assert {"Saturation", "AeMeteringMode"}.isdisjoint(world.made[0].config["controls"])


def test_exposure_is_capped_by_a_faster_sensor_of_which_frames_are_left_out(world: World) -> None:
    with open_source(settings_with(fps=20, longest_exposure_s=0.005), "picamera") as source:
        for _ in range(4):
            source.read()
    assert world.made[0].config["controls"]["FrameDurationLimits"] == (5000, 5000)
    assert np.all(np.diff([request.taken_ns for request in world.used]) >= 0.045e9)
    assert [request.number for request in world.used] != list(range(len(world.used)))


# ---- Time ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def connection(world: World) -> Iterator[PiCamera]:
    connection = PiCamera(settings_with())
    connection.prepare()
    connection.open()
    yield connection
    connection.close()


def test_picture_older_than_its_request_is_thrown_away(world: World, connection: PiCamera) -> None:
    stale_until = world.made[0].count + 3
    world.age_s = lambda number: 60.0 if number < stale_until else 0.0
    assert is_near(connection.read().picture, SCENE)
    assert [request.number >= stale_until for request in world.used] == [True]


def test_pipeline_may_take_some_frames(world: World, connection: PiCamera) -> None:
    world.age_s = lambda number: 3 * 0.01
    assert is_near(connection.read().picture, SCENE)


@pytest.mark.parametrize("trouble", ["hang", "old"])
def test_every_capture_has_a_limit(world: World, connection: PiCamera, trouble: str) -> None:
    connection.read()
    if trouble == "hang":
        world.hang.set()
    else:
        world.age_s = lambda number: 60.0
    start = time.monotonic()
    with pytest.raises(CameraError, match=r"picamera: no picture within 0\.2 s") as caught:
        connection.read()
    assert 0.15 <= time.monotonic() - start < PATIENCE_S
    assert "ribbon cable" in caught.value.hint


def test_picture_that_comes_after_all_is_given_back(world: World, connection: PiCamera) -> None:
    connection.read()
    world.hang.set()
    with pytest.raises(CameraError):
        connection.read()
    world.hang.clear()
    end = time.monotonic() + PATIENCE_S
    while world.made[0].jobs:
        assert time.monotonic() < end
        time.sleep(0.002)
    assert world.out, "the capture that was given up holds one"
    connection.close()
    assert not world.out


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "FIRST_S", 0.5)


@pytest.mark.usefixtures("quick")
def test_camera_that_hangs_is_closed_and_reopened(world: World) -> None:
    lost: list[CameraLost] = []
    source = open_source(settings_with(), "picamera")
    assert isinstance(source, LiveSource)
    with source:
        first = source.read()
        world.hang.set()
        end = time.monotonic() + PATIENCE_S
        while len(world.made) < 3:
            assert time.monotonic() < end
            try:
                source.read()
            except CameraLost as error:
                lost.append(error)
        world.hang.clear()
        while True:
            assert time.monotonic() < end + PATIENCE_S
            try:
                back = source.read()
                break
            except CameraLost as error:
                lost.append(error)
    assert any("picamera: no picture within" in str(error) for error in lost)
    assert back.number > first.number
    assert back.t > first.t
    assert is_near(back.small, SCENE)


# ---- Errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message", "hint"),
    [
        ({"cameras": []}, "picamera: no camera found", "rpicam-hello --list-cameras"),
        ({"cameras": [{"Id": "/base/soc/usb@7e98/hub@1", "Num": 0}]}, "only a USB camera", 'source = "/dev/video0"'),
        ({"busy": True}, "picamera: is in use by another program", "stop that program"),
        ({"broken": "start"}, "picamera: cannot be opened: 'tuning file'", "rpicam-hello"),
        ({"broken": "configure"}, "picamera: RuntimeError: Configuration failed", ""),
        ({"gives": {"main": "MJPEG"}}, "picamera: gives MJPEG, not BGR888", "camera module"),
        ({"gives": {"lores": "RGB888"}}, "picamera: gives RGB888, not YUV420", "camera module"),
    ],
)
def test_camera_that_cannot_be_opened(world: World, changes: dict[str, Any], message: str, hint: str) -> None:
    for name, value in changes.items():
        setattr(world, name, value)
    with pytest.raises(CameraError, match=message) as caught:
        open_source(settings_with(), "picamera").open()
    assert hint in caught.value.hint
    assert caught.value.exit_code == 69


def test_who_uses_the_camera_is_named(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.busy = True
    monkeypatch.setattr(picamera, "holders", lambda *nodes: [(os.getpid(), "doorlight"), (812, "motion")])
    with pytest.raises(CameraError, match=r"^picamera: is in use by motion \(process 812\)$"):
        open_source(settings_with(), "picamera").open()


def test_wrong_group_is_not_called_a_missing_camera(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.cameras = []
    monkeypatch.setattr(Path, "glob", lambda self, pattern: iter([tmp_path / "media0"]))
    with pytest.raises(CameraError, match=r"picamera: no permission for .*media0") as caught:
        open_source(settings_with(), "picamera").open()
    assert "usermod -aG video" in caught.value.hint


@pytest.mark.parametrize("broken", ["", "start", "configure"])
def test_trying_again_and_again_leaves_nothing_open(world: World, broken: str) -> None:
    world.busy, world.broken = not broken, broken

    def attempt() -> None:
        connection = PiCamera(settings_with())
        with pytest.raises((CameraError, RuntimeError)):
            connection.open()
        connection.close()
        connection.close()

    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(10):
        attempt()
    assert len(os.listdir("/proc/self/fd")) <= before


def test_closed_before_it_was_opened() -> None:
    PiCamera(settings_with()).close()


@pytest.mark.parametrize("wait", [False, True])
def test_picamera2_missing_is_told_even_when_waiting_for_a_camera(monkeypatch: pytest.MonkeyPatch, wait: bool) -> None:
    monkeypatch.setitem(sys.modules, "picamera2", None)  # import fails, installed or not
    with pytest.raises(CameraError, match="Picamera2 cannot be imported") as caught:
        open_source(settings_with(wait=wait), "picamera").open()
    assert "sudo apt install python3-picamera2" in caught.value.hint
    assert "--system-site-packages" in caught.value.hint


@pytest.mark.parametrize(
    ("source", "message", "hint"),
    [
        ("import libcamera", "Picamera2 is there, but not libcamera", "pip uninstall picamera2"),
        ("import libcamera.controls", "Picamera2 is there, but not libcamera", "apt install python3-picamera2"),
        ("raise ValueError('numpy.dtype size changed')", r"numpy\.dtype size changed", "numpy<2"),
        ("class Picamera2: pass", "Picamera2 is too old", "full-upgrade"),
    ],
)
def test_picamera2_that_does_not_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, message: str, hint: str
) -> None:
    (tmp_path / "picamera2.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "picamera2", raising=False)
    monkeypatch.setitem(sys.modules, "libcamera", None)
    with pytest.raises(CameraError, match=message) as caught:
        open_source(settings_with(), "picamera").open()
    assert hint in caught.value.hint
    sys.modules.pop("picamera2", None)
