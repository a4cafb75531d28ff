"""The disk under an event log as a power cut leaves it, from what was written and synced.

What was synced is there. Of what was written later, each sector is there or not, at random, and a file that grew is shorter or
has zeros in their place. Of the write that was under way, the beginning may be there.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.events.write_ahead import SECTOR_BYTES


class LogDisk:
    """Stands for the disk under the files in `folder`: counts syncs, and does none. Names are durable at once.

    `before_sync` is called before each sync; `syncs` counts those of files, by function.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        self._synced: dict[int, bytes] = {}  # content by inode
        self._sizes: dict[int, int] = {}  # at the last sync of any file
        self.before_sync: Callable[[], None] = lambda: None
        self.syncs = {"fsync": 0, "fdatasync": 0}
        monkeypatch.setattr(os, "O_DIRECT", 0)  # or every write would be one to the real disk
        for name in self.syncs:
            monkeypatch.setattr(os, name, self._recorded(name))

    def _recorded(self, name: str) -> Callable[[int], None]:
        def sync(file: int) -> None:
            self.before_sync()
            if not os.path.isdir(f"/proc/self/fd/{file}"):
                self.syncs[name] += 1
                self._synced[os.fstat(file).st_ino] = Path(f"/proc/self/fd/{file}").read_bytes()
            self._sizes = {each.st_ino: each.st_size for each in (path.lstat() for path in self._folder.iterdir())}

        return sync

    def after_a_cut(self, target: Path, rng: random.Random) -> None:
        """Write the files into the new folder `target`, as they may be if the power goes now."""
        target.mkdir()
        share = rng.random()
        for file in sorted(self._folder.iterdir()):
            inode = file.stat().st_ino
            new, old = file.read_bytes(), self._synced.get(inode, b"")
            size = max(len(old), self._sizes.get(inode, 0))
            data = bytearray(old.ljust(rng.randint(len(old), size), b"\0"))
            for begin in range(0, len(data), SECTOR_BYTES):
                if rng.random() < share:
                    end = min(begin + SECTOR_BYTES, len(data))
                    data[begin:end] = new[begin:end]
            if len(data) == size and new.startswith(data):
                data += new[size : rng.randint(size, len(new))]
            (target / file.name).write_bytes(data)
