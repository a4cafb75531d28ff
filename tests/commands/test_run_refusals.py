"""`doorlight run` refuses to start with an exit code and one clear line, and leaves no event log behind.

scripts/fuzz/run.py found many of these cases.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest
from gpiozero.pins.mock import MockFactory

from edge.cli import main
from edge.inference import manifest
from edge.inference.interpreter import load_runtime
from edge.lights import lights
from support.command import refusal, write_settings
from support.gpio import Kernel
from support.paths import CLIP
from support.picamera import World

STILL = CLIP.with_name("still.jpg")


def copy_models() -> Path:
    """Copy the shipped models to ./models and return that folder."""
    return Path(shutil.copytree(manifest.find_shipped_models(), "models"))


def copy_models_with(old: str, new: str) -> Path:
    """Copy the shipped models, and replace the first `old` in the manifest by `new`."""
    folder = copy_models()
    path = folder / "manifest.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return folder


class TestSettings:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("[lights]\ngreen = 28", "'lights.green' is 28"),
            ("[lights]\ngreen = -1", "'lights.green' is -1"),
            ("[lights]\ngreen = 27", "'lights.green' is 27: 27 is already red's pin (the default)"),
            ('[lights]\ngreen = "17"', "'lights.green' is '17'"),
        ],
    )
    def test_impossible_pins(self, capfd: pytest.CaptureFixture[str], text: str, message: str) -> None:
        error = refusal(capfd, 78, "--config", write_settings(text), "--source", STILL)
        assert f"door.toml: {message}" in error

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("camera = " + "[" * 5000 + "]" * 5000, "nested too deeply"),
            ("[lights]\ngreen = " + "1" * 5000, "a number with thousands of digits"),
            ("[lights]\ngreen = 0x" + "f" * 5000, "'lights.green' is an enormous number"),
            ("[camera]\nrotate = 0x" + "f" * 5000, "'camera.rotate' is an enormous number"),
            ("[lights]\nquiet_hours = '" + "x" * 9999 + "'", "'lights.quiet_hours' is 'xxxx"),
            ("[" + ".".join(["a"] * 1000) + "]", "more than 200 dots (at line 1)"),
            ("#" * 2_000_000, "larger than 1 MB"),
            ('events.file = "a\\u0000b"', "'events.file' has a NUL character"),
            ('models.directory = "a\\u0000b"', "'models.directory' has a NUL character"),
            ('[camera]\n"\\u001b[2J" = 1', "unknown key 'camera.\N{REPLACEMENT CHARACTER}[2J'"),
        ],
    )
    def test_hostile_settings(self, capfd: pytest.CaptureFixture[str], text: str, message: str) -> None:
        error = refusal(capfd, 78, "--config", write_settings(text), "--source", STILL)
        assert message in error
        assert len(error) < 1000


class TestCamera:
    @pytest.mark.parametrize("source", ["/dev/video97", "picamera"])
    def test_missing_camera(self, capfd: pytest.CaptureFixture[str], world: World, source: str) -> None:
        world.cameras = []
        assert f"doorlight: {source}: no " in refusal(capfd, 69, "--simulate", "--source", source)

    def test_busy_camera(
        self, capfd: pytest.CaptureFixture[str], world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("edge.camera.picamera_driver.processes_using", lambda *nodes: [(812, "rpicam-hello")])
        world.busy = True
        error = refusal(capfd, 69, "--simulate", "--source", "picamera")
        assert error == "doorlight: picamera: is in use by rpicam-hello (process 812)"

    def test_no_permission_for_the_camera(
        self, capfd: pytest.CaptureFixture[str], world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        world.cameras = []
        (tmp_path / "media0").touch()
        glob = Path.glob
        monkeypatch.setattr(
            Path, "glob", lambda self, pattern: glob(tmp_path if str(self) == "/dev" else self, pattern)
        )
        monkeypatch.setattr("edge.camera.picamera_driver.os.access", lambda *_: False)
        error = refusal(capfd, 69, "--simulate", "--source", "picamera")
        assert error == f"doorlight: picamera: no permission for {tmp_path}/media0"


class TestPins:
    def test_no_permission_for_the_chip(self, raspberry_pi: Kernel, capfd: pytest.CaptureFixture[str]) -> None:
        raspberry_pi.denied = set(raspberry_pi.labels)
        error = refusal(capfd, 69, "--source", STILL)
        assert error.endswith("gpiochip0) cannot be opened: Permission denied")

    def test_the_holder_of_a_pin_is_named(
        self, raspberry_pi: Kernel, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        factory = MockFactory()
        open_pin = factory.pin

        def pin(number: int) -> object:
            if number == 27:
                raise RuntimeError("'GPIO busy'")
            return open_pin(number)

        monkeypatch.setattr(factory, "pin", pin)
        monkeypatch.setattr(lights, "make_lgpio_factory", lambda chip: factory)
        raspberry_pi.held = {27: "lg"}
        error = refusal(capfd, 69, "--source", STILL)
        assert error == "doorlight: GPIO27 ('lights.red') cannot be used: 'GPIO busy'; it is held by \"lg\""


class TestModels:
    @pytest.mark.parametrize("damage", ["another", "short", "missing"])
    def test_damaged_model(self, capfd: pytest.CaptureFixture[str], damage: str) -> None:
        folder = copy_models()
        path = folder / "face_detector.tflite"
        if damage == "another":
            shutil.copy(folder / "mask_classifier.tflite", path)
        elif damage == "short":
            path.write_bytes(path.read_bytes()[:1000])
        else:
            path.unlink()
        error = refusal(capfd, 69, "--simulate", "--source", STILL, "--models", folder)
        assert error.startswith(f"doorlight: {path}: ")

    def test_one_changed_bit_in_a_model(self, capfd: pytest.CaptureFixture[str]) -> None:
        folder = copy_models()
        path = folder / "mask_classifier.tflite"
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        error = refusal(capfd, 69, "--simulate", "--source", CLIP, "--models", folder)
        assert "mask_classifier.tflite: is damaged" in error

    def test_tensor_name_that_is_not_utf8(self, capfd: pytest.CaptureFixture[str]) -> None:
        """The manifest has the changed model's checksum, so the checksum does not help."""
        folder = copy_models()
        path = folder / "face_detector.tflite"
        good = path.read_bytes()
        name = load_runtime()[1].Interpreter(model_content=good).get_input_details()[0]["name"].encode()
        assert name in good
        path.write_bytes(good.replace(name, b"\xff" + name[1:]))
        rows = folder / "manifest.toml"
        before, after = (hashlib.sha256(data).hexdigest() for data in (good, path.read_bytes()))
        rows.write_text(rows.read_text().replace(before, after))
        error = refusal(capfd, 69, "--simulate", "--source", STILL, "--models", folder)
        assert error.startswith(f"doorlight: {path}: its tensors cannot be read")

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("slope = ", "slope = 1e300 #"),
            ("offset = ", "offset = nan #"),
            ("threshold = ", "threshold = inf #"),
            ('file = "', 'file = "\\u0000'),
            ("[face_detector]", "[face_detector.x]"),
        ],
    )
    def test_impossible_manifest(self, capfd: pytest.CaptureFixture[str], old: str, new: str) -> None:
        error = refusal(capfd, 69, "--simulate", "--source", STILL, "--models", copy_models_with(old, new))
        assert "models/manifest.toml: " in error

    def test_manifest_without_a_model(self, capfd: pytest.CaptureFixture[str]) -> None:
        """Only the main thread reports it, not the thread that searches for an Edge TPU."""
        folder = copy_models_with("[face_detector", "[another")
        path = folder / "manifest.toml"
        path.write_text(path.read_text().replace("[face_detector", "[another"))
        assert "no model 'face_detector'" in refusal(capfd, 69, "--simulate", "--source", STILL, "--models", folder)


class TestSource:
    def test_missing_source_leaves_no_log(self, tmp_path: Path) -> None:
        assert main(["run", "--simulate", "--source", "none.mp4", "--events", "e.jsonl"]) == 66
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("suffix", [".mp4", ".sdp", ".m3u8", ".ts", ".avi", ".txt"])
    @pytest.mark.parametrize(
        "text",
        [
            b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\npipe.ts\n#\x01\n",
            b"ffconcat version 1.0\nfile pipe.ts\n\x01",
            b"v=0\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 26\n\x01",
        ],
    )
    def test_playlist(self, capfd: pytest.CaptureFixture[str], suffix: str, text: bytes) -> None:
        """FFmpeg would open the files that a playlist names, or listen on its ports, even if it is partly binary."""
        os.mkfifo("pipe.ts")
        Path(f"x{suffix}").write_bytes(text)
        is_named_video = suffix in (".mp4", ".ts", ".avi")
        problem = "is not in a supported video format" if is_named_video else "is neither a picture nor a video"
        assert problem in refusal(capfd, 66, "--simulate", "--source", f"x{suffix}")

    def test_address_that_is_not_utf8(self, capfd: pytest.CaptureFixture[str]) -> None:
        """OpenCV crashes on such names."""
        assert "is not UTF-8" in refusal(capfd, 66, "--simulate", "--source", "rtsp://x\udcff/")


class TestSpecialFiles:
    @pytest.mark.parametrize("name", ["x.jpg", "x.mp4", "x"])
    def test_a_pipe_does_not_block(self, capfd: pytest.CaptureFixture[str], name: str) -> None:
        os.mkfifo(name)
        assert name in refusal(capfd, 66, "--simulate", "--source", name)
        assert name in refusal(capfd, 78, "--simulate", "--source", STILL, "--config", name)
        assert name in refusal(capfd, 74, "--simulate", "--source", STILL, "--events", name)

    def test_a_device_is_not_read(self, capfd: pytest.CaptureFixture[str]) -> None:
        os.symlink("/dev/zero", "x.jpg")
        os.mkdir("models")
        os.symlink("/dev/zero", "models/manifest.toml")
        assert "x.jpg" in refusal(capfd, 66, "--simulate", "--source", "x.jpg")
        assert "manifest.toml" in refusal(capfd, 69, "--simulate", "--source", STILL, "--models", "models")
        assert "x.jpg" in refusal(capfd, 78, "--simulate", "--source", STILL, "--config", "x.jpg")


class TestEventLog:
    @pytest.mark.parametrize("folder", ["nowhere", "/sys/kernel"])
    def test_a_folder_that_is_not_writable(self, capfd: pytest.CaptureFixture[str], folder: str) -> None:
        """In /sys, nobody can create a file, not even root."""
        error = refusal(capfd, 74, "--simulate", "--source", STILL, "--events", f"{folder}/events.jsonl")
        assert f"{folder}/events.jsonl: " in error

    def test_a_sparse_file_of_a_terabyte(self, capfd: pytest.CaptureFixture[str]) -> None:
        Path("x.jsonl").write_bytes(b"{")
        os.truncate("x.jsonl", 1 << 40)
        assert "no event can be read" in refusal(capfd, 74, "--simulate", "--source", STILL, "--events", "x.jsonl")
