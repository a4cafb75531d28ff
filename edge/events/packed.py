"""Read files of a log that another program has packed (gzip, bzip2, xz), recognised by their content."""

from __future__ import annotations

import contextlib
import io
import re
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, cast

from ..system.files import open_regular

#: A packed file of a log is not read beyond this: a few kilobytes may unpack to gigabytes. Log files have some megabytes.
MAX_UNPACKED_BYTES = 1 << 28
#: Suffixes that programs for packing append, for a regular expression.
PACKED_SUFFIXES = "gz|bz2|xz|zst|lz4|Z|zip|7z"
#: Kinds that cannot be read: their first bytes, name, and the command that unpacks them to standard output.
_UNREADABLE = {
    b"\x28\xb5\x2f\xfd": ("Zstandard", "zstd -dc"),
    b"\x04\x22\x4d\x18": ("LZ4", "lz4 -dc"),
    b"\x1f\x9d": ("compress", "uncompress -c"),
    b"PK\x03\x04": ("ZIP", "unzip -p"),
    b"7z\xbc\xaf\x27\x1c": ("7-Zip", "7z x -so"),
}
_MAGIC_BYTES = 6


class UnsupportedPackingError(OSError):
    """A file is packed in a way that cannot be read; `reason` says which, `command` unpacks it to standard output."""

    def __init__(self, kind: str, command: str) -> None:
        super().__init__()
        self.reason = f"is packed with {kind}, which cannot be read here"
        self.command = command


def unpack_errors() -> tuple[type[Exception], ...]:
    """Return what reading a packed file may raise if it is torn or damaged. An OSError with a number comes from the disk."""
    lzma = sys.modules.get("lzma")  # loaded if it was needed
    return (OSError, EOFError, zlib.error, MemoryError, *([lzma.LZMAError] if lzma else []))


def is_packed_name(path: Path) -> bool:
    """Return whether a name has the suffix of a packed file."""
    return re.fullmatch(rf".*\.(?:{PACKED_SUFFIXES})", path.name, re.DOTALL) is not None


def open_unpacked(path: Path) -> BinaryIO:
    """Open a regular file for reading; if it is packed, what is read from it is unpacked.

    Raises OSError if it cannot be opened, UnsupportedPackingError if it is packed in a way that cannot be read.
    """
    file = open_regular(path)
    with contextlib.ExitStack() as opened:
        opened.enter_context(file)
        try:
            unpack = _unpacker(file.read(_MAGIC_BYTES) or b"")
        except UnsupportedPackingError as error:
            error.filename = str(path)
            raise
        if unpack is None:
            file.seek(0)
            opened.pop_all()
            return file
    return unpack(path)


def unpacked_stream(file: BinaryIO) -> BinaryIO:
    """Return `file`, a buffered stream such as standard input, or a stream that unpacks it.

    Raises UnsupportedPackingError.
    """
    unpack = _unpacker(file.peek(_MAGIC_BYTES)) if isinstance(file, io.BufferedReader) else None
    return file if unpack is None else unpack(file)


def is_unpacking(file: BinaryIO) -> bool:
    """Return whether `file`, opened by one of the functions above, is packed."""
    return not isinstance(file, io.BufferedReader)


def _unpacker(start: bytes) -> Callable[[Any], BinaryIO] | None:
    """Return the function that opens a packed file that begins with `start`; None if it is not packed."""
    for magic, (kind, command) in _UNREADABLE.items():
        if start.startswith(magic):
            raise UnsupportedPackingError(kind, command)
    # Imported here, because most logs are not packed, and a Python may have been built without one of these modules.
    if start.startswith(b"\x1f\x8b"):
        import gzip

        return cast("Callable[[Any], BinaryIO]", gzip.open)
    if start.startswith(b"BZh"):
        import bz2

        return cast("Callable[[Any], BinaryIO]", bz2.open)
    if start.startswith(b"\xfd7zXZ\0"):
        import lzma

        return cast("Callable[[Any], BinaryIO]", lzma.open)
    return None
