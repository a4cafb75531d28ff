"""20,000 broken, huge and malicious pictures, videos, streams, settings, models, logs and names.

It needs no virtual machine: each case runs in a child process on the host, see scripts/fuzz. A few cases of each kind
are part of scripts/test (tests/scripts/fuzz). Frames of a Raspberry Pi camera are not among them: they come from the
Pi's chip.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from support.paths import SCRIPTS
from virtual_door.report import Report

pytestmark = [pytest.mark.virtual_door, pytest.mark.slow]

CASES = 20_000
MAX_CASE_S = 60
MAX_CASE_MIB = 1024


def test_hostile_input(report: Report, results: Path) -> None:
    """Each case ends with a fitting exit code and at most one clear line."""
    results.mkdir(parents=True)
    cases_file = results / "cases.json"
    command = [sys.executable, "-m", "fuzz.run", "--cases", str(CASES), "--report", str(cases_file)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=SCRIPTS)
    (results / "output.txt").write_text(done.stdout + done.stderr)
    cases = json.loads(cases_file.read_text())
    by_kind: dict[str, list[dict[str, object]]] = {}
    for case in cases:
        by_kind.setdefault(str(case["name"]).partition(":")[0], []).append(case)
    for kind, some in by_kind.items():
        faults = [f"{case['name']}: {fault}" for case in some for fault in _list(case["faults"])]
        codes = sorted({str(case["code"]) for case in some})
        seen = "; ".join(faults[:5]) or f"exit codes {', '.join(codes)}"
        report.check(not faults, f"hostile input: {kind}", "a fitting exit code, one clear line", seen, len(some))
    report.measure("longest case", max(float(case["seconds"]) for case in cases), "s", at_most=MAX_CASE_S)
    peak_mib = max(float(case["peak_mib"]) for case in cases)
    report.measure("most memory beyond that of a door", peak_mib, "MiB", at_most=MAX_CASE_MIB)


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
