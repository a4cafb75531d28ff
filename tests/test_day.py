"""A day at the door in three minutes of the door's time: scripts/vdoorlab/day.py counts what it says it counts."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

from vdoorlab import day


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> day.Result:
    return day.day(0.05, day.CLIP, 400.0, tmp_path_factory.mktemp("log"))


def test_everything_is_played(result: day.Result) -> None:
    assert result.frames >= 0.05 * 3600 * day.FPS
    assert result.played["night"] >= 1
    assert result.played["clip"] >= 2
    assert result.played["crowd"] >= 1


def test_whoever_came_is_counted(result: day.Result) -> None:
    assert result.one_clip["masked"] == 1
    assert result.one_clip["unmasked"] == 2
    clips = result.played["clip"]
    assert [result.told["clip"][kind] for kind in ("masked", "unmasked", "cleared")] == [clips, 2 * clips, 3 * clips]
    assert result.told["crowd"]["unmasked"] == 10 * result.played["crowd"]
    assert set(result.told["empty"]) == {"started", "stopped"}


def test_the_log_is_whole(result: day.Result) -> None:
    assert result.lines == sum(sum(kinds.values()) for kinds in result.told.values())
    assert (result.gaps_in_seq, result.damaged) == (0, 0)
    assert result.samples[0][1] > 10
