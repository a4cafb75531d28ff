"""Disks rebuilt from a log of dm-log-writes."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest

from virtual_door import logwrites
from virtual_door.logwrites import FLUSH, FUA, MARK, SECTOR

#: Sector, flags and content of each write; a mark has a text.
Written = tuple[int, int, bytes | str]


class NoneOfTheCache(random.Random):
    """The disk's cache wrote nothing of what it received after the moment."""

    def random(self) -> float:
        return 0.99


class AllOfTheCache(random.Random):
    """It wrote everything: the answers are whether it wrote at all, its share, and less for each sector."""

    def __init__(self) -> None:
        super().__init__(0)
        self._answers = iter((0.5, 0.9))

    def random(self) -> float:
        return next(self._answers, 0.0)


def write_log(path: Path, *written: Written) -> None:
    """Write a log as the kernel does."""
    with path.open("wb") as file:
        file.write(struct.pack("<QQQI", 0x6A736677736872, 1, len(written), SECTOR).ljust(SECTOR, b"\0"))
        for sector, flags, content in written:
            text = content.encode() if isinstance(content, str) else b""
            data = content if isinstance(content, bytes) else b""
            head = struct.pack("<QQQQ", sector, len(data) // SECTOR, flags, len(text)) + text
            file.write(head.ljust(SECTOR, b"\0") + data)


def sectors(text: str) -> bytes:
    return b"".join(letter.encode() * SECTOR for letter in text)


def letters(disk: Path) -> str:
    data = disk.read_bytes()
    return "".join(chr(data[k]) for k in range(0, len(data), SECTOR))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "writes.log"
    write_log(
        path, (0, MARK, "preparing"), (0, 0, sectors("AB")), (0, FLUSH, b""), (0, MARK, "switching"), (1, 0, sectors("CD")),
        (0, FUA, sectors("E")), (3, 0, sectors("F")), (0, FLUSH, b""), (0, 0, sectors("G")),
    )  # fmt: skip
    return path


def test_durable_moments_have_the_last_mark(log: Path) -> None:
    assert logwrites.durable_moments(log) == {3: "preparing", 6: "switching", 8: "switching"}


def test_disk_without_what_was_not_flushed(log: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(sectors("...."))
    moments = {3: NoneOfTheCache(), 6: NoneOfTheCache(), 8: NoneOfTheCache()}
    seen = {k: letters(disk) for k in logwrites.disks(log, disk, moments)}
    assert seen == {3: "AB..", 6: "ECD.", 8: "ECDF"}


def test_what_the_cache_wrote_is_taken_back(log: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(sectors("...."))
    moments = {3: AllOfTheCache(), 6: NoneOfTheCache(), 8: AllOfTheCache()}
    seen = {k: letters(disk) for k in logwrites.disks(log, disk, moments)}
    assert seen == {3: "ACD.", 6: "ECD.", 8: "GCDF"}
