"""What `doorlight run` does where something is wrong: it starts or refuses as the README's table says, in one clear line.

Through the command line's own main(), with real files and the faithful fakes of the modules' tests.
"""

# ruff: noqa: F811  (fixtures of other tests are imported, and asked for by their names)

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from gpiozero.pins.mock import MockFactory
from test_accelerator import READY, Usb, compiled  # noqa: F401
from test_cli import CLIP
from test_gpio import Kernel, kernel  # noqa: F401
from test_picamera import World, world  # noqa: F401

from edge import accelerator, gpio, lights, manifest
from edge.cli import main
from edge.manifest import Manifest

STILL = CLIP.with_name("still.jpg")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder of its own; and Ctrl-C stays with pytest, whatever a door has made of it."""
    monkeypatch.chdir(tmp_path)
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.fixture
def pi(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    """A Raspberry Pi 4, as far as pins go."""
    monkeypatch.setattr("gpiozero.pins.local.get_pi_revision", lambda: 0xC03115)
    kernel.plug("gpiochip0", "pinctrl-bcm2711")
    return kernel


def refuses(capfd: pytest.CaptureFixture[str], code: int, *args: object) -> str:
    """The one line of a `run` that ends with `code`; a second one, the hint, may follow, and no log is left behind."""
    assert main(["run", *map(str, args)]) == code
    said = capfd.readouterr().err.splitlines()
    assert len(said) == 2, said
    assert said[0].startswith("doorlight: ")
    assert said[1].strip()
    assert not Path("doorlight-events.jsonl").exists()
    return said[0]


def settings(text: str) -> Path:
    Path("door.toml").write_text(text)
    return Path("door.toml")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[lights]\ngreen = 28", "'lights.green' is 28"),
        ("[lights]\ngreen = -1", "'lights.green' is -1"),
        ("[lights]\ngreen = 27", "'lights.red' is 27: that pin already belongs to 'lights.green'"),
        ('[lights]\ngreen = "17"', "'lights.green' is '17'"),
    ],
)
def test_impossible_pins(capfd: pytest.CaptureFixture[str], text: str, says: str) -> None:
    assert f"door.toml: {says}" in refuses(capfd, 78, "--config", settings(text), "--source", STILL)


@pytest.mark.parametrize("source", ["/dev/video97", "picamera"])
def test_no_camera(capfd: pytest.CaptureFixture[str], world: World, source: str) -> None:
    world.cameras = []
    assert f"doorlight: {source}: no " in refuses(capfd, 69, "--simulate", "--source", source)


def test_no_camera_yet() -> None:
    """With camera.wait, as the service has it: it starts, shows FAULT, and says so in the log."""
    config = settings("[camera]\nwait = true\ntimeout_s = 0.2")
    environ = os.environ | {"PYTHONPATH": str(CLIP.parents[2])}
    command = [sys.executable, "-m", "edge", "run", "--simulate", "--config", str(config), "--source", "/dev/video97"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ) as door:
        log, end = Path("doorlight-events.jsonl"), time.monotonic() + 60
        while not (log.exists() and '"FAULT"' in log.read_text()) and time.monotonic() < end:
            time.sleep(0.02)
        door.send_signal(signal.SIGTERM)
        said, errors = door.communicate(timeout=60)
    assert (door.returncode, errors) == (0, "")
    assert "◐ red blinking" in said
    told = [json.loads(line) for line in log.read_text().splitlines()]
    (lost,) = [line for line in told if line["event"] == "camera_lost"]
    assert "/dev/video97: no such camera" in lost["reason"]


def test_a_busy_camera_is_named(
    capfd: pytest.CaptureFixture[str],
    world: World,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("edge.picamera.holders", lambda *nodes: [(812, "rpicam-hello")])
    world.busy = True
    said = refuses(capfd, 69, "--simulate", "--source", "picamera")
    assert said == "doorlight: picamera: is in use by rpicam-hello (process 812)"


def test_no_gpio_chip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(gpio, "CHIPS", str(tmp_path / "gpiochip*"))
    assert main(["run", "--source", str(STILL)]) == 0
    said = capfd.readouterr()
    assert said.err == ""
    (line,) = [line for line in said.out.splitlines() if "lights are simulated" in line]
    assert "the lights are simulated: no GPIO chip here" in line


def test_not_in_the_group_of_the_pins(pi: Kernel, capfd: pytest.CaptureFixture[str]) -> None:
    pi.denied = set(pi.labels)
    said = refuses(capfd, 69, "--source", STILL)
    assert said.endswith("gpiochip0) cannot be opened: Permission denied")


def test_not_in_the_group_of_the_camera(
    capfd: pytest.CaptureFixture[str],
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    world.cameras = []
    (tmp_path / "media0").touch()
    real = Path.glob
    monkeypatch.setattr(Path, "glob", lambda self, what: real(tmp_path if str(self) == "/dev" else self, what))
    monkeypatch.setattr("edge.picamera.os.access", lambda *_: False)
    said = refuses(capfd, 69, "--simulate", "--source", "picamera")
    assert said == f"doorlight: picamera: no permission for {tmp_path}/media0"


def test_a_held_pin_is_named(pi: Kernel, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    class Held(MockFactory):  # type: ignore[misc]
        def pin(self, name: object) -> object:
            if name == 27:
                raise RuntimeError("'GPIO busy'")
            return super().pin(name)

    pi.held = {27: "lg"}
    monkeypatch.setattr(lights, "_lgpio_factory", lambda chip: Held())
    said = refuses(capfd, 69, "--source", STILL)
    assert said == "doorlight: GPIO27 ('lights.red') cannot be used: 'GPIO busy'; it is held by \"lg\""


@pytest.mark.parametrize("folder", ["nowhere", "/sys/kernel"])
def test_a_state_folder_that_cannot_be_written(capfd: pytest.CaptureFixture[str], folder: str) -> None:
    """/sys takes no file from anybody, root included."""
    said = refuses(capfd, 74, "--simulate", "--source", STILL, "--events", f"{folder}/events.jsonl")
    assert f"{folder}/events.jsonl: " in said


@pytest.mark.parametrize("damage", ["another", "short", "gone"])
def test_a_corrupt_model(capfd: pytest.CaptureFixture[str], tmp_path: Path, damage: str) -> None:
    shutil.copytree(manifest.shipped(), tmp_path / "models")
    path = tmp_path / "models/face_detector.tflite"
    if damage == "another":
        shutil.copy(tmp_path / "models/mask_classifier.tflite", path)
    elif damage == "short":
        path.write_bytes(path.read_bytes()[:1000])
    else:
        path.unlink()
    said = refuses(capfd, 69, "--simulate", "--source", STILL, "--models", tmp_path / "models")
    assert said.startswith(f"doorlight: {path}: ")


def test_a_coral_without_library(
    compiled: Manifest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The CPU serves, and the log says why."""
    Usb(tmp_path / "machine").plug(READY)
    real = accelerator.devices
    monkeypatch.setattr(accelerator, "devices", lambda root: real(tmp_path / "machine"))
    assert main(["run", "--simulate", "--source", str(STILL), "--models", str(compiled.folder)]) == 0
    assert capfd.readouterr().err == ""
    told = [json.loads(line) for line in Path("doorlight-events.jsonl").read_text().splitlines()]
    if any(line["event"] == "accelerator_back" for line in told):
        pytest.skip("this machine has a libedgetpu")
    (lost,) = [line for line in told if line["event"] == "accelerator_lost"]
    assert "libedgetpu.so.1" in lost["reason"]
    assert told[-1]["event"] == "stopped"


def test_a_door_that_refuses_blinks_first(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = []
    monkeypatch.setattr("edge.cli.REFUSED_S", 0.01)
    monkeypatch.setattr(lights.Lights, "simulated", property(lambda self: False))
    monkeypatch.setattr(lights.Lights, "show", lambda self, signal: shown.append(signal.value))
    assert main(["run", "--source", "/dev/video99"]) == 69
    assert shown == ["FAULT"]


def test_a_simulated_door_that_refuses_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.cli.REFUSED_S", 3600.0)
    assert main(["run", "--simulate", "--source", "/dev/video99"]) == 69
