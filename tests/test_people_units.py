"""The units of `doorlight people sync` agree with systemd's tools, the command line, the code and systemd/README.md."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from edge import cli
from edge.commands import people_sync
from edge.system.files import SERVICE_STATE
from support import installation
from support.paths import ROOT

FOLDER = ROOT / "systemd"
SERVICE, TIMER = FOLDER / "doorlight-people.service", FOLDER / "doorlight-people.timer"
DOOR, LINK = FOLDER / "doorlight.service", FOLDER / "doorlight-link.service"
PROGRAM = "/opt/doorlight/current/bin/doorlight"

needs_analyze = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


def settings(path: Path) -> list[tuple[str, str]]:
    """Return (key, value) of every setting, in order; a key may occur more than once."""
    lines = [line.strip() for line in path.read_text().splitlines()]
    return [(k, v) for k, _, v in (line.partition("=") for line in lines if line and line[0] not in "#[")]


def copies(folder: Path) -> list[str]:
    """Return copies of both units whose program exists: otherwise systemd-analyze would warn about it."""
    for unit in (SERVICE, TIMER):
        (folder / unit.name).write_text(unit.read_text().replace(PROGRAM, "/bin/true"))
    return [str(folder / unit.name) for unit in (SERVICE, TIMER)]


@needs_analyze
def test_systemd_verifies_service_and_timer(tmp_path: Path) -> None:
    command = ["systemd-analyze", "verify", "--man=no", *copies(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@needs_analyze
def test_security_exposure_is_low(tmp_path: Path) -> None:
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", copies(tmp_path)[0]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    found = re.search(rf"Overall exposure level for {SERVICE.name}: ([\d.]+)", done.stdout)
    assert found is not None, done.stderr
    assert float(found[1]) <= 2.0


def test_command_line_parses_the_service_s_command() -> None:
    program, *args = shlex.split(dict(settings(SERVICE))["ExecStart"])
    assert program == PROGRAM
    parsed = cli.build_parser().parse_args(args)
    assert (parsed.command, parsed.action) == ("people", "sync")
    assert parsed.config == Path("/etc/doorlight/doorlight.toml")
    assert (parsed.database, parsed.sign, parsed.passphrase_file, parsed.rejoin) == (None, None, None, False)


def test_it_has_the_secrets_that_the_code_looks_for() -> None:
    own = dict(settings(SERVICE))
    assert own["LoadCredential"] == f"{people_sync.CREDENTIAL_PREFIX.rstrip('_')}:{people_sync.SECRETS}"
    lines = (FOLDER / "doorlight.tmpfiles").read_text().splitlines()
    assert f"d {people_sync.SECRETS} 0700 root root -" in lines, "systemd does not start it without the folder"


def test_it_may_no_more_than_door_and_link() -> None:
    door, link, own = dict(settings(DOOR)), dict(settings(LINK)), dict(settings(SERVICE))
    assert (own["User"], own["Group"]) == (door["User"], door["User"]), "both write one file"
    assert own["ReadWritePaths"] == str(SERVICE_STATE)
    assert own["UMask"] == "0077"
    assert not {"DeviceAllow", "SupplementaryGroups", "StateDirectory"} & own.keys()
    sandbox = {
        key
        for key in link
        if re.match("Protect|Restrict|Private|Lock|NoNew|Memory|System|Cap|Limit|Keyring|Remove", key)
    }
    for key in sandbox - {"RestartPreventExitStatus", "MemoryMax"}:
        assert own[key] == link[key], key


def test_it_is_off_until_somebody_wants_it() -> None:
    assert "WantedBy" not in dict(settings(SERVICE))
    text = installation.functions()
    assert not re.search(r"enable[^\n]*doorlight-people", text)
    assert "for unit in doorlight-people.service doorlight-people.timer; do put " in text


def test_the_script_removes_both() -> None:
    text = installation.functions().partition("\nuninstall() {")[2].partition("\n}")[0]
    assert re.search(r"for unit in [^\n]*doorlight-people\.timer", text), "stopped and disabled"
    assert '"$units"/doorlight-people.*' in text


def test_readme_explains_every_setting() -> None:
    text = (FOLDER / "README.md").read_text().partition("\n# The units of people sync")[2].partition("\n# ")[0]
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    assert named == {key for key, _ in [*settings(SERVICE), *settings(TIMER)]}
