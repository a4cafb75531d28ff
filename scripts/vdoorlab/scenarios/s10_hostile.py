"""Hostile input: 20,000 broken, enormous and malicious pictures, videos, streams, settings, models, logs and names.

Without a virtual machine, which adds nothing here but time: each case is a process of its own on this machine, through the
command line's own entry point, a sample of them as a `doorlight` started anew. See hostile.py for what counts as a fault,
rubbish for what is thrown. Pictures of a Raspberry Pi camera are not among it: they come from the Pi's own chip.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from vdoorlab.report import Report
from vdoorlab.runner import Lab

QUICK = False  # some of every kind are in tests/test_hostile.py
CASES = 20_000
HOSTILE = Path(__file__).resolve().parents[1] / "hostile.py"


def run(lab: Lab, report: Report) -> None:
    lab.folder.mkdir(parents=True, exist_ok=True)
    written = lab.folder / "cases.json"
    command = [sys.executable, str(HOSTILE), "--cases", str(CASES), "--report", str(written)]
    said = subprocess.run(command, capture_output=True, text=True)
    (lab.folder / "said.txt").write_text(said.stdout + said.stderr)
    by_kind: dict[str, list[dict[str, object]]] = {}
    for result in json.loads(written.read_text()):
        by_kind.setdefault(str(result["name"]).partition(":")[0], []).append(result)
    for kind, results in by_kind.items():
        faults = [f"{result['name']}: {fault}" for result in results for fault in _list(result["faults"])]
        codes = sorted({str(result["code"]) for result in results})
        seen = "; ".join(faults[:5]) or f"exit codes {', '.join(codes)}"
        report.check(
            not faults, f"{kind}: broken in every way", "an exit code that fits, one clear line", seen, len(results)
        )
    everything = [result for results in by_kind.values() for result in results]
    report.measure("longest case", [max(float(str(result["seconds"])) for result in everything)], "s", at_most=60)
    report.measure(
        "most memory beyond what a door has", [max(float(str(r["peak_mib"])) for r in everything)], "MiB", 1024
    )


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
