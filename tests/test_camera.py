"""Sources: real videos, pictures and HTTP streams through OpenCV; cameras through devices that misbehave on demand."""

from __future__ import annotations

import hashlib
import http.server
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import camera, device
from edge.camera import CameraLost, LiveSource, PictureFiles, Source, VideoFile, open_source
from edge.config import CameraSettings, load
from edge.device import Device, Shot
from edge.errors import CameraError, InputMissing
from edge.images import Picture
from edge.picamera import PiCamera
from edge.records import Frame

#: Red, as RGB: tells at once whether anybody swapped the channels.
RED = (220, 30, 10)
PATIENCE_S = 10.0


def settings_with(**changes: Any) -> CameraSettings:
    """Default settings made impatient, so that tests are quick."""
    quick = {"timeout_s": 0.1, "reopen_s": 0.01, "reopen_most_s": 0.04}
    return msgspec.structs.replace(load().camera, **(quick | changes))


def flat(colour: tuple[int, int, int], height: int = 48, width: int = 64) -> Picture:
    return np.full((height, width, 3), colour, np.uint8)


def write_video(path: Path, fourcc: str, frames: int = 30, fps: float = 20.0) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*fourcc), fps, (160, 120))
    assert writer.isOpened()
    for k in range(frames):
        picture = flat(RED[::-1], 120, 160)
        cv2.circle(picture, (4 * k, 60), 20, (0, 255, 0), -1)
        writer.write(picture)
    writer.release()
    return path


def write_picture(path: Path, colour: tuple[int, int, int] = RED, height: int = 48) -> Path:
    assert cv2.imwrite(str(path), flat(colour, height)[:, :, ::-1])
    return path


def play(source: Source) -> list[Frame]:
    frames = []
    with source:
        while (frame := source.read()) is not None:
            frames.append(frame)
    return frames


def is_red(picture: Picture, where: tuple[int, int] = (5, 5)) -> bool:
    return bool(np.all(np.abs(picture[where].astype(int) - RED) < 25))


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.002)


def read_until_back(source: Source) -> tuple[Frame, list[CameraLost]]:
    """The next frame, and what was raised before it came."""
    lost: list[CameraLost] = []
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        try:
            frame = source.read()
        except CameraLost as error:
            lost.append(error)
        else:
            assert frame is not None
            return frame, lost
    raise AssertionError(f"never came back: {lost[-1:]}")


def read_error(source: Source) -> CameraLost | None:
    try:
        source.read()
    except CameraLost as error:
        return error
    return None


# ---- Files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "fourcc"), [("a.mp4", "mp4v"), ("a.avi", "MJPG"), ("a.mkv", "MJPG")])
def test_video_is_played_whole_on_its_own_clock(tmp_path: Path, name: str, fourcc: str) -> None:
    path = write_video(tmp_path / name, fourcc)
    source = open_source(settings_with(fps=7, rotate=90, mirror=True), str(path))
    frames = play(source)
    assert isinstance(source, VideoFile)
    assert (source.name, source.live, source.length, source.fps, source.truncated) == (str(path), False, 30, 20.0, None)
    assert [frame.number for frame in frames] == list(range(30))
    assert [frame.t for frame in frames] == [k / 20 for k in range(30)]
    for frame in frames:
        # Turning and mirroring are for cameras: the file's (120, 160) stays.
        assert frame.picture.shape == (120, 160, 3)
        assert frame.picture.dtype == np.uint8
        assert frame.picture.flags.c_contiguous
        assert is_red(frame.picture)


@pytest.mark.parametrize(("name", "fourcc"), [("a.mp4", "mp4v"), ("a.avi", "MJPG")])
def test_same_file_gives_the_same_frames(tmp_path: Path, name: str, fourcc: str) -> None:
    path = write_video(tmp_path / name, fourcc)

    def fingerprint(source: Source) -> list[tuple[int, float, str]]:
        return [(f.number, f.t, hashlib.sha256(f.picture.tobytes()).hexdigest()) for f in play(source)]

    source = open_source(settings_with(), str(path))
    first = fingerprint(source)
    assert len({digest for _, _, digest in first}) == 30
    assert fingerprint(source) == first, "reopened"
    assert fingerprint(open_source(settings_with(), str(path))) == first, "opened anew"


def test_truncated_video_ends_normally_and_says_so(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "whole.avi", "MJPG", frames=40).read_bytes()
    path = tmp_path / "cut.avi"
    path.write_bytes(whole[: len(whole) // 2])
    source = VideoFile(path, settings_with())
    frames = play(source)
    assert 5 < len(frames) < 35
    assert source.truncated is not None
    assert f"{len(frames)} of 40" in source.truncated
    assert str(path) in source.truncated


@pytest.mark.parametrize("fps", [0.0, -1.0, float("nan"), float("inf"), 90000.0])
def test_absurd_rate_is_replaced_by_the_settings(fps: float) -> None:
    assert camera.sane_fps(fps, 8.0) == 8.0
    assert camera.sane_fps(29.97, 8.0) == 29.97


def test_an_absurd_rate_in_a_file(tmp_path: Path) -> None:
    """An AVI whose header says that a frame takes no time at all."""
    path = write_video(tmp_path / "a.avi", "MJPG", frames=3)
    data = bytearray(path.read_bytes())
    at = data.find(b"strh") + 8 + 20  # dwScale, dwRate
    data[at : at + 8] = bytes(8)
    data[32:36] = bytes(4)  # dwMicroSecPerFrame
    path.write_bytes(data)
    times = [frame.t for frame in play(VideoFile(path, settings_with(fps=8)))]
    assert len(times) == 3
    assert 0 < times[1] <= 1


def test_y4m_begins_as_text_but_is_a_video(tmp_path: Path) -> None:
    path = tmp_path / "a.y4m"
    frame = b"FRAME\n" + bytes([120]) * (64 * 48 * 3 // 2)
    path.write_bytes(b"YUV4MPEG2 W64 H48 F10:1 Ip A1:1 C420jpeg\n" + 4 * frame)
    assert len(play(open_source(settings_with(), str(path)))) == 4


@pytest.mark.parametrize("name", ["text.mp4", "text.txt", "list.m3u8", "garbage.mp4", "empty.mp4", "cut.mp4"])
def test_what_is_no_video_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    whole = write_video(tmp_path / "whole.mp4", "mp4v").read_bytes()
    path.write_bytes(
        {
            "text": b"Dear diary, today I was a film.\n" * 100,
            "list": b"#EXTM3U\n#EXTINF:5,\nhttp://127.0.0.1:1/a.ts\n",
            "garbage": np.random.default_rng(1).bytes(20_000),
            "empty": b"",
            "cut": whole[: len(whole) // 2],  # its index was at the end
        }[path.stem]
    )
    source = open_source(settings_with(), str(path))
    with pytest.raises(InputMissing, match=r"video") as caught:
        source.open()
    assert str(path) in str(caught.value)
    assert caught.value.hint
    assert caught.value.exit_code == 66


@pytest.mark.parametrize("name", ["nothing.mp4", "nothing.jpg", "nothing", "no/folder/", "x" * 300])
def test_missing_path(tmp_path: Path, name: str) -> None:
    source = open_source(settings_with(), str(tmp_path / name))
    with pytest.raises(InputMissing, match="no such file or folder") as caught:
        source.open()
    assert str(tmp_path) in str(caught.value)


def test_bare_number_is_told_how_cameras_are_written() -> None:
    with pytest.raises(InputMissing) as caught:
        open_source(settings_with(), "0").open()
    assert "/dev/video0" in caught.value.hint


def test_neither_file_nor_folder(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # reading it would block for ever
    with pytest.raises(InputMissing, match="neither a file nor a folder"):
        open_source(settings_with(), str(tmp_path / "pipe")).open()


def test_close_is_idempotent_and_a_closed_file_has_no_frames(tmp_path: Path) -> None:
    for path in (write_video(tmp_path / "a.avi", "MJPG"), write_picture(tmp_path / "a.png")):
        source = open_source(settings_with(), str(path))
        source.close()
        source.open()
        source.close()
        source.close()
        assert source.read() is None


def test_single_picture_is_one_frame(tmp_path: Path) -> None:
    path = write_picture(tmp_path / "Face.JPG")
    source = open_source(settings_with(rotate=90), str(path))
    (frame,) = play(source)
    assert isinstance(source, PictureFiles)
    assert (frame.number, frame.t, source.length, source.current) == (0, 0.0, 1, path)
    assert frame.picture.shape == (48, 64, 3)
    assert is_red(frame.picture)


def test_folder_is_played_in_natural_order_without_what_cannot_be_read(tmp_path: Path) -> None:
    for k, name in enumerate(["10.png", "2.jpg", "1.bmp", "b3.webp", "B20.jpeg"]):
        write_picture(tmp_path / name, height=40 + k)
    (tmp_path / "3.jpg").write_bytes(b"\xff\xd8\xff\xe0 but no more")
    (tmp_path / "4.png").write_bytes(b"")
    (tmp_path / "5.jpg").mkdir()
    (tmp_path / "notes.txt").write_text("not a picture")
    (tmp_path / "._1.jpg").write_bytes(b"what a Mac leaves behind")
    source = open_source(settings_with(fps=4), str(tmp_path))
    assert isinstance(source, PictureFiles)
    names, frames = [], []
    with source:
        while frame := source.read():
            assert source.current is not None
            names.append(source.current.name)
            frames.append(frame)
    assert names == ["1.bmp", "2.jpg", "10.png", "b3.webp", "B20.jpeg"]
    assert [(f.number, f.t) for f in frames] == [(k, k / 4) for k in range(5)]
    assert [f.picture.shape[0] for f in frames] == [42, 41, 40, 43, 44]
    assert [name for name, _ in source.skipped] == ["3.jpg", "4.png"]
    assert dict(source.skipped)["4.png"] == "is empty"
    assert (source.length, source.fps) == (7, 4)


def test_folder_order_copes_with_any_names(tmp_path: Path) -> None:
    names = ["1.png", "01.png", "a1.png", "A1.png", "1a.png", "²3.png", "é.png", "-.png"]
    for name in names:
        write_picture(tmp_path / name)
    assert len(play(open_source(settings_with(), str(tmp_path)))) == len(names)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "no picture in this folder"),
        ({"a.txt": b"text"}, "no picture in this folder"),
        ({"a.jpg": b"no", "b.png": b""}, r"none of its 2 pictures can be read \(a\.jpg: "),
    ],
)
def test_folder_without_a_picture(tmp_path: Path, files: dict[str, bytes], message: str) -> None:
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    with pytest.raises(InputMissing, match=message) as caught:
        open_source(settings_with(), str(tmp_path)).open()
    assert str(tmp_path) in str(caught.value)


def test_single_picture_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"no")
    with pytest.raises(InputMissing, match=r"a\.jpg: is not a picture"):
        open_source(settings_with(), str(tmp_path / "a.jpg")).open()


# ---- Kinds and names -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "live"),
    [
        ("picamera", True),
        ("/dev/video0", True),
        ("/dev/v4l/by-id/usb-cam", True),
        ("rtsp://door/1", True),
        ("RTSPS://door/1", True),
        ("http://door/video", True),
        ("udp://239.0.0.1:5000", True),
        ("clip.mp4", False),
        ("/dev/null", False),
    ],
)
def test_kind_is_told_from_the_text_without_opening(text: str, live: bool) -> None:
    source = open_source(settings_with(), text)
    assert (source.live, source.name) == (live, text)
    assert open_source(settings_with(source=text)).name == text


def test_unknown_address() -> None:
    with pytest.raises(InputMissing, match=r"gopher://u:\*\*\*@x"):
        open_source(settings_with(), "gopher://u:secret@x")


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://door:554/live", "rtsp://door:554/live"),
        ("rtsp://me@door/live", "rtsp://me@door/live"),
        ("rtsp://me:secret@door:554/live", "rtsp://me:***@door:554/live"),
        ("rtsp://me:se@cr/et@door/live", "rtsp://me:***@door/live"),
        ("http://door/video?user=me&password=secret", "http://door/video?…"),
        ("rtsp://door/user=me&password=secret&channel=1", "rtsp://door/user=me&password=***&channel=1"),
    ],
)
def test_password_is_hidden(address: str, shown: str) -> None:
    assert camera.without_password(address) == shown


@given(st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=0x2FF), max_size=12))
def test_no_password_is_ever_shown(password: str) -> None:
    assert camera.without_password(f"rtsp://me:{password}@door/1") == "rtsp://me:***@door/1"


# ---- Cameras ---------------------------------------------------------------------------------------------------------


class Stage:
    """What the fake devices of a test do, and what became of them."""

    def __init__(self) -> None:
        self.frames = threading.Semaphore(0)  # pictures the camera still has; beyond them it fails
        self.endless = False
        self.plugged = True
        self.broken = False
        self.frozen: Picture | None = None  # gives nothing but this
        self.hang_in = ""  # "open", "read" or "close"
        self.wake = threading.Event()  # ends every hang
        self.opened: list[float] = []
        self.shut = 0
        self.at_once = 0  # devices open now
        self.most_at_once = 0
        self.given = 0
        self.published = 0  # of those given, how many have certainly got through
        self.lock = threading.Lock()

    def make(self) -> FakeDevice:
        return FakeDevice(self)


class FakeDevice(Device):
    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.thread: int | None = None
        self.is_open = False

    def _enter(self, what: str) -> None:
        self.thread = self.thread or threading.get_ident()
        assert self.thread == threading.get_ident(), "a device belongs to one thread"
        if self.stage.hang_in == what:
            self.stage.wake.wait(PATIENCE_S)

    def open(self) -> None:
        self.stage.opened.append(time.monotonic())
        self._enter("open")
        if not self.stage.plugged:
            raise CameraError("fake: not there", "plug it in")
        with self.stage.lock:
            self.is_open = True
            self.stage.at_once += 1
            self.stage.most_at_once = max(self.stage.most_at_once, self.stage.at_once)

    def read(self) -> Shot:
        self.stage.published = self.stage.given
        end = time.monotonic() + 0.05
        while not self.stage.frames.acquire(timeout=0.002):
            self._enter("read")
            if not self.stage.plugged:
                raise CameraError("fake: has gone", "plug it in")
            if self.stage.broken:
                raise ValueError("a bug in a driver")
            if self.stage.endless:
                break
            if time.monotonic() > end:
                raise CameraError("fake: gives no picture")
        with self.stage.lock:
            self.stage.given += 1
            if self.stage.frozen is not None:
                return Shot(self.stage.frozen.copy())
            return Shot(flat((self.stage.given % 256, 0, 0), 4, 6))

    def close(self) -> None:
        self._enter("close")
        with self.stage.lock:
            self.stage.shut += 1
            self.stage.at_once -= self.is_open
            self.is_open = False


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.wake.set()
    stage.plugged = False


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "FIRST_S", 0.2)
    monkeypatch.setattr(camera, "GRACE_S", 0.05)
    monkeypatch.setattr(camera, "CLOSE_S", 0.1)


def live(stage: Stage, **changes: Any) -> LiveSource:
    return LiveSource("fake", stage.make, settings_with(**changes))


def test_slow_reader_gets_the_newest_frame(stage: Stage) -> None:
    stage.frames.release()
    with live(stage, timeout_s=5) as source:
        first = source.read()
        stage.frames.release(5)
        until(lambda: stage.published == 6)
        newest = source.read()
        assert (first.number, newest.number) == (0, 5), "a gap where the others lay"
        assert newest.picture[0, 0, 0] == 6
        assert newest.t >= first.t >= 0
        stage.frames.release()
        assert source.read().number == 6, "never the same twice"
    assert stage.at_once == 0


@pytest.mark.usefixtures("quick")
def test_read_waits_no_longer_than_the_limit(stage: Stage) -> None:
    stage.frames.release()
    with live(stage) as source:
        source.read()
        stage.hang_in = "read"
        start = time.monotonic()
        with pytest.raises(CameraLost, match=r"fake: no new picture for 0\.1 s") as caught:
            source.read()
        assert 0.1 <= time.monotonic() - start < PATIENCE_S
        assert caught.value.exit_code == 69
        assert caught.value.t > 0


def test_failing_camera_is_reopened_with_back_off(stage: Stage) -> None:
    stage.frames.release()
    source = live(stage)
    source.open()
    assert source.read().number == 0
    stage.plugged = False
    with pytest.raises(CameraLost, match=r"fake: (has gone|not there); no new picture for") as caught:
        source.read()
    assert caught.value.hint == "plug it in"
    until(lambda: read_error(source) and len(stage.opened) >= 6)
    pauses = np.diff(stage.opened[1:6])
    # 0.01, 0.02, then 0.04 at most: sleeps may take longer, never shorter.
    assert np.all(pauses >= [0.019, 0.039, 0.039, 0.039])
    assert stage.most_at_once == 1
    stage.plugged = True
    stage.frames.release()
    frame, _ = read_until_back(source)
    assert frame.number == 1, "the count goes on"
    assert frame.t > 0.1, "and so does the clock"
    source.close()
    assert stage.at_once == 0
    assert stage.shut == len(stage.opened)


def test_device_that_breaks_in_an_unforeseen_way_is_lost_too(stage: Stage) -> None:
    stage.frames.release()
    with live(stage) as source:
        source.read()
        stage.broken = True
        with pytest.raises(CameraLost, match="fake: ValueError: a bug in a driver"):
            source.read()
        stage.broken = False
        stage.frames.release()
        assert read_until_back(source)[0].number == 1


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("call", ["open", "read", "close"])
def test_hanging_call_blocks_neither_read_nor_close(stage: Stage, call: str) -> None:
    stage.frames.release()
    source = live(stage)
    source.open()
    source.read()
    stage.hang_in = call
    if call != "read":
        stage.broken = True
    for _ in range(4):
        start = time.monotonic()
        with pytest.raises(CameraLost):
            source.read()
        assert time.monotonic() - start < PATIENCE_S / 2
    start = time.monotonic()
    source.close()
    assert time.monotonic() - start < PATIENCE_S / 2
    stage.wake.set()
    until(lambda: stage.shut == len(stage.opened))  # whoever wakes closes its own device
    assert stage.at_once == 0


@pytest.mark.usefixtures("quick")
def test_new_thread_takes_over_from_one_that_hangs(stage: Stage) -> None:
    stage.endless = True
    source = live(stage)
    source.open()
    source.read()
    stage.hang_in = "read"
    until(lambda: "hangs" in str(read_error(source)))
    hung = len(stage.opened)
    stage.hang_in = ""
    before, _ = read_until_back(source)
    assert len(stage.opened) > hung
    stage.wake.set()
    until(lambda: stage.shut >= hung and stage.at_once == 1)  # the hung one has closed its device, the new one runs on
    assert read_until_back(source)[0].number > before.number
    source.close()
    assert stage.at_once == 0


@pytest.mark.usefixtures("quick")
def test_hanging_threads_do_not_pile_up(stage: Stage) -> None:
    stage.hang_in = "open"
    source = live(stage, wait=True)
    source.open()
    until(lambda: read_error(source) and len(stage.opened) == camera.MOST_STUCK)
    for _ in range(4):
        assert read_error(source)
    assert len(stage.opened) == camera.MOST_STUCK
    stage.hang_in, stage.endless = "", True
    stage.wake.set()
    assert read_until_back(source)
    source.close()


@pytest.mark.usefixtures("quick")
def test_open_says_at_once_what_is_wrong(stage: Stage) -> None:
    stage.plugged = False
    source = live(stage)
    with pytest.raises(CameraError, match="fake: not there") as caught:
        source.open()
    assert not isinstance(caught.value, CameraLost)
    assert len(stage.opened) == stage.shut == 1
    stage.plugged = True
    stage.frames.release()
    with source:  # a second open() is a new chance
        assert source.read().number == 0


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("call", ["open", "read"])
def test_open_does_not_wait_for_ever_for_the_first_picture(stage: Stage, call: str) -> None:
    stage.hang_in = call
    with pytest.raises(CameraError, match=r"gives no picture within 0\.2 s"):
        live(stage).open()


def test_waiting_for_a_camera_that_is_not_there_yet(stage: Stage) -> None:
    stage.plugged = False
    with live(stage, wait=True) as source:
        with pytest.raises(CameraLost, match="fake: not there"):
            source.read()
        stage.plugged = True
        stage.frames.release()
        assert read_until_back(source)[0].number == 0


SCENE = np.random.default_rng(1).integers(0, 256, (48, 64, 3), np.uint8)


def test_frozen_camera_is_lost_and_reopened_until_another_picture_comes(stage: Stage) -> None:
    stage.frozen, stage.endless = SCENE, True
    with live(stage) as source:
        assert np.array_equal(source.read().picture, SCENE)
        with pytest.raises(CameraLost, match=r"fake: frozen, .* the same .*; no new picture for 0\.1 s") as caught:
            source.read()
        assert "unplug" in caught.value.hint
        # However often it is reopened, the picture that was frozen is none: a light must not come back for it.
        until(lambda: read_error(source) and len(stage.opened) >= 4)
        assert stage.most_at_once == 1
        other = SCENE.copy()
        other[16, 3, 1] ^= 1
        stage.frozen = other
        back, lost = read_until_back(source)
        assert back.number == 1, "one look at a picture, however often it came"
        assert np.array_equal(back.picture, other)
        assert all("frozen" in str(error) for error in lost)
    assert stage.at_once == 0


@pytest.mark.parametrize("where", [(0, 0, 0), (17, 5, 1), (47, 63, 2)])
def test_a_bit_anywhere_makes_another_picture(where: tuple[int, int, int]) -> None:
    other = SCENE.copy()
    assert camera._same(SCENE, other)
    other[where] ^= 1
    assert not camera._same(SCENE, other)
    assert not camera._same(SCENE, SCENE[:, :32]), "as after the settings of a camera were changed"


def test_picture_that_comes_again_and_again_is_one(stage: Stage) -> None:
    """As from webcams that fill up their rate in the dark."""
    stage.endless = True
    stage.frozen = flat((100, 200, 0))
    with live(stage, timeout_s=5) as source:
        numbers = []
        for k in range(4):
            stage.frozen = flat((100, 200, k))
            given = stage.given
            until(lambda given=given: stage.given > given + 3)
            numbers.append(source.read().number)
        assert np.all(np.diff(numbers) == 1)
        assert len(stage.opened) == 1


@pytest.mark.parametrize("level", [0, 255])
def test_covered_or_blinded_camera_is_not_called_frozen(stage: Stage, level: int) -> None:
    """Noise is clipped away there; that nothing can be seen is for the door to say."""
    stage.frozen, stage.endless = flat((level, level, level)), True
    with live(stage) as source:
        begin = source.read()
        while (frame := source.read()).t - begin.t < 0.25:
            pass
        assert frame.number > begin.number
        assert len(stage.opened) == 1


def test_still_scene_of_a_network_camera_is_not_frozen_at_once(stage: Stage) -> None:
    class Network(FakeDevice):
        still_s = 0.4

    stage.frozen, stage.endless = SCENE, True
    with LiveSource("fake", lambda: Network(stage), settings_with()) as source:
        began = source.read().t
        numbers, error = [], None
        while error is None:
            try:
                frame = source.read()
            except CameraLost as lost:
                error = lost
            else:
                numbers.append(frame.number)
        assert "frozen" in str(error)
        assert error.t - began >= 0.4, "longer than the limit of a sensor"
        assert len(numbers) > 2
        until(lambda: read_error(source) and len(stage.opened) >= 3)
    assert camera.Stream.still_s >= 60, "key frames may be as far apart"
    assert camera.V4l2.still_s == PiCamera.still_s == 0


def test_close_wakes_a_reader(stage: Stage) -> None:
    stage.frames.release()
    source = live(stage, timeout_s=60)
    source.open()
    source.read()
    errors: list[Exception] = []

    def read() -> None:
        try:
            source.read()
        except CameraLost as error:
            errors.append(error)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    source.close()
    source.close()
    reader.join(PATIENCE_S)
    assert [str(error) for error in errors] == ["fake: is closed"]


def test_small_picture_comes_along() -> None:
    class Two(FakeDevice):
        def read(self) -> Shot:
            return Shot(flat(RED, 4, 6), flat(RED, 2, 3))

    with LiveSource("fake", lambda: Two(Stage()), settings_with()) as source:
        frame = source.read()
    assert frame.small is not None
    assert (frame.picture.shape, frame.small.shape) == ((4, 6, 3), (2, 3, 3))


# ---- V4L2 ------------------------------------------------------------------------------------------------------------


def test_missing_v4l2_device_lists_those_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "glob", lambda self, pattern: iter([Path("/dev/video10"), Path("/dev/video2")]))
    with pytest.raises(CameraError, match=r"^/dev/video987: no such camera$") as caught:
        open_source(settings_with(), "/dev/video987").open()
    assert caught.value.hint == "there are: /dev/video2, /dev/video10"
    assert caught.value.exit_code == 69


def test_device_in_use_names_the_program(tmp_path: Path) -> None:
    path = tmp_path / "video0"
    path.touch()
    link = tmp_path / "by-id"
    link.symlink_to(path)
    code = f"import time; f = open({str(path)!r}); print('ready', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout
            other.stdout.readline()
            connection = camera.V4l2(str(link), settings_with())
            with pytest.raises(CameraError, match=rf"in use by another program: .+ \(process {other.pid}\)"):
                connection.open()
            connection.close()
        finally:
            other.kill()


def test_what_is_no_camera_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "video0"
    path.touch()
    with pytest.raises(CameraError, match="cannot be opened as a camera") as caught:
        camera.V4l2(str(path), settings_with()).open()
    assert "v4l2-ctl" in caught.value.hint


def test_own_capture_that_hangs_is_not_called_another_program(tmp_path: Path) -> None:
    path = tmp_path / "video0"
    with path.open("w"), pytest.raises(CameraError, match="an earlier capture that hangs"):
        camera.V4l2(str(path), settings_with()).open()


class FakeCapture:
    """Stands in for cv2.VideoCapture where there is no camera; gives BGR, as OpenCV does."""

    made: list[FakeCapture]

    def __init__(self) -> None:
        self.asked: list[tuple[int, float]] = []
        self.left = 2
        self.opened_with: tuple[str, int] = ("", 0)
        FakeCapture.made.append(self)

    def open(self, source: str, backend: int) -> bool:
        self.opened_with = (source, backend)
        return True

    def isOpened(self) -> bool:
        return True

    def set(self, key: int, value: float) -> bool:
        self.asked.append((key, value))
        return True

    def read(self) -> tuple[bool, Picture | None]:
        self.left -= 1
        return (True, flat(RED[::-1])) if self.left >= 0 else (False, None)

    def release(self) -> None:
        self.left = -1


@pytest.mark.parametrize(("width", "height", "jpeg"), [(640, 480, False), (1280, 720, True)])
def test_v4l2_asks_for_what_the_settings_say_and_gives_rgb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width: int, height: int, jpeg: bool
) -> None:
    monkeypatch.setattr(cv2, "VideoCapture", FakeCapture)
    FakeCapture.made = []
    path = tmp_path / "video0"
    path.touch()
    connection = camera.V4l2(str(path), settings_with(width=width, height=height, fps=15))
    connection.open()
    (capture,) = FakeCapture.made
    assert capture.opened_with == (str(path), cv2.CAP_V4L2)
    asked = dict(capture.asked)
    assert (asked[cv2.CAP_PROP_FRAME_WIDTH], asked[cv2.CAP_PROP_FRAME_HEIGHT]) == (width, height)
    assert (asked[cv2.CAP_PROP_FPS], asked[cv2.CAP_PROP_BUFFERSIZE]) == (15, 1)
    assert (capture.asked[0] == (cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))) == jpeg
    assert is_red(connection.read().picture)
    connection.read()
    with pytest.raises(CameraError, match="gives no picture"):
        connection.read()
    path.unlink()
    with pytest.raises(CameraError, match="the camera has gone"):
        connection.read()
    connection.close()


def test_v4l2_turns_and_mirrors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "VideoCapture", FakeCapture)
    FakeCapture.made = []
    path = tmp_path / "video0"
    path.touch()
    marked = flat((0, 0, 0))
    marked[0, 0] = 255
    monkeypatch.setattr(FakeCapture, "read", lambda self: (True, marked))
    connection = camera.V4l2(str(path), settings_with(rotate=90, mirror=True))
    connection.open()
    picture = connection.read().picture
    assert picture.shape == (64, 48, 3)
    assert [tuple(where) for where in np.argwhere(picture[:, :, 0])] == [(0, 0)]


# ---- Network ---------------------------------------------------------------------------------------------------------


class Broadcast(http.server.BaseHTTPRequestHandler):
    """A network camera: JPEG pictures over HTTP, until it is switched off."""

    on = threading.Event()

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=next")
        self.end_headers()
        data = cv2.imencode(".jpg", flat(RED[::-1], 120, 160))[1].tobytes()
        try:
            while Broadcast.on.is_set():
                head = b"--next\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(data)
                self.wfile.write(head + data + b"\r\n")
                time.sleep(0.01)
        except OSError:
            pass  # the reader has left

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_stream_is_played_lost_and_found_again() -> None:
    Broadcast.on.set()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Broadcast)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f"http://me:secret@127.0.0.1:{server.server_port}/video"
        source = open_source(settings_with(timeout_s=0.5, rotate=270), address)
        with source:
            frame = source.read()
            assert frame is not None
            assert frame.picture.shape == (160, 120, 3)
            assert is_red(frame.picture)
            Broadcast.on.clear()
            while not (lost := read_error(source)):
                pass  # pictures that were still on their way
            assert "secret" not in f"{lost} {lost.hint}"
            Broadcast.on.set()
            back, _ = read_until_back(source)
            assert back.number > frame.number
            assert is_red(back.picture)
    finally:
        Broadcast.on.clear()
        server.shutdown()
        server.server_close()


def test_closed_port_is_told_quickly_and_without_the_password(capfd: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as held:  # bound but not listening: nobody else can come to listen there meanwhile
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        start = time.monotonic()
        with pytest.raises(CameraError) as caught:
            open_source(settings_with(), f"rtsp://me:secret@127.0.0.1:{port}/live").open()
    assert time.monotonic() - start < 5
    assert str(caught.value) == f"rtsp://me:***@127.0.0.1:{port}/live: cannot be reached: Connection refused"
    assert "secret" not in caught.value.hint
    assert "secret" not in "".join(capfd.readouterr())


def test_server_that_is_no_stream() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            try:
                while True:
                    server.accept()[0].close()
            except OSError:
                pass  # the test is over

        threading.Thread(target=hang_up, daemon=True).start()
        address = f"rtsp://127.0.0.1:{server.getsockname()[1]}/live"
        with pytest.raises(CameraError, match="cannot be opened as a stream"):
            open_source(settings_with(), address).open()
        server.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("address", ["rtsp://me:secret@door:99999/", "rtsp://me:secret@[door/"])
def test_address_that_makes_no_sense(address: str) -> None:
    with pytest.raises(CameraError, match="is not an address that makes sense") as caught:
        open_source(settings_with(), address).open()
    assert "secret" not in str(caught.value)
