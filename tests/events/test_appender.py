"""Rotation, repair of a torn line, and files that cannot be a log."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import textwrap
from functools import partial
from pathlib import Path

import pytest

from edge.errors import OutputError
from edge.events.reader import read
from edge.events.record import EventRecord
from edge.events.writer import EventLog
from edge.records import Event
from support.event_log import NO_ROTATION, kinds, log_files, records, write
from support.paths import ROOT
from support.wait import wait_until


def test_rotation(path: Path) -> None:
    write(path, *["calm"] * 600, rotate_bytes=4096, keep=3)
    files = [path, *(Path(f"{path}.{n}") for n in (1, 2, 3))]
    assert log_files(path) == sorted(files)
    assert all(0 < file.stat().st_size <= 4096 for file in files)
    newest_first = [record["seq"] for file in files for record in reversed(records(file))]
    assert newest_first == list(range(600, 600 - len(newest_first), -1))
    # Each rotated file is full: another line would not fit.
    assert all(file.stat().st_size > 4096 - 100 for file in files[1:])


def test_rotation_continues_after_a_restart(path: Path) -> None:
    for _ in range(4):
        write(path, *["calm"] * 40, rotate_bytes=4096, keep=9)
    assert [record["seq"] for record in read(path)] == list(range(1, 161))
    assert Path(f"{path}.1").exists()


def test_a_smaller_limit_removes_the_oldest_files(path: Path) -> None:
    write(path, *["calm"] * 600, rotate_bytes=4096, keep=6)
    assert Path(f"{path}.6").exists()
    write(path, *["calm"] * 60, rotate_bytes=4096, keep=2)
    assert {file.name for file in log_files(path)} == {path.name, f"{path.name}.1", f"{path.name}.2"}


def test_files_with_similar_names_are_not_touched(path: Path) -> None:
    others = [Path(f"{path}{end}") for end in (".0", ".01", ".bak", ".1.gz", ".1x")]
    for other in others:
        other.write_text("mine\n")
    write(path, *["calm"] * 200, rotate_bytes=4096, keep=1)
    assert all(other.read_text() == "mine\n" for other in others)


def test_a_line_longer_than_the_limit_is_still_written(path: Path) -> None:
    with EventLog(path, 4096, 4) as log:
        for kind in ("calm", "started", "calm"):
            log.write(Event(kind, 0.0, {"text": "x" * 10_000 if kind == "started" else ""}))
    assert [record["event"] for record in read(path)] == ["calm", "started", "calm"]


def test_every_cut_through_the_last_line_is_repaired(path: Path) -> None:
    write(path, "started", "signal", "stopped")
    whole = path.read_bytes()
    last = whole.rindex(b"\n", 0, -1) + 1
    highest = 3
    for cut in range(last + 1, len(whole)):
        path.write_bytes(whole[:cut])
        write(path)
        repaired = records(path)
        assert path.read_bytes()[:last] == whole[:last]
        assert [record["event"] for record in repaired] == ["started", "signal", "log_repaired"]
        assert repaired[-1]["bytes"] == cut - last
        assert repaired[-1]["seq"] == highest + 1, "a reader may have seen the number of the torn line"
        highest += 1


@pytest.mark.parametrize(
    ("tail", "dropped"),
    [
        (b"\0" * 512, 512),
        (b'{"seq": 2, "ev\n', 15),
        (b"[1, 2]\n", 7),
        (b"\xff\xfe\n", 3),
        (b"\n", 1),
        (b"[" * 100_000, 100_000),
    ],
    ids=["zeros", "torn with newline", "not an object", "not UTF-8", "empty line", "nested too deeply"],
)
def test_other_damaged_ends_are_repaired(path: Path, tail: bytes, dropped: int) -> None:
    write(path, "started")
    before = path.read_bytes()
    path.write_bytes(before + tail)
    write(path, "stopped")
    assert path.read_bytes().startswith(before)
    assert kinds(path) == ["started", "log_repaired", "stopped"]
    assert records(path)[1]["bytes"] == dropped
    assert [record["seq"] for record in records(path)] == [1, 2, 3]


def test_a_file_of_one_torn_line_is_repaired(path: Path) -> None:
    path.write_bytes(b'{"seq": 1, "time": "20')
    write(path, "started")
    assert kinds(path) == ["log_repaired", "started"]


def test_damage_before_the_last_line_is_kept(path: Path) -> None:
    damaged = b'{"seq": 1}\n\0\0garbage\n{"seq": 7, "event": "calm"}\n'
    path.write_bytes(damaged)
    write(path, "started")
    assert path.read_bytes().startswith(damaged)
    reading = read(path)
    assert [record["seq"] for record in reading] == [1, 7, 8]
    assert reading.damaged == 1


def test_an_undamaged_log_is_not_repaired(path: Path) -> None:
    write(path, "started")
    write(path, "started")
    assert kinds(path) == ["started", "started"]


def test_a_process_killed_while_writing_loses_nothing_on_disk(path: Path) -> None:
    """After SIGKILL, twice: what was on the disk stays, numbers continue, and every line is complete."""
    code = f"""
        from pathlib import Path
        from edge.events.writer import EventLog
        from edge.records import Event
        log = EventLog(Path({str(path)!r}), 20_000, 1000)
        n = 0
        while True:
            log.write(Event("calm", n, {{"text": "x" * (n % 700)}}))
            n += 1
    """

    def has_grown(lines: int) -> bool:
        return Path(f"{path}.3").exists() and len(list(read(path))) > lines

    before: list[EventRecord] = []
    for _ in range(2):
        child = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT)
        wait_until(partial(has_grown, len(before)))
        child.kill()
        child.wait(60)
        write(path, "started", rotate_bytes=20_000, keep=1000)
        reading = read(path)
        after = list(reading)
        assert reading.damaged == 0
        assert after[: len(before)] == before
        seqs = [record["seq"] for record in after]
        assert all(one < next_one for one, next_one in itertools.pairwise(seqs))
        before = after


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"no folder .*missing") as caught:
        EventLog(tmp_path / "missing" / "log.jsonl", NO_ROTATION, 4)
    assert caught.value.exit_code == 74
    assert "mkdir" in caught.value.hint


def test_a_folder_is_refused(tmp_path: Path) -> None:
    for folder in (tmp_path, Path("/"), Path(".")):
        with pytest.raises(OutputError, match="is a folder"):
            EventLog(folder, NO_ROTATION, 4)


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="no folder"):
        EventLog(tmp_path / "file" / "log.jsonl", NO_ROTATION, 4)


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_a_folder_without_write_permission_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(OutputError, match="Permission denied"):
        EventLog(tmp_path / "log.jsonl", NO_ROTATION, 4)


def test_a_folder_that_not_even_root_can_write_is_refused() -> None:
    with pytest.raises(OutputError, match=r"/proc/doorlight\.jsonl: cannot be written"):
        EventLog(Path("/proc/doorlight.jsonl"), NO_ROTATION, 4)


def test_devices_and_pipes_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for odd in (Path("/dev/full"), Path("/dev/null"), tmp_path / "pipe"):
        with pytest.raises(OutputError, match="not a regular file"):
            EventLog(odd, NO_ROTATION, 4)


@pytest.mark.parametrize("text", ["Dear diary,\nno newline at the end", "[camera]\n", "\n"])
def test_a_file_that_is_not_a_log_is_refused_and_kept(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(OutputError, match="something else than events"):
        EventLog(path, NO_ROTATION, 4)
    assert path.read_text() == text


def test_two_doors_cannot_share_a_log(path: Path) -> None:
    with EventLog(path, NO_ROTATION, 4) as log:
        log.write(Event("started", 0.0))
        with pytest.raises(OutputError, match="another doorlight"):
            EventLog(path, NO_ROTATION, 4)
    write(path, "started")
    assert kinds(path) == ["started", "started"]


def test_a_log_with_a_byte_order_mark_is_continued(path: Path) -> None:
    """An editor of Windows has saved it."""
    write(path, "started", "stopped")
    before = b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n")
    path.write_bytes(before)
    write(path, "started")
    assert path.read_bytes().startswith(before)
    reading = read(path)
    assert [record["seq"] for record in reading] == [1, 2, 3]
    assert reading.damaged == 0


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32"])
def test_a_log_in_another_encoding_is_refused_by_its_name(path: Path, encoding: str) -> None:
    path.write_text('{"seq": 1, "event": "started"}\n', encoding=encoding)
    before = path.read_bytes()
    with pytest.raises(OutputError, match=f"is {encoding[:6].upper()} text"):
        EventLog(path, NO_ROTATION, 4)
    assert path.read_bytes() == before
