"""The command line as a whole: help, usage, exit codes, one clear line for each error, output that cannot be written.

Tests of single commands are in tests/commands.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

from edge import __version__
from edge.cli import COMMANDS, build_parser, main
from support.command import command_line, doorlight, environment, printable_output
from support.paths import CLIP

#: A file name with characters that control a terminal, with a line break, and with a byte that is not UTF-8.
ESCAPE = "\x1b]0;you\x07\x9b2J\u202e\n\udcff"


def command_name(module: ModuleType) -> str:
    """Return the name of a command: check-config for edge.commands.check_config."""
    return module.__name__.rpartition(".")[2].replace("_", "-")


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["run", "--source", "none.mp4"], 66, "none.mp4"),
        (["run", "--source", "/dev/video97"], 69, "/dev/video97"),
        (["run", "--source", str(CLIP), "--models", "nowhere"], 69, "nowhere/manifest.toml"),
        (["run", "--source", str(CLIP), "--events", "nowhere/events.jsonl"], 74, "nowhere"),
        (["run", "--config", "none.toml"], 78, "none.toml"),
        (["annotate", "none.jpg", "out.jpg"], 66, "none.jpg"),
        (["annotate", str(CLIP), "out.jpg"], 2, "out.jpg"),
        (["annotate", str(CLIP), "nowhere/out.mp4"], 74, "nowhere"),
        (["check-config", "none.toml"], 66, "none.toml: no such file"),
        (["lights", "--test", "--config", "none.toml"], 78, "none.toml"),
        (["lights", "--off", "--config", "none.toml"], 78, "none.toml"),
        (["run", "--source", "~nobody-of-this-name/a.mp4"], 66, "a.mp4"),
        (["events", "."], 66, "is a folder, not an event log"),
    ],
)
def test_an_error_is_one_line_and_at_most_one_hint(
    args: list[str],
    code: int,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(args) == code
    lines = capfd.readouterr().err.splitlines()
    assert 1 <= len(lines) <= 2
    assert lines[0].startswith("doorlight: ")
    assert message in lines[0]
    assert "Traceback" not in lines[0]


def test_debug_shows_the_traceback() -> None:
    done = doorlight("run", "--debug", "--source", "none.mp4")
    assert "Traceback" in done.stderr
    assert "InputError" in done.stderr


@pytest.mark.parametrize(
    "command",
    [
        "run",
        "annotate",
        "explain",
        "events",
        "metrics",
        "collect",
        "fleet",
        "lights",
        "doctor",
        "bench",
        "check-config",
    ],
)
def test_help_explains_the_command(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    assert len(text.splitlines()) > 8
    assert f"\n  doorlight {command} " in text, "no example"


def test_help_lists_every_command() -> None:
    text = build_parser().format_help()
    for command in COMMANDS:
        name = command_name(command)
        assert f"\n    {name}" in text
        assert f"\n  doorlight {name}" in text, "no example"


def test_the_name_of_a_command_selects_its_module() -> None:
    parser = build_parser()
    required = {"annotate": ["a.jpg", "b.jpg"], "explain": ["a.jpg", "b.png"], "lights": ["--off"], "sign": ["a.svg"]}
    required["people"] = ["list"]
    for command in COMMANDS:
        name = command_name(command)
        assert parser.parse_args([name, *required.get(name, [])]).run is command.run


def test_version_and_unknown_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    assert __version__ in capsys.readouterr().out
    with pytest.raises(SystemExit) as stopped:
        main(["dance"])
    assert stopped.value.code == 2


def test_output_to_a_full_disk() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command_line("check-config"),
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False, env=environment(),
        )  # fmt: skip
    assert done.returncode == 74
    assert len(done.stderr.splitlines()) == 1


def test_control_characters_in_names_are_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(CLIP.with_name("still.jpg"), f"x{ESCAPE}.jpg")
    log = f"x{ESCAPE}.jsonl"
    assert main(["run", "--simulate", "--source", f"x{ESCAPE}.jpg", "--events", log]) == 0
    assert "x\N{REPLACEMENT CHARACTER}]0;you" in printable_output(capfd)
    assert main(["events", log]) == 0
    assert "the door has started" in printable_output(capfd)
    for argv in (["run", "--simulate", "--source", f"{ESCAPE}.mp4"], ["check-config", ESCAPE], ["events", ESCAPE]):
        assert main(argv) in (66, 78)
        assert printable_output(capfd).count("\n") == 2
    with pytest.raises(SystemExit, match="2"):
        main(["run", f"--{ESCAPE}"])
    assert "unrecognized arguments" in printable_output(capfd)
