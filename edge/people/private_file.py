"""Files that only their owner can read, whose old content is overwritten when they are replaced or deleted.

Overwriting reaches the blocks of the file on a hard disk, and on a card as far as its file system shows it. The controller
of an SD card or SSD writes elsewhere and may keep the old block: what remains there is encrypted, see store.py.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from ..enrolled_paths import unfinished
from ..errors import ConfigError, OutputError
from ..system.files import lock, read_regular, sync_folder, write_all

MODE = 0o600
MAX_BYTES = 16 << 20
#: A change takes milliseconds, and much longer on a slow card: wait, because a command may have looked at a face for a minute.
LOCK_TIMEOUT_S, LOCK_RETRY_S = 5.0, 0.02


def read(path: Path) -> bytes:
    """Return the content. Raises OSError if it cannot be read, and ConfigError if others may read or change it."""
    status = path.stat()
    if stat.S_ISREG(status.st_mode) and stat.S_IMODE(status.st_mode) & 0o077:
        raise ConfigError(f"{path}: others may read or change it", f"sudo chmod 600 {path}")
    return read_regular(path, MAX_BYTES)


def replace(path: Path, content: bytes) -> None:
    """Replace the content of a file, durably, and overwrite what it had. A reader sees the old content or the new one.

    With root it belongs to the owner of its folder, so that the door can read it. Raises OSError.
    """
    new = unfinished(path)
    delete(new)  # of a command that was interrupted
    with _opened(path) as old:
        file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, MODE)
        try:
            folder = path.parent.stat()
            if os.geteuid() == 0:
                os.fchown(file, folder.st_uid, folder.st_gid)
            os.fchmod(file, MODE)  # the umask may have removed permissions
            write_all(file, content)
            os.fsync(file)
        except OSError:
            os.close(file)
            with contextlib.suppress(OSError):
                delete(new)
            raise
        os.close(file)
        new.rename(path)
        sync_folder(path.parent)
        if old is not None:
            _overwrite(old)


def write_error(path: Path, error: OSError, otherwise: str, verb: str = "written") -> OutputError:
    """Return the error for a file that cannot be written, with a hint for its reason; `otherwise` is the hint for other reasons."""
    folder = path.parent
    hints = {
        errno.EROFS: f"the disk is read-only, as a failing card makes itself (sudo dmesg | tail): sudo mount -o remount,rw "
        f"{_mount_point(folder)}, or name a file on another disk",
        errno.ENOSPC: f"make room on the disk: df -h {folder}",
        errno.EDQUOT: f"make room on the disk: df -h {folder}",
        errno.EACCES: "for the service's people: sudo",
        errno.EPERM: "for the service's people: sudo",
    }
    return OutputError(f"{path}: cannot be {verb}: {error.strerror}", hints.get(error.errno or 0, otherwise))


def _mount_point(folder: Path) -> Path:
    folder = folder.absolute()
    return next((place for place in (folder, *folder.parents) if os.path.ismount(place)), Path("/"))


def delete(path: Path) -> None:
    """Delete a file and overwrite its content; nothing if there is none. Raises OSError."""
    with _opened(path) as file:
        if file is None:
            return
        path.unlink()
        sync_folder(path.parent)
        _overwrite(file)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Lock the file `path`, which is created. Raises OutputError if another process keeps it locked, or without access."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, MODE)
    except OSError as error:
        raise write_error(path, error, "doorlight doctor", "created") from None
    try:
        status, folder = os.fstat(file), path.parent.stat()
        # Only a lock that was created now: a file of another user under this name keeps its owner.
        if os.geteuid() == 0 and status.st_uid == 0 and status.st_nlink == 1 and not status.st_size:
            os.fchown(file, folder.st_uid, folder.st_gid)
        _lock(file, path)
        yield
    finally:
        os.close(file)


def _lock(file: int, path: Path) -> None:
    end = time.monotonic() + LOCK_TIMEOUT_S
    while True:
        try:
            return lock(file)
        except BlockingIOError:
            if time.monotonic() > end:
                raise OutputError(
                    f"{path}: another command changes the enrolled people", "try again in a moment"
                ) from None
        time.sleep(LOCK_RETRY_S)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int | None]:
    """Open a file for writing, without following a link; None if there is none."""
    try:
        file = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        yield None
        return
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", str(path))
        yield file
    finally:
        os.close(file)


def _overwrite(file: int) -> None:
    """Overwrite an open file that no longer has a name with zeros. One that has another name (a hard link) is left."""
    status = os.fstat(file)
    if status.st_nlink:
        return
    os.lseek(file, 0, os.SEEK_SET)
    write_all(file, bytes(status.st_size))
    os.fsync(file)
