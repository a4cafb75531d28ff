"""The timer of the statistics agrees with systemd's tools, with the command line and with systemd/README.md."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from edge import cli
from edge.commands.events import SERVICE_LOG
from support import installation
from support.paths import ROOT

FOLDER = ROOT / "systemd"
SERVICE, TIMER = FOLDER / "doorlight-hours.service", FOLDER / "doorlight-hours.timer"
DOOR = FOLDER / "doorlight.service"
PROGRAM = "/opt/doorlight/current/bin/doorlight"

needs_analyze = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


def settings(path: Path) -> list[tuple[str, str]]:
    """Return (key, value) of every setting, in order; a key may occur more than once."""
    lines = [line.strip() for line in path.read_text().splitlines()]
    return [(k, v) for k, _, v in (line.partition("=") for line in lines if line and line[0] not in "#[")]


@needs_analyze
def test_systemd_verifies_service_and_timer(tmp_path: Path) -> None:
    for unit in (SERVICE, TIMER):
        (tmp_path / unit.name).write_text(unit.read_text().replace(PROGRAM, "/bin/true"))
    command = ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / unit.name) for unit in (SERVICE, TIMER))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_command_line_parses_the_service_s_command() -> None:
    program, *args = shlex.split(dict(settings(SERVICE))["ExecStart"])
    assert program == PROGRAM
    parsed = cli.build_parser().parse_args(args)
    assert (parsed.command, parsed.keep, parsed.log) == ("stats", True, SERVICE_LOG)


def test_it_may_no_more_than_the_door() -> None:
    door, own = dict(settings(DOOR)), dict(settings(SERVICE))
    assert own["User"] == door["User"], "both write into one folder"
    assert own["ReadWritePaths"] == str(SERVICE_LOG.parent)
    assert "DeviceAllow" not in own
    assert (own["RestrictAddressFamilies"], own["PrivateNetwork"], own["PrivateDevices"]) == ("none", "yes", "yes")
    sandbox = {
        key for key, _ in settings(DOOR) if re.match("Protect|Restrict|Private|Lock|NoNew|Memory|System|Cap", key)
    }
    assert sandbox - {"MemorySwapMax", "RestartSec", "RestartPreventExitStatus"} <= own.keys()


def test_the_timer_runs_outside_of_the_hours_in_which_clocks_change() -> None:
    found = re.fullmatch(r"\*-\*-\* (\d\d):\d\d:00", dict(settings(TIMER))["OnCalendar"])
    assert found is not None
    assert 4 <= int(found[1]) <= 22


def test_readme_explains_every_setting() -> None:
    text = (FOLDER / "README.md").read_text().partition("\n# The timer of the statistics")[2].partition("\n# ")[0]
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    assert named == {key for key, _ in [*settings(SERVICE), *settings(TIMER)]}


def test_the_script_installs_and_removes_both() -> None:
    text = installation.functions()
    for unit in (SERVICE, TIMER):
        assert f'put systemd/{unit.name} "$units/{unit.name}"' in text
        assert f'"$units/{unit.name}"' in text.partition("\nuninstall() {")[2].partition("\n}")[0]
