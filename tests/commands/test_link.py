"""`doorlight link`: refusals, and that the door has no part in it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge.cli import build_parser, main
from edge.commands import link
from edge.link import status
from support.paths import ROOT

STILL = ROOT / "scripts" / "assets" / "demo" / "still.jpg"
BROKER = '[link]\nbroker = "mqtt://127.0.0.1:1"\nusername = "u"\npassword = "/no/such/file"\n'
WEBHOOK = '[[link.webhook]]\nname = "a"\nurl = "https://example.org/key"\nevents = ["ALARM"]\n'


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    return tmp_path / "door.toml"


def test_off_is_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["link"]) == 2
    assert "the link is off: [link] names no broker, no webhook and no metrics_listen" in capsys.readouterr().err


def test_a_secret_that_is_not_there(settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("paho", reason="the extra `link` is not installed")
    settings.write_text(BROKER)
    assert main(["link", "--config", str(settings)]) == 66
    assert "doorlight: link.password: /no/such/file cannot be read: No such file" in capsys.readouterr().err


def test_a_missing_library_is_named(
    settings: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith(("edge.link.mqtt", "edge.link.login", "paho"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "paho", None)
    settings.write_text(BROKER)
    assert main(["link", "--config", str(settings)]) == 69
    error = capsys.readouterr().err
    assert "paho is not installed" in error
    assert "paho-mqtt" in error


def test_webhooks_need_no_library(settings: Path, tmp_path: Path) -> None:
    settings.write_text(WEBHOOK)
    program = (
        "import sys, threading; sys.modules['paho'] = None; from edge import cli; from edge.commands import link\n"
        "link.stop_on_signals = lambda stop: threading.Timer(0.5, stop.set).start()\n"
        "sys.exit(cli.main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "link", "--config", settings, "--events", tmp_path / "events.jsonl"],
        capture_output=True, text=True, timeout=60, cwd=ROOT, env={**os.environ, "XDG_STATE_HOME": str(tmp_path)},
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "doorlight" / "link" / "webhook-a.cursor").exists()


def test_nothing_to_forget_without_a_broker(settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("paho", reason="the extra `link` is not installed")
    settings.write_text(WEBHOOK)
    assert main(["link", "--config", str(settings), "--forget"]) == 2
    assert "a webhook keeps nothing about a door" in capsys.readouterr().err


def test_an_unknown_event_is_found_by_check_config(settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings.write_text(WEBHOOK.replace("ALARM", "ALARMM"))
    assert main(["check-config", str(settings)]) == 78
    error = capsys.readouterr().err
    assert "'ALARMM', which is no event" in error
    assert "example.org" not in error


def test_the_service_keeps_its_files_in_its_own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "STATE_FOLDER", tmp_path / "absent")
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "run"))
    place = link._place(Path("/var/lib/doorlight/events.jsonl"))
    assert (place.state_folder, place.runtime_folder) == (tmp_path / "state", tmp_path / "run")


def test_help_has_an_example() -> None:
    assert "broker = " in build_parser().parse_args(["link"]).run.__globals__["DESCRIPTION"]


def test_the_door_loads_nothing_of_it(settings: Path, tmp_path: Path) -> None:
    settings.write_text(BROKER + WEBHOOK)
    program = (
        "import sys; from edge import cli; code = cli.main(sys.argv[1:])\n"
        "print('loaded', [name for name in sys.modules if name.startswith(('edge.link.', 'paho', 'ssl'))], code)"
    )
    arguments = ["run", "--config", settings, "--simulate", "--source", STILL, "--events", tmp_path / "events.jsonl"]
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)], capture_output=True, text=True, timeout=120, cwd=ROOT
    )
    assert done.stdout.splitlines()[-1] == "loaded [] 0", done.stdout + done.stderr
