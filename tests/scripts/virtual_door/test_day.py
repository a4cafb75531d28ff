"""A day at the door, shortened to three minutes of door time: virtual_door.day counts correctly."""

from __future__ import annotations

import pytest

from virtual_door import day


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> day.DayResult:
    return day.day(0.05, day.CLIP, 400.0, tmp_path_factory.mktemp("log"))


def test_everything_is_played(result: day.DayResult) -> None:
    assert result.frames >= 0.05 * 3600 * day.FPS
    assert result.plays["night"] >= 1
    assert result.plays["clip"] >= 2
    assert result.plays["crowd"] >= 1


def test_people_are_counted(result: day.DayResult) -> None:
    assert result.events_of_one_clip["masked"] == 1
    assert result.events_of_one_clip["unmasked"] == 2
    clips, events = result.plays["clip"], result.events
    assert [events["clip"][kind] for kind in ("masked", "unmasked", "cleared")] == [clips, 2 * clips, 3 * clips]
    assert events["crowd"]["unmasked"] == 10 * result.plays["crowd"]
    assert set(events["empty"]) == {"started", "stopped"}


def test_log_is_complete(result: day.DayResult) -> None:
    assert result.lines == sum(sum(kinds.values()) for kinds in result.events.values())
    assert (result.gaps_in_seq, result.damaged) == (0, 0)
    assert result.samples[0][1] > 10


def test_statistics_count_what_happened(result: day.DayResult) -> None:
    assert result.statistics == result.happened
    assert result.statistics["people"] == result.people >= 16
    assert 0 < result.statistics["masked"] < result.people
