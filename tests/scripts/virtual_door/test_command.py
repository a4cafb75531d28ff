"""The command scripts/vdoor, and its use of pytest."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.paths import ROOT, SCRIPTS
from virtual_door import __main__ as command

SCENARIOS = ROOT / "tests/virtual_door"


def vdoor(*arguments: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "virtual_door", *arguments]
    return subprocess.run(words, cwd=SCRIPTS, capture_output=True, text=True, timeout=120)


def test_list_names_and_describes_scenarios() -> None:
    done = vdoor("list")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "test_cold_boot" in done.stdout
    assert "test_fifty_power_cuts" in done.stdout
    assert "50 power cuts, at work and during the boot." in done.stdout


def test_unknown_scenario_is_an_error() -> None:
    done = vdoor("test", "--as-built", "-k", "no_such_scenario")
    assert done.returncode == 5, done.stdout + done.stderr
    assert "deselected" in done.stdout


def test_unknown_option_is_an_error() -> None:
    done = vdoor("build", "--frobnicate")
    assert done.returncode == 2
    assert "--frobnicate" in done.stderr


@pytest.mark.parametrize("words", [("--suite", "potato", "list"), ("list", "--suite", "potato")])
def test_unknown_suite_is_an_error(words: tuple[str, ...]) -> None:
    done = vdoor(*words)
    assert done.returncode == 2
    assert "trixie" in done.stderr
    assert "bookworm" in done.stderr


@pytest.mark.parametrize("words", [("--suite", "bookworm", "build"), ("build", "--suite", "bookworm")])
def test_suite_before_or_after_the_command(words: tuple[str, ...]) -> None:
    assert command.parser().parse_args(words).suite == "bookworm"
    assert command.parser().parse_args(["build"]).suite is None


def test_every_scenario_is_marked_and_described() -> None:
    for path in SCENARIOS.glob("test_*.py"):
        text = path.read_text()
        assert "pytest.mark.virtual_door" in text, path
        for name in re.findall(r"^def (test_\w+)", text, re.MULTILINE):
            assert re.search(rf'^def {name}\([^)]*\) -> None:\n    """\w', text, re.MULTILINE), f"{path}: {name}"


def test_failed_check_fails_the_test(tmp_path: Path) -> None:
    """The hook in conftest.py fails a scenario with a wrong check, and writes the report."""
    (tmp_path / "conftest.py").write_text((SCENARIOS / "conftest.py").read_text())
    (tmp_path / "test_x.py").write_text(
        "def test_wrong(report):\n    '''It is wrong.'''\n    report.equal(1, 2, 'one')\n    report.equal(1, 1, 'same')\n"
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", str(tmp_path)],
        env={"PYTHONPATH": f"{SCRIPTS}:{ROOT}", "VDOOR_RESULTS": str(tmp_path / "results"),
             "DOORLIGHT_VDOOR": str(tmp_path / "cache"), "PATH": "/usr/bin:/bin"},
        cwd=tmp_path, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    assert "one: expected 2, seen 1" in done.stdout
    assert "| test_wrong | FAILED | 2 | 1 |" in (tmp_path / "results/vdoor-report.md").read_text()
