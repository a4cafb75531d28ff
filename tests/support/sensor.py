"""A camera sensor that is a folder, and the fixture `sensor`: it gives PiCamera's child process the libraries to see it with.

Two sets of libraries see it: the fakes of `support/fake_libraries`, and the real libcamera and Picamera2 in the system that
scripts/checks/picamera builds. The latter runs these tests with DOORLIGHT_REAL_PICAMERA=1.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.camera import device, live

from .fake_picamera2 import SCENE
from .wait import wait_until

TESTS = Path(__file__).parents[1]
IS_REAL_THERE = os.environ.get("DOORLIGHT_REAL_PICAMERA") == "1"
LIBRARIES = ["fake", "real"] if IS_REAL_THERE else ["fake"]


class Sensor:
    """What is before the lens, and how the sensor behaves. The orders are those of virtual.cpp: "play", "hang", …"""

    def __init__(self, folder: Path, is_real: bool) -> None:
        self.folder, self.is_real = folder, is_real
        picture = np.repeat(np.repeat(SCENE, 240, axis=0), 320, axis=1)
        i420 = cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420)
        (folder / "frames").write_bytes(i420.tobytes())
        (folder / "camera").write_text("640 480 15\n")

    def order(self, word: str) -> None:
        """Change how the sensor behaves."""
        new = self.folder / "state.new"
        new.write_text(f"{word}\n")
        new.rename(self.folder / "state")

    def unplug(self) -> None:
        """Remove the camera, for processes that look for it from now on."""
        (self.folder / "frames").rename(self.folder / "unplugged")

    def controls(self) -> dict[str, str]:
        """Return the controls of the last start, as text."""
        starts = [line for line in (self.folder / "seen").read_text().splitlines() if line.startswith("start ")]
        return dict(re.findall(r"(\w+)=(\[[^]]*\]|\S+)", starts[-1]))

    def environment(self) -> dict[str, str]:
        """Return the variables of a process that sees this sensor."""
        variables = {"VIRTUAL_PI_CAMERA": str(self.folder)}
        if not self.is_real:
            folders = [TESTS / "support/fake_libraries", TESTS]
            variables["PYTHONPATH"] = os.pathsep.join(map(str, folders))
        return variables


def camera_processes() -> list[int]:
    """Return the ids of the camera processes that this process has started and not waited for."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            pid, name, fields = re.split(r" \((.*)\) ", (entry / "stat").read_text())
        except (OSError, ValueError):
            continue
        if int(fields.split()[1]) == os.getpid() and name == "doorlight-cam":
            found.append(int(pid))
    return found


@pytest.fixture(params=LIBRARIES)
def sensor(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sensor]:
    """A sensor that PiCamera's child process sees."""
    sensor = Sensor(tmp_path, request.param == "real")
    for name, value in sensor.environment().items():
        monkeypatch.setenv(name, value)
    # A busy machine starts Python, and ends it, slowly.
    monkeypatch.setattr(device, "MIN_OPEN_TIMEOUT_S", 60.0)
    monkeypatch.setattr(live, "CLOSE_TIMEOUT_S", 60.0)
    yield sensor
    sensor.order("play")
    wait_until(lambda: not camera_processes())
