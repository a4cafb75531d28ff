"""What a disk holds when it loses its own cache: reads the log of the kernel's dm-log-writes, and rebuilds the disk from it.

A drive may keep what was written in a cache of its own until it is told to flush. dm-log-writes (Linux,
Documentation/admin-guide/device-mapper/log-writes.rst) lies between file system and disk and logs a write only once a flush
has made it durable, or at once where it was written through (FUA). So the log up to some entry, laid over the disk as it
was before, is what a power cut at that moment leaves in the worst case: nothing that was not flushed. In the other cases
some of what came after is there too, sector by sector: see `torn`.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

FLUSH, FUA, DISCARD, MARK = 1, 2, 4, 8
_MAGIC = 0x6A736677736872
_SUPER, _ENTRY = struct.Struct("<QQQI"), struct.Struct("<QQQQ")
SECTOR = 512


@dataclass(frozen=True)
class Entry:
    """One entry: `data` to `sector` of the disk, or a mark with `text`."""

    sector: int
    flags: int
    data: bytes
    text: str = ""

    @property
    def durable(self) -> bool:
        """Whether everything logged so far was on the disk, and not only in its cache, when this one had completed."""
        return bool(self.flags & (FLUSH | FUA))


def entries(path: Path) -> list[Entry]:
    """Every entry of a log, in order. Raises ValueError where it is none."""
    with path.open("rb") as file:
        magic, _, count, size = _SUPER.unpack(file.read(_SUPER.size))
        if magic != _MAGIC or size != SECTOR:
            raise ValueError(f"{path}: not a log of dm-log-writes with sectors of {SECTOR} bytes")
        file.seek(SECTOR)
        found = []
        for _ in range(count):
            head = file.read(SECTOR)
            sector, sectors, flags, length = _ENTRY.unpack(head[: _ENTRY.size])
            if flags & MARK:
                found.append(Entry(0, flags, b"", head[_ENTRY.size : _ENTRY.size + length].split(b"\0")[0].decode()))
            elif flags & DISCARD:
                found.append(Entry(sector, flags, bytes(sectors * SECTOR)))
            else:
                found.append(Entry(sector, flags, file.read(sectors * SECTOR)))
        return found


def lay(disk: bytearray, written: Iterable[Entry]) -> None:
    """Do to a disk what was written."""
    for entry in written:
        at = entry.sector * SECTOR
        disk[at : at + len(entry.data)] = entry.data


def torn(written: Iterable[Entry], chance: random.Random) -> list[Entry]:
    """Some of the sectors of what was written but not flushed: what a cache may have got rid of by itself."""
    share = chance.random()
    return [
        Entry(entry.sector + k // SECTOR, 0, entry.data[k : k + SECTOR])
        for entry in written
        if not entry.flags & MARK
        for k in range(0, len(entry.data), SECTOR)
        if chance.random() < share
    ]
