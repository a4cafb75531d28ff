"""Write what was measured as Markdown.

usage: python3 -m checks.picamera.report JUNIT.xml RESULTS.json OUT.md
"""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import platform
import re
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

#: Where build_root.sh installs libcamera.
LIBCAMERA = Path("/opt/libcamera/lib")
#: How each fault is described.
FAULTS = {
    "hang": "no frame comes",
    "timeout": "libcamera cancels all requests",
    "error": "frames come damaged",
    "late": "frames come two seconds late",
    "freeze": "the same frame comes again and again",
    "black": "the lens is covered",
    "stuck": "no frame comes, and the driver never stops (GIL held)",
    "killed": "the camera process is killed",
    "stopped": "the camera process stands still (SIGSTOP)",
}


class Scenario(NamedTuple):
    """A test function, how many of its cases ran with the real libraries, and how many of these failed."""

    name: str
    cases: int
    failed: int


def read_scenarios(junit: str) -> list[Scenario]:
    """Return the scenarios of pytest's XML that ran with the real libraries, in their order."""
    counts: dict[str, tuple[int, int]] = {}
    for case in ElementTree.fromstring(junit).iter("testcase"):
        name, _, parameters = case.attrib["name"].partition("[")
        if "real" not in re.split(r"[-\]]", parameters):
            continue
        cases, failed = counts.get(name, (0, 0))
        is_failed = any(child.tag in ("failure", "error") for child in case)
        counts[name] = cases + 1, failed + is_failed
    return [Scenario(name, *numbers) for name, numbers in counts.items()]


def versions() -> str:
    """Return names and versions of what is real here."""
    library = max((path.name for path in LIBCAMERA.glob("libcamera.so.*.*.*")), key=len, default="")
    return (
        f"libcamera {library.removeprefix('libcamera.so.')} and Picamera2 {importlib.metadata.version('picamera2')} "
        f"(Python {platform.python_version()}, {platform.machine()})"
    )


def render(scenarios: Sequence[Scenario], results: Mapping[str, Any], date: datetime.date, libraries: str) -> str:
    """Return the report as Markdown. `libraries` are names and versions of what is real."""
    lines = [
        f"# Doorlight on the real Picamera2, {date}",
        "",
        f"{libraries}; the sensor is a folder. No image processor, no kernel driver, no Raspberry Pi.",
        "",
    ]
    if scenarios:
        lines += ["| scenario | cases | result |", "|---|---|---|"]
        lines += [
            f"| {each.name.removeprefix('test_').replace('_', ' ')} | {each.cases} | "
            f"{'ok' if not each.failed else f'**{each.failed} failed**'} |"
            for each in scenarios
        ]
        lines.append("")
    if clip := results.get("clip"):
        verdict = "the same as on the file" if clip["ok"] else "**not those on the file**"
        lines += [
            f"The demo clip: {clip['decisions']} decisions, {verdict}, at most {clip['shift_s']:.2f} s apart.",
            "",
        ]
    if faults := results.get("faults"):
        lines += ["| fault | FAULT after | back after its end (0: a picture counted before it) |", "|---|---|---|"]
        lines += [
            f"| {FAULTS[each['fault']]} | {_seconds(each['fault_after_s'])} | {_seconds(each['back_after_s'])} |"
            for each in faults
        ]
        lines.append("")
    if costs := results.get("costs"):
        lines += ["| cost | |", "|---|---|", *_cost_rows(costs), ""]
    return "\n".join(lines)


def _seconds(seconds: float | None) -> str:
    return "not shown" if seconds is None else f"{seconds:.1f} s"


def _cost_rows(costs: Mapping[str, Any]) -> list[str]:
    names = ["the door", *["its camera process"] * (len(costs["pss_mb"]) - 1)]
    rows = [f"| start to the first picture | {costs['first_light_s']:.1f} s |"]
    rows.append(f"| processor, door and camera process | {100 * costs['cpu_cores']:.0f} % of a core |")
    for name, pss, private, files in zip(
        names, costs["pss_mb"], costs["private_mb"], costs["descriptors"], strict=True
    ):
        rows.append(f"| {name} | {pss:.0f} MB proportional, {private:.0f} MB of its own, {files} descriptors |")
    return rows


if __name__ == "__main__":
    junit_path, results_path, out = map(Path, sys.argv[1:])
    read = read_scenarios(junit_path.read_text()) if junit_path.exists() else []
    measured = json.loads(results_path.read_text()) if results_path.exists() else {}
    out.write_text(render(read, measured, datetime.date.today(), versions()))
