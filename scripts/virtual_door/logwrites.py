"""Rebuild a disk whose cache a power cut has emptied, from the log of the kernel's dm-log-writes.

A drive may keep written data in its cache until it receives a flush. dm-log-writes (Linux,
Documentation/admin-guide/device-mapper/log-writes.rst) lies between file system and disk, and logs a write when a flush
has made it durable, or at once if it was written through (FUA). The log up to an entry, applied to the disk's earlier
content, is the worst case of a power cut at that moment: no data that was not flushed. In other cases the disk also
holds some sectors of later writes: see `torn`.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

FLUSH, FUA, DISCARD, MARK = 1, 2, 4, 8
SECTOR = 512
_MAGIC = 0x6A736677736872
_SUPER, _ENTRY = struct.Struct("<QQQI"), struct.Struct("<QQQQ")


@dataclass(frozen=True)
class Entry:
    """One entry of the log: `data` was written to `sector`, or a mark with `text`."""

    sector: int
    flags: int
    data: bytes
    text: str = ""

    @property
    def is_durable(self) -> bool:
        """Whether all entries up to this one were on disk, and not only in its cache, when this one was complete."""
        return bool(self.flags & (FLUSH | FUA))


def entries(path: Path) -> list[Entry]:
    """Return all entries of a log, in order. Raises ValueError if the file is no such log."""
    return list(read_entries(path))


def read_entries(path: Path) -> Iterator[Entry]:
    """Read the entries of a log one by one. Raises ValueError if the file is no such log."""
    with path.open("rb") as file:
        magic, _, count, size = _SUPER.unpack(file.read(_SUPER.size))
        if magic != _MAGIC or size != SECTOR:
            raise ValueError(f"{path}: no log of dm-log-writes with sectors of {SECTOR} bytes")
        file.seek(SECTOR)
        for _ in range(count):
            head = file.read(SECTOR)
            sector, sectors, flags, length = _ENTRY.unpack(head[: _ENTRY.size])
            if flags & MARK:
                yield Entry(0, flags, b"", head[_ENTRY.size : _ENTRY.size + length].split(b"\0")[0].decode())
            elif flags & DISCARD:
                yield Entry(sector, flags, bytes(sectors * SECTOR))
            else:
                yield Entry(sector, flags, file.read(sectors * SECTOR))


def apply(disk: bytearray, written: Iterable[Entry]) -> None:
    """Apply writes to the content of a disk."""
    for entry in written:
        at = entry.sector * SECTOR
        disk[at : at + len(entry.data)] = entry.data


def durable_moments(path: Path) -> dict[int, str]:
    """Return the moments at which a log's writes became durable: numbers of entries, and the last mark before each."""
    found, mark = {}, ""
    for number, entry in enumerate(read_entries(path), 1):
        mark = entry.text or mark
        if entry.is_durable:
            found[number] = mark
    return found


def disks(path: Path, image: Path, moments: Mapping[int, random.Random]) -> Iterator[int]:
    """Turn `image`, a disk's content when the log began, into its content after power cuts. Yields each moment in turn.

    The content is that of the moment, and in 7 of 10 cases some of the sectors that the cache received after it.
    """
    pending: list[Entry] = []
    durable = 0
    with image.open("r+b", buffering=0) as file:
        for number, entry in enumerate(read_entries(path), 1):
            pending.append(entry)
            if not entry.is_durable:
                continue
            if durable in moments:
                yield from _cut(file, durable, pending[:-1], moments[durable])
            _write(file, pending)
            pending, durable = [], number
        if durable in moments:
            yield from _cut(file, durable, pending, moments[durable])


def _cut(file: FileIO, moment: int, received: list[Entry], rng: random.Random) -> Iterator[int]:
    """Yield the moment while the disk's file has some of what its cache received, in 7 of 10 cases."""
    before = _write(file, torn(received, rng) if rng.random() < 0.7 else [])
    yield moment
    _write(file, reversed(before))


def _write(file: FileIO, written: Iterable[Entry]) -> list[Entry]:
    """Write into a disk's file, and return what was there before."""
    before = []
    for entry in written:
        file.seek(entry.sector * SECTOR)
        before.append(Entry(entry.sector, 0, file.read(len(entry.data))))
        file.seek(entry.sector * SECTOR)
        file.write(entry.data)
    return before


def torn(written: Iterable[Entry], rng: random.Random) -> list[Entry]:
    """Return a random part of the sectors: what a cache may have written before it received a flush."""
    share = rng.random()
    return [
        Entry(entry.sector + k // SECTOR, 0, entry.data[k : k + SECTOR])
        for entry in written
        if not entry.flags & MARK
        for k in range(0, len(entry.data), SECTOR)
        if rng.random() < share
    ]
