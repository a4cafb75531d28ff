"""Read logs that other programs have rotated: compressed, dated, mixed with the door's own rotation, while that
happens."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import shutil
import tarfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from edge.errors import InputError
from edge.events import reader, writer
from edge.events.log_files import externally_rotated_files
from edge.events.numbering import last_used_number
from edge.events.reader import follow, read, read_stream
from edge.events.writer import EventLog
from edge.records import Event
from support.event_log import is_written, write
from support.wait import wait_until


def lines(first: int, last: int, day: int = 20) -> bytes:
    """Return the lines of the events from number `first` to `last`, one a minute of a day in November."""
    return b"".join(
        b'{"seq": %d, "time": "2026-11-%02dT%02d:%02d:00.000Z", "t": 0, "event": "calm"}\n' % (n, day, n // 60, n % 60)
        for n in range(first, last + 1)
    )


def seqs(path: Path) -> list[int]:
    return [record["seq"] for record in read(path)]


@pytest.mark.parametrize(
    "names",
    [
        ["log.jsonl.3.gz", "log.jsonl.2.gz", "log.jsonl.1.gz"],
        ["log.jsonl.10.gz", "log.jsonl.9.gz", "log.jsonl.1"],
        ["log.jsonl.2.bz2", "log.jsonl.1.xz", "log.jsonl.0"],
        ["log.jsonl-20261101.gz", "log.jsonl-20261108.gz", "log.jsonl-20261115"],
        ["log.jsonl-2026110123.gz", "log.jsonl-2026110200.gz", "log.jsonl-1795000000.gz"],
        ["log.jsonl.2026-11-01", "log.jsonl.2026-11-01_10:00.gz", "log.jsonl.2026-11-02"],
        ["log-20261101.jsonl.gz", "log-20261108.jsonl.gz", "log-20261115.jsonl"],
        ["log.3.jsonl.gz", "log.2.jsonl.gz", "log.1.jsonl"],
        # The door and logrotate in turns; a change of logrotate's settings; compressed by hand.
        ["log.jsonl.2", "log.jsonl-20261101", "log.jsonl.1"],
        ["log.jsonl-20261101.gz", "log.jsonl.1.gz", "log.jsonl-20261108"],
        ["log.jsonl.1.gz", "log.jsonl.2", "log.jsonl.1"],
        ["log.jsonl.gz", "log.jsonl.1.gz", "log.jsonl.1"],
    ],
    ids=" ".join,
)
def test_files_are_read_in_the_order_of_their_events(path: Path, names: list[str]) -> None:
    packers: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}
    for k, name in enumerate(names):
        data = lines(10 * k + 1, 10 * k + 10)
        path.with_name(name).write_bytes(packers.get(Path(name).suffix, bytes)(data))
    path.write_bytes(lines(31, 40))
    assert seqs(path) == list(range(1, 41))
    path.unlink()
    assert seqs(path) == list(range(1, 31)), "without a current file"


def test_numbers_that_start_again_are_read_in_the_order_of_the_names(path: Path) -> None:
    """So were logs that an old version has written and logrotate has compressed."""
    Path(f"{path}.2.gz").write_bytes(gzip.compress(lines(5, 14, day=18)))
    Path(f"{path}.1.gz").write_bytes(gzip.compress(lines(1, 12, day=19)))
    path.write_bytes(lines(1, 3, day=20))
    assert seqs(path) == [*range(5, 15), *range(1, 13), *range(1, 4)]


def test_a_file_that_is_there_twice_is_read_once(path: Path) -> None:
    """gzip removes the uncompressed file only at the end; copytruncate empties the log after the copy."""
    Path(f"{path}.1").write_bytes(lines(1, 5))
    Path(f"{path}.1.gz").write_bytes(gzip.compress(lines(1, 5))[:80])
    Path(f"{path}-20261119").write_bytes(lines(6, 10))
    Path(f"{path}-20261119.gz").write_bytes(gzip.compress(lines(6, 10))[:80])
    Path(f"{path}-20261120").write_bytes(lines(11, 15))
    path.write_bytes(lines(11, 20))
    assert seqs(path) == list(range(1, 21))


def test_other_files_are_left_out(path: Path) -> None:
    for name in ("log-2.jsonl", "old-log.jsonl-20261101", ".log.jsonl.seq", "log.json-20261101", "log-door.jsonl",
                 "log.jsonlx.1"):  # fmt: skip
        path.with_name(name).write_bytes(lines(1, 2))
    path.write_bytes(lines(3, 4))
    assert externally_rotated_files(path) == []
    assert seqs(path) == [3, 4]


def tar(data: bytes) -> bytes:
    """Return a tar archive of one file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo("log.jsonl.1")
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


@pytest.mark.parametrize(
    "end",
    [".1.log", ".1.gzip", ".1.lzma", "-2026-W47", "-20Nov2026.xz", ".2026-11-20_10h", "-20261120T101010Z.gz", "20261120",
     ".1.old.bz2", ".old", ".bak", "~", ".1.txt", ".2026.November"],
)  # fmt: skip
def test_unusual_names_are_read_and_numbered(path: Path, end: str) -> None:
    packers: dict[str, Callable[[bytes], bytes]] = {
        ".gz": gzip.compress,
        ".gzip": gzip.compress,
        ".bz2": bz2.compress,
        ".xz": lzma.compress,
        ".lzma": partial(lzma.compress, format=lzma.FORMAT_ALONE),
    }
    Path(f"{path}.3").write_bytes(lines(1, 4))
    Path(f"{path}{end}").write_bytes(packers.get(Path(end).suffix, bytes)(lines(5, 8)))
    Path(f"{path}.1").write_bytes(lines(9, 12))
    path.write_bytes(lines(13, 14))
    reading = read(path)
    assert [record["seq"] for record in reading] == list(range(1, 15))
    assert not reading.unread
    Path(f"{path}{end}").write_bytes(packers.get(Path(end).suffix, bytes)(lines(50, 58)))
    assert last_used_number(path, counted=None, skipped=0) == 58


@pytest.mark.parametrize(
    ("end", "content", "reason"),
    [
        (".1.br", b"\x8b\x03\x80abc", "is compressed with Brotli"),
        (".1.lz", b"LZIP\1\x0c", "is compressed with lzip, which cannot be read here"),
        (".1.tgz", gzip.compress(tar(lines(1, 2))), "is a tar archive: unpack it first"),
        (".tar", tar(lines(1, 2)), "is a tar archive: unpack it first"),
        (".sig", b"-----BEGIN PGP SIGNATURE-----\n", "has no events at its beginning"),
    ],
)
def test_files_that_cannot_be_read_are_named(path: Path, end: str, content: bytes, reason: str) -> None:
    Path(f"{path}{end}").write_bytes(content)
    Path(f"{path}.empty").touch()
    path.write_bytes(lines(3, 4))
    reading = read(path)
    assert [record["seq"] for record in reading] == [3, 4]
    assert reading.unread == {f"{path}{end}": reason}
    assert reading.damaged == 0


def test_a_copy_of_the_log_is_not_read_twice(path: Path) -> None:
    path.write_bytes(lines(1, 9))
    Path(f"{path}.bak").write_bytes(lines(1, 5))
    Path(f"{path}~").write_bytes(lines(1, 9))
    assert seqs(path) == list(range(1, 10))


@pytest.mark.parametrize("name", ["x.jsonl.1.gz", "x.jsonl-20261120.gz", "x.bz2", "x.log", "gzip without a suffix"])
def test_a_compressed_file_alone(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes((bz2 if name.endswith("bz2") else gzip).compress(lines(1, 5)))
    assert seqs(path) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("start", "kind", "command"),
    [
        (b"\x28\xb5\x2f\xfd1234", "Zstandard", "zstd -dc"),
        (b"PK\x03\x041234", "ZIP", "unzip -p"),
        (b"\x04\x22\x4d\x18", "LZ4", "lz4"),
        (b"LZIP\x01", "lzip", "lzip -dc"),
    ],
)
def test_other_kinds_of_compression_are_named(path: Path, start: bytes, kind: str, command: str) -> None:
    path.write_bytes(start)
    with pytest.raises(InputError, match=f"is compressed with {kind}") as caught:
        list(read(path))
    assert caught.value.hint.startswith(command)
    path.rename(f"{path}.1.zst")
    path.write_bytes(lines(1, 2))
    reading = read(path)
    assert len(list(reading)) == 2
    assert list(reading.unread) == [f"{path}.1.zst"]


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress], ids=["gzip", "bzip2", "xz"])
def test_a_torn_compressed_file_counts_as_damaged(path: Path, pack: object) -> None:
    compressed = pack(lines(1, 1400))  # type: ignore[operator]
    Path(f"{path}.1.gz").write_bytes(compressed[: len(compressed) // 2])
    path.write_bytes(lines(1401, 1402))
    reading = read(path)
    found = [record["seq"] for record in reading]
    assert found[-2:] == [1401, 1402]
    assert reading.damaged >= 1


def test_a_gzip_bomb_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MAX_DECOMPRESSED_BYTES", 1 << 20)
    path.write_bytes(gzip.compress(lines(1, 20_000)))
    with pytest.raises(InputError, match="larger than 1 MB when it is decompressed"):
        list(read(path))


def test_a_gzip_bomb_without_line_breaks_needs_little_memory(path: Path) -> None:
    path.write_bytes(gzip.compress(bytes(64 << 20)))
    reading = read(path)
    assert list(reading) == []


def test_a_gzip_bomb_of_line_breaks_ends_early(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MAX_DAMAGED_LINES", 1000)
    path.write_bytes(gzip.compress(lines(1, 2) + b"\n" * 999 + lines(3, 3) + b"\n" * 100_000 + lines(4, 4)))
    reading = read(path)
    assert [record["seq"] for record in reading] == [1, 2, 3]
    assert reading.damaged == 1999


def test_a_stream(tmp_path: Path) -> None:
    for data in (lines(1, 5), gzip.compress(lines(1, 5))):
        (tmp_path / "x").write_bytes(data)
        with (tmp_path / "x").open("rb") as stream:
            assert [record["seq"] for record in read_stream(stream, "standard input")] == [1, 2, 3, 4, 5]
    assert list(read_stream(io.BytesIO(b""), "standard input")) == []


def test_reading_while_files_are_compressed(path: Path) -> None:
    for number in (3, 2, 1):
        Path(f"{path}.{number}").write_bytes(lines(40 - 10 * number + 1, 40 - 10 * number + 10))
    path.write_bytes(lines(41, 45))
    found = []
    for record in read(path):
        found.append(record["seq"])
        if record["seq"] in (12, 21):
            for number in (3, 2, 1):
                plain = Path(f"{path}.{number}")
                if plain.exists():
                    Path(f"{plain}.gz").write_bytes(gzip.compress(plain.read_bytes()))
                    plain.unlink()
    assert found == list(range(11, 46))


@pytest.mark.parametrize("how", ["moved", "dated", "compressed", "copytruncate", "deleted"])
def test_follow_goes_on_while_another_program_rotates(path: Path, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "GATHER_S", 0.0)
    seen: list[int] = []
    steps = iter(range(100))
    with EventLog(path, 10**6, 4) as log:

        def stop() -> bool:
            """Rotate after the third event, and write three more; end when they are there."""
            step = next(steps)
            if step == 0:
                for _ in range(3):
                    log.write(Event("calm", 0.0))
                wait_until(partial(is_written, path, 3))
            elif step == 1:
                if how == "copytruncate":
                    shutil.copy(path, f"{path}-20261120")
                    os.truncate(path, 0)
                elif how == "deleted":
                    path.unlink()
                else:
                    moved = path.rename(path.with_name("mine") if how == "moved" else f"{path}-20261120")
                    if how == "compressed":
                        Path(f"{path}-20261120.gz").write_bytes(gzip.compress(moved.read_bytes()))
                        moved.unlink()
                for _ in range(3):
                    log.write(Event("calm", 0.0, {"text": "x" * 100}))
                wait_until(partial(is_written, path, 6))
            return step > 3

        for record in follow(path, 0.001, stop, 0):
            seen.append(record["seq"])
    assert seen == [1, 2, 3, 4, 5, 6]


def test_the_doors_own_rotation_leaves_foreign_files(path: Path) -> None:
    for name in (f"{path}.1.gz", f"{path}-20261101"):
        Path(name).write_bytes(gzip.compress(lines(1, 2)))
    write(path, *["calm"] * 200, rotate_bytes=4096, keep=1)
    assert Path(f"{path}.1.gz").exists()
    assert Path(f"{path}-20261101").exists()
