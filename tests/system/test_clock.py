"""Quiet hours, and whether the system clock can be trusted."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from edge.system import clock


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("22:00-07:00", (1320, 420)),
        ("00:00-23:59", (0, 1439)),
        ("13:00-14:30", (780, 870)),
        ("20:00-24:00", (1200, 1440)),
    ],
)
def test_parse_hours(text: str, hours: tuple[int, int]) -> None:
    assert clock.parse_hours(text) == hours


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("22-7", "form"),
        ("22:00–07:00", "form"),  # an en dash
        ("22:00-07:00 ", "form"),
        ("²2:00-07:00", "form"),
        ("24:00-07:00", "does not exist"),
        ("22:60-07:00", "does not exist"),
        ("22:00-07:99", "does not exist"),
        ("22:00-24:01", "does not exist"),
        ("07:00-07:00", "begins when it ends"),
    ],
)
def test_parse_hours_refuses_other_text(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        clock.parse_hours(text)


@pytest.mark.parametrize(
    ("hours", "inside", "outside"),
    [
        ((1320, 420), (1320, 1439, 0, 419), (420, 1319, 720)),
        ((780, 870), (780, 869), (779, 870, 0, 1439)),
        ((1200, 1440), (1200, 1439), (0, 1199)),
    ],
    ids=["past midnight", "by day", "until midnight"],
)
def test_within(hours: tuple[int, int], inside: tuple[int, ...], outside: tuple[int, ...]) -> None:
    assert all(clock.within(hours, minute) for minute in inside)
    assert not any(clock.within(hours, minute) for minute in outside)


def test_minute_of_day_is_local_time(monkeypatch: pytest.MonkeyPatch) -> None:
    before = time.time()
    try:
        found = []
        for zone in ("UTC0", "XYZ-5:30"):  # POSIX notation: five and a half hours ahead of UTC
            monkeypatch.setenv("TZ", zone)
            time.tzset()
            found.append(clock.minute_of_day())
    finally:
        monkeypatch.delenv("TZ")
        time.tzset()
    utc = int(before // 60) % 1440
    assert (found[0] - utc) % 1440 <= 1
    assert (found[1] - found[0]) % 1440 in (330, 331)


class TestIsSet:
    @pytest.fixture(autouse=True)
    def no_source_of_time(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr(clock, "TIMESYNC_FILE", str(tmp_path / "synchronized"))
        monkeypatch.setattr(clock, "RTC_FILES", str(tmp_path / "rtc*/since_epoch"))

    def add_clock_chip(self, folder: Path, content: str) -> None:
        (folder / "rtc0").mkdir()
        (folder / "rtc0" / "since_epoch").write_text(content)

    def test_false_without_timesyncd_and_clock_chip(self) -> None:
        assert not clock.is_set()

    def test_true_once_timesyncd_has_set_the_clock(self, tmp_path: Path) -> None:
        (tmp_path / "synchronized").touch()
        assert clock.is_set()

    def test_true_if_a_clock_chip_agrees(self, tmp_path: Path) -> None:
        self.add_clock_chip(tmp_path, f"{int(time.time()) - 3}\n")
        assert clock.is_set()

    @pytest.mark.parametrize("content", ["0\n", "1577836800\n", "", "no\n"])
    def test_false_if_the_clock_chip_has_no_battery(self, tmp_path: Path, content: str) -> None:
        self.add_clock_chip(tmp_path, content)
        assert not clock.is_set()

    def test_false_if_the_clock_chip_cannot_be_read(self, tmp_path: Path) -> None:
        (tmp_path / "rtc0" / "since_epoch").mkdir(parents=True)
        assert not clock.is_set()
