"""The shell scripts, as far as they can be tested without changing this machine.

scripts/checks/install.sh installs, interrupts, upgrades and uninstalls in a clean Debian; it takes minutes.
"""

from __future__ import annotations

import contextlib
import os
import pty
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge import config
from edge.inference import perception
from support.lgpio import add_empty_lgpio
from support.paths import ROOT, SCRIPTS
from support.wait import wait_until

SHELL = [
    "install.sh",
    "release",
    "tail.sh",
    "view.sh",
    "checks/install.sh",
    "checks/update.sh",
    "checks/read_only.sh",
    "checks/arm64.sh",
]
PLACES = [
    "/opt/doorlight",
    "/etc/doorlight",
    "/etc/systemd/system/doorlight.service",
    "/etc/systemd/system/doorlight-web.service",
    "/usr/local/bin/doorlight",
]

Tools = Callable[..., dict[str, str]]


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    """Return a function that replaces programs: name="shell script" for each. It returns the environment to use."""

    def make(**programs: str) -> dict[str, str]:
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        for name, text in programs.items():
            path = folder / name.replace("_", "-")
            path.write_text(f"#!/bin/sh\n{text}\n")
            path.chmod(0o755)
        return {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}

    return make


#: A clean 64-bit machine: programs that answer queries, and fail if they are to change something.
CLEAN = {
    "apt_get": "echo touched >&2; exit 99",
    "systemctl": 'case "$1" in --version) echo "systemd 252 (252)" ;; *) echo touched >&2; exit 99 ;; esac',
    "dpkg_query": "exit 1",
    "apt_cache": "exit 0",
    "getconf": "echo 64",
    "uname": "echo aarch64",
    "df": 'printf "h\\n/dev/x 9999 1 9000 1%% /\\n"',
}


def script(
    name: str, *args: object, env: dict[str, str] | None = None, **kw: object
) -> subprocess.CompletedProcess[str]:
    command = [str(SCRIPTS / name), *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=env, check=False, **kw)  # type: ignore[call-overload, no-any-return]


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed (apt install shellcheck)")
@pytest.mark.parametrize("name", SHELL)
def test_shellcheck(name: str) -> None:
    command = ["shellcheck", "-x", f"scripts/{name}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.stdout == ""
    assert done.returncode == 0


@pytest.mark.parametrize("name", SHELL)
def test_help_shows_usage(name: str) -> None:
    done = script(name, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: ")
    assert len(done.stdout.splitlines()) > 3


@pytest.mark.parametrize(
    "name", ["install.sh", "checks/install.sh", "checks/update.sh", "checks/read_only.sh", "checks/arm64.sh"]
)
def test_unknown_option_is_an_error(name: str) -> None:
    done = script(name, "--frobnicate")
    assert done.returncode == 2
    assert "--frobnicate" in done.stderr


def test_dry_run_prints_all_steps_and_changes_nothing(tools: Tools) -> None:
    before = [os.path.lexists(place) for place in PLACES]
    done = script("install.sh", "--dry-run", "--camera", "/dev/video7", env=tools(**CLEAN))
    assert done.returncode == 0, done.stderr
    assert "touched" not in done.stderr
    assert [os.path.lexists(place) for place in PLACES] == before
    for step in ("apt-get install", "python3-lgpio", "60-doorlight.rules", "sysusers", "enable doorlight"):
        assert step in done.stdout


@pytest.mark.parametrize(
    ("programs", "says"),
    [
        ({"uname": "echo riscv64"}, "riscv64"),
        ({"getconf": "echo 32"}, "32-bit system under a 64-bit kernel"),
        ({"df": 'printf "h\\n/dev/x 9 1 120 1%% /\\n"'}, "only 120 MB"),
    ],
)
def test_unsupported_machine_is_an_error(tools: Tools, programs: dict[str, str], says: str) -> None:
    done = script("install.sh", "--dry-run", env=tools(**{**CLEAN, **programs}))
    assert done.returncode == 69
    assert says in done.stderr
    assert done.stderr.startswith("doorlight: ")


def test_wheels_must_include_doorlight(tmp_path: Path, tools: Tools) -> None:
    done = script("install.sh", "--dry-run", "--wheels", tmp_path, env=tools(**CLEAN))
    assert done.returncode == 2
    assert "--fetch-wheels" in done.stderr


def test_installation_needs_root(tools: Tools) -> None:
    done = script("install.sh", env=tools(**CLEAN, id="echo 1000"))
    assert done.returncode == 77
    assert "sudo" in done.stderr


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
        text = (SCRIPTS / "install.sh").read_text(encoding="utf-8")
        (folder / "functions").write_text(text.partition('\ndry="" wheels=""')[0])
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
    text = (SCRIPTS / "install.sh").read_text(encoding="utf-8")
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


def test_an_answer_that_is_neither_yes_nor_no(tools: Tools) -> None:
    done = script("install.sh", "--dry-run", "--expressions", "maybe", env=tools(**CLEAN))
    assert done.returncode == 2
    assert "yes or no" in done.stderr


def test_view_opens_the_link_through_a_tunnel(tmp_path: Path, tools: Tools) -> None:
    link = "http://127.0.0.1:8091/?token=abc-DEF_1"
    env = tools(
        ssh=f"echo \"$*\"; echo The page is open; echo '{link}'; exit 3",
        xdg_open=f'echo "$1" > {tmp_path}/opened',
    )
    done = script("view.sh", "pi@door.local", "2h", env=env, stdin=subprocess.DEVNULL)
    assert done.returncode == 3, "that of ssh"
    assert done.stdout.splitlines()[0] == (
        "-o ExitOnForwardFailure=yes -L 127.0.0.1:8091:127.0.0.1:8091 -- pi@door.local "
        "sudo doorlight web --for 2h --listen 127.0.0.1:8091"
    )
    wait_until((tmp_path / "opened").exists)
    wait_until(lambda: (tmp_path / "opened").read_text() == f"{link}\n")


@pytest.mark.parametrize("arguments", [[], ["door", "2h; touch gone"], ["-x"]])
def test_view_refuses_what_is_no_host_and_no_time(arguments: list[str], tools: Tools) -> None:
    done = script("view.sh", *arguments, env=tools(ssh="exit 98"), stdin=subprocess.DEVNULL)
    assert done.returncode == 2
    assert done.stderr


def test_tail_quotes_every_argument(tmp_path: Path, tools: Tools) -> None:
    # Like sshd: the arguments are joined with spaces, and a shell splits them.
    env = tools(
        ssh='[ "$1" = -- ] || exit 98; shift; echo "to $1"; shift; exec sh -c "$*"',
        doorlight='for word in "$@"; do echo "<$word>"; done',
    )
    done = script(
        "tail.sh", "pi@door.local", "--kind", "it's; touch gone", env=env, stdin=subprocess.DEVNULL, cwd=tmp_path
    )
    assert done.stdout.splitlines() == [
        "to pi@door.local", "<events>", "<--follow>", "<--kind>", "<it's; touch gone>",
    ]  # fmt: skip
    assert not (tmp_path / "gone").exists()


def test_tail_needs_a_host() -> None:
    done = script("tail.sh")
    assert done.returncode == 2
    assert "usage: " in done.stderr


def shell_function(name: str) -> str:
    """Return the source of a function of scripts/install.sh."""
    text = (SCRIPTS / "install.sh").read_text()
    found = re.search(rf"^{name}\(\) \{{.*?(^\}}| \}})$", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[0]


@pytest.mark.parametrize(
    ("version", "is_pi", "code"), [("0.0.0.2", True, 69), ("0.2.2.0", True, 0), ("0.0.0.2", False, 0)]
)
@pytest.mark.parametrize("place", ["checkout", "bundle"])
def test_a_raspberry_pi_with_an_empty_lgpio_is_refused(
    tmp_path: Path, place: str, version: str, is_pi: bool, code: int
) -> None:
    """A bundle of doorlight update has the code in its package only."""
    add_empty_lgpio(tmp_path, version)
    bundle = tmp_path / "bundle"
    (bundle / "wheels").mkdir(parents=True)
    with zipfile.ZipFile(bundle / "wheels/doorlight-1.0-py3-none-any.whl", "w") as package:
        for path in (ROOT / "edge").rglob("*.py"):
            package.write(path, path.relative_to(ROOT))
    python = tmp_path / "python"  # without the packages of this environment, as Debian's own
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    python.chmod(0o755)
    program = "\n".join(
        [
            f"set -eu; dry= wheels={bundle}/wheels PYTHON={python}",
            f"is_raspberry_pi() {{ {'true' if is_pi else 'false'}; }}",
            shell_function("die"),
            shell_function("gpio_library"),
            "gpio_library",
        ]
    )
    done = subprocess.run(
        ["sh", "-c", program],
        cwd=bundle if place == "bundle" else ROOT, env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert ("is PyPI's empty package" in done.stderr) is (code == 69)
    assert ("the program in use is not changed" in done.stderr) is (code == 69)


def test_lgpio_is_looked_at_before_anything_is_built_or_switched() -> None:
    text = (SCRIPTS / "install.sh").read_text()
    assert "\napt_packages\ngpio_library\nuser_and_devices\nprogram\n" in text
    assert "apt_packages\n    gpio_library\n    program\n" in shell_function("prepare")
