"""What `doorlight run` does where something is wrong: it starts or refuses as the README's table says, in one clear line.

Through the command line's own main(), with real files and the faithful fakes of the modules' tests.
"""

# ruff: noqa: F811  (fixtures of other tests are imported, and asked for by their names)

from __future__ import annotations

import hashlib
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
from edge.interpreter import runtime
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


# ---- Found by scripts/vdoorlab/hostile.py ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["x.jpg", "x.mp4", "x"])
def test_a_pipe_is_not_waited_for(capfd: pytest.CaptureFixture[str], name: str) -> None:
    os.mkfifo(name)
    assert name in refuses(capfd, 66, "--simulate", "--source", name)
    assert name in refuses(capfd, 78, "--simulate", "--source", STILL, "--config", name)
    assert name in refuses(capfd, 74, "--simulate", "--source", STILL, "--events", name)
    assert main(["events", name]) == 66
    assert "not a regular file" in capfd.readouterr().err


def test_a_device_is_not_read(capfd: pytest.CaptureFixture[str]) -> None:
    os.symlink("/dev/zero", "x.jpg")
    os.mkdir("models")
    os.symlink("/dev/zero", "models/manifest.toml")
    assert "x.jpg" in refuses(capfd, 66, "--simulate", "--source", "x.jpg")
    assert "manifest.toml" in refuses(capfd, 69, "--simulate", "--source", STILL, "--models", "models")
    assert "x.jpg" in refuses(capfd, 78, "--simulate", "--source", STILL, "--config", "x.jpg")


@pytest.mark.parametrize("ending", [".mp4", ".sdp", ".m3u8", ".ts", ".avi", ".txt"])
@pytest.mark.parametrize(
    "text",
    [
        b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\npipe.ts\n#\x01\n",
        b"ffconcat version 1.0\nfile pipe.ts\n\x01",
        b"v=0\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 26\n\x01",
    ],
)
def test_a_playlist_is_not_followed(capfd: pytest.CaptureFixture[str], ending: str, text: bytes) -> None:
    """Even one that is not all text: FFmpeg would open what it names, or listen on its ports."""
    os.mkfifo("pipe.ts")
    Path(f"x{ending}").write_bytes(text)
    assert "none of the kinds of video" in refuses(capfd, 66, "--simulate", "--source", f"x{ending}")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("camera = " + "[" * 5000 + "]" * 5000, "nested too deeply"),
        ("[lights]\ngreen = " + "1" * 5000, "a number with thousands of digits"),
        ("[lights]\ngreen = 0x" + "f" * 5000, "'lights.green' is an enormous number"),
        ("[camera]\nrotate = 0x" + "f" * 5000, "'camera.rotate' is an enormous number"),
        ("[lights]\nquiet = '" + "x" * 9999 + "'", "'lights.quiet' is 'xxxx"),
        ("[" + ".".join(["a"] * 1000) + "]", "more than 200 dots (at line 1)"),
        ("#" * 2_000_000, "larger than 1 MB"),
        ('events.file = "a\\u0000b"', "'events.file' has a NUL character"),
        ('models.directory = "a\\u0000b"', "'models.directory' has a NUL character"),
        ('[camera]\n"\\u001b[2J" = 1', "unknown key 'camera.\N{REPLACEMENT CHARACTER}[2J'"),
    ],
)
def test_settings_that_would_choke_a_parser(capfd: pytest.CaptureFixture[str], text: str, says: str) -> None:
    said = refuses(capfd, 78, "--config", settings(text), "--source", STILL)
    assert says in said
    assert len(said) < 1000


def test_a_model_whose_tensors_have_names_that_are_no_text(capfd: pytest.CaptureFixture[str]) -> None:
    """A manifest that fits it: the checksum does not help here."""
    models = shutil.copytree(manifest.shipped(), "models")
    path = Path(models) / "face_detector.tflite"
    good = path.read_bytes()
    name = runtime()[1].Interpreter(model_content=good).get_input_details()[0]["name"].encode()
    assert name in good
    path.write_bytes(good.replace(name, b"\xff" + name[1:]))
    rows = Path(models) / "manifest.toml"
    sums = [hashlib.sha256(data).hexdigest() for data in (good, path.read_bytes())]
    rows.write_text(rows.read_text().replace(*sums))
    said = refuses(capfd, 69, "--simulate", "--source", STILL, "--models", models)
    assert said.startswith(f"doorlight: {path}: its tensors cannot be read")


def models_with(changed: str, to: str) -> Path:
    shutil.copytree(manifest.shipped(), "models")
    path = Path("models/manifest.toml")
    text = path.read_text()
    assert changed in text
    path.write_text(text.replace(changed, to, 1))
    return path.parent


@pytest.mark.parametrize(
    ("changed", "to"),
    [
        ("slope = ", "slope = 1e300 #"),
        ("offset = ", "offset = nan #"),
        ("threshold = ", "threshold = inf #"),
        ('file = "', 'file = "\\u0000'),
        ("[face_detector]", "[face_detector.x]"),
    ],
)
def test_a_manifest_that_makes_no_sense(capfd: pytest.CaptureFixture[str], changed: str, to: str) -> None:
    said = refuses(capfd, 69, "--simulate", "--source", STILL, "--models", models_with(changed, to))
    assert "models/manifest.toml: " in said


def test_a_manifest_without_a_model(capfd: pytest.CaptureFixture[str]) -> None:
    """The thread that looks for a Coral has nothing to say about it."""
    folder = models_with("[face_detector", "[another")
    path = folder / "manifest.toml"
    path.write_text(path.read_text().replace("[face_detector", "[another"))
    assert "no model 'face_detector'" in refuses(capfd, 69, "--simulate", "--source", STILL, "--models", folder)


ESCAPE = "\x1b]0;you\x07\x9b2J\u202e\n\udcff"


def shown(capfd: pytest.CaptureFixture[str]) -> str:
    """What was said, on stdout and stderr: without anything that a terminal would take for an order."""
    said = "".join(capfd.readouterr())
    assert [c for c in said if c != "\n" and not c.isprintable()] == []
    return said


def test_names_do_not_reach_the_terminal_as_they_are(capfd: pytest.CaptureFixture[str]) -> None:
    shutil.copy(STILL, f"x{ESCAPE}.jpg")
    log = f"x{ESCAPE}.jsonl"
    assert main(["run", "--simulate", "--source", f"x{ESCAPE}.jpg", "--events", log]) == 0
    assert "x\N{REPLACEMENT CHARACTER}]0;you" in shown(capfd)
    assert main(["events", log]) == 0
    assert "the door has started" in shown(capfd)
    for argv in (["run", "--simulate", "--source", f"{ESCAPE}.mp4"], ["check-config", ESCAPE], ["events", ESCAPE]):
        assert main(argv) in (66, 78)
        assert shown(capfd).count("\n") == 2
    with pytest.raises(SystemExit, match="2"):
        main(["run", f"--{ESCAPE}"])
    assert "unrecognized arguments" in shown(capfd)


def test_names_that_are_not_utf8(capfd: pytest.CaptureFixture[str]) -> None:
    """OpenCV segfaults on them."""
    shutil.copy(CLIP, "x\udcff.mp4")
    assert "is not UTF-8" in refuses(capfd, 66, "--simulate", "--source", "x\udcff.mp4")
    assert "is not UTF-8" in refuses(capfd, 66, "--simulate", "--source", "rtsp://x\udcff/")
    shutil.copy(STILL, "x\udcff.jpg")
    assert main(["annotate", "x\udcff.jpg", "seen\udcff.jpg"]) == 0
    assert Path("seen\udcff.jpg").stat().st_size > 10_000
    assert main(["annotate", str(CLIP), "seen\udcff.mp4"]) == 74


def test_an_event_log_does_not_reach_the_terminal_as_it_is(capfd: pytest.CaptureFixture[str]) -> None:
    lines = [{"seq": k, "event": kind, "signal": kind} for k, kind in enumerate((ESCAPE[:-1], "signal"), 1)]
    lines[1]["signal"] = ESCAPE[:-1]
    Path("x.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert main(["events", "x.jsonl"]) == 0
    assert "2 events" in shown(capfd)


@pytest.mark.parametrize(
    "line",
    [
        b'{"event": "x", "time": "9999-12-31T23:59:59-23:59"}',
        b'{"event": "x", "time": "0001-01-01T00:00:00+23:59"}',
        b'{"event": ' + b"[" * 980 + b"]" * 980 + b"}",
        b'{"event": "x", "seq": ' + b"9" * 4300 + b"}",
        b"{" * 3_000_000,
        bytes(20_000_000),
        b"\n" * 10_000,
        b"\xff\xfe{\0}\0",
    ],
)
def test_lines_that_no_door_has_written(capfd: pytest.CaptureFixture[str], line: bytes) -> None:
    """The rest is shown, and a door that goes on with the log goes on counting where it can."""
    log = Path("x.jsonl")
    good = b'{"seq": 7, "time": "2026-01-01T00:00:00Z", "event": "started"}\n'
    log.write_bytes(good + line + b"\n")
    assert main(["events", "x.jsonl"]) == 0
    assert "the door has started" in shown(capfd)
    code = main(["run", "--simulate", "--source", str(STILL), "--events", "x.jsonl"])
    if len(line) > 10_000_000:
        assert code == 74
        assert "no event can be read in its last 8 MB" in capfd.readouterr().err
        assert log.stat().st_size > len(line), "and nothing was cut off it"
        return
    assert code == 0
    told = [json.loads(line) for line in log.read_bytes().splitlines()[-2:]]
    assert [line["event"] for line in told] == ["started", "stopped"]
    assert 7 < told[0]["seq"] < told[1]["seq"] < 5000


def test_a_hole_of_a_terabyte_is_no_log(capfd: pytest.CaptureFixture[str]) -> None:
    Path("x.jsonl").write_bytes(b"{")
    os.truncate("x.jsonl", 1 << 40)
    assert main(["events", "x.jsonl"]) == 0
    assert "0 events" in shown(capfd)
    assert "no event can be read" in refuses(capfd, 74, "--simulate", "--source", STILL, "--events", "x.jsonl")


def test_a_picture_that_breaks_off_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    data = STILL.read_bytes()
    Path("x.jpg").write_bytes(data[: len(data) // 2] + b"\xff\xd9")
    assert main(["run", "--simulate", "--source", "x.jpg"]) == 0
    assert capfd.readouterr().err == ""
    told = [json.loads(line) for line in Path("doorlight-events.jsonl").read_text().splitlines()]
    (damaged,) = [line for line in told if line["event"] == "source_damaged"]
    assert "breaks off" in damaged["reason"]


def test_a_terminal_without_the_characters_of_the_lamps() -> None:
    environ = os.environ | {"PYTHONPATH": str(CLIP.parents[2]), "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "edge", "run", "--simulate", "--source", str(STILL)]
    done = subprocess.run(command, capture_output=True, env=environ)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"? green" in done.stdout
