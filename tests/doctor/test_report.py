"""`doorlight doctor --report`: what is in the file, and that nothing private is."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from edge.doctor import report
from edge.doctor.finding import Finding
from support.doctor import FakeMachine

#: Texts that must never be in a report. Each is planted in several places below.
SECRETS = {
    "password of the camera": "geh@im",
    "encoded password": "geh%40im",
    "user of the camera": "kamerajan",
    "host of the camera": "cam.praxis.example",
    "key in an address": "schluessel77",
    "person who answers": "Praxis Dr. Meier, 030 12345",
    "place of the sign": "links neben dem Aquarium",
    "name of the door": "Hintereingang",
    "token of a webhook": "tulpenzwiebel",
    "address of a webhook": "xyzzy123",
    "secret in a file": "correct horse battery",
    "address in the network": "192.168.178.23",
    "MAC address": "b8:27:eb:12:34:56",
    "serial number": "10000000abcdef01",
    "home of a user": "annalena",
    "e-mail": "anna@praxis.example",
}
SETTINGS = """\
[camera]
source = "rtsp://kamerajan:geh%40im@cam.praxis.example:554/live?key=schluessel77"
rotate = 180
[privacy]
controller = "Praxis Dr. Meier, 030 12345"
sign = "links neben dem Aquarium"
[link]
door = "Hintereingang"
[[link.webhook]]
name = "pager"
url = "https://hooks.example/xyzzy123"
events = ["alarm"]
token = "tulpenzwiebel"
"""
EVENT = "2026-11-27T19:14:05+0000 doorlight[812]:     8.27 s  STOP   someone wears no mask (was IDLE, 1 person)"


@pytest.fixture
def planted(machine: FakeMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeMachine:
    """A Raspberry Pi with secrets in its settings, files, journal, kernel messages and camera list."""
    machine.become_pi()
    machine.add_file("proc/cpuinfo", "Revision\t: c03115\nSerial\t\t: 10000000abcdef01\n")
    machine.add_file("etc/rpi-issue", "Raspberry Pi reference 2026-10-01\nGenerated using pi-gen\n")
    machine.add_file("etc/doorlight/secrets/broker", "correct horse battery\n")
    machine.add_file("home/annalena/.profile")
    everything = "; ".join(SECRETS.values())
    machine.add_command("journalctl", f"2026-11-27T19:14:05+0000 doorlight[812]: Under-voltage; {everything}\n{EVENT}")
    machine.add_command("rpicam-hello", f"0 : imx708 [4608x2592] /home/annalena/{everything}")
    machine.add_command("vcgencmd", f"version 1 {everything}")
    monkeypatch.setattr(report, "_bench", lambda host: [f"20 frames/s in /home/annalena {everything}"])
    (tmp_path / "door.toml").write_text(SETTINGS)
    return machine


def rendered(machine: FakeMachine, tmp_path: Path, *findings: tuple[str, Finding], answer: str = "yes") -> str:
    return report.render(machine.host(config=str(tmp_path / "door.toml")), findings, answer)


def test_planted_secrets_are_not_in_the_report(planted: FakeMachine, tmp_path: Path) -> None:
    everything = "; ".join(SECRETS.values())
    finding = Finding("bad", f"camera {everything}", f"ping {everything}")
    text = rendered(planted, tmp_path, ("camera", finding), answer=f"red is dim, call {everything}")
    assert {name for name, secret in SECRETS.items() if secret.lower() in text.lower()} == set()


def test_what_the_developers_need_is_in_the_report(planted: FakeMachine, tmp_path: Path) -> None:
    text = rendered(
        planted, tmp_path, ("lights", Finding("ok", "/dev/gpiochip0: GPIO17 (green) are free")), answer="no"
    )
    for expected in (
        "Raspberry Pi 4 Model B Rev 1.5, revision c03115",
        "Raspberry Pi reference 2026-10-01",
        "- **ok** lights: /dev/gpiochip0: GPIO17 (green) are free",
        "as the user says: no",
        "imx708",
        "20 frames/s",
        "[camera] rotate = 180",
        "Under-voltage",
    ):
        assert expected in text, expected


def test_lines_about_people_are_left_out(planted: FakeMachine, tmp_path: Path) -> None:
    text = rendered(planted, tmp_path)
    assert "no mask" not in text
    assert "(1 line about people left out)" in text


def test_what_fails_is_said_in_its_place(machine: FakeMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> list[str]:
        raise OSError("no such device")

    monkeypatch.setattr(report, "_bench", fail)
    machine.add_command("journalctl", code=1)
    (tmp_path / "door.toml").write_text("[camera\n")
    text = rendered(machine, tmp_path)
    assert text.count("not known: ") >= 3
    assert "## Messages of the kernel" in text, "the other parts are there"


def test_a_bench_that_hangs_ends(machine: FakeMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "BENCH_TIMEOUT_S", 0.1)
    monkeypatch.setattr(report, "BENCH_COMMAND", ("sleep", "60"))
    assert report._bench(machine.host()) == ["doorlight bench: not ready within 0.1 s"]


def test_a_running_service_is_not_disturbed(machine: FakeMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    """It uses camera and processor: no benchmark, no list of cameras."""
    machine.install_service(StatusText="PASS, 14.8 frames/s, CPU (ai_edge_litert), all well")
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a program was started"))
    host = machine.host()
    host.__dict__["unit"] = {"LoadState": "loaded", "ActiveState": "active", "StatusText": "PASS, 14.8 frames/s"}
    assert "14.8 frames/s" in report._bench(host)[0]
    assert report._cameras(host)[-1] == "not asked: the service uses the camera"


def test_a_line_cannot_end_its_block(machine: FakeMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "_bench", lambda host: ["```", "# not a title"])
    (tmp_path / "door.toml").write_text("")
    block = rendered(machine, tmp_path).split("## Speed\n\n```\n")[1].split("\n```\n")[0]
    assert block == "'''\n# not a title"
