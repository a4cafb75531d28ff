"""The shell scripts, as far as they can be tested without changing this machine.

scripts/checks/install.sh installs, interrupts, upgrades and uninstalls in a clean Debian; it takes minutes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from support.paths import SCRIPTS

SHELL = ["install.sh", "tail.sh", "checks/install.sh", "checks/arm64.sh"]
PLACES = ["/opt/doorlight", "/etc/doorlight", "/etc/systemd/system/doorlight.service", "/usr/local/bin/doorlight"]

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
    done = subprocess.run(["shellcheck", SCRIPTS / name], capture_output=True, text=True, timeout=300, check=False)
    assert done.stdout == ""
    assert done.returncode == 0


@pytest.mark.parametrize("name", SHELL)
def test_help_shows_usage(name: str) -> None:
    done = script(name, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: ")
    assert len(done.stdout.splitlines()) > 3


@pytest.mark.parametrize("name", ["install.sh", "checks/install.sh", "checks/arm64.sh"])
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
