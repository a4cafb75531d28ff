"""Read files of unknown origin, without blocking on a pipe or device and with a size limit; write, lock, sync."""

from __future__ import annotations

import codecs
import contextlib
import errno
import fcntl
import os
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

#: Longest TOML file that is read; a hundred times the size of a hand-written one.
MAX_TOML_BYTES = 1 << 20
#: tomllib needs quadratic time for the dots of a line.
MAX_DOTS_PER_LINE = 200


class WrongEncodingError(ValueError):
    """A text is in another encoding than UTF-8; `encoding` is its name."""

    def __init__(self, encoding: str) -> None:
        super().__init__(f"it is {encoding} text")
        self.encoding = encoding


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading.

    Raises OSError if the file cannot be opened or is not a regular file: reading a pipe may block for ever, and reading a
    device may never end.
    """
    try:
        _require_regular(path, os.stat(path))  # before opening, because some devices react to being opened
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except ValueError:
        raise OSError(errno.EINVAL, "the file name contains a NUL character", repr(str(path))) from None
    try:
        _require_regular(path, os.fstat(file))
    except OSError:
        os.close(file)
        raise
    return open(file, "rb")


def _require_regular(path: Path, status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is a pipe, a socket or a device, not a regular file", str(path))


def read_regular(path: Path, max_bytes: int) -> bytes:
    """Return the content of a regular file. Raises OSError if it cannot be read or is longer than `max_bytes`."""
    with open_regular(path) as file:
        fits = os.fstat(file.fileno()).st_size <= max_bytes
        # read() returns None for a file of /proc that has no data yet.
        data = (file.read(max_bytes + 1) or b"") if fits else b""
    if not fits or len(data) > max_bytes:
        raise OSError(errno.EFBIG, f"it is larger than {max_bytes / 1e6:.0f} MB", str(path))
    return data


def read_toml(path: Path) -> dict[str, Any]:
    """Return the content of a TOML file. Raises what `read_toml_text` and `parse_toml` raise."""
    return parse_toml(read_toml_text(path))


def read_toml_text(path: Path) -> str:
    """Return the text of a TOML file.

    Raises OSError if it cannot be read, and WrongEncodingError or UnicodeDecodeError if it is not UTF-8.
    """
    data = read_regular(path, MAX_TOML_BYTES)
    if encoding := wide_encoding(data):
        raise WrongEncodingError(encoding)
    # Windows' editors write a byte order mark, which no editor shows. Saving such a text again may add a second one.
    return data.decode("utf-8").lstrip("\ufeff")


def parse_toml(text: str) -> dict[str, Any]:
    """Return the content of a TOML text.

    Raises tomllib.TOMLDecodeError if it is not TOML, and another ValueError, with the reason, if tomllib cannot handle it.
    """
    for number, line in enumerate(text.splitlines(), 1):
        if line.count(".") > MAX_DOTS_PER_LINE and not line.lstrip().startswith("#"):
            raise ValueError(f"more than {MAX_DOTS_PER_LINE} dots (at line {number})")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except tomllib.TOMLDecodeError:
        raise
    except ValueError:  # Python limits the digits of a decimal number, and reports it with an unhelpful message
        raise ValueError("a number with thousands of digits") from None


def wide_encoding(start: bytes) -> str | None:
    """Return "UTF-16" or "UTF-32" if a text is in that encoding, with or without a byte order mark; None otherwise.

    `start` is the text, or at least its first 8 bytes.
    """
    if start.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "UTF-32"
    if len(start) >= 4 and start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "UTF-16"
    # Text begins with ASCII characters, such as "[" or "{": the other bytes of each are zero.
    is_zero = tuple(byte == 0 for byte in start[:8])
    if is_zero in ((False, True, True, True) * 2, (True, True, True, False) * 2):
        return "UTF-32"
    if is_zero in ((False, True) * 4, (True, False) * 4):
        return "UTF-16"
    return None


def write_all(file: int, data: bytes | bytearray | memoryview) -> None:
    """Write all of `data` to the descriptor `file`: os.write may write only a part. Raises OSError."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]


def replace_file(path: Path, data: bytes, *, mode: int = 0o644, sync: bool = True) -> None:
    """Replace the content of a file: a reader sees the old content or the new one. Raises OSError.

    With `sync`, this also holds after a power cut, and the new content is durable on return. `mode` is for a new file,
    less the umask. A failure leaves the old file, and nothing else.
    """
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)  # of a run that was interrupted
    try:
        # In a folder of another user, root must not follow a link that leads elsewhere.
        file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
        try:
            write_all(file, data)
            if sync:
                os.fsync(file)
        finally:
            os.close(file)
        new.rename(path)
    except OSError:
        with contextlib.suppress(OSError):
            new.unlink()
        raise
    if sync:
        sync_folder(path.parent)


def lock(file: int) -> None:
    """Lock the open file, without waiting, until it is closed. Raises BlockingIOError if another process has locked it.

    On a file system without locks this does nothing.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        pass  # a file system without locks


def is_locked(path: Path) -> bool:
    """Return whether a process has locked the file at `path` by `lock`, without touching the lock.

    Reads /proc/locks, see proc(5). False if that is impossible, as on file systems whose device numbers differ there.
    """
    try:
        status = os.stat(path)
        rows = Path("/proc/locks").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return False
    file = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    return any("FLOCK" in (words := row.split()) and file in words for row in rows)


def is_same_file(one: Path, other: Path) -> bool:
    """Return whether two paths lead to one file, also by links of both kinds. False if one of them does not exist."""
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):
        return False


def sync_folder(folder: Path) -> None:
    """Write the names in `folder` to the disk: fsync of a file does not make its new name durable. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_mount_read_only(folder: Path) -> bool:
    """Return whether `folder` is read-only in this process' view of the mounts, while its file system is writable.

    The kernel lists both in /proc/self/mountinfo, see proc(5): the options of the mount and those of the file system. A
    disk that has failed refuses writes, too, and may be read-only in neither.
    """
    try:
        if not os.statvfs(folder).f_flag & os.ST_RDONLY:
            return False
        device = os.stat(folder).st_dev
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as mounts:
            rows = [line.split() for line in mounts]
    except OSError:
        return False
    number = f"{os.major(device)}:{os.minor(device)}"
    return not any("ro" in row[-1].split(",") for row in rows if row[2] == number)


#: StateDirectory= of the service, which other programs than the door do not get from systemd.
SERVICE_STATE = Path("/var/lib/doorlight")


def state_folder(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return the folder for what this machine remembers; None if there is none.

    systemd names it in $STATE_DIRECTORY. Without a service it belongs to the user, see the XDG Base Directory Specification.
    """
    if service := environ.get("STATE_DIRECTORY", "").partition(":")[0]:
        return Path(service)
    base = environ.get("XDG_STATE_HOME", "")
    if not base.startswith("/"):
        home = environ.get("HOME", "")
        base = f"{home}/.local/state" if home.startswith("/") else ""
    return Path(base) / "doorlight" if base else None
