"""Reading files that somebody else may have made: never a pipe or a device, never more than there should be."""

from __future__ import annotations

import errno
import os
import stat
import tomllib
from pathlib import Path
from typing import Any, BinaryIO

#: Longest TOML file that is read: a hundred times what anybody writes by hand.
MOST_TOML = 1 << 20
#: Most dots in a line of it: tomllib takes time by the square of them.
MOST_DOTS = 200


def open_plain(path: Path) -> BinaryIO:
    """Open a plain file for reading.

    Raises OSError also for what is no plain file: reading a pipe may wait for ever, reading a device may never end.
    """
    try:
        _plain(path, os.stat(path))  # before opening: that alone does something to some devices
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except ValueError:
        raise OSError(errno.EINVAL, "its name has a NUL character", repr(str(path))) from None
    try:
        _plain(path, os.fstat(file))
    except OSError:
        os.close(file)
        raise
    return open(file, "rb")


def _plain(path: Path, found: os.stat_result) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is a pipe, a socket or a device, not a regular file", str(path))


def read_plain(path: Path, most: int) -> bytes:
    """The bytes of a plain file of at most `most` bytes. Raises OSError for any other."""
    with open_plain(path) as file:
        enough = os.fstat(file.fileno()).st_size <= most
        data = (file.read(most + 1) or b"") if enough else b""  # None: a file of /proc that has nothing yet
    if not enough or len(data) > most:
        raise OSError(errno.EFBIG, f"it is larger than {most / 1e6:.0f} MB", str(path))
    return data


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file.

    Raises OSError where it cannot be read, UnicodeDecodeError where it is not UTF-8, and ValueError, with the reason,
    where it is not TOML, or TOML that tomllib would choke on.
    """
    text = read_plain(path, MOST_TOML).decode("utf-8")
    for number, line in enumerate(text.splitlines(), 1):
        if line.count(".") > MOST_DOTS and not line.lstrip().startswith("#"):
            raise ValueError(f"more than {MOST_DOTS} dots (at line {number})")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except tomllib.TOMLDecodeError:
        raise
    except ValueError:  # Python's own limit on decimal numbers, told in Python's terms
        raise ValueError("a number with thousands of digits") from None
