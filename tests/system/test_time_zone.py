"""A time zone that Python cannot use is replaced before a command reads a time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.paths import ROOT

LINE = '{"seq":1,"time":"2026-11-20T10:00:00.000Z","t":0.0,"event":"started","live":true}\n'


@pytest.mark.parametrize("zone", ["XYZ+24", "XYZ-24:00:00", "XYZ+167", "AAA+3BBB+30", "AAA-30BBB-2"])
@pytest.mark.parametrize("command", ["events", "stats"])
def test_an_offset_of_a_day_or_more(tmp_path: Path, zone: str, command: str) -> None:
    """POSIX allows up to 167 hours in TZ."""
    log = tmp_path / "events.jsonl"
    log.write_text(LINE)
    done = run([command, str(log)], zone)
    assert done.returncode == 0, done.stderr
    assert done.stderr == f"doorlight: note: TZ is '{zone}': a time zone differs by less than 24 hours; times are UTC\n"
    if command == "events":
        assert "10:00:00" in done.stdout


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu", "XYZ-14", "XYZ+23:59:59", "nonsense", ""])
def test_other_zones_are_used(tmp_path: Path, zone: str) -> None:
    log = tmp_path / "events.jsonl"
    log.write_text(LINE)
    assert run(["events", str(log)], zone).stderr == ""


def run(arguments: list[str], zone: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edge", *arguments],
        capture_output=True, text=True, timeout=60, check=False, cwd=ROOT, env={**os.environ, "TZ": zone},
    )  # fmt: skip
