"""The file of hours: what keeps it right after rotation, damage, power cuts, other versions, and other people's files."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge.errors import InputError, OutputError
from edge.events.record import encode, utc_text
from edge.statistics import figures
from edge.statistics.hours_file import hours_path
from support.played_day import LogWriter, write_log

BEGIN = datetime(2026, 11, 20, 8, 20, tzinfo=UTC)


def three_hours() -> LogWriter:
    """Return a log from 8:20 to 11:20 with a passage every ten minutes."""
    log = LogWriter(BEGIN)
    log.start()
    for k in range(18):
        log.passage("unmasked" if k % 3 == 0 else "masked")
        log.wait(596)
    return log


@pytest.fixture
def kept(path: Path) -> Path:
    """The file of hours of a log: its hours 8, 9 and 10, since hour 11 is not complete."""
    write_log(path, three_hours().records)
    assert figures.keep(path) == (3, True)
    return hours_path(path)


def people(path: Path) -> dict[int, int]:
    return {hour.start.hour: hour.people for hour in figures.collect(path).hours}


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ("events.jsonl", "hours.jsonl"),
        ("doorlight-events.jsonl", "doorlight-hours.jsonl"),
        ("events-events.jsonl", "events-hours.jsonl"),
        ("door.jsonl", "hours-door.jsonl"),
        ("log", "hours-log"),
    ],
)
def test_each_log_of_a_folder_has_a_file_of_its_own(log: str, expected: str) -> None:
    assert hours_path(Path("/x") / log) == Path("/x") / expected


def test_keeping_twice_changes_nothing(path: Path, kept: Path) -> None:
    before, status = kept.read_bytes(), kept.stat()
    assert figures.keep(path) == (3, False)
    assert kept.read_bytes() == before
    assert (kept.stat().st_ino, kept.stat().st_mtime_ns) == (status.st_ino, status.st_mtime_ns)


def test_made_again_from_the_log_it_has_the_same_bytes(path: Path, kept: Path) -> None:
    before = kept.read_bytes()
    kept.unlink()
    figures.keep(path)
    assert kept.read_bytes() == before


def test_a_line_is_as_the_readme_says(kept: Path) -> None:
    line = json.loads(kept.read_bytes().splitlines()[1])
    assert line == {
        "v": 1, "hour": "2026-11-20T09:00+00:00", "people": 6, "masked": 4, "alarms": 0, "fault_s": 0, "up_s": 3600,
        "dwell_s": {"4": 6}, "decision_s": {"0.9": 6},
        "log": [1, "2026-11-20T08:20:00.000Z", 22, "2026-11-20T10:00:00.000Z", 22],
    }  # fmt: skip


def test_new_hours_are_appended(path: Path, kept: Path) -> None:
    before, number = kept.read_bytes(), kept.stat().st_ino
    log = three_hours()
    log.wait(7200)
    log.stop()
    write_log(path, log.records)
    assert figures.keep(path) == (5, True)
    assert kept.read_bytes().startswith(before)
    assert kept.stat().st_ino == number, "years of hours are not written again each night"


def test_hours_that_the_log_has_lost_are_kept(path: Path, kept: Path) -> None:
    whole = figures.collect(path)
    before = kept.read_bytes()
    write_log(path, three_hours().records[-8:])
    assert figures.keep(path) == (3, False)
    assert kept.read_bytes() == before
    found = figures.collect(path)
    assert found.total == whole.total
    assert found.from_hours == 3
    path.unlink()
    assert people(path) == {8: 4, 9: 6, 10: 6}, "they are shown without a log, too"


def test_an_hour_of_which_the_log_has_lost_a_part_is_not_counted_twice(path: Path, kept: Path) -> None:
    records = three_hours().records
    whole = figures.collect(path).total
    for begin in range(len(records)):
        write_log(path, records[begin:])
        figures.keep(path)
        if begin < 33:  # from there, the log has lost a part of hour 11, which was never complete
            assert figures.collect(path).total == whole, begin


@pytest.mark.parametrize("cut", [1, 30, 200])
def test_a_torn_line_is_counted_again(path: Path, kept: Path, cut: int) -> None:
    before = kept.read_bytes()
    kept.write_bytes(before[:-cut])
    found = figures.collect(path)
    assert found.damaged_hours == 1
    assert found.total.people == 18
    figures.keep(path)
    assert kept.read_bytes() == before


@pytest.mark.parametrize(
    "line",
    [
        b"\0" * 300,
        b"[]",
        b'{"v":1}',
        b'{"v":0,"hour":"2026-11-20T09:00+00:00"}',
        b"[" * 100_000,
        b'{"v":1,"hour":"2026-11-20T09:30+00:00","people":1,"masked":1,"alarms":0,"fault_s":0,"up_s":1,"log":[1,"2026-11-20T09:30:00Z",1,"2026-11-20T09:30:00Z",1]}',
        b'{"v":1,"hour":"2026-11-20T09:00+00:00","people":1,"masked":2,"alarms":0,"fault_s":0,"up_s":1,"log":[1,"2026-11-20T09:30:00Z",1,"2026-11-20T09:30:00Z",1]}',
        b'{"v":1,"hour":"2026-11-20T09:00+00:00","people":1,"masked":1,"alarms":0,"fault_s":0,"up_s":1e999,"log":[1,"2026-11-20T09:30:00Z",1,"2026-11-20T09:30:00Z",1]}',
        b'{"v":1,"hour":"2026-11-20T09:00+00:00","people":1,"masked":1,"alarms":0,"fault_s":0,"up_s":1,"dwell_s":{"x":1},"log":[1,"2026-11-20T09:30:00Z",1,"2026-11-20T09:30:00Z",1]}',
        b'{"v":1,"hour":"2026-11-20T09:00+00:00","people":1,"masked":1,"alarms":0,"fault_s":0,"up_s":1,"dwell_s":{"1":999999999},"log":[1,"2026-11-20T09:30:00Z",1,"2026-11-20T09:30:00Z",1]}',
    ],
)
def test_a_damaged_line_is_counted_and_replaced(path: Path, kept: Path, line: bytes) -> None:
    before = kept.read_bytes()
    lines = before.splitlines(keepends=True)
    kept.write_bytes(lines[0] + line + b"\n" + lines[2])
    found = figures.collect(path)
    assert (found.damaged_hours, found.total.people) == (1, 18)
    figures.keep(path)
    assert kept.read_bytes() == before


def test_a_file_of_a_newer_version_is_not_changed(path: Path, kept: Path) -> None:
    newer = kept.read_bytes().replace(b'"v":1', b'"v":2', 1)
    kept.write_bytes(newer)
    found = figures.collect(path)
    assert (found.newer_hours, found.total.people) == (1, 18), "the log has its hour, too"
    with pytest.raises(OutputError, match=r"hours\.jsonl: was written by a newer version"):
        figures.keep(path)
    assert kept.read_bytes() == newer


def test_another_program_s_file_is_not_overwritten(path: Path, kept: Path) -> None:
    kept.write_text("monday 8\ntuesday 7\n")
    with pytest.raises(OutputError, match="holds something else than hours"):
        figures.keep(path)
    assert kept.read_text().startswith("monday")
    assert figures.collect(path).total.people == 18


def test_a_folder_without_permission(path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a real folder: root may write everywhere."""
    kept.unlink()

    def refuse(name: Path, *_: object) -> int:
        raise PermissionError(13, "Permission denied", str(name))

    monkeypatch.setattr("edge.statistics.hours_file._write", refuse)
    with pytest.raises(OutputError, match=r"hours\.jsonl: cannot be written: Permission denied") as caught:
        figures.keep(path)
    assert caught.value.hint.startswith("see who may write: ls -ld ")


def test_a_folder_in_place_of_the_file(path: Path, kept: Path) -> None:
    kept.unlink()
    kept.mkdir()
    with pytest.raises(InputError, match=r"hours\.jsonl: cannot be read: Is a directory"):
        figures.keep(path)


def test_a_full_disk_leaves_the_old_file(path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = kept.read_bytes()
    kept.write_bytes(before[:-1])  # so that the file is replaced

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("edge.statistics.hours_file.write_all", refuse)
    with pytest.raises(OutputError, match="No space left on device"):
        figures.keep(path)
    assert kept.read_bytes() == before[:-1]
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["events.jsonl", "hours.jsonl"]


def test_a_run_that_was_interrupted_leaves_nothing_in_the_way(path: Path, kept: Path) -> None:
    kept.unlink()
    kept.with_name(".hours.jsonl.new").write_text("half")
    figures.keep(path)
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["events.jsonl", "hours.jsonl"]


def test_a_link_in_place_of_the_new_file_is_not_followed(path: Path, kept: Path, tmp_path: Path) -> None:
    kept.unlink()
    target = tmp_path / "target"
    target.write_text("precious")
    kept.with_name(".hours.jsonl.new").symlink_to(target)
    figures.keep(path)
    assert target.read_text() == "precious"
    assert not kept.is_symlink()


def test_a_damaged_log_does_not_lower_the_figures(path: Path, kept: Path) -> None:
    """A bad sector of the card has taken a part of hour 9 after its line was written."""
    lines = list(map(encode, three_hours().records))
    before = kept.read_bytes()
    path.write_bytes(b"".join([*lines[:10], b"\0" * 500 + b"\n", *lines[16:]]))
    found = figures.collect(path)
    assert (found.damaged, found.total.people) == (1, 18)
    figures.keep(path)
    assert kept.read_bytes() == before


def test_a_log_that_begins_again_with_1(path: Path, kept: Path) -> None:
    """The log and its counter were deleted; the numbers of the new log were used before."""
    log = LogWriter(datetime(2026, 11, 20, 12, tzinfo=UTC))
    log.start()
    for _ in range(30):
        log.passage()
        log.wait(300)
    write_log(path, log.records)
    assert people(path) == {8: 4, 9: 6, 10: 6, 12: 12, 13: 12, 14: 6}
    figures.keep(path)
    assert people(path) == {8: 4, 9: 6, 10: 6, 12: 12, 13: 12, 14: 6}


def test_an_older_copy_of_the_log(path: Path, kept: Path) -> None:
    write_log(path, three_hours().records[:20])
    assert people(path) == {8: 4, 9: 6, 10: 6}
    figures.keep(path)
    assert people(path) == {8: 4, 9: 6, 10: 6}


def test_two_files_of_hours_joined(path: Path, kept: Path) -> None:
    before = kept.read_bytes()
    kept.write_bytes(before + before)
    assert people(path) == {8: 4, 9: 6, 10: 6, 11: 2}
    figures.keep(path)
    assert kept.read_bytes() == before


def test_a_window_across_an_hour_that_only_the_file_has(path: Path, kept: Path) -> None:
    write_log(path, three_hours().records[-4:])
    since = datetime(2026, 11, 20, 9, 30, tzinfo=UTC).timestamp()
    found = figures.collect(path, since)
    assert {hour.start.hour: hour.people for hour in found.hours} == {9: 6, 10: 6, 11: 2}
    assert found.whole_hours == 1, "the hour 9 is counted whole, and the notes say so"
    assert found.begin is not None
    assert found.begin.timestamp() == since


@pytest.mark.parametrize("seed", range(6))
def test_whatever_the_log_forgets_nothing_is_lost_or_counted_twice(
    path: Path, seed: int, set_zone: Callable[[str], None]
) -> None:
    """Passages, blind times, restarts and crashes, and a log that forgets them at random."""
    set_zone(random.Random(seed).choice(["UTC", "Europe/Berlin", "Asia/Kolkata", "America/New_York"]))
    rng = random.Random(seed)
    log = LogWriter(datetime(2026, 10, 24, 18, tzinfo=UTC))
    log.start()
    begin = kept_up_to = 0
    for _ in range(30):
        for _ in range(rng.randrange(1, 12)):
            match rng.randrange(12):
                case 0:
                    log.signal("FAULT")
                    log.wait(rng.randrange(5000))
                    log.signal("IDLE")
                case 1:
                    log.stop()
                    log.wait(rng.randrange(8000))
                    log.start()
                case 2:
                    log.wait(60)
                    log.start()  # after a crash
                case 3:
                    person = log.judge("masked")
                    log.wait(rng.randrange(4000))
                    log.write("unmasked", person=person, evidence=-2.0)
                    log.wait(2)
                    log.clear(person, "unmasked", 3.0)
                case 4:
                    log.signal("ALARM")
                case _:
                    log.passage(rng.choice(["masked", "unmasked"]), rng.randrange(1, 90))
                    log.wait(rng.randrange(2400))
        # The log forgets records that were three hours old when the hours were kept.
        begin = rng.randrange(begin, max(begin, kept_up_to) + 1)
        write_log(path, log.records[begin:])
        if rng.random() < 0.7:
            figures.keep(path)
            before = hours_path(path).read_bytes() if hours_path(path).exists() else b""
            figures.keep(path)
            assert (hours_path(path).read_bytes() if before else b"") == before
            kept_up_to = sum(record["time"] < utc_text(log.now_s - 3 * 3600) for record in log.records)
    whole = path.with_name("whole-events.jsonl")
    write_log(whole, log.records)
    found, expected = figures.collect(path), figures.collect(whole)
    assert found.from_hours > 3
    assert found.total == expected.total
    assert [(hour.start, hour.people, hour.up_ms) for hour in found.hours] == [
        (hour.start, hour.people, hour.up_ms) for hour in expected.hours
    ]


def test_a_changed_verdict_is_no_other_person_after_the_log_has_lost_the_first(path: Path) -> None:
    log = LogWriter(BEGIN)
    log.start()
    log.wait(2390)
    person = log.judge("unmasked")
    log.signal("STOP")
    log.wait(20)
    log.write("masked", person=person, evidence=2.0)
    log.clear(person, "masked", 21.0)
    log.wait(4000)
    log.passage()
    write_log(path, log.records)
    figures.keep(path)
    whole = figures.collect(path).total
    assert (whole.people, whole.masked) == (2, 2)
    write_log(path, log.records[2:])
    assert figures.collect(path).total == whole


def test_an_hour_that_the_clock_repeats_is_kept_and_read_again(path: Path) -> None:
    """A power cut without a network: the clock starts again before the last event."""
    log = LogWriter(datetime(2026, 11, 20, 10, tzinfo=UTC))
    log.start()
    for _ in range(58):
        log.wait(54)
        log.passage(dwell_s=4)
    log.now_s -= 56 * 60
    log.start()
    for _ in range(140):
        log.wait(56)
        log.passage(dwell_s=4)
    log.stop()
    write_log(path, log.records)
    before = figures.collect(path)
    assert figures.keep(path)[1]
    after = figures.collect(path)
    assert after.damaged_hours == 0
    assert (after.total.people, after.total.up_ms) == (before.total.people, before.total.up_ms)
    assert max(hour.up_ms for hour in before.hours) <= 3_600_000
