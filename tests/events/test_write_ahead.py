"""The write-ahead file: what it saves, and what is in the log after a power cut or a change by another program."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from edge.events.appender import Appender
from edge.events.reader import read
from edge.events.write_ahead import FILE_BYTES, write_ahead_path
from edge.events.writer import EventLog
from support.appender import append, line, reopened, seqs
from support.event_log import NO_ROTATION, kinds, records, write
from support.log_disk import LogDisk

#: Disks that are rebuilt for a power cut.
DISKS = 300


def crash(log: Appender, path: Path, size: int) -> None:
    """End as by a power cut: the log has `size` bytes, the write-ahead file everything."""
    files = {file: file.read_bytes() for file in (path, write_ahead_path(path))}
    log.close()
    for file, data in files.items():
        file.write_bytes(data[:size] if file == path else data)


def test_a_moment_syncs_a_file_that_does_not_change_its_size(
    path: Path, log: Appender, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(log, line(2))
    before = write_ahead_path(path).stat()
    disk = LogDisk(path.parent, monkeypatch)
    for seq in range(3, 103):
        append(log, line(seq))
    after = write_ahead_path(path).stat()
    assert disk.syncs == {"fsync": 0, "fdatasync": 100}
    assert (after.st_size, after.st_blocks, after.st_ino) == (FILE_BYTES, before.st_blocks, before.st_ino)
    assert after.st_blocks * 512 >= FILE_BYTES, "no block is allocated later"


def test_the_log_is_plain_text_at_any_time(path: Path, log: Appender) -> None:
    for seq in range(2, 200):
        append(log, line(seq))
        assert path.read_bytes().endswith(line(seq))
    assert b"\0" not in path.read_bytes()


def test_the_log_is_synced_when_the_file_is_full(path: Path, log: Appender, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = LogDisk(path.parent, monkeypatch)
    count = 2 * FILE_BYTES // len(line(1000, "x" * 100))
    for seq in range(1000, 1000 + count):
        append(log, line(seq, "x" * 100))
    assert 2 <= disk.syncs["fsync"] <= 7


@pytest.mark.parametrize("is_moved", [True, False])
def test_a_file_that_was_deleted_or_moved_is_made_again(
    path: Path, log: Appender, monkeypatch: pytest.MonkeyPatch, is_moved: bool
) -> None:
    append(log, line(2))
    ahead = write_ahead_path(path)
    if is_moved:
        ahead.rename(ahead.with_name("elsewhere"))
    else:
        ahead.unlink()
    disk = LogDisk(path.parent, monkeypatch)
    append(log, line(3))
    assert disk.syncs == {"fsync": 1, "fdatasync": 0}, "the log itself is synced"
    size = path.stat().st_size
    append(log, line(4))
    crash(log, path, size)
    reopened(path)
    assert seqs(path) == [1, 2, 3, 4]


@pytest.mark.parametrize("rotate_bytes", [4096, 20_000, 200_000])
def test_no_event_is_lost_on_any_of_three_hundred_disks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rotate_bytes: int
) -> None:
    """Whatever the power cut leaves of the sectors that were not synced, every line that `append` has written is there."""
    rng = random.Random(rotate_bytes)
    for number in range(DISKS // 3):
        folder, after = tmp_path / f"{number}", tmp_path / f"{number}-cut"
        folder.mkdir()
        with monkeypatch.context() as patch:
            disk, log = LogDisk(folder, patch), Appender(folder / "log.jsonl", rotate_bytes, 1000)
            log.open()
            durable = [0]  # the number of the last line that is durable; it ends with the cut

            def cut(disk: LogDisk = disk, after: Path = after) -> None:
                if not after.exists() and rng.random() < 0.03:
                    disk.after_a_cut(after, rng)

            disk.before_sync = cut
            for _ in range(rng.randint(1, 15)):
                first = durable[-1] + 1
                lines = [line(seq, "x" * rng.randrange(700)) for seq in range(first, first + rng.randint(1, 3))]
                append(log, *lines)
                if after.exists():
                    break
                durable.append(durable[-1] + len(lines))
            if not after.exists():
                disk.after_a_cut(after, rng)
            disk.before_sync = lambda: None
            log.close()
            assert reopened(after / "log.jsonl") < 3 * 1000
        found = seqs(after / "log.jsonl")
        assert found == list(range(1, len(found) + 1)), f"disk {number}"
        assert durable[-1] <= len(found) <= durable[-1] + 3, f"disk {number}"


@pytest.mark.parametrize("left", ["nothing", "half a line", "zeros", "a hole of zeros"])
def test_lines_that_a_power_cut_has_taken_are_restored(path: Path, log: Appender, left: str) -> None:
    for seq in range(2, 40):
        append(log, line(seq))
    whole = path.read_bytes()
    first = len(line(1))
    crash(log, path, first + {"nothing": 0, "half a line": 15}.get(left, 0))
    if left == "zeros":
        path.write_bytes(whole[:first] + bytes(1000))
    elif left == "a hole of zeros":
        path.write_bytes(whole[: first + 90] + bytes(500) + whole[first + 590 :])
    assert reopened(path) == 0
    assert path.read_bytes() == whole
    assert not write_ahead_path(path).exists()


def test_a_reader_sees_them_before_the_next_start(path: Path, log: Appender) -> None:
    """A card that is read in another computer."""
    for seq in range(2, 40):
        append(log, line(seq))
    crash(log, path, len(line(1)) + 30)
    assert [record["seq"] for record in read(path)] == list(range(1, 40))


def test_numbers_continue_behind_restored_lines(path: Path, log: Appender) -> None:
    for seq in range(2, 40):
        append(log, line(seq))
    crash(log, path, len(line(1)))
    write(path, "started")
    assert [record["seq"] for record in records(path)] == list(range(1, 41))
    assert kinds(path)[-1] == "started"


def test_a_line_behind_the_restored_ones_is_repaired(path: Path, log: Appender) -> None:
    """It was written, but the power went before it was durable."""
    for seq in range(2, 10):
        append(log, line(seq))
    whole = path.read_bytes()
    crash(log, path, len(line(1)))
    path.write_bytes(whole[: len(line(1))] + bytes(len(whole) - len(line(1))) + line(10)[:20])
    assert reopened(path) == 20
    assert path.read_bytes() == whole


def empty(path: Path) -> None:
    path.write_bytes(b"")


def delete_and_start_another(path: Path) -> None:
    path.unlink()
    path.write_bytes(line(1, "of another log") * 3)


def remove_lines_in_an_editor(path: Path) -> None:
    path.write_bytes(line(1, "edited"))


def overwrite(path: Path) -> None:
    path.write_bytes(line(1) + b"Dear diary,\n" + line(1))


def go_on_with_an_old_version(path: Path) -> None:
    path.write_bytes(line(1) + line(2) + line(2000, "of a version without a write-ahead file"))


@pytest.mark.parametrize(
    "change", [empty, delete_and_start_another, remove_lines_in_an_editor, overwrite, go_on_with_an_old_version]
)
def test_a_log_that_somebody_has_changed_is_left_alone(path: Path, log: Appender, change: object) -> None:
    for seq in range(2, 40):
        append(log, line(seq))
    crash(log, path, len(line(1)))
    assert callable(change)
    change(path)
    before = path.read_bytes()
    reopened(path)
    assert path.read_bytes() == before


def test_nothing_is_restored_after_a_stop(path: Path) -> None:
    """Lines that a user deletes, alone or with the log, are not restored."""
    write(path, *["calm"] * 20)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:3]))
    assert reopened(path) == 0
    assert len(records(path)) == 3


@pytest.mark.parametrize("moved", ["moved", "emptied", "deleted"])
def test_a_log_that_is_moved_while_it_is_written_gets_all_its_lines(path: Path, log: Appender, moved: str) -> None:
    for seq in range(2, 20):
        append(log, line(seq))
    elsewhere = path.with_name("elsewhere")
    if moved == "emptied":
        elsewhere.write_bytes(path.read_bytes())
        path.write_bytes(b"")
    elif moved == "moved":
        path.rename(elsewhere)
    else:
        path.unlink()
    assert not log.is_open()
    log.close()
    log.open()
    assert path.read_bytes() == b""
    append(log, line(20))
    append(log, line(21))
    crash(log, path, 0)
    reopened(path)
    assert path.read_bytes() == b"", "a log without a synced line has nothing before which lines could be missing"
    if moved != "deleted":
        assert seqs(elsewhere) == list(range(1, 20))


@pytest.mark.parametrize("seed", range(20))
def test_a_damaged_file_restores_complete_lines_or_none(path: Path, log: Appender, seed: int) -> None:
    rng = random.Random(seed)
    for seq in range(2, 40):
        append(log, line(seq))
    crash(log, path, len(line(1)))
    ahead = write_ahead_path(path)
    data = bytearray(ahead.read_bytes())
    for _ in range(rng.randint(1, 5)):
        begin = rng.randrange(6000)
        data[begin : begin + 8] = rng.randbytes(8)
    ahead.write_bytes(data[: rng.choice((len(data), 5000, 100, 1))])
    reopened(path)
    found = seqs(path)
    assert found == list(range(1, len(found) + 1))


@pytest.mark.parametrize(
    "data",
    [b"", b"\n", b"a b c\n", b"x 1 2 3 4 5\n", b"p 99999999999999999999999 0 5 0\nabcde", b"p 1 zz 5 0\n", b" " * 200],
)
def test_a_file_that_is_something_else_restores_nothing(path: Path, data: bytes) -> None:
    path.write_bytes(line(1))
    write_ahead_path(path).write_bytes(data)
    reopened(path)
    assert path.read_bytes() == line(1)


def test_it_is_as_readable_as_the_log(path: Path) -> None:
    """A log that others may not read has no copy that they may read."""
    path.write_bytes(line(1))
    path.chmod(0o600)
    log = Appender(path, NO_ROTATION, 4)
    log.open()
    append(log, line(2))
    assert write_ahead_path(path).stat().st_mode & 0o777 == 0o600
    log.close()


def test_a_large_line_is_synced_with_the_log(path: Path, log: Appender) -> None:
    append(log, line(2, "x" * FILE_BYTES), line(3))
    append(log, line(4))
    crash(log, path, len(line(1)) + len(line(2, "x" * FILE_BYTES)) + len(line(3)))
    reopened(path)
    assert seqs(path) == [1, 2, 3, 4]


def test_the_door_leaves_no_file_behind(path: Path) -> None:
    with EventLog(path, NO_ROTATION, 4):
        pass
    write(path, *["calm"] * 20)
    assert not write_ahead_path(path).exists()
