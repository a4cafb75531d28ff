"""The files of a bundle, from a folder or a tar file: none is trusted, and each is checked while it is copied.

A bundle is a folder with `manifest.json`, its signature `manifest.json.sig` and the files that the manifest names, or a tar file of
such a folder. `edge.update.download` has the same for an https address.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from ..errors import InputError, OutputError
from ..system.files import open_regular
from ..system.terminal import printable
from .disk import Disk
from .manifest import MANIFEST, MAX_BUNDLE_BYTES, BundleFile, Manifest

CHUNK_BYTES = 1 << 20
BLOCK = 512
#: A bundle has about 40 files.
MAX_MEMBERS = 5000
COPY_AGAIN = "copy the bundle again; if that does not help, ask for it again"


class Readable(Protocol):
    """What bytes are read from."""

    def read(self, count: int, /) -> bytes:
        """Return up to `count` bytes; none at the end."""


class Bundle(ABC):
    """A bundle that is not checked yet. `where` is its name in messages."""

    where: str

    @abstractmethod
    def read(self, name: str, max_bytes: int) -> bytes:
        """Return a small file. Raises InputError if it is not there, too large, or cannot be read."""

    @abstractmethod
    def copy(self, name: str, file: BundleFile, target: Path) -> None:
        """Copy a file to `target`, and check its size and SHA-256.

        Raises InputError if it is damaged or not there, UnavailableError if a network is, OutputError if it cannot be written.
        """


def receive(source: Readable, name: str, file: BundleFile, target: Path) -> None:
    """Copy a stream to `target`, and check it. Raises InputError and OutputError."""
    digest, size = hashlib.sha256(), 0
    try:
        with target.open("wb") as output:
            while size <= file.bytes and (chunk := _read(source, name)):
                size += len(chunk)
                digest.update(chunk)
                output.write(chunk)
    except OSError as error:
        raise not_written(target, error) from None
    check(name, file, size, digest.hexdigest())


def check(name: str, file: BundleFile, size: int, sha256: str) -> None:
    """Raise InputError if size and SHA-256 are not those of the manifest."""
    if size < file.bytes:
        raise InputError(f"{name}: is incomplete: {size} of {file.bytes} bytes", COPY_AGAIN)
    if size > file.bytes or sha256 != file.sha256:
        raise InputError(f"{name}: is not the file that was signed", COPY_AGAIN)


def not_written(target: Path, error: OSError) -> OutputError:
    """Return the error of a file that cannot be written."""
    hint = "sudo apt clean; df -h" if error.errno == errno.ENOSPC else "sudo dmesg | tail"
    return OutputError(f"{target}: cannot be written: {error.strerror}", hint)


def _read(source: Readable, name: str) -> bytes:
    try:
        return source.read(CHUNK_BYTES)
    except OSError as error:  # a stick that was pulled out
        raise InputError(f"{name}: cannot be read: {error.strerror}", COPY_AGAIN) from None


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hex. Raises OSError."""
    digest = hashlib.sha256()
    with open_regular(path) as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


class FolderBundle(Bundle):
    """A bundle in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.where = printable(str(folder))

    def read(self, name: str, max_bytes: int) -> bytes:
        with self._open(name) as file:
            return _read_small(file, max_bytes, f"{self.where}/{name}")

    def copy(self, name: str, file: BundleFile, target: Path) -> None:
        with self._open(name) as source:
            receive(source, name, file, target)

    def _open(self, name: str) -> BinaryIO:
        """Open a regular file below the folder. Links are refused: they may lead out of it."""
        parts = name.split("/")
        place = -1
        try:
            place = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            for part in parts[:-1]:
                inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=place)
                os.close(place)
                place = inner
            # O_NONBLOCK: opening a pipe would wait for its other end.
            descriptor = os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=place)
        except OSError as error:
            is_link = error.errno in (errno.ELOOP, errno.ENOTDIR)
            reason = "a link, or below a file; a bundle has files only" if is_link else error.strerror
            raise InputError(f"{self.where}: {name}: {reason}", COPY_AGAIN) from None
        finally:
            if place >= 0:
                os.close(place)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise InputError(f"{self.where}: {name}: is not a regular file", COPY_AGAIN)
        return open(descriptor, "rb")


class TarBundle(Bundle):
    """A bundle in an uncompressed tar file (ustar), perhaps inside a folder of the tar file.

    It is read here and not by `tarfile`, whose extensions (links, sparse files, long headers) a bundle does not need.
    """

    def __init__(self, path: Path) -> None:
        """Read the names. Raises InputError if the file cannot be read or is no such tar file."""
        self._path = path
        self.where = printable(str(path))
        try:
            with open_regular(path) as file:
                members = dict(self._members(file))
        except OSError as error:
            raise InputError(f"{self.where}: cannot be read: {error.strerror}", COPY_AGAIN) from None
        places = sorted((name for name in members if name.rpartition("/")[2] == MANIFEST), key=len)
        if not places:
            raise InputError(
                f"{self.where}: has no {MANIFEST}: it is no bundle", "name a bundle made by scripts/release"
            )
        prefix = places[0].removesuffix(MANIFEST)
        self._members_by_name = {
            name.removeprefix(prefix): place for name, place in members.items() if name.startswith(prefix)
        }

    def _members(self, file: BinaryIO) -> Iterator[tuple[str, tuple[int, int]]]:
        """Yield name, offset and size of each file."""
        size = os.fstat(file.fileno()).st_size
        seen: set[str] = set()
        offset = 0
        for _ in range(MAX_MEMBERS):
            file.seek(offset)
            header = file.read(BLOCK)
            if header == bytes(BLOCK):
                return
            name, length, kind = self._header(header)
            if kind not in "05":
                raise InputError(
                    f"{self.where}: {printable(name)}: a bundle has files only, no links (type {kind!r})", COPY_AGAIN
                )
            if offset + BLOCK + length > size:
                raise InputError(f"{self.where}: is incomplete, in {printable(name)}", COPY_AGAIN)
            if kind == "0":
                if name in seen:
                    raise InputError(f"{self.where}: {printable(name)} is there twice", COPY_AGAIN)
                seen.add(name)
                yield name, (offset + BLOCK, length)
            offset += BLOCK + -(-length // BLOCK) * BLOCK
        raise InputError(f"{self.where}: has too many files", COPY_AGAIN)

    def _header(self, header: bytes) -> tuple[str, int, str]:
        """Return name, size and type of a member."""
        if len(header) < BLOCK:
            raise InputError(f"{self.where}: is incomplete: its end is missing", COPY_AGAIN)
        try:
            checksum = int(header[148:156].strip(b"\0 ") or b"0", 8)
            length = int(header[124:136].strip(b"\0 ") or b"0", 8)
            name = header[:100].partition(b"\0")[0].decode("ascii")
            prefix = header[345:500].partition(b"\0")[0].decode("ascii") if header[257:263] == b"ustar\0" else ""
        except ValueError:
            raise InputError(f"{self.where}: is no tar file of a bundle", COPY_AGAIN) from None
        # The checksum is computed as if its own field were blanks.
        if checksum != sum(header[:148]) + 8 * 32 + sum(header[156:]) or not 0 <= length <= MAX_BUNDLE_BYTES:
            raise InputError(f"{self.where}: is no tar file of a bundle, or damaged", COPY_AGAIN)
        kind = header[156:157].decode("latin-1").replace("\0", "0")
        name = f"{prefix}/{name}" if prefix else name
        return name.removeprefix("./"), length, kind

    def read(self, name: str, max_bytes: int) -> bytes:
        with self._open(name) as file:
            part = _Part(file, self._members_by_name[name][1])
            return _read_small(part, max_bytes, f"{self.where}: {name}")

    def copy(self, name: str, file: BundleFile, target: Path) -> None:
        if name in self._members_by_name and self._members_by_name[name][1] != file.bytes:
            raise InputError(f"{name}: is not the file that was signed", COPY_AGAIN)
        with self._open(name) as source:
            receive(_Part(source, file.bytes), name, file, target)

    def _open(self, name: str) -> BinaryIO:
        if name not in self._members_by_name:
            raise InputError(f"{self.where}: {name}: is missing", COPY_AGAIN)
        try:
            file = open_regular(self._path)
        except OSError as error:
            raise InputError(f"{self.where}: cannot be read: {error.strerror}", COPY_AGAIN) from None
        file.seek(self._members_by_name[name][0])
        return file


class _Part:
    """The next bytes of a file, as a file of its own."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._left = file, size

    def read(self, count: int, /) -> bytes:
        data = self._file.read(min(count, self._left))
        self._left -= len(data)
        return data


def _read_small(file: Readable, max_bytes: int, name: str) -> bytes:
    data = b""
    while len(data) <= max_bytes and (chunk := _read(file, name)):
        data += chunk
    if len(data) > max_bytes:
        raise InputError(f"{name}: is too large", COPY_AGAIN)
    return data


def find(source: Path) -> list[Bundle]:
    """Return the bundles at a path: the folder itself, a tar file, or those directly in a folder such as a USB stick.

    Raises InputError if there is none.
    """
    where = printable(str(source))
    if source.is_file():
        return [TarBundle(source)]
    if not source.is_dir():
        raise InputError(
            f"{where}: there is no such folder or file", "is the stick plugged in? see: lsblk -f; ls /media"
        )
    if (source / MANIFEST).exists():
        return [FolderBundle(source)]
    try:
        inside = sorted(path for path in source.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise InputError(f"{where}: cannot be read: {error.strerror}", COPY_AGAIN) from None
    found: list[Bundle] = [FolderBundle(path) for path in inside if (path / MANIFEST).is_file()]
    problem: InputError | None = None
    for path in inside:
        if path.suffix == ".tar" and path.is_file():
            try:
                found.append(TarBundle(path))
            except InputError as error:  # a stick may have other tar files
                problem = error
    if not found and problem is not None:
        raise problem
    if not found:
        raise InputError(
            f"{where}: there is no bundle", "name a bundle made by scripts/release, or the folder that it is in"
        )
    return found


def stage(bundle: Bundle, manifest: Manifest, folder: Path, disk: Disk) -> None:
    """Copy all files of a checked manifest to `folder`; those that are there from an interrupted update are kept.

    They are durable when this returns. Raises what `Bundle.copy` raises.
    """
    try:
        disk.make_folder(folder)
        for name, file in manifest.files.items():
            target = folder / name
            if not is_staged(target, file):
                disk.make_folder(target.parent)
                bundle.copy(name, file, target)
    except OSError as error:
        raise not_written(folder, error) from None
    disk.sync()


def is_staged(target: Path, file: BundleFile) -> bool:
    """Return whether a file is there, complete and right."""
    try:
        return target.stat().st_size == file.bytes and sha256_of(target) == file.sha256
    except OSError:
        return False
