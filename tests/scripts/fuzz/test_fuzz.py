"""A small, fixed sample of the hostile input of scripts/fuzz.

All 20,000 cases:  PYTHONPATH=scripts python -m fuzz.run
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.paths import SCRIPTS

CASES = 240
#: Cases of kinds that wait for a second or more.
WAITING = 8


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, object]]:
    """The results of all cases. They run in a child process: pytest has threads, so it must not fork."""
    report = tmp_path_factory.mktemp("fuzz") / "report.json"
    command = [
        sys.executable,
        "-m",
        "fuzz.run",
        "--cases",
        str(CASES),
        "--waiting",
        str(WAITING),
        "--report",
        str(report),
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=SCRIPTS)
    assert report.exists(), done.stdout + done.stderr
    found: list[dict[str, object]] = json.loads(report.read_text())
    assert done.returncode == int(any(result["faults"] for result in found)), done.stdout + done.stderr
    return found


def test_no_case_fails(results: list[dict[str, object]]) -> None:
    assert [(result["name"], result["faults"], result["stderr"]) for result in results if result["faults"]] == []


def test_every_kind_runs_and_some_inputs_are_accepted(results: list[dict[str, object]]) -> None:
    """Inputs that are all rejected at once would find no fault."""
    codes: dict[str, set[object]] = {}
    for result in results:
        codes.setdefault(str(result["name"]).partition(":")[0], set()).add(result["code"])
    assert len(results) > CASES * 0.8
    assert len(codes) == 21
    for kind in ("picture", "video", "folder", "settings", "log", "repair", "manifest", "model", "stream"):
        assert 0 in codes[kind], kind
    for kind, rejected in {
        "picture": 66,
        "video": 66,
        "settings": 78,
        "manifest": 69,
        "model": 69,
        "repair": 74,
    }.items():
        assert rejected in codes[kind], kind


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("raise ValueError('x')", "traceback: ValueError: x"),
        ("os.kill(os.getpid(), 11)", "ends with SIGSEGV"),
        ("sys.exit(99)", "exit code 99 is not in --help"),
        ("sys.exit(66)", "exit code 66, expected 0, 78"),
        ("print('\\x1b[2J')", "stdout has control characters"),
        ("print('doorlight: \\r', file=sys.stderr)", "stderr has control characters"),
        ("bytearray(300_000_000)", "MiB, allowed 256"),
        ("time.sleep(60)", "hangs"),
    ],
)
def test_fault_is_detected(tmp_path: Path, fault: str, message: str) -> None:
    """Run a case with a command line that has a fault."""
    code = f"""
import os, sys, time
sys.path.insert(0, {str(SCRIPTS)!r})
from fuzz import inputs
from fuzz.run_case import run_case
from edge import cli
def main(argv):
    {fault}
    return 0
cli.main = main
inputs.KINDS["settings"] = inputs.KINDS["settings"]._replace(
    make=lambda rng, material: inputs.Case([], frozenset({{0, 78}}), limit_s={2.0 if message == "hangs" else 60.0}), fresh=True)
result = run_case("settings:0", "1", inputs.Material({{}}, {{}}, {{}}))
print(result.faults)
"""
    environ = os.environ | {"TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environ)
    assert message in done.stdout, done.stdout + done.stderr
