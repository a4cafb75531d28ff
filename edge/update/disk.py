"""Changes of the disk that survive a power cut.

After a power cut, a file that was written and renamed may be empty, unless it was synced before; a name may be the old one,
unless its folder was synced. `write`, `link` and `remove` are complete and durable when they return. `copy` and what other
programs write become durable with `sync`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from ..system.files import sync_folder


class Disk:
    """The disk. A test derives from it, to cut the power between two primitives: the methods with an underscore."""

    def write(self, path: Path, data: bytes) -> None:
        """Write a file. It has the old content or the new one at any time. Raises OSError."""
        new = path.with_name(f"{path.name}.new")
        self._write(new, data)
        self._fsync(new)
        self._rename(new, path)
        self._fsync_folder(path.parent)

    def link(self, target: str, path: Path) -> None:
        """Make `path` a symbolic link to `target`, in the place of the one that is there. Raises OSError."""
        new = path.with_name(f"{path.name}.new")
        self._unlink(new)
        self._symlink(target, new)
        self._rename(new, path)
        self._fsync_folder(path.parent)

    def remove(self, path: Path) -> None:
        """Remove a file or link, if it is there. Raises OSError."""
        self._unlink(path)
        with contextlib.suppress(FileNotFoundError):
            self._fsync_folder(path.parent)

    def rename(self, old: Path, new: Path) -> None:
        """Rename a file or folder. Raises OSError."""
        self._rename(old, new)
        self._fsync_folder(new.parent)

    def make_folder(self, path: Path) -> None:
        """Make a folder, and those above it, if they are not there. Raises OSError."""
        for folder in (*reversed(path.parents), path):
            if not folder.exists():
                self._mkdir(folder)

    def copy(self, source: Path, target: Path) -> None:
        """Copy a file with its permissions. It is durable after `sync`. Raises OSError."""
        self._write(target, source.read_bytes())
        target.chmod(source.stat().st_mode & 0o7777)

    def remove_tree(self, path: Path) -> None:
        """Remove a folder with its content, if it is there."""
        self._remove_tree(path)

    def sync(self) -> None:
        """Make everything durable."""
        self._sync()

    def _write(self, path: Path, data: bytes) -> None:
        path.write_bytes(data)

    def _fsync(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _fsync_folder(self, path: Path) -> None:
        sync_folder(path)

    def _rename(self, old: Path, new: Path) -> None:
        os.replace(old, new)

    def _symlink(self, target: str, path: Path) -> None:
        os.symlink(target, path)

    def _unlink(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    def _mkdir(self, path: Path) -> None:
        path.mkdir()

    def _remove_tree(self, path: Path) -> None:
        shutil.rmtree(path, ignore_errors=True)

    def _sync(self) -> None:
        os.sync()
