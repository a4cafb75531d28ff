"""The shell scripts, as far as they can be tested without changing this machine.

scripts/checks/install.sh installs, interrupts, upgrades and uninstalls in a clean Debian; it takes minutes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from support import installation
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
SOURCED = [str(file.relative_to(SCRIPTS)) for file in installation.FILES]
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
@pytest.mark.parametrize("name", [*SHELL, *SOURCED])
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
            installation.function("die"),
            installation.function("gpio_library"),
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
    assert "apt_packages\n    gpio_library\n    program\n" in installation.function("prepare")
