"""The write-ahead file on a disk that fails: something else in its place, no space, a sync that is refused."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from edge.events.appender import Appender
from edge.events.write_ahead import RETRY_AFTER, write_ahead_path
from support.appender import append, line, reopened, seqs
from support.log_disk import LogDisk


@pytest.mark.parametrize("odd", ["folder", "link", "pipe", "no space", "refused sync"])
def test_without_the_file_the_log_is_synced(
    path: Path, log: Appender, monkeypatch: pytest.MonkeyPatch, odd: str
) -> None:
    ahead = write_ahead_path(path)
    if odd == "folder":
        ahead.mkdir()
    elif odd == "link":
        ahead.symlink_to(path.with_name("target"))
    elif odd == "pipe":
        os.mkfifo(ahead)
    elif odd == "no space":
        monkeypatch.setattr("edge.events.write_ahead._MIN_FREE_FILES", 1 << 50)
    disk = LogDisk(path.parent, monkeypatch)
    if odd == "refused sync":
        monkeypatch.setattr(os, "fdatasync", refuse)
    for seq in range(2, 12):
        append(log, line(seq))
    assert disk.syncs["fsync"] >= 10
    log.close()
    assert seqs(path) == list(range(1, 12))
    assert not path.with_name("target").exists()


def test_a_disk_that_has_room_again_is_noticed(path: Path, log: Appender, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("edge.events.write_ahead._MIN_FREE_FILES", 1 << 50)
        append(log, line(2))
    for seq in range(3, 3 + RETRY_AFTER):
        append(log, line(seq))
    assert write_ahead_path(path).exists()


def refuse(_: int) -> None:
    raise OSError(errno.EIO, "Input/output error")


def test_after_a_failed_sync_everything_since_the_last_one_is_written_again(
    path: Path, log: Appender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel has dropped the pages: the next sync would succeed without them."""
    for seq in range(2, 10):
        append(log, line(seq))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", refuse)
        patch.setattr(os, "fsync", refuse)
        for _ in range(2):
            with pytest.raises(OSError, match="Input/output"):
                append(log, line(10))
    written: list[bytes] = []
    real = os.write

    def recorded(file: int, data: bytes) -> int:
        written.append(bytes(data))
        return real(file, data)

    monkeypatch.setattr(os, "write", recorded)
    append(log, line(10))
    assert b"".join(written) == b"".join(map(line, range(2, 11)))
    assert seqs(path) == list(range(1, 11))


def test_a_log_that_is_emptied_after_a_failed_sync_gets_no_zeros(
    path: Path, log: Appender, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(log, line(2))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", refuse)
        patch.setattr(os, "fsync", refuse)
        with pytest.raises(OSError, match="Input/output"):
            append(log, line(3))
    path.write_bytes(b"")
    log.close()
    assert path.read_bytes() == b""


def test_lines_whose_sync_failed_at_the_end_are_restored(
    path: Path, log: Appender, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seq in range(2, 10):
        append(log, line(seq))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        log.close()
    assert write_ahead_path(path).exists()
    path.write_bytes(line(1))
    reopened(path)
    assert seqs(path) == list(range(1, 10))
