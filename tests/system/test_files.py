"""Only regular files are read, and only up to a limit; writes are complete; a second lock is refused."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from edge.system import files


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file"


def test_reads_a_regular_file(path: Path) -> None:
    path.write_bytes(b"1234")
    assert files.read_regular(path, 4) == b"1234"
    with files.open_regular(path) as file:
        assert file.read() == b"1234"


def test_refuses_a_file_above_the_limit(path: Path) -> None:
    path.write_bytes(b"12345")
    with pytest.raises(OSError, match="larger than 0 MB"):
        files.read_regular(path, 4)


def test_refuses_a_file_that_hides_its_size() -> None:
    with pytest.raises(OSError, match="larger than"):
        files.read_regular(Path("/proc/self/maps"), 10)


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_refuses_a_pipe_and_a_device(path: Path, kind: str) -> None:
    if kind == "pipe":
        os.mkfifo(path)
    with pytest.raises(OSError, match="not a regular file"):
        files.open_regular(path if kind == "pipe" else Path("/dev/zero"))


def test_refuses_a_folder_and_a_name_with_nul(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        files.open_regular(tmp_path)
    with pytest.raises(OSError, match="NUL"):
        files.open_regular(Path("a\0b"))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("a = ", "Invalid value"),
        ("a = " + "[" * 100_000, "nested too deeply"),
        ("a = " + "9" * 10_000, "thousands of digits"),
        ("a" + ".a" * 300 + " = 1", "more than 200 dots"),
    ],
    ids=["not TOML", "nested", "digits", "dots"],
)
def test_read_toml_gives_the_reason(path: Path, content: str, reason: str) -> None:
    path.write_text(content)
    with pytest.raises(ValueError, match=reason):
        files.read_toml(path)


def test_read_toml(path: Path) -> None:
    path.write_text("[a]\nb = 1\n# " + "." * 300)
    assert files.read_toml(path) == {"a": {"b": 1}}


def test_a_writable_folder_is_not_on_a_read_only_mount(tmp_path: Path) -> None:
    files.sync_folder(tmp_path)
    assert not files.is_mount_read_only(tmp_path)
    assert not files.is_mount_read_only(tmp_path / "missing")


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("utf-16", "UTF-16"),
        ("utf-16-le", "UTF-16"),
        ("utf-16-be", "UTF-16"),
        ("utf-32", "UTF-32"),
        ("utf-32-le", "UTF-32"),
        ("utf-32-be", "UTF-32"),
    ],
)
def test_wide_encodings_are_named(path: Path, encoding: str, name: str) -> None:
    path.write_bytes('[camera]\nsource = "Tür"\n'.encode(encoding))
    with pytest.raises(files.WrongEncodingError) as caught:
        files.read_toml(path)
    assert caught.value.encoding == name


@pytest.mark.parametrize(
    "data", [b"", b"{", b"\0" * 64, b"{\0\0\0", b"[camera]", b"\xef\xbb\xbf[camera]", b"\xff", b"{}\n\0\0\0\0\0"]
)
def test_other_bytes_are_not_a_wide_encoding(data: bytes) -> None:
    assert files.wide_encoding(data) is None


def test_a_byte_order_mark_is_skipped(path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbf[a]\r\nb = 1\r\n")
    assert files.read_toml(path) == {"a": {"b": 1}}


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"STATE_DIRECTORY": "/var/lib/doorlight:/var/lib/other", "HOME": "/root"}, "/var/lib/doorlight"),
        ({"XDG_STATE_HOME": "/data/state", "HOME": "/home/a"}, "/data/state/doorlight"),
        ({"XDG_STATE_HOME": "relative", "HOME": "/home/a"}, "/home/a/.local/state/doorlight"),
        ({"HOME": "/home/a"}, "/home/a/.local/state/doorlight"),
        ({"HOME": ""}, None),
        ({}, None),
    ],
)
def test_state_folder(environ: dict[str, str], folder: str | None) -> None:
    assert files.state_folder(environ) == (None if folder is None else Path(folder))


def test_write_all_repeats_a_short_write(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:3]))
    with path.open("wb", buffering=0) as file:
        files.write_all(file.fileno(), b"1234567")
    assert path.read_bytes() == b"1234567"


@pytest.mark.parametrize("sync", [True, False])
def test_replace_file(sync: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    files.replace_file(path, b"old", mode=0o600, sync=sync)
    assert path.read_bytes() == b"old"
    assert path.stat().st_mode & 0o777 == 0o600
    assert bool(synced) is sync
    files.replace_file(path, b"new", sync=sync)
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_replace_file_that_fails_leaves_the_old_content(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_bytes(b"old")

    def write(file: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(OSError, match="No space left"):
        files.replace_file(path, b"new")
    assert path.read_bytes() == b"old"


def test_lock_is_refused_until_the_other_file_is_closed(path: Path) -> None:
    with path.open("wb") as second:
        with path.open("wb") as first:
            files.lock(first.fileno())
            with pytest.raises(BlockingIOError):
                files.lock(second.fileno())
        files.lock(second.fileno())


def test_file_system_without_locks_is_accepted(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(file: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    with path.open("wb") as file:
        files.lock(file.fileno())
