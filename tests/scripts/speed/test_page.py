"""speed.page: what counts as met, and the door that it measures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from speed import page
from speed.compare import CLIP
from support.paths import ROOT


def results(monkeypatch: pytest.MonkeyPatch, quiet: dict[str, float], busy: dict[str, float]) -> None:
    """Let each measurement give these figures: of a door that is watched, or not."""

    def measure(
        seconds: float, enabled: bool, parts: tuple[str, ...] = (), checkout: Path = ROOT
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        said: dict[str, Any] = {"frames": [1] * 15, "answers": [], "counts": {}, "page_mb": [40.0, 40.0, 41.0, 60.0]}
        usual = {"cpu_percent": 8.0, "p99_ms": 5.0, "max_ms": 9.0, "rss_mb": [90.0, 91.0, 91.0, 91.0]}
        return usual | (busy if parts or enabled else quiet), said

    monkeypatch.setattr(page, "measure", measure)


@pytest.mark.parametrize(
    ("busy", "is_met"),
    [({}, True), ({"cpu_percent": 8.4}, True), ({"cpu_percent": 9.0}, False), ({"p99_ms": 40.0}, False)],
)
def test_nobody_watches(monkeypatch: pytest.MonkeyPatch, busy: dict[str, float], is_met: bool) -> None:
    results(monkeypatch, {}, busy)
    (target,) = page.check_quiet(1.0, 3, None)
    assert target.met is is_met


@pytest.mark.parametrize(("p99_ms", "is_met"), [(5.0, True), (33.1, False)])
def test_hostile_clients(monkeypatch: pytest.MonkeyPatch, p99_ms: float, is_met: bool) -> None:
    results(monkeypatch, {}, {"p99_ms": p99_ms})
    (target,) = page.check_clients("hostile", 1.0, 3)
    assert target.met is is_met
    assert "5.0 frames/s a viewer" in target.measured


def test_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    results(monkeypatch, {}, {})
    assert [target.met for target in page.check_memory(1.0)] == [True, False]


def test_the_measured_door_is_the_program(tmp_path: Path) -> None:
    (tmp_path / "door.toml").write_text("")
    command = [sys.executable, ROOT / "scripts/speed/watched_door.py", CLIP, tmp_path / "door.toml", "4"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120, check=True, cwd=ROOT)
    found = json.loads(done.stdout.splitlines()[-1])
    assert 20 <= found["frames"] <= 31
    assert found["p50_ms"] <= found["p99_ms"] <= found["max_ms"]
    assert '"live": true' in (tmp_path / "door.toml.log").read_text()
