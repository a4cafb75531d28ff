"""Hostile input, the quick part: some of every kind that scripts/fuzz/run.py has, always the same.

All of it, 20,000 cases and more:  python scripts/fuzz/run.py
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
#: Those that wait for a time of their own, a second or more each: fewer of them.
WAITING = 8


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, object]]:
    """What became of every case; as a process of its own, since pytest has threads and must not be forked."""
    report = tmp_path_factory.mktemp("hostile") / "report.json"
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


def test_nothing_crashes_hangs_or_takes_all_memory(results: list[dict[str, object]]) -> None:
    assert [(result["name"], result["faults"], result["said"]) for result in results if result["faults"]] == []


def test_every_kind_was_tried_and_not_all_of_it_refused(results: list[dict[str, object]]) -> None:
    """A harness whose files are all nonsense would find nothing either."""
    codes: dict[str, set[object]] = {}
    for result in results:
        codes.setdefault(str(result["name"]).partition(":")[0], set()).add(result["code"])
    assert len(results) > CASES * 0.8
    assert len(codes) == 21
    for kind in ("picture", "video", "folder", "settings", "log", "repair", "manifest", "model", "stream"):
        assert 0 in codes[kind], kind
    for kind, refused in {
        "picture": 66,
        "video": 66,
        "settings": 78,
        "manifest": 69,
        "model": 69,
        "repair": 74,
    }.items():
        assert refused in codes[kind], kind


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("raise ValueError('x')", "traceback: ValueError: x"),
        ("os.kill(os.getpid(), 11)", "dies by SIGSEGV"),
        ("sys.exit(99)", "exit code 99 is none"),
        ("sys.exit(66)", "exit code 66, expected 0, 78"),
        ("print('\\x1b[2J')", "stdout has control characters"),
        ("print('doorlight: \\r', file=sys.stderr)", "stderr has control characters"),
        ("bytearray(300_000_000)", "MiB, allowed 256"),
        ("time.sleep(60)", "hangs"),
    ],
)
def test_a_fault_is_found(tmp_path: Path, fault: str, says: str) -> None:
    """The harness against a door that does what it must not."""
    code = f"""
import os, sys, time
sys.path.insert(0, {str(SCRIPTS)!r})
from fuzz import inputs, run
from edge import cli
def main(argv):
    {fault}
    return 0
cli.main = main
inputs.KINDS["settings"] = inputs.KINDS["settings"]._replace(
    make=lambda rng, material: inputs.Case([], frozenset({{0, 78}}), limit_s=5.0), fresh=True)
result = run.run_case("settings:0", "1", inputs.Material({{}}, {{}}, {{}}))
print(result.faults)
"""
    environ = os.environ | {"TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environ)
    assert says in done.stdout, done.stdout + done.stderr
