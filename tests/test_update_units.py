"""The units of the updates agree with systemd's tools, with the command line, with the code and with systemd/README.md."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edge import cli
from edge.commands.options import SERVICE_SETTINGS
from edge.update.door import OTHER_UNITS, TRIAL_TIMER
from edge.update.layout import MANAGED, Layout
from edge.update.trial import TRIAL_UNITS
from support import installation
from support.paths import ROOT

FOLDER = ROOT / "systemd"
TRIAL, WATCH = FOLDER / "doorlight-trial.service", FOLDER / "doorlight-trial.timer"
UPDATE, NIGHTLY = FOLDER / "doorlight-update.service", FOLDER / "doorlight-update.timer"
UNITS = (TRIAL, WATCH, UPDATE, NIGHTLY)

needs_analyze = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


def settings(path: Path) -> list[tuple[str, str]]:
    """Return (key, value) of every setting, in order."""
    lines = [line.strip() for line in path.read_text().splitlines()]
    return [(k, v) for k, _, v in (line.partition("=") for line in lines if line and line[0] not in "#[")]


@needs_analyze
def test_systemd_verifies_them(tmp_path: Path) -> None:
    for unit in UNITS:
        text = re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", unit.read_text(), flags=re.MULTILINE)
        (tmp_path / unit.name).write_text(text)
    command = ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / unit.name) for unit in UNITS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_command_lines() -> None:
    layout, parser = Layout(), cli.build_parser()
    program, *arguments = shlex.split(dict(settings(TRIAL))["ExecStart"])
    assert program == f"{layout.previous}/bin/doorlight"
    assert parser.parse_args(arguments).watch
    program, *arguments = shlex.split(dict(settings(UPDATE))["ExecStart"])
    assert program == f"{layout.current}/bin/doorlight"
    parsed = parser.parse_args(arguments)
    assert (parsed.nightly, parsed.config, parsed.source) == (True, SERVICE_SETTINGS, None)


def test_the_way_back_comes_before_the_door() -> None:
    trial = dict(settings(TRIAL))
    assert trial["Before"] == "doorlight.service"
    assert trial["ConditionPathExists"] == dict(settings(WATCH))["ConditionPathExists"] == str(Layout().trial)
    assert WATCH.name == TRIAL_TIMER
    assert [Path(unit).name for unit in TRIAL_UNITS] == [TRIAL.name, WATCH.name]


def test_the_way_back_may_write_where_it_must() -> None:
    layout = Layout()
    writable = dict(settings(TRIAL))["ReadWritePaths"].split()
    for path in (layout.updates, layout.current, layout.lock, layout.health, layout.root / "etc/systemd/system"):
        assert any(path.is_relative_to(folder) for folder in writable), path


def test_every_service_that_stays_is_restarted() -> None:
    stays = {
        path.name
        for path in FOLDER.glob("*.service")
        if dict(settings(path)).get("Type") != "oneshot" and path.name != "doorlight.service"
    }
    assert stays == set(OTHER_UNITS)


def test_the_door_has_no_part_in_it() -> None:
    assert "doorlight-trial" not in (FOLDER / "doorlight.service").read_text()
    assert "doorlight-update" not in (FOLDER / "doorlight.service").read_text()


def test_the_door_does_not_load_it() -> None:
    program = (
        "import sys, edge.commands.run_door, edge.door, edge.cli\n"
        "print([name for name in sys.modules if name.startswith(('edge.update', 'edge.sign'))])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_the_nightly_update_is_off_and_outside_of_the_hours_in_which_clocks_change() -> None:
    found = re.fullmatch(r"\*-\*-\* (\d\d):\d\d:00", dict(settings(NIGHTLY))["OnCalendar"])
    assert found is not None
    assert 4 <= int(found[1]) <= 22
    script = installation.functions()
    assert not re.search(r"enable [^\n]*doorlight-update", script)


def test_readme_explains_every_setting() -> None:
    text = (FOLDER / "README.md").read_text().partition("\n# The units of the updates")[2].partition("\n# ")[0]
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    assert named == {key for unit in UNITS for key, _ in settings(unit)}


def test_the_script_installs_and_removes_them() -> None:
    text = installation.functions()
    update_units = text.partition("\nupdate_units() {")[2].partition("\n}")[0]
    uninstall = text.partition("\nuninstall() {")[2].partition("\n}")[0]
    for unit in UNITS:
        assert unit.name in update_units
        assert f"{unit.name.partition('.')[0]}." in uninstall


#: Only with a read-only root.
RESTORE = FOLDER / "doorlight-units.service"


@needs_analyze
def test_systemd_verifies_the_unit_of_a_read_only_root(tmp_path: Path) -> None:
    text = re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", RESTORE.read_text(), flags=re.MULTILINE)
    (tmp_path / RESTORE.name).write_text(text)
    command = ["systemd-analyze", "verify", "--man=no", str(tmp_path / RESTORE.name)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_units_are_restored_before_everything_of_the_door() -> None:
    found = settings(RESTORE)
    unit = dict(found)
    assert set(unit["Before"].split()) >= {"doorlight.service", TRIAL.name, *OTHER_UNITS}
    layout = Layout()
    conditions = [value for key, value in found if key == "ConditionPathExists"]
    assert conditions == [str(layout.kept_units), f"!{layout.trial}"]
    script = installation.functions()
    assert f"RESTORE={unit['ExecStart']}\n" in script
    assert f"kept={layout.kept_units}\n" in (FOLDER / "restore-units.sh").read_text()


def test_every_service_waits_for_the_disk_of_its_program() -> None:
    for path in FOLDER.glob("*.service"):
        program = dict(settings(path))["ExecStart"].split()[0]
        mounts = dict(settings(path)).get("RequiresMountsFor", "").split()
        if program.startswith(str(Layout().opt)) or path == RESTORE:
            assert str(Layout().opt) in mounts, path


def test_readme_explains_every_setting_of_the_unit_of_a_read_only_root() -> None:
    text = (FOLDER / "README.md").read_text().partition("\n# The unit of a read-only root")[2].partition("\n# ")[0]
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    assert {name for row in rows for name in re.findall(r"`([^`]+)`", row)} == {key for key, _ in settings(RESTORE)}


def test_the_script_keeps_the_files_that_an_update_manages() -> None:
    """All but the settings, which are on the disk of the data themselves."""
    text = installation.functions().partition("\nmanaged_files() {")[2].partition("\n}")[0]
    for pattern in MANAGED:
        name = pattern.replace("etc/systemd/system/doorlight.service.d", '"$DROP_INS').removeprefix("etc/")
        assert (name in text) != name.startswith("doorlight/"), pattern
