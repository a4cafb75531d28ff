"""Every check on a made-up machine: its /sys, /dev and /run in a folder, systemctl and vcgencmd as scripts in PATH."""

# ruff: noqa: F811  (fixtures of other tests are imported, and asked for by their names)

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from test_accelerator import FRESH, READY, Usb, compiled, coral, library, usb  # noqa: F401
from test_cli import CLIP
from test_gpio import Kernel, kernel  # noqa: F401
from test_picamera import World, world  # noqa: F401

from edge import checks, clock, doctor, gpio, machine, manifest
from edge.checks import Finding
from edge.doctor import Check, described, diagnose, examine
from edge.machine import Machine, User
from edge.manifest import Manifest

STILL = CLIP.with_name("still.jpg")
RUNNING = """
LoadState=loaded
ActiveState=active
SubState=running
Result=success
ExecMainStatus=0
NRestarts=0
StatusText=IDLE, 14.8 frames/s, CPU (ai_edge_litert), all well
WatchdogUSec=30s
User=nobody
SupplementaryGroups=
WorkingDirectory=/var/lib/doorlight
ExecStart={ path=/opt/bin/doorlight ; argv[]=/opt/bin/doorlight run --config /etc/no.toml --events /var/e.jsonl ; ignore_errors=no ; start_time=[n/a] }
"""


class Fake:
    """A machine in a folder; `of` makes the `Machine` that describes it."""

    def __init__(self, folder: Path) -> None:
        self.root, self.bin = folder / "root", folder / "bin"
        self.root.mkdir()
        self.bin.mkdir()

    def file(self, path: str, text: str = "") -> Path:
        made = self.root / path
        made.parent.mkdir(parents=True, exist_ok=True)
        made.write_text(text)
        return made

    def command(self, name: str, prints: str = "", code: int = 0, first: str = "") -> None:
        script = self.bin / name
        script.write_text(f"#!/bin/sh\n{first}\ncat <<'EOF'\n{prints.strip()}\nEOF\nexit {code}\n")
        script.chmod(0o755)

    def service(self, **changes: str) -> None:
        """A service that is installed and runs, but for `changes`."""
        told = dict(line.split("=", 1) for line in RUNNING.strip().splitlines()) | changes
        self.command("systemctl", "\n".join(f"{key}={value}" for key, value in told.items()))

    def pi(self) -> None:
        self.file("proc/device-tree/model", "Raspberry Pi 4 Model B Rev 1.5\0")

    def of(self, **options: Any) -> Machine:
        return Machine(**options, root=str(self.root))

    def look(self, check: str, **options: Any) -> list[Finding]:
        return diagnose(check, self.of(**options))


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """A PC without systemd."""
    made = Fake(tmp_path)
    made.command("systemctl", code=1, first="echo System has not been booted with systemd >&2")
    made.command("timedatectl", code=1)
    made.command("vcgencmd", code=1, first="echo VCHI initialization failed >&2")
    monkeypatch.setenv("PATH", f"{made.bin}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(gpio, "CHIPS", str(made.root / "dev/gpiochip*"))
    return made


def only(findings: list[Finding]) -> Finding:
    assert len(findings) == 1, findings
    return findings[0]


# ---- Running them ----------------------------------------------------------------------------------------------------


def few(monkeypatch: pytest.MonkeyPatch, *names: str, limit_s: float = 60.0) -> None:
    monkeypatch.setattr(doctor, "CHECKS", {name: doctor.CHECKS[name]._replace(limit_s=limit_s) for name in names})


def module(monkeypatch: pytest.MonkeyPatch, folder: Path, name: str, code: str) -> None:
    """A module that the process with the checks finds in place of the real one."""
    (folder / "modules").mkdir()
    (folder / "modules" / f"{name}.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(folder / "modules"))


def test_every_check_answers_and_says_what_it_does(fake: Fake) -> None:
    begun: list[str] = []
    found = list(examine(fake.of(source=str(STILL), simulate=True), begun.append))
    assert begun == list(doctor.CHECKS)
    assert [name for k, (name, _) in enumerate(found) if name not in [n for n, _ in found[:k]]] == begun
    assert not [
        finding for _, finding in found if "check failed" in finding.found or "cannot be looked" in finding.found
    ]
    assert {finding.verdict for _, finding in found} <= {"ok", "note"}


def test_a_check_that_hangs_is_given_up(fake: Fake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    module(monkeypatch, tmp_path, "picamera2", "import time\ntime.sleep(600)")
    few(monkeypatch, "python", "camera", "clock")
    monkeypatch.setitem(doctor.CHECKS, "camera", Check(checks.camera, 4.0))
    found = dict(examine(fake.of()))
    assert found["camera"][:2] == ("bad", "no answer within 4 s: something hangs")
    assert found["clock"].verdict in ("ok", "note"), "the others go on"


def test_a_check_that_takes_the_process_with_it(fake: Fake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    crash = "import os, signal, sys\nprint('FATAL default', file=sys.stderr, flush=True)\nos.kill(os.getpid(), signal.SIGILL)"
    module(monkeypatch, tmp_path, "picamera2", crash)
    few(monkeypatch, "camera", "clock")
    found = dict(examine(fake.of()))
    assert found["camera"].verdict == "bad"
    assert "killed by SIGILL: FATAL default" in found["camera"].found
    assert found["clock"].verdict in ("ok", "note")


def test_a_broken_numpy_is_said_and_hinders_no_other(
    fake: Fake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    module(monkeypatch, tmp_path, "numpy", "raise ImportError('numpy was built for another processor')")
    few(monkeypatch, "libraries", "models", "journal")
    found = list(examine(fake.of()))
    bad = next(finding for name, finding in found if name == "libraries")
    assert "numpy cannot be imported: ImportError: numpy was built for another processor" in bad.found
    assert f"{sys.executable} -m pip install --force-reinstall numpy" in bad.mend
    assert dict(found)["models"].verdict == "bad"
    assert dict(found)["journal"].verdict == "note"


def test_a_failing_check_keeps_what_it_had_found(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(_: Machine) -> Any:
        yield Finding("ok", "one thing")
        raise ZeroDivisionError("of all things")

    monkeypatch.setitem(doctor.CHECKS, "clock", Check(half, 1))
    first, second = fake.look("clock")
    assert first == Finding("ok", "one thing")
    assert second[:2] == ("bad", "the check failed: ZeroDivisionError: of all things")


def test_a_command_that_hangs_is_given_up(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.command("systemctl", first="sleep 600")
    monkeypatch.setattr(machine, "COMMAND_S", 0.5)
    assert "systemctl does not answer within 0.5 s" in only(fake.look("service")).found


def test_lines_for_people() -> None:
    finding = Finding("bad", "several words " * 12, "sudo " + "x" * 100)
    lines = described("camera", finding, 60).splitlines()
    assert lines[0].startswith("  bad   camera        several words")
    assert all(len(line) <= 60 for line in lines[:-1])
    assert lines[-1].strip() == "→ sudo " + "x" * 100, "in one piece, to be copied"
    assert "\x1b[1;31mbad  \x1b[0m camera" in described("camera", finding, 60, colour=True)


def test_the_worst_counts() -> None:
    assert doctor.worst(["ok", "note", "ok"]) == "note"
    assert doctor.worst(["bad", "note", "ok"]) == "bad"
    assert doctor.worst([]) == "ok"


# ---- Python, settings, models ----------------------------------------------------------------------------------------


def test_python_and_machine(fake: Fake) -> None:
    fake.pi()
    fake.file("etc/os-release", 'NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n')
    found = only(fake.look("python"))
    assert found.found.startswith(f"Python {sys.version_info.major}.{sys.version_info.minor}")
    assert "Raspberry Pi 4 Model B Rev 1.5, Debian GNU/Linux 12 (bookworm)" in found.found


@pytest.mark.parametrize(("on_pi", "verdict"), [(True, "bad"), (False, "note")])
def test_the_empty_lgpio(fake: Fake, monkeypatch: pytest.MonkeyPatch, on_pi: bool, verdict: str) -> None:
    version = checks._version
    monkeypatch.setattr(checks, "_version", lambda name: "0.0.0.2" if name == "lgpio" else version(name))
    if on_pi:
        fake.pi()
    versions, trap = fake.look("libraries")
    assert versions.verdict == "ok"
    assert "numpy " in versions.found
    assert trap.verdict == verdict
    assert "python3-lgpio" in trap.mend


def test_a_wrong_file_is_one_line_and_the_defaults_go_on(fake: Fake, tmp_path: Path) -> None:
    wrong = tmp_path / "door.toml"
    wrong.write_text("[lights]\ngreen = 99\n")
    found = only(fake.look("configuration", config=str(wrong)))
    assert found.verdict == "bad"
    assert "'lights.green' is 99" in found.found
    assert fake.of(config=str(wrong)).settings.lights.green == 17


def test_every_damaged_model_is_named(fake: Fake, tmp_path: Path) -> None:
    shutil.copytree(manifest.shipped(), tmp_path / "models")
    (tmp_path / "models/mask_classifier.tflite").write_bytes(b"something else")
    (tmp_path / "models/face_detector.tflite").unlink()
    found = fake.look("models", models=str(tmp_path / "models"))
    assert [finding.verdict for finding in found] == ["bad", "bad"]
    assert "face_detector.tflite: cannot be read" in found[0].found
    assert "mask_classifier.tflite: is damaged" in found[1].found
    assert "see models" in fake.look("camera", models=str(tmp_path / "models"), source=str(STILL))[-1].found


def test_models_that_are_right(fake: Fake) -> None:
    found = only(fake.look("models"))
    assert found.verdict == "ok"
    assert "sha256 right" in found.found


# ---- The service -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "verdict", "says", "mend"),
    [
        ({}, "ok", "IDLE, 14.8 frames/s", ""),
        ({"NRestarts": "3"}, "note", "restarted 3 times", "journalctl"),
        ({"ActiveState": "inactive", "SubState": "dead"}, "note", "not running", "systemctl enable --now"),
        ({"ActiveState": "failed", "SubState": "failed", "Result": "exit-code", "ExecMainStatus": "78"}, "bad", "exit code 78", "journalctl"),
        ({"ActiveState": "activating", "SubState": "auto-restart", "Result": "watchdog"}, "bad", "watchdog", "journalctl"),
        ({"LoadState": "not-found"}, "note", "not installed", "scripts/install.sh"),
    ],
)  # fmt: skip
def test_the_state_of_the_service(fake: Fake, changes: dict[str, str], verdict: str, says: str, mend: str) -> None:
    fake.service(**changes)
    found = only(fake.look("service"))
    assert found.verdict == verdict
    assert says in found.found
    assert mend in found.mend


def test_without_systemd(fake: Fake) -> None:
    assert only(fake.look("service"))[:2] == (
        "note", "no systemd to ask: systemctl: System has not been booted with systemd",
    )  # fmt: skip


def test_what_is_examined_is_what_the_service_runs(fake: Fake) -> None:
    fake.service()
    assert fake.of().option("config") == "/etc/no.toml"
    assert fake.of().events_file == Path("/var/e.jsonl")
    assert fake.of(config="/etc/no.toml").events_file == Path("/var/e.jsonl")
    assert fake.of(events="here.jsonl").events_file == Path("/var/lib/doorlight/here.jsonl")
    other = fake.of(config="other.toml")
    assert (other.option("config"), other.events_file) == ("other.toml", Path("doorlight-events.jsonl"))
    assert other.user.name == "nobody"
    fake.service(LoadState="not-found")
    assert fake.of().option("config") == ""
    assert fake.of().user.me


def test_a_missing_user_of_the_service(fake: Fake) -> None:
    fake.service(User="nobody-of-this-name")
    for check in ("permissions", "events"):
        assert "nobody-of-this-name" in only(fake.look(check)).found


# ---- The camera ------------------------------------------------------------------------------------------------------


def test_a_picture_and_the_faces_in_it(fake: Fake) -> None:
    found = only(fake.look("camera", source=str(STILL)))
    assert found.verdict == "ok"
    assert "a picture of 640x480: bright and sharp enough" in found.found
    assert "1 face in view" in found.found


def test_a_camera_that_is_not_there(fake: Fake) -> None:
    here, found = fake.look("camera", source="/dev/video97")
    assert here.found == "cameras here: none; the door watches /dev/video97"
    assert found[:2] == ("bad", "/dev/video97: no such camera")
    assert found.mend


def test_a_file_that_is_not_there(fake: Fake) -> None:
    assert only(fake.look("camera", source="none.mp4"))[:2] == ("bad", "none.mp4: no such file or folder")


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        ("IDLE, 14.8 frames/s, CPU (ai_edge_litert), all well", "ok"),
        ("FAULT, 3.1 frames/s, CPU (ai_edge_litert), camera: no picture", "bad"),
    ],
)
def test_the_running_service_has_the_camera(fake: Fake, world: World, status: str, verdict: str) -> None:
    fake.service(StatusText=status)
    world.busy = True
    here, found = fake.look("camera")
    assert "imx708" in here.found
    assert found.verdict == verdict
    assert found.found == f"in use by the running service, which says: {status}"
    assert not world.made, "nobody touched it"


def test_the_pi_camera(fake: Fake, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "SETTLE_S", 0.1)
    fake.pi()
    world.cameras = [{"Id": "/base/soc/i2c0mux/i2c@1/imx708@1a", "Num": 0, "Model": "imx708_wide"}]
    here, found = fake.look("camera")
    assert here.found == "cameras here: picamera (imx708_wide); the door watches picamera"
    assert found.found.startswith("a picture of 640x480: ")


def test_a_pi_camera_in_use(fake: Fake, world: World) -> None:
    world.busy = True
    found = fake.look("camera")[-1]
    assert found.verdict == "bad"
    assert "in use by" in found.found


def test_cameras_are_listed_by_name(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the kernel shows a webcam: a node for pictures, one for metadata; beside it the Pi's own stations."""
    whole, capture, metadata = 0x84A00001, 0x04200001, 0x04A00000
    nodes = {
        "video0": ("HD Webcam", capture),
        "video1": ("HD Webcam", metadata),
        "video10": ("bcm2835-codec-decode", capture),
    }
    for node, (name, _) in nodes.items():
        fake.file(f"sys/class/video4linux/{node}/name", f"{name}\n")
        fake.file(f"dev/{node}")

    def ioctl(device: int, number: int, answer: bytearray) -> int:
        assert (number, len(answer)) == (0x80685600, 104)
        node = os.path.basename(os.readlink(f"/proc/self/fd/{device}"))
        answer[84:92] = b"".join(value.to_bytes(4, sys.byteorder) for value in (whole, nodes[node][1]))
        return 0

    monkeypatch.setattr(checks.fcntl, "ioctl", ioctl)
    assert checks._v4l2(fake.of()) == [f"{fake.root}/dev/video0 (HD Webcam)"]


def test_a_camera_node_that_does_not_answer_is_listed_with_the_reason(fake: Fake) -> None:
    fake.file("sys/class/video4linux/video0/name", "HD Webcam\n")
    fake.file("dev/video0")
    assert checks._v4l2(fake.of()) == [f"{fake.root}/dev/video0 (HD Webcam: Inappropriate ioctl for device)"]


def photograph() -> np.ndarray:
    return np.ascontiguousarray(cv2.imread(str(STILL))[:, :, ::-1])


def window() -> np.ndarray:
    """Dark, but for a window."""
    picture = photograph() // 3
    picture[:240, :320] = 255
    return picture


@pytest.mark.parametrize(
    ("change", "verdict", "says"),
    [
        (lambda p: p, "ok", "bright and sharp enough"),
        (lambda p: np.zeros_like(p), "bad", "black"),
        (lambda p: np.random.default_rng(1).integers(0, 12, p.shape, np.uint8), "bad", "black"),
        (lambda p: np.full_like(p, 128), "bad", "one even colour"),
        (lambda p: p // 4, "note", "dark"),
        (lambda p: np.clip(p.astype(int) * 3, 0, 255).astype(np.uint8), "note", "too bright"),
        (lambda p: window(), "note", "bright light behind"),
        (lambda p: cv2.GaussianBlur(p, (0, 0), 6), "note", "blurred"),
        (lambda p: cv2.GaussianBlur(p, (0, 0), 0.7), "ok", "sharp enough"),
        (lambda p: cv2.resize(p, (1920, 1080)), "ok", "1920x1080"),
    ],
)
def test_light_and_focus(change: Callable[[np.ndarray], np.ndarray], verdict: str, says: str) -> None:
    found = checks.seen(change(photograph()))
    assert found.verdict == verdict, found
    assert says in found.found
    assert bool(found.mend) == (verdict != "ok")


# ---- Coral -----------------------------------------------------------------------------------------------------------


def settings(folder: Path, text: str) -> str:
    path = folder / "settings.toml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(("mode", "verdict"), [("auto", "ok"), ("cpu", "ok"), ("edgetpu", "bad")])
def test_no_coral(fake: Fake, tmp_path: Path, mode: str, verdict: str) -> None:
    found = only(fake.look("coral", config=settings(tmp_path, f'[models]\naccelerator = "{mode}"')))
    assert found.verdict == verdict
    assert "no Coral" in found.found


def plug(fake: Fake, ids: tuple[str, str]) -> None:
    Usb(fake.root).plug(ids)


def test_a_coral_without_models_for_it(fake: Fake, coral: Callable[[str], None]) -> None:
    plug(fake, FRESH)
    found = only(fake.look("coral"))
    assert found.verdict == "note", "the models do not come along, and the door works"
    assert "USB 1-1.2 (its firmware not loaded yet)" in found.found
    assert "compile_edgetpu.sh" in found.mend


def test_a_coral_without_library(fake: Fake, compiled: Manifest) -> None:
    plug(fake, READY)
    found = only(fake.look("coral", models=str(compiled.folder)))
    if "run on it" in found.found:
        pytest.skip("this machine has a libedgetpu")
    assert found.verdict == "bad"
    assert "USB 1-1.2 (ready)" in found.found
    assert "libedgetpu" in found.found + found.mend


def test_a_coral_that_works(fake: Fake, compiled: Manifest, coral: Callable[[str], None]) -> None:
    plug(fake, READY)
    found = only(fake.look("coral", models=str(compiled.folder)))
    assert found.verdict == "ok"
    assert "the models run on it" in found.found


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        ("IDLE, 14 frames/s, Edge TPU (tflite_runtime), all well", "ok"),
        ("IDLE, 9 frames/s, CPU (ai_edge_litert), Edge TPU: it hangs", "note"),
    ],
)
def test_the_running_service_has_the_coral(fake: Fake, status: str, verdict: str) -> None:
    fake.service(StatusText=status)
    plug(fake, READY)
    found = only(fake.look("coral"))
    assert (found.verdict, status in found.found) == (verdict, True)


# ---- Pins and permissions --------------------------------------------------------------------------------------------


def test_lights_in_simulation(fake: Fake) -> None:
    assert only(fake.look("lights", simulate=True))[:2] == ("ok", "simulated, as asked for")
    found = only(fake.look("lights"))
    assert found.verdict == "note"
    assert "no GPIO chip here" in found.found
    fake.pi()
    assert only(fake.look("lights")).verdict == "bad", "a Pi without pins is not right"


def test_the_running_service_has_the_pins(fake: Fake, kernel: Kernel) -> None:
    fake.service()
    kernel.plug("gpiochip0", "pinctrl-bcm2711")
    kernel.held = {17: "lg", 27: "lg", 24: "lg"}
    found = only(fake.look("lights"))
    assert found.verdict == "ok"
    assert 'GPIO17 (green) held by "lg"' in found.found
    del kernel.held[24]
    found = only(fake.look("lights"))
    assert found.verdict == "note"
    assert "GPIO24 (buzzer) held by nobody" in found.found
    kernel.denied = set(kernel.labels)
    found = only(fake.look("lights"))
    assert (found.verdict, found.mend) == ("note", "sudo doorlight doctor"), "not the service's trouble, but ours"


def test_a_shut_chip(fake: Fake, kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpiozero.pins.local.get_pi_revision", lambda: 0xC03115)
    kernel.denied.add(kernel.plug("gpiochip0", "pinctrl-bcm2711"))
    found = only(fake.look("lights"))
    assert found.verdict == "bad"
    assert "Permission denied" in found.found
    assert "usermod -aG gpio" in found.mend


def as_user(fake: Fake, groups: set[int], **options: Any) -> Machine:
    made = fake.of(**options)
    made.__dict__["user"] = User("door", 54321, frozenset(groups), False)
    return made


def test_device_files_and_groups(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.pi()
    for name in ("dev/media0", "dev/video0", "dev/gpiochip0"):
        fake.file(name).chmod(0o660)
    group = fake.file("dev/dma_heap/system").stat().st_gid
    (fake.root / "dev/dma_heap/system").chmod(0o660)
    assert only(diagnose("permissions", as_user(fake, {group}))[:1]).verdict == "ok"
    found = diagnose("permissions", as_user(fake, {54321}))[0]
    assert found.verdict == "bad"
    assert "door may not use " in found.found
    assert "and 1 more" in found.found
    fake.file("dev/gpiochip0").chmod(0o600)
    found = next(f for f in diagnose("permissions", as_user(fake, {group})) if f.verdict == "bad")
    assert "gpiochip0" in found.found
    assert "udevadm trigger" in found.mend


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_missing_group_is_named(fake: Fake) -> None:
    node = fake.file("dev/video0")
    node.chmod(0o660)
    os.chown(node, 0, 44 if _exists(44) else 1)
    found = diagnose("permissions", as_user(fake, {54321}))[0]
    name = checks._group(node.stat().st_gid)
    assert found.mend == f"sudo usermod -aG {name} door; then sudo systemctl restart doorlight.service"


def _exists(group: int) -> bool:
    return not checks._group(group).isdigit()


# ---- Events ----------------------------------------------------------------------------------------------------------


def test_the_folder_of_the_log(fake: Fake, tmp_path: Path) -> None:
    found = only(fake.look("events", events=str(tmp_path / "e.jsonl")))
    assert found.verdict in ("ok", "note", "bad")  # as quick as this disk is
    assert "fsync, median of " in found.found
    assert sorted(each.name for each in tmp_path.iterdir()) == ["bin", "root"], "nothing is left behind"
    found = only(fake.look("events", events="nowhere/e.jsonl"))
    assert found.verdict == "bad"
    assert f"there is no folder {tmp_path / 'nowhere'}" in found.found


@pytest.mark.parametrize(
    ("limits", "verdict", "says"),
    [
        ({"SLOW_S": 60, "TOO_SLOW_S": 60}, "ok", "a line is on the disk in"),
        ({"SLOW_S": -1, "TOO_SLOW_S": 60}, "note", "a line is on the disk in"),
        ({"SLOW_S": -1, "TOO_SLOW_S": -1}, "bad", "a line is on the disk in"),
        ({"LEAST_BYTES": 1e18}, "bad", "next to nothing"),
    ],
)
def test_room_and_speed(
    fake: Fake, monkeypatch: pytest.MonkeyPatch, limits: dict[str, float], verdict: str, says: str
) -> None:
    for name, value in limits.items():
        monkeypatch.setattr(checks, name, value)
    found = fake.look("events")[0]
    assert (found.verdict, says in found.found) == (verdict, True)


def test_too_little_room_for_a_full_log(fake: Fake, tmp_path: Path) -> None:
    found = fake.look("events", config=settings(tmp_path, "[events]\nrotate_bytes = 1000000000000000000"))[0]
    assert found.verdict == "note"
    assert "a full log takes" in found.found


def test_a_read_only_disk(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "statvfs", lambda path: types.SimpleNamespace(f_flag=os.ST_RDONLY))
    found = only(fake.look("events"))
    assert (found.verdict, "read-only" in found.found) == ("bad", True)


def test_a_log_that_belongs_to_somebody_else(fake: Fake, tmp_path: Path) -> None:
    """Left behind by `sudo doorlight run`, it stops the service later."""
    tmp_path.chmod(0o777)
    log = tmp_path / "e.jsonl"
    log.touch(0o644)
    found = only(diagnose("events", as_user(fake, {54321}, events=str(log))))
    assert found == Finding("bad", f"{log}: door may not write there", f"sudo chown door: {log}")
    tmp_path.chmod(0o755)
    log.unlink()
    found = only(diagnose("events", as_user(fake, {54321}, events=str(log))))
    assert found.mend == f"sudo chown door: {tmp_path}"


# ---- Temperature, journal, clock -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bits", "verdict", "says"),
    [
        ("0x0", "ok", "right since boot"),
        ("0x1", "bad", "now: under-voltage"),
        ("0x50005", "bad", "now: under-voltage, throttled"),
        ("0x50000", "note", "since boot: under-voltage, throttled"),
        ("0x80008", "note", "now: soft temperature limit"),
        ("0x20000", "note", "since boot: processor held back"),
        ("0xe0006", "bad", "now: processor held back, throttled; since boot: soft temperature limit"),
    ],
)
def test_throttling_in_words(fake: Fake, bits: str, verdict: str, says: str) -> None:
    fake.pi()
    fake.command("vcgencmd", f"throttled={bits}")
    found = only(fake.look("temperature"))
    assert found.verdict == verdict
    assert found.found.endswith(says) if verdict == "ok" else found.found == says
    assert ("power supply" in found.mend) == ("under-voltage" in says)


@pytest.mark.parametrize(
    ("degrees", "on_pi", "verdict"),
    [(51000, True, "ok"), (74000, True, "note"), (83100, True, "bad"), (90000, False, "ok")],
)
def test_temperature(fake: Fake, degrees: int, on_pi: bool, verdict: str) -> None:
    if on_pi:
        fake.pi()
    fake.file("sys/class/thermal/thermal_zone0/temp", "31000\n")
    fake.file("sys/class/thermal/thermal_zone1/temp", f"{degrees}\n")
    fake.file("sys/class/thermal/thermal_zone2/temp", "")
    found = fake.look("temperature")[0]
    assert found[:2] == (verdict, f"{degrees / 1000:.0f} °C")


def test_a_pi_that_does_not_tell(fake: Fake) -> None:
    fake.pi()
    found = only(fake.look("temperature"))
    assert found.verdict == "note"
    assert "VCHI initialization failed" in found.found
    fake.command("vcgencmd", "error=1")
    assert only(fake.look("temperature")).verdict == "note"


def test_the_journal(fake: Fake) -> None:
    fake.file("var/log/journal/0123/system.journal")
    assert only(fake.look("journal"))[:2] == ("ok", "on the disk")
    fake.file("run/log/journal/0123/system.journal")  # Storage=volatile, though the folder of the other is there
    found = only(fake.look("journal"))
    assert found.verdict == "note"
    assert "doorlight-events.jsonl" in found.found
    assert "Storage=persistent" in found.mend
    shutil.rmtree(fake.root / "var")
    shutil.rmtree(fake.root / "run")
    assert only(fake.look("journal")).verdict == "note"


@pytest.mark.parametrize(
    ("says", "chip", "verdict"),
    [("yes", False, "ok"), ("no", True, "ok"), ("no", False, "note"), (None, False, "note")],
)
def test_the_clock(
    fake: Fake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, says: str | None, chip: bool, verdict: str
) -> None:
    monkeypatch.setattr(clock, "TIMESYNC", str(tmp_path / "synchronized"))
    monkeypatch.setattr(clock, "RTCS", "")
    if says:
        fake.command("timedatectl", says)
    if chip:
        (tmp_path / "synchronized").touch()
    assert only(fake.look("clock")).verdict == verdict


# ---- The command -----------------------------------------------------------------------------------------------------


def doorlight(*args: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edge", "doctor", *map(str, args)]
    path = os.pathsep.join([str(CLIP.parents[2]), os.environ.get("PYTHONPATH", "")])
    environ = os.environ | {"PYTHONPATH": path}
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=environ)


def test_for_programs(fake: Fake) -> None:
    done = doorlight("--json", "--source", "/dev/video97", "--simulate")
    told = json.loads(done.stdout)
    assert (done.returncode, done.stderr, told["verdict"]) == (69, "", "bad")
    assert {frozenset(check) for check in told["checks"]} == {frozenset({"name", "verdict", "found", "mend"})}
    bad = [check for check in told["checks"] if check["verdict"] == "bad" and check["name"] == "camera"]
    assert [check["found"] for check in bad] == ["/dev/video97: no such camera"]
