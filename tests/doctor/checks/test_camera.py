"""Check `camera`."""

from __future__ import annotations

import fcntl
import os
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.camera.factory import open_source
from edge.camera.source import CameraLostError, Source
from edge.doctor.checks import camera
from edge.door import decisions
from edge.imaging.images import Picture
from edge.inference import manifest
from edge.inference.perception import Perception
from edge.pipeline import Pipeline, decide_image
from edge.records import Frame
from support.clip import MASKED_S, frame_at
from support.doctor import FakeMachine, only
from support.door import CONFIG
from support.paths import CLIP
from support.picamera import World
from support.textures import frames_of, gravel, snow

STILL = CLIP.with_name("still.jpg")


def test_a_picture_is_assessed_and_its_faces_are_counted(machine: FakeMachine) -> None:
    finding = only(machine.check("camera", source=str(STILL)))
    assert finding.severity == "ok"
    assert "a picture of 640x480: bright and sharp enough" in finding.message
    assert "1 face in view" in finding.message


def lower_half_missing() -> Picture:
    picture = np.asarray(cv2.imread(str(STILL)), np.uint8)
    picture[240:] = 128
    return picture


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((480, 640, 3), np.uint8),
        np.random.default_rng(1).integers(0, 12, (480, 640, 3), np.uint8),
        np.full((480, 640, 3), 128, np.uint8),
        np.full((480, 640, 3), (255, 0, 0), np.uint8),
        np.random.default_rng(1).integers(110, 130, (480, 640, 3), np.uint8),
        lower_half_missing(),
    ],
    ids=["black", "nearly black", "grey", "blue", "noise", "half"],
)
def test_blind_pictures_are_bad_in_the_words_of_run(machine: FakeMachine, picture: Picture, tmp_path: Path) -> None:
    file = tmp_path / "seen.png"
    cv2.imwrite(str(file), picture)
    finding = machine.check("camera", source=str(file))[-1]
    assert finding.severity == "bad"
    seen = np.ascontiguousarray(picture[:, :, ::-1])
    fault = str(decide_image(CONFIG, Perception(CONFIG, manifest.load()), seen).fault)
    assert fault.partition(": ")[0] == finding.message.partition(" (640x480")[0]
    assert fault.endswith(f": {finding.fix}")


def film(path: Path, frames: list[Picture]) -> str:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (640, 480))
    assert writer.isOpened()
    for frame in frames:
        writer.write(frame)
    writer.release()
    return str(path)


def test_snow_is_bad_in_the_words_of_run(machine: FakeMachine, tmp_path: Path) -> None:
    """It takes several frames to tell snow from gravel."""
    video = film(tmp_path / "snow.avi", snow(16))
    finding = machine.check("camera", source=video)[-1]
    assert finding.severity == "bad"
    with open_source(CONFIG.camera, video) as source:
        pipeline = Pipeline(CONFIG, Perception(CONFIG, manifest.load()))
        fault = [str(decision.fault) for _, decision in decisions(pipeline, source)][-1]
    assert fault == f"{finding.message.partition(' (640x480')[0]}: {finding.fix}"
    assert fault.startswith("the picture is only noise: ")


def test_gravel_is_not_blind(machine: FakeMachine, tmp_path: Path) -> None:
    video = film(tmp_path / "gravel.avi", frames_of(gravel(480, 640), 6))
    assert machine.check("camera", source=video)[-1].severity != "bad"


def test_a_face_in_front_of_a_plain_wall_is_not_blind(machine: FakeMachine, tmp_path: Path) -> None:
    picture = np.full((480, 640, 3), 128, np.uint8)
    small = np.asarray(cv2.resize(cv2.imread(str(STILL)), (160, 120)), np.uint8)
    face = small[10:90, 40:120]
    picture[200:280, 300:380] = face
    cv2.imwrite(str(tmp_path / "seen.png"), picture)
    finding = machine.check("camera", source=str(tmp_path / "seen.png"))[-1]
    assert "1 face in view" in finding.message
    assert finding.severity != "bad"


def test_a_missing_camera_is_bad(machine: FakeMachine) -> None:
    cameras, finding = machine.check("camera", source="/dev/video97")
    assert cameras.message == "cameras: none; the door uses /dev/video97"
    assert finding[:2] == ("bad", "/dev/video97: no such camera")
    assert finding.fix


def test_a_missing_file_is_bad(machine: FakeMachine) -> None:
    assert only(machine.check("camera", source="none.mp4"))[:2] == ("bad", "none.mp4: no such file or folder")


@pytest.mark.parametrize(
    ("status", "severity"),
    [
        ("IDLE, 14.8 frames/s, CPU (ai_edge_litert), all well", "ok"),
        ("FAULT, 3.1 frames/s, CPU (ai_edge_litert), camera: no picture", "bad"),
        ("IDLE, 1.0 frames/s, CPU (ai_edge_litert), camera: slow, one picture in 1.0 s", "note"),
    ],
)
def test_a_camera_that_the_service_uses_is_not_opened(
    machine: FakeMachine, world: World, status: str, severity: str
) -> None:
    machine.install_service(StatusText=status)
    world.busy = True
    cameras, finding = machine.check("camera")
    assert "imx708" in cameras.message
    assert finding.severity == severity
    assert finding.message == f"in use by the running service; its status: {status}"
    assert not world.made


def test_a_picture_of_the_pi_camera(machine: FakeMachine, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera, "SETTLE_S", 0.1)
    machine.become_pi()
    world.cameras = [{"Id": "/base/soc/i2c0mux/i2c@1/imx708@1a", "Num": 0, "Model": "imx708_wide"}]
    cameras, finding = machine.check("camera")
    assert cameras.message == "cameras: picamera (imx708_wide); the door uses picamera"
    assert finding.message.startswith("a picture of 640x480: ")


def test_a_pi_camera_that_another_program_uses_is_bad(machine: FakeMachine, world: World) -> None:
    world.busy = True
    finding = machine.check("camera")[-1]
    assert finding.severity == "bad"
    assert "in use by" in finding.message


def test_only_nodes_that_capture_pictures_are_listed(machine: FakeMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A webcam has one node for pictures and one for metadata; the Pi's own devices are for libcamera."""
    device_caps_valid, capture, metadata = 0x84A00001, 0x04200001, 0x04A00000
    nodes = {
        "video0": ("HD Webcam", capture),
        "video1": ("HD Webcam", metadata),
        "video10": ("bcm2835-codec-decode", capture),
    }
    for node, (name, _) in nodes.items():
        machine.add_file(f"sys/class/video4linux/{node}/name", f"{name}\n")
        machine.add_file(f"dev/{node}")

    def ioctl(device: int, number: int, answer: bytearray) -> int:
        assert (number, len(answer)) == (0x80685600, 104)
        node = os.path.basename(os.readlink(f"/proc/self/fd/{device}"))
        answer[84:92] = b"".join(value.to_bytes(4, sys.byteorder) for value in (device_caps_valid, nodes[node][1]))
        return 0

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    assert camera.v4l2_cameras(machine.host()) == [f"{machine.root}/dev/video0 (HD Webcam)"]


def test_a_node_that_does_not_answer_is_listed_with_the_reason(machine: FakeMachine) -> None:
    machine.add_file("sys/class/video4linux/video0/name", "HD Webcam\n")
    machine.add_file("dev/video0")
    expected = f"{machine.root}/dev/video0 (HD Webcam: Inappropriate ioctl for device)"
    assert camera.v4l2_cameras(machine.host()) == [expected]


class SlowCamera(Source):
    """A live camera with a picture every `interval_s` on a clock of its own; slower than 2 s it is lost in between."""

    name, live = "slow", True

    def __init__(self, interval_s: float) -> None:
        self.interval_s, self.now, self._next = interval_s, 0.0, 0.0

    def monotonic(self) -> float:
        return self.now

    def open(self) -> None: ...

    def read(self) -> Frame:
        if self._next - self.now > 2:
            self.now += 2
            raise CameraLostError("slow: too slow", t=self.now)
        self.now = self._next
        self._next += self.interval_s
        return Frame(0, self.now, frame_at(MASKED_S))

    def close(self) -> None: ...


@pytest.mark.parametrize(
    ("interval_s", "expected"),
    [
        (0.1, []),
        (0.3, []),
        (1.0, ["slow, one picture in 1.0 s: a decision takes about 4 s"]),
        (1.9, ["slow, one picture in 1.9 s: a decision takes about 8 s"]),
    ],
)
def test_a_slow_camera_is_a_note_with_the_rate_that_it_needs(
    machine: FakeMachine, monkeypatch: pytest.MonkeyPatch, interval_s: float, expected: list[str]
) -> None:
    source = SlowCamera(interval_s)
    monkeypatch.setattr(camera, "time", source)
    monkeypatch.setattr("edge.camera.factory.open_source", lambda *_: source)
    cameras, picture, *slow = machine.check("camera", source="http://door/")
    assert (cameras.severity, picture.severity) == ("ok", "ok")
    assert [finding.message for finding in slow] == expected
    assert all(finding.severity == "note" and "5 pictures a second" in finding.fix for finding in slow)
    assert source.now < 12


def test_a_camera_that_is_too_slow_is_bad(machine: FakeMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    source = SlowCamera(3.0)
    monkeypatch.setattr(camera, "time", source)
    monkeypatch.setattr("edge.camera.factory.open_source", lambda *_: source)
    *_, finding = machine.check("camera", source="http://door/")
    assert (finding.severity, finding.message) == ("bad", "slow: too slow")


def test_settings_without_effect_are_noted(machine: FakeMachine, tmp_path: Path) -> None:
    config = tmp_path / "door.toml"
    config.write_text('[camera]\nmetering = "spot"\n')
    note, *_ = machine.check("camera", source=str(STILL), config=str(config))
    assert note[:2] == ("note", "no effect on a picture: camera.metering")
