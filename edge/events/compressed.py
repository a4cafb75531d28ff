"""Read files of a log that another program has compressed (gzip, bzip2, xz, lzma), recognised by their content."""

from __future__ import annotations

import contextlib
import io
import re
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from ..system.files import open_regular

#: A compressed file of a log is not read beyond this: a few kilobytes may become gigabytes. Log files have some
#: megabytes.
MAX_DECOMPRESSED_BYTES = 1 << 28
#: Suffixes that compressing programs append, for a regular expression.
COMPRESSED_SUFFIXES = "gz|gzip|bz2|xz|lzma|lz|zst|lz4|Z|zip|7z"
#: Kinds that cannot be read: their first bytes, name, and the command that decompresses them to standard output.
_UNREADABLE = {
    b"\x28\xb5\x2f\xfd": ("Zstandard", "zstd -dc"),
    b"\x04\x22\x4d\x18": ("LZ4", "lz4 -dc"),
    b"\x1f\x9d": ("compress", "uncompress -c"),
    b"PK\x03\x04": ("ZIP", "unzip -p"),
    b"LZIP": ("lzip", "lzip -dc"),
    b"7z\xbc\xaf\x27\x1c": ("7-Zip", "7z x -so"),
}
_MAGIC_BYTES = 6
#: A tar archive has this mark at this place, in the header of its first file.
_TAR_MARK, _TAR_MARK_AT = b"ustar", 257


class UnsupportedCompressionError(OSError):
    """A file is compressed in a way that cannot be read.

    `reason` says which, `command` decompresses it to standard output.
    """

    def __init__(self, kind: str, command: str) -> None:
        super().__init__()
        self.reason = f"is compressed with {kind}, which cannot be read here"
        self.command = command


class TarArchiveError(UnsupportedCompressionError):
    """A file is a tar archive, perhaps a compressed one. Read as lines, it would lose the first event of each log."""

    def __init__(self) -> None:
        super().__init__("tar", "tar -xOf")
        self.reason = "is a tar archive: unpack it first"


class Opened(NamedTuple):
    """A file to read, and whether it is compressed on the disk."""

    file: BinaryIO
    is_compressed: bool


def decompression_errors() -> tuple[type[Exception], ...]:
    """Return what reading a compressed file may raise if it is torn or damaged.

    An OSError with a number comes from the disk.
    """
    lzma = sys.modules.get("lzma")  # loaded if it was needed
    return (OSError, EOFError, zlib.error, MemoryError, *([lzma.LZMAError] if lzma else []))


def is_compressed_name(path: Path) -> bool:
    """Return whether a name has the suffix of a compressed file."""
    return re.fullmatch(rf".*\.(?:{COMPRESSED_SUFFIXES})", path.name, re.DOTALL) is not None


def open_decompressed(path: Path) -> Opened:
    """Open a regular file for reading, decompressed.

    Raises OSError if it cannot be opened, UnsupportedCompressionError if it is compressed in a way that cannot be read,
    TarArchiveError if it is a tar archive.
    """
    file = open_regular(path)
    with contextlib.ExitStack() as on_error:
        on_error.callback(lambda: file.close())
        try:
            decompress = _decompressor(file.read(_MAGIC_BYTES) or b"")
            file.seek(0)
            if decompress is not None:
                file.close()
                file = decompress(path)
            _refuse_tar(file)
        except UnsupportedCompressionError as error:
            error.filename = str(path)
            raise
        on_error.pop_all()
    return Opened(file, decompress is not None)


def decompressed_stream(file: BinaryIO) -> Opened:
    """Return `file`, a buffered stream such as standard input, or a stream that decompresses it.

    Raises UnsupportedCompressionError, or TarArchiveError.
    """
    decompress = _decompressor(file.peek(_MAGIC_BYTES)) if isinstance(file, io.BufferedReader) else None
    opened = Opened(file, False) if decompress is None else Opened(decompress(file), True)
    _refuse_tar(opened.file)
    return opened


def peek(file: BinaryIO, count: int) -> bytes:
    """Return about `count` bytes that come next in `file`, without reading them; none if that is impossible."""
    look: Callable[[int], bytes] | None = getattr(file, "peek", None)
    with contextlib.suppress(*decompression_errors()):  # reading the file raises it again
        return look(count) if look is not None else b""
    return b""


def _refuse_tar(file: BinaryIO) -> None:
    """Raise TarArchiveError if a file, open at its start, is a tar archive. Its position does not change."""
    if peek(file, _TAR_MARK_AT + len(_TAR_MARK))[_TAR_MARK_AT:].startswith(_TAR_MARK):
        raise TarArchiveError


def _decompressor(start: bytes) -> Callable[[Any], BinaryIO] | None:
    """Return the function that opens a compressed file that begins with `start`; None if it is not compressed."""
    for magic, (kind, command) in _UNREADABLE.items():
        if start.startswith(magic):
            raise UnsupportedCompressionError(kind, command)
    # Imported here, because most logs are not compressed, and a Python may have been built without one of these
    # modules.
    if start.startswith(b"\x1f\x8b"):
        import gzip

        return cast("Callable[[Any], BinaryIO]", gzip.open)
    if start.startswith(b"BZh"):
        import bz2

        return cast("Callable[[Any], BinaryIO]", bz2.open)
    if start.startswith((b"\xfd7zXZ\0", b"\x5d\0\0")):  # xz, or the older lzma
        import lzma

        return cast("Callable[[Any], BinaryIO]", lzma.open)
    return None
