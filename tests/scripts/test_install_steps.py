"""The steps of scripts/install.sh that change a system, in a folder: program, service, questions, settings, switch."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge import config
from edge.inference import perception
from support import installation
from support.paths import ROOT, SCRIPTS

#: Runs the last steps of install.sh in a folder.
LAST_STEPS = r"""
. "$1/functions"
OPT=$1/opt ETC=$1/etc LINK=$1/doorlight UNIT=$1/doorlight.service DROP_INS=$1/drop-ins
WEB_UNIT=$1/doorlight-web.service LINK_UNIT=$1/doorlight-link.service
scratch=$1/scratch dry="" switch="" without_start=$2 release=$1/opt/releases/new
systemctl() { [ "$1" != --version ] || echo "systemd 252 (252)"; }
service
tidy
"""


class Upgrade:
    """An installation in `folder` with the programs `older` and `old`, of which `old` is the current one, and `new`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "functions").write_text(installation.functions())
        (folder / "scratch").mkdir()
        (folder / "doorlight.service").write_text("# the old unit\n")
        for name in ("older", "old", "new"):
            library = folder / "opt/releases" / name / "lib/library.so"
            library.parent.mkdir(parents=True)
            library.write_bytes(b"x" * 4096)
        (folder / "opt/current").symlink_to(folder / "opt/releases/old")

    def release(self, name: str) -> Path:
        return self.folder / "opt/releases" / name

    @contextlib.contextmanager
    def door(self, name: str) -> Iterator[None]:
        """Run a process that has mapped the library of a program, as a door of that version has."""
        code = "import mmap, sys; f = open(sys.argv[1], 'rb'); m = mmap.mmap(f.fileno(), 0, prot=1); print(flush=True); input()"
        command = [sys.executable, "-c", code, str(self.release(name) / "lib/library.so")]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            try:
                yield
            finally:
                process.kill()

    def run(self, without_start: str) -> str:
        """Run the last steps; return what they print."""
        done = subprocess.run(
            ["sh", "-euc", LAST_STEPS, "sh", str(self.folder), without_start],
            cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert os.readlink(self.folder / "opt/current") == str(self.release("new"))
        return done.stdout

    @property
    def kept(self) -> set[str]:
        return {path.name for path in (self.folder / "opt/releases").iterdir()}


@pytest.fixture
def upgrade(tmp_path: Path) -> Upgrade:
    return Upgrade(tmp_path)


@pytest.mark.parametrize("running", ["old", "older"])
def test_without_start_the_running_door_keeps_its_program(upgrade: Upgrade, running: str) -> None:
    # With "older", --without-start was used before: the current program is not the one that runs.
    with upgrade.door(running):
        printed = upgrade.run(without_start="yes")
    assert upgrade.kept == {running, "new"}
    assert f"{upgrade.release(running)} is in use" in printed


@pytest.mark.parametrize("without_start", ["yes", ""])
def test_programs_that_nobody_runs_are_removed(upgrade: Upgrade, without_start: str) -> None:
    upgrade.run(without_start)
    assert upgrade.kept == {"new"}


@pytest.mark.parametrize("name", ["web", "link"])
def test_page_and_link_are_installed_and_not_enabled(name: str, upgrade: Upgrade) -> None:
    printed = upgrade.run("")
    assert f"wrote {upgrade.folder}/doorlight-{name}.service" in printed
    text = installation.functions()
    assert f"enable doorlight-{name}" not in text
    assert text.count("[link,metrics,people,web]") == 3, (
        "the extras are installed from the checkout, from wheels, and fetched"
    )


#: Puts the script before a program, as install.sh does.
LAUNCHER = r"""
. "$1/functions"
PYTHON=$2
launcher "$1/opt/releases/new"
"""


@pytest.fixture
def launched(upgrade: Upgrade, tmp_path: Path) -> Path:
    """A program that prints its arguments, for the Python in `tmp_path`/python3."""
    release, python = upgrade.release("new"), tmp_path / "python3"
    (tmp_path / "python3.11").write_text("")
    python.symlink_to("python3.11")
    (release / "bin").mkdir()
    (release / "bin/python").symlink_to(python)
    program = release / "bin/doorlight"
    program.write_text("#!/bin/sh\nprintf '<%s>' \"$@\"\nexit 3\n")
    program.chmod(0o755)
    subprocess.run(["sh", "-euc", LAUNCHER, "sh", str(tmp_path), str(python)], cwd=ROOT, timeout=60, check=True)
    return program


def launch(program: Path, *arguments: str) -> tuple[int, str]:
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


def test_the_program_gets_its_arguments(launched: Path) -> None:
    assert launch(launched, "run", "a b", "") == (3, "<run><a b><>")


@pytest.mark.parametrize("is_former_there", [False, True], ids=["removed", "kept"])
def test_a_program_of_the_former_python_says_so(launched: Path, tmp_path: Path, is_former_there: bool) -> None:
    """The system was upgraded, and python3 is another one; the former one may be there still."""
    (tmp_path / "python3").unlink()
    (tmp_path / "python3.13").write_text("")
    (tmp_path / "python3").symlink_to("python3.13")
    if not is_former_there:
        (tmp_path / "python3.11").unlink()
    code, printed = launch(launched, "run")
    assert code == 71
    assert "installed for python3.11" in printed
    assert "sudo scripts/install.sh" in printed


#: Runs the steps "Three questions" and "Settings" of install.sh in a folder, with the answers as the program's settings.
SETTINGS = r"""
. "$1/functions"
PYTHON=$2 OPT=$1/opt ETC=$1/etc scratch=$1/scratch dry="" release=$1/opt/releases/new camera=/dev/video0
expressions=$3 controller=$4 sign=$5
questions
settings
"""


def answered(upgrade: Upgrade, *answers: str, typed: str | None = None) -> config.Config:
    """Run the step with the answers of options, and with those that somebody types at a terminal; return the settings."""
    program = upgrade.release("new") / "bin/doorlight"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m edge "$@"\n')
    program.chmod(0o755)
    arguments = ["sh", "-euc", SETTINGS, "sh", str(upgrade.folder), sys.executable, *(*answers, "", "", "")[:3]]
    if typed is None:
        done = subprocess.run(arguments, cwd=ROOT, stdin=subprocess.DEVNULL, timeout=60, check=False)
    else:
        main, other = pty.openpty()
        try:
            os.write(main, typed.encode())
            done = subprocess.run(arguments, cwd=ROOT, stdin=other, timeout=60, check=False)
        finally:
            os.close(main)
            os.close(other)
    assert done.returncode == 0
    return config.load(upgrade.folder / "etc/doorlight.toml")


def test_unattended_answers_are_no(upgrade: Upgrade) -> None:
    loaded = answered(upgrade)
    assert loaded.expression.enabled is False
    assert loaded.privacy == config.PrivacySettings(True, "", "", "")
    assert perception.required_models(loaded) == ("face_detector", "mask_classifier")


def test_answers_by_options(upgrade: Upgrade) -> None:
    loaded = answered(upgrade, "yes", 'Praxis "Äöü" \\ $HOME `id`', "left; at the door")
    assert loaded.expression.enabled is True
    assert loaded.privacy.controller == 'Praxis "Äöü" \\ $HOME `id`'
    assert loaded.privacy.sign == "left; at the door"


def test_answers_at_a_terminal(upgrade: Upgrade, capfd: pytest.CaptureFixture[str]) -> None:
    loaded = answered(upgrade, typed="yes\nDr. Who\x1b[A 555\nleft\n")
    assert capfd.readouterr().out.count("? ") == 3
    assert loaded.expression.enabled is True
    assert loaded.privacy.controller == "Dr. Who[A 555", "the code of an arrow key is not kept"


def test_an_upgrade_asks_nothing(upgrade: Upgrade, capfd: pytest.CaptureFixture[str]) -> None:
    (upgrade.folder / "etc").mkdir()
    (upgrade.folder / "etc/doorlight.toml").write_text("")
    answered(upgrade, typed="no\n")
    assert "? " not in capfd.readouterr().out


def test_the_questions_come_before_anything_that_takes_time() -> None:
    steps = (SCRIPTS / "install.sh").read_text(encoding="utf-8").rpartition("\ncheck_machine\n")[2].split()
    assert steps[:2] == ["questions", "apt_packages"]


def test_yes_without_a_name_reads_no_expression(upgrade: Upgrade) -> None:
    assert answered(upgrade, typed="y\n\nleft\n").expression.enabled is False


def test_an_upgrade_keeps_what_a_door_has(upgrade: Upgrade) -> None:
    (upgrade.folder / "etc").mkdir()
    (upgrade.folder / "etc/doorlight.toml").write_text("[camera]\nwait = true\n")
    assert answered(upgrade, "no", "Dr. Who", "left").expression.enabled is True
    assert (upgrade.folder / "etc/doorlight.toml").read_text() == "[camera]\nwait = true\n"


#: The steps of `doorlight update` with a prepared program in a folder.
SWITCH = r"""
. "$1/functions"
OPT=$1/opt ETC=$1/etc LINK=$1/doorlight UNIT=$1/doorlight.service DROP_INS=$1/drop-ins
WEB_UNIT=$1/doorlight-web.service
scratch=$1/scratch dry="" without_start="" switch=$2
systemctl() { if [ "$1" = --version ]; then echo "systemd 252 (252)"; else echo "systemctl $*"; fi; }
user_and_devices() { :; }
switch_to "$switch"
"""


def test_a_switch_starts_nothing_and_removes_nothing(upgrade: Upgrade) -> None:
    program = upgrade.release("new") / "bin/doorlight"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho the defaults\n")
    program.chmod(0o755)
    (upgrade.folder / "opt/update").mkdir()
    (upgrade.folder / "opt/update/trial.json").write_text("{}")
    command = ["sh", "-euc", SWITCH, "sh", str(upgrade.folder), str(upgrade.release("new"))]
    incomplete = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert incomplete.returncode == 69
    assert "is no complete program" in incomplete.stderr
    (upgrade.release("new") / ".complete").touch()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert os.readlink(upgrade.folder / "opt/current") == str(upgrade.release("new"))
    assert (upgrade.folder / "etc/defaults.toml").read_text() == "the defaults\n"
    assert upgrade.kept == {"older", "old", "new"}
    assert (upgrade.folder / "opt/update/trial.json").exists()
    assert not re.search("systemctl (re)?start .*doorlight.service", done.stdout)
    assert (upgrade.folder / "doorlight-trial.service").exists()
    assert "enable doorlight-trial.service doorlight-trial.timer" in done.stdout
    assert "enable doorlight-update" not in done.stdout


def test_an_installation_ends_a_trial(upgrade: Upgrade) -> None:
    (upgrade.folder / "opt/update").mkdir()
    (upgrade.folder / "opt/update/trial.json").write_text("{}")
    upgrade.run("")
    assert not (upgrade.folder / "opt/update/trial.json").exists()
