"""The fixture `world`: fakes of Picamera2 and libcamera in the process of a test."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest

from edge.camera import picamera, picamera_request
from edge.camera.picamera_driver import PicameraDriver, PicameraStreams

from .fake_picamera2 import SCENE, AeExposureModeEnum, AeMeteringModeEnum, ColorSpace, FakePicamera2, Transform, World

__all__ = ["SCENE", "AeExposureModeEnum", "AeMeteringModeEnum", "World", "no_camera_process", "world"]


class InThisProcess(PicameraDriver):
    """Stands in for PicameraProcess: the driver without a child process, which would not see the world of a test."""

    def open(self, timeout_s: float = 0.0) -> PicameraStreams:
        return super().open()


@pytest.fixture
def no_camera_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use Picamera2 in the process of the test."""
    monkeypatch.setattr(picamera, "PicameraProcess", InThisProcess)
    monkeypatch.setattr(picamera_request, "start_early", lambda settings: None)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, no_camera_process: None) -> Iterator[World]:
    """Install the fakes as `picamera2` and `libcamera`.

    A test changes attributes of the world (no camera, busy, hung, …) before or while it uses edge.camera.picamera. At the
    end, every camera must be closed, and every request released whose capture was not given up.
    """
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
    for camera in world.made:  # a constructor that fails leaks pipe and camera, which the end of the real process frees
        camera.notifymeread.close()
    assert world.out <= {job.result for job in world.given_up}, "every request was released"
    assert not any(camera.is_open and camera.is_constructed for camera in world.made), "every camera was closed"
