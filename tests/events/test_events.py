"""On real files and real disks: a full tmpfs, a file size limit, a process killed while it writes."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import InputError, OutputError, UsageError
from edge.events import log_files, reader, writer
from edge.events.reader import follow, read
from edge.events.record import timestamp
from edge.events.summary import last_before, parse_duration, select, summarise
from edge.events.text import describe
from edge.events.writer import EventLog
from edge.records import Event
from support.paths import ROOT

BIG = 1_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.jsonl"


@pytest.fixture(autouse=True)
def no_numbers_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most logs here end without `stopped`; what follows from that has tests of its own."""
    monkeypatch.setattr(writer, "SKIPPED", 0)


def write(path: Path, *kinds: str, rotate_bytes: int = BIG, keep: int = 4) -> None:
    with EventLog(path, rotate_bytes, keep) as log:
        for kind in kinds:
            log.write(Event(kind, 0.0))


def lines(path: Path) -> list[dict[str, Any]]:
    """Every line of one file, each of which must be whole and sound."""
    raw = path.read_bytes()
    assert raw == b"" or raw.endswith(b"\n")
    return [json.loads(line) for line in raw.splitlines()]


def kinds(path: Path) -> list[str]:
    return [line["event"] for line in lines(path)]


def written(path: Path, seq: int) -> bool:
    """Whether an event has got into the current file; asked now and then, it keeps a test from outrunning the disk."""
    try:
        return f'"seq": {seq},'.encode() in path.read_bytes()
    except FileNotFoundError:  # between two files
        return False


def until(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


# What a line looks like.


def test_the_line(path: Path) -> None:
    wall = datetime(2026, 11, 20, 10, 0, 3, 120_000, UTC).timestamp()
    with EventLog(path, BIG, 4, clock=lambda: wall) as log:
        log.write(Event("signal", 3.1204, {"signal": "STOP", "faces": 1}))
    assert path.read_text() == (
        '{"seq": 1, "time": "2026-11-20T10:00:03.120Z", "t": 3.12, "event": "signal", "signal": "STOP", "faces": 1}\n'
    )


def test_time_is_that_of_the_call(path: Path) -> None:
    wall = itertools.count(1_800_000_000)
    with EventLog(path, BIG, 4, clock=lambda: next(wall)) as log:
        for _ in range(50):
            log.write(Event("calm", 0.0))
    seconds = [datetime.fromisoformat(line["time"]).timestamp() for line in lines(path)]
    assert seconds == list(range(1_800_000_000, 1_800_000_050))


def test_data_cannot_pose_as_the_log(path: Path) -> None:
    with EventLog(path, BIG, 4) as log:
        log.write(Event("calm", 1.0, {"seq": 99, "event": "signal", "time": "never", "t": -1, "person": 4}))
    (line,) = lines(path)
    assert (line["seq"], line["event"], line["t"], line["person"]) == (1, "calm", 1.0, 4)
    assert timestamp(line) is not None


def test_what_json_does_not_have(path: Path) -> None:
    odd = {"nan": float("nan"), "inf": [float("inf"), 1.5], "path": Path("/x"), "set": {1: None}, "bytes": "\udcff"}
    with EventLog(path, BIG, 4) as log:
        log.write(Event("started", float("nan"), odd))
    (line,) = lines(path)
    assert "NaN" not in path.read_text()
    assert line["t"] is None
    del line["seq"], line["time"], line["t"], line["event"]
    assert line == {"nan": None, "inf": [None, 1.5], "path": "/x", "set": {"1": None}, "bytes": "?"}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=20), st.dictionaries(st.text(), json_values, max_size=4)), max_size=8))
def test_whatever_comes_is_one_line_and_comes_back(happened: list[tuple[str, dict[str, object]]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.jsonl"
        with EventLog(path, BIG, 4) as log:
            for kind, data in happened:
                log.write(Event(kind, 0.5, data))
        reading = read(path)
        back = list(reading)
    assert reading.damaged == 0
    assert [line["seq"] for line in back] == list(range(1, len(happened) + 1))
    for line, (kind, data) in zip(back, happened, strict=True):
        assert line["event"] == kind
        expected = {key: value for key, value in data.items() if key not in ("seq", "time", "t", "event")}
        assert {key: line[key] for key in expected} == expected
        describe(line)


# Writing, and writing on.


def test_on_disk_without_close(path: Path) -> None:
    with EventLog(path, BIG, 4) as log:
        log.write(Event("started", 0.0))
        assert until(lambda: kinds(path) == ["started"])
        log.write(Event("calm", 1.0))
        assert until(lambda: kinds(path) == ["started", "calm"])
        assert log.problem is None


def test_every_block_is_synced(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in the file when fsync returns is all there is in the file when the log is closed."""
    synced: list[int] = []
    real = os.fsync

    def fsync(file: int) -> None:
        real(file)
        if os.path.samestat(os.fstat(file), path.stat()):
            synced.append(os.fstat(file).st_size)

    monkeypatch.setattr(os, "fsync", fsync)
    write(path, *["calm"] * 20)
    assert synced
    assert synced[-1] == path.stat().st_size


def test_a_moment_is_synced_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody is decided, the light follows some milliseconds later: one write, as each costs a card five blocks."""
    with EventLog(path, BIG, 4) as log:
        synced: list[float] = []
        real = os.fsync

        def fsync(file: int) -> None:
            real(file)
            synced.append(time.monotonic())

        monkeypatch.setattr(os, "fsync", fsync)
        began = time.monotonic()
        for kind in ("masked", "signal", "cleared"):
            log.write(Event(kind, 0.0))
            time.sleep(0.01)
        while not synced and time.monotonic() < began + 5:
            time.sleep(0.01)
        assert [line["event"] for line in lines(path)] == ["masked", "signal", "cleared"]
    assert len(synced) == 1
    assert synced[0] - began < 1, "on the disk within a second"


def test_close_flushes_all_and_may_be_called_again(path: Path) -> None:
    log = EventLog(path, BIG, 4)
    for _ in range(500):
        log.write(Event("calm", 0.0))
    log.close()
    assert len(lines(path)) == 500
    log.close()
    with pytest.raises(ValueError, match="closed"):
        log.write(Event("calm", 0.0))


def test_seq_is_the_order_of_writing_from_several_threads(path: Path) -> None:
    def many(log: EventLog, who: int) -> None:
        for n in range(200):
            log.write(Event("calm", 0.0, {"who": who, "n": n}))

    with EventLog(path, BIG, 4) as log:
        threads = [threading.Thread(target=many, args=(log, who)) for who in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    found = lines(path)
    assert [line["seq"] for line in found] == list(range(1, 801))
    for who in range(4):
        assert [line["n"] for line in found if line["who"] == who] == list(range(200))


def test_seq_goes_on_after_a_restart(path: Path) -> None:
    write(path, "started", "stopped")
    write(path, "started")
    write(path)
    write(path, "started")
    assert [line["seq"] for line in lines(path)] == [1, 2, 3, 4]


def test_no_number_is_given_twice_though_a_power_cut_took_lines_that_somebody_has_seen(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "SKIPPED", 1000)
    with EventLog(path, BIG, 4) as log:
        log.write(Event("started", 0.0))
        assert until(lambda: written(path, 1))
        synced = path.read_bytes()
        for _ in range(3):
            log.write(Event("calm", 0.0))
    seen = [line["seq"] for line in lines(path)]
    path.write_bytes(synced)
    write(path, "started", "stopped")
    write(path, "started")
    numbers = [line["seq"] for line in lines(path)]
    assert numbers[1] > max(seen)
    assert numbers[2:] == [numbers[1] + 1, numbers[1] + 2], "after an orderly end none is left out"


@pytest.mark.parametrize("current", [None, b"", b"\0\0\0", b'{"seq": 9', b'{"other": 1}\n'])
def test_seq_comes_from_the_rotated_file_where_the_current_has_none(path: Path, current: bytes | None) -> None:
    write(path, "started", "calm", "stopped")
    path.rename(f"{path}.1")
    Path(f"{path}.2").write_text('{"seq": 1000, "event": "from an older file"}\n')
    if current is not None:
        path.write_bytes(current)
    write(path, "started")
    assert next(line["seq"] for line in lines(path) if "seq" in line) == 4


# Rotation.


def test_rotation(path: Path) -> None:
    write(path, *["calm"] * 600, rotate_bytes=4096, keep=3)
    files = [path, *(Path(f"{path}.{n}") for n in (1, 2, 3))]
    assert sorted(path.parent.iterdir()) == sorted(files)
    assert all(0 < file.stat().st_size <= 4096 for file in files)
    newest_first = [line["seq"] for file in files for line in reversed(lines(file))]
    assert newest_first == list(range(600, 600 - len(newest_first), -1))
    # Each file was filled: the next line would not have fitted.
    assert all(file.stat().st_size > 4096 - 100 for file in files[1:])


def test_rotation_goes_on_after_a_restart(path: Path) -> None:
    for _ in range(4):
        write(path, *["calm"] * 40, rotate_bytes=4096, keep=9)
    assert [line["seq"] for line in read(path)] == list(range(1, 161))
    assert Path(f"{path}.1").exists()


def test_fewer_are_kept_once_the_setting_says_so(path: Path) -> None:
    write(path, *["calm"] * 600, rotate_bytes=4096, keep=6)
    assert Path(f"{path}.6").exists()
    write(path, *["calm"] * 60, rotate_bytes=4096, keep=2)
    assert {file.name for file in path.parent.iterdir()} == {path.name, f"{path.name}.1", f"{path.name}.2"}


def test_neighbours_are_not_taken_for_rotated_files(path: Path) -> None:
    others = [Path(f"{path}{end}") for end in (".0", ".01", ".bak", ".1.gz", ".1x")]
    for other in others:
        other.write_text("mine\n")
    write(path, *["calm"] * 200, rotate_bytes=4096, keep=1)
    assert all(other.read_text() == "mine\n" for other in others)


def test_a_line_longer_than_the_limit_is_still_written(path: Path) -> None:
    with EventLog(path, 4096, 4) as log:
        for kind in ("calm", "started", "calm"):
            log.write(Event(kind, 0.0, {"text": "x" * 10_000 if kind == "started" else ""}))
    assert [line["event"] for line in read(path)] == ["calm", "started", "calm"]


# Repair.


def test_every_cut_through_the_last_line_is_repaired(path: Path) -> None:
    write(path, "started", "signal", "stopped")
    whole = path.read_bytes()
    last = whole.rindex(b"\n", 0, -1) + 1
    for cut in range(last + 1, len(whole)):
        path.write_bytes(whole[:cut])
        write(path)
        repaired = lines(path)
        assert path.read_bytes()[:last] == whole[:last]
        assert [line["event"] for line in repaired] == ["started", "signal", "log_repaired"]
        assert repaired[-1]["bytes"] == cut - last
        assert repaired[-1]["seq"] == 3


@pytest.mark.parametrize(
    ("tail", "dropped"),
    [
        (b"\0" * 512, 512),
        (b'{"seq": 2, "ev\n', 15),
        (b"[1, 2]\n", 7),
        (b"\xff\xfe\n", 3),
        (b"\n", 1),
        (b"[" * 100_000, 100_000),
    ],
    ids=["zeros", "torn with newline", "no object", "no UTF-8", "empty", "nested too deep"],
)
def test_other_torn_tails(path: Path, tail: bytes, dropped: int) -> None:
    write(path, "started")
    before = path.read_bytes()
    path.write_bytes(before + tail)
    write(path, "stopped")
    assert path.read_bytes().startswith(before)
    assert kinds(path) == ["started", "log_repaired", "stopped"]
    assert lines(path)[1]["bytes"] == dropped
    assert [line["seq"] for line in lines(path)] == [1, 2, 3]


def test_a_file_of_one_torn_line(path: Path) -> None:
    path.write_bytes(b'{"seq": 1, "time": "20')
    write(path, "started")
    assert kinds(path) == ["log_repaired", "started"]


def test_damage_further_up_is_left_alone(path: Path) -> None:
    damaged = b'{"seq": 1}\n\0\0garbage\n{"seq": 7, "event": "calm"}\n'
    path.write_bytes(damaged)
    write(path, "started")
    assert path.read_bytes().startswith(damaged)
    reading = read(path)
    assert [line["seq"] for line in reading] == [1, 7, 8]
    assert reading.damaged == 1


def test_a_sound_log_is_not_repaired(path: Path) -> None:
    write(path, "started")
    write(path, "started")
    assert kinds(path) == ["started", "started"]


def test_killed_while_writing(path: Path) -> None:
    """SIGKILL in mid-stream, twice: what was on disk stays, numbers go on, every line is sound."""
    code = f"""
        from pathlib import Path
        from edge.events.writer import EventLog
        from edge.records import Event
        log = EventLog(Path({str(path)!r}), 20_000, 1000)
        n = 0
        while True:
            log.write(Event("calm", n, {{"text": "x" * (n % 700)}}))
            n += 1
    """

    def grown(from_lines: int) -> bool:
        return Path(f"{path}.3").exists() and len(list(read(path))) > from_lines

    before: list[dict[str, Any]] = []
    for _ in range(2):
        child = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT)
        assert until(partial(grown, len(before)))
        child.kill()
        child.wait(20)
        write(path, "started", rotate_bytes=20_000, keep=1000)
        reading = read(path)
        after = list(reading)
        assert reading.damaged == 0
        assert after[: len(before)] == before
        seqs = [line["seq"] for line in after]
        assert all(one < next_one for one, next_one in itertools.pairwise(seqs))
        before = after


# What cannot be a log.


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"no folder .*missing") as caught:
        EventLog(tmp_path / "missing" / "log.jsonl", BIG, 4)
    assert caught.value.exit_code == 74
    assert "mkdir" in caught.value.hint


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="is a folder"):
        EventLog(tmp_path, BIG, 4)


def test_a_file_for_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="no folder"):
        EventLog(tmp_path / "file" / "log.jsonl", BIG, 4)


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(OutputError, match="Permission denied"):
        EventLog(tmp_path / "log.jsonl", BIG, 4)


def test_a_folder_that_nobody_can_write() -> None:
    with pytest.raises(OutputError, match=r"/proc/doorlight\.jsonl: cannot be written"):
        EventLog(Path("/proc/doorlight.jsonl"), BIG, 4)


def test_devices_and_pipes(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for odd in (Path("/dev/full"), Path("/dev/null"), tmp_path / "pipe"):
        with pytest.raises(OutputError, match="not a regular file"):
            EventLog(odd, BIG, 4)


@pytest.mark.parametrize("text", ["Dear diary,\nno newline at the end", "[camera]\n", "\n"])
def test_somebody_elses_file_is_left_alone(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(OutputError, match="something else than events"):
        EventLog(path, BIG, 4)
    assert path.read_text() == text


def test_two_doors_cannot_share_a_log(path: Path) -> None:
    with EventLog(path, BIG, 4) as log:
        log.write(Event("started", 0.0))
        with pytest.raises(OutputError, match="another doorlight"):
            EventLog(path, BIG, 4)
    write(path, "started")
    assert kinds(path) == ["started", "started"]


# A disk in trouble.

LIMITED = """
import resource, sys, time
from pathlib import Path
from edge import events
from edge.events.writer import EventLog
from edge.records import Event

events.RETRY_S = 0.1

def until(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)

path = Path(sys.argv[1])
log = EventLog(path, 10_000_000, 4)
log.write(Event("started", 0.0))
until(lambda: path.read_bytes().count(b"\\n") == 1)
unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
# The next lines cross this limit: the first write stops short of it, the next one fails.
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, unlimited[1]))
for n in range(int(sys.argv[2])):
    begin = time.monotonic()
    log.write(Event("calm", float(n), {"n": n, "text": "x" * 50}))
    assert time.monotonic() - begin < 5
until(lambda: log.problem is not None)
print(log.problem, flush=True)
until(lambda: path.read_bytes().endswith(b"\\n"))
"""


def limited(path: Path, count: int, end: str) -> list[str]:
    ran = subprocess.run(
        [sys.executable, "-c", LIMITED + textwrap.dedent(end), str(path), str(count)],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


RECOVER = """
    resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    until(lambda: log.problem is None)  # with no further event: it tries by itself
    print(log.lost)
    log.write(Event("stopped", 9.0))
    log.close()
"""


def test_a_short_trouble_loses_nothing(path: Path) -> None:
    problem, lost = limited(path, 100, RECOVER)
    assert str(path) in problem
    assert "File too large" in problem
    assert lost == "0"
    assert [line["seq"] for line in lines(path)] == list(range(1, 103))
    assert kinds(path) == ["started", *["calm"] * 100, "stopped"]


def test_a_long_trouble_loses_the_oldest_and_counts_them(path: Path) -> None:
    _, lost = limited(path, 5000, RECOVER)
    found = lines(path)
    where = kinds(path).index("log_lost")
    assert kinds(path).count("log_lost") == 1
    assert found[where]["count"] == int(lost)
    # At most 1000 waited, and as many were on their way when the disk came back.
    assert 2990 <= int(lost) <= 4000
    # It stands in the place of the last one lost; all after that are there, to the last.
    assert [line["seq"] for line in found[where:]] == list(range(found[where]["seq"], 5003))
    # Nothing is unaccounted for.
    assert found[where - 1]["seq"] + int(lost) == found[where]["seq"]


def test_close_in_trouble_does_not_hang_and_leaves_whole_lines(path: Path) -> None:
    printed = limited(path, 100, "log.close(); print(log.problem)")
    assert re.search(r"\d+ events lost", printed[-1])
    assert len(lines(path)) >= 1
    write(path, "started")  # it can be opened again, and nothing is torn
    assert "log_repaired" not in kinds(path)


def in_a_tiny_disk(tmp_path: Path, options: str, code: str) -> list[str]:
    """Run `code` with a fresh tmpfs of its own at `disk`, as a user of a private namespace."""
    disk = tmp_path / "disk"
    disk.mkdir()
    start = f"""
        import os, sys, time
        from pathlib import Path
        from edge.events import writer
        from edge.events.reader import read
        from edge.events.writer import EventLog
        from edge.records import Event
        writer.RETRY_S = 0.1
        disk = Path({str(disk)!r})
        path = disk / "log.jsonl"
        def until(condition):
            end = time.monotonic() + 20
            while not condition():
                assert time.monotonic() < end, "waited in vain"
                time.sleep(0.005)
    """
    unshare = ["unshare", "--user", "--map-root-user", "--mount"]
    mount = f'mount -t tmpfs -o {options} none "{disk}" || exit 77; exec "$@"'
    if shutil.which("unshare") is None:
        pytest.skip("needs unshare (util-linux)")
    ran = subprocess.run(
        [*unshare, "sh", "-c", mount, "sh", sys.executable, "-c", textwrap.dedent(start) + textwrap.dedent(code)],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    if ran.returncode == 77 or ran.stderr.startswith("unshare:"):
        pytest.skip(f"cannot mount here: {ran.stderr.strip()}")
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


def test_a_full_disk(tmp_path: Path) -> None:
    printed = in_a_tiny_disk(tmp_path, "size=64k", """
        ballast = disk / "ballast"
        log = EventLog(path, 10_000_000, 4)
        log.write(Event("started", 0.0))
        until(lambda: path.stat().st_size > 0)
        with ballast.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 4096)
            except OSError:
                pass
        for n in range(200):
            log.write(Event("calm", 0.0, {"n": n}))
        until(lambda: log.problem is not None)
        print(log.problem)
        until(lambda: path.read_bytes().endswith(b"\\n"))
        ballast.unlink()
        until(lambda: log.problem is None)
        log.close()
        print([line["seq"] for line in read(path)] == list(range(1, 202)))
    """)  # fmt: skip
    assert "No space left on device" in printed[0]
    assert printed[1] == "True"


def test_a_disk_full_at_start_does_not_keep_the_door_shut(tmp_path: Path) -> None:
    printed = in_a_tiny_disk(tmp_path, "size=64k,nr_inodes=2", """
        (disk / "ballast").touch()  # with the root folder, the last inode
        log = EventLog(path, 10_000_000, 4)
        print(log.problem)
        log.write(Event("started", 0.0))
        (disk / "ballast").unlink()
        until(lambda: log.problem is None)
        log.close()
        print(*(line["event"] for line in read(path)))
    """)  # fmt: skip
    assert "No space left on device" in printed[0]
    assert printed[1] == "started"


def test_a_disk_that_turns_read_only_and_back(tmp_path: Path) -> None:
    printed = in_a_tiny_disk(tmp_path, "size=64k", """
        log = EventLog(path, 4096, 4)
        log.write(Event("started", 0.0, {"text": "x" * 4000}))
        until(lambda: path.stat().st_size > 0)
        # With the file open for writing the kernel refuses to remount, but a read-only bind mount on top of the
        # folder makes the rotation that is now due fail.
        assert os.system(f"mount --bind {disk} {disk} && mount -o remount,bind,ro {disk}") == 0
        log.write(Event("calm", 0.0, {"text": "x" * 1000}))
        until(lambda: log.problem is not None)
        print(log.problem, log.locked_out)
        assert os.system(f"umount {disk}") == 0
        until(lambda: log.problem is None)
        assert not log.locked_out
        log.close()
        print(*(line["event"] for line in read(path)))
    """)  # fmt: skip
    assert "Read-only file system True" in printed[0]
    assert printed[1] == "started calm"


def test_a_disk_that_is_read_only_at_start_does_not_keep_the_door_shut(tmp_path: Path) -> None:
    printed = in_a_tiny_disk(tmp_path, "size=64k", """
        with EventLog(path, 4096, 4) as log:
            log.write(Event("stopped", 0.0))
        def refused(path):
            try:
                EventLog(path, 4096, 4)
            except Exception as error:
                return str(error)
        assert os.system(f"mount -o remount,ro {disk}") == 0
        log = EventLog(path, 4096, 4)
        print(log.problem)
        log.write(Event("started", 0.0))
        print(refused(disk / "new.jsonl"))
        assert os.system(f"mount -o remount,rw {disk}") == 0
        until(lambda: log.problem is None)
        log.close()
        print(*(line["seq"] for line in read(path)), log.locked_out)
        assert os.system(f"mount --bind {disk} {disk} && mount -o remount,bind,ro {disk}") == 0
        print(refused(path))
    """)  # fmt: skip
    assert "Read-only file system" in printed[0]
    assert "new.jsonl: cannot be written" in printed[1], "a log that never was one is a mistake to mend"
    assert printed[2] == "1 2 False"
    assert "log.jsonl: cannot be written" in printed[3], "so is a writable disk that this process may not write to"


def test_a_failed_sync_is_made_good(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failed fsync nobody knows what is on the disk (the kernel drops the pages): write again, and once."""
    fail = threading.Event()
    real = os.fsync

    def fsync(file: int) -> None:
        if fail.is_set():
            raise OSError(5, "Input/output error")
        real(file)

    monkeypatch.setattr(os, "fsync", fsync)
    with EventLog(path, BIG, 4) as log:
        log.write(Event("started", 0.0))
        assert until(lambda: path.stat().st_size > 0)
        fail.set()
        log.write(Event("calm", 0.0))
        assert until(lambda: log.problem is not None)
        assert "Input/output error" in str(log.problem)
        fail.clear()
        log.write(Event("stopped", 0.0))
        assert until(lambda: log.problem is None)
    assert kinds(path) == ["started", "calm", "stopped"]


@pytest.mark.parametrize("gone", ["deleted", "moved away"])
def test_a_log_that_is_taken_away_is_made_anew(path: Path, gone: str) -> None:
    with EventLog(path, BIG, 4) as log:
        log.write(Event("started", 0.0))
        assert until(lambda: path.stat().st_size > 0)
        if gone == "deleted":
            path.unlink()
        else:
            path.rename(path.with_name("mine"))
        log.write(Event("stopped", 0.0))
        assert until(path.exists)
    assert [(line["seq"], line["event"]) for line in lines(path)] == [(2, "stopped")]


def test_a_slow_disk_does_not_slow_the_door(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With fsync hanging, writing goes on; nothing is lost and nothing is written twice once it comes back."""
    go = threading.Event()
    real = os.fsync

    def fsync(file: int) -> None:
        assert go.wait(30)
        real(file)

    with EventLog(path, BIG, 4) as log:
        monkeypatch.setattr(os, "fsync", fsync)
        for _ in range(900):
            log.write(Event("calm", 0.0))
        go.set()
    assert [line["seq"] for line in lines(path)] == list(range(1, 901))
    assert log.lost == 0


def test_a_disk_that_does_not_answer_is_told_of(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go = threading.Event()
    real = os.fsync

    def fsync(file: int) -> None:
        assert go.wait(30)
        real(file)

    monkeypatch.setattr(writer, "SLOW_S", 0.05)
    with EventLog(path, BIG, 4) as log:
        assert log.problem is None
        monkeypatch.setattr(os, "fsync", fsync)
        log.write(Event("started", 0.0))
        assert until(lambda: "the disk has not answered for" in str(log.problem))
        for _ in range(writer.MAX_PENDING + 5):
            log.write(Event("calm", 0.0))
        assert str(log.problem).endswith("; 5 events lost")
        go.set()
        assert until(lambda: log.problem is None)


def test_memory_is_bounded_while_the_disk_hangs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go, hanging = threading.Event(), threading.Event()
    real = os.fsync

    def fsync(file: int) -> None:
        hanging.set()
        assert go.wait(30)
        real(file)

    with EventLog(path, BIG, 4) as log:
        monkeypatch.setattr(os, "fsync", fsync)
        log.write(Event("started", 0.0))
        assert hanging.wait(20)
        for _ in range(3000):
            log.write(Event("calm", 0.0))
        assert log.lost == 2000
        go.set()
    found = lines(path)
    assert kinds(path)[:3] == ["started", "log_lost", "calm"]
    assert [line["seq"] for line in found] == [1, *range(2001, 3002)]
    assert found[1]["count"] == 2000


# EventReader.


def test_read_goes_through_all_files_in_order(path: Path) -> None:
    write(path, *["calm"] * 300, rotate_bytes=4096, keep=100)
    assert len(list(path.parent.iterdir())) >= 5
    assert [line["seq"] for line in read(path)] == list(range(1, 301))


def test_read_without_a_current_file(path: Path) -> None:
    write(path, "started")
    path.rename(f"{path}.3")
    assert [line["event"] for line in read(path)] == ["started"]


def test_read_counts_damage(path: Path) -> None:
    path.write_bytes(b'{"seq": 1}\nrubbish\n\xff\n\n[]\n{"seq": 2}\n{"seq": 3, "torn')
    reading = read(path)
    assert [line["seq"] for line in reading] == [1, 2]
    assert reading.damaged == 5


def test_read_nothing(tmp_path: Path) -> None:
    for missing in (tmp_path / "none.jsonl", tmp_path / "no folder" / "none.jsonl"):
        with pytest.raises(InputError, match="no event log") as caught:
            read(missing)
        assert caught.value.exit_code == 66
    with pytest.raises(InputError, match="directory"):
        next(read(tmp_path))


class Follower:
    """`follow` in a thread, so that a test may write meanwhile."""

    def __init__(self, path: Path, after: int | None = None) -> None:
        self.seen: list[dict[str, Any]] = []
        self._stop = threading.Event()
        self._begun = threading.Event()

        def stop() -> bool:
            self._begun.set()  # asked only once the place to begin at is settled
            return self._stop.is_set()

        def gather() -> None:
            for line in follow(path, 0.002, stop, after):
                self.seen.append(line)

        self._thread = threading.Thread(target=gather)
        self._thread.start()
        assert self._begun.wait(20)

    def stop(self) -> list[dict[str, Any]]:
        self._stop.set()
        self._thread.join(20)
        assert not self._thread.is_alive()
        return self.seen

    @property
    def seqs(self) -> list[int]:
        return [line["seq"] for line in self.seen]


@pytest.fixture
def following() -> Iterator[Callable[..., Follower]]:
    started: list[Follower] = []

    def start(path: Path, after: int | None = None) -> Follower:
        started.append(Follower(path, after))
        return started[-1]

    yield start
    for follower in started:
        follower.stop()


def test_follow_begins_with_what_is_new(path: Path, following: Callable[..., Follower]) -> None:
    write(path, "started", "stopped")
    follower = following(path)
    write(path, "started")
    follower.stop()
    assert follower.seqs == [3]


def test_follow_goes_on_from_a_number(path: Path, following: Callable[..., Follower]) -> None:
    write(path, *["calm"] * 300, rotate_bytes=4096, keep=100)
    follower = following(path, 250)
    write(path, "stopped", rotate_bytes=4096, keep=100)
    follower.stop()
    assert follower.seqs == list(range(251, 302))


def test_follow_waits_for_a_log(path: Path, following: Callable[..., Follower]) -> None:
    follower = following(path)
    write(path, "started")
    assert until(lambda: follower.seqs == [1])


def test_follow_waits_for_the_end_of_a_line(path: Path, following: Callable[..., Follower]) -> None:
    path.write_bytes(b'{"seq": 1}\n{"se')
    follower = following(path)
    with path.open("ab", buffering=0) as file:
        for part in (b'q": 2', b'}\n{"seq": 3}\nrub', b"bish\n", b'{"seq": 4}'):
            file.write(part)
            time.sleep(0.01)
    assert until(lambda: follower.seqs == [2, 3])
    follower.stop()
    assert follower.seqs == [2, 3]


def test_follow_survives_a_repair(path: Path, following: Callable[..., Follower]) -> None:
    write(path, "started")
    with path.open("ab") as file:
        file.write(b'{"seq": 2, "time": "2026-11-20T10:00:03.120Z", "t": 3.12, "event": "cal')
    follower = following(path, 0)
    assert until(lambda: follower.seqs == [1])
    write(path, "started")
    assert until(lambda: follower.seqs == [1, 2, 3])
    assert [line["event"] for line in follower.seen] == ["started", "log_repaired", "started"]


def test_follow_survives_rotation_however_often(path: Path, following: Callable[..., Follower]) -> None:
    follower = following(path)
    with EventLog(path, 4096, 1000) as log:
        for n in range(1, 3001):
            log.write(Event("calm", 0.0, {"n": n}))
            if n % 500 == 0:
                assert until(partial(written, path, n))
    assert until(lambda: len(follower.seen) == 3000)
    assert follower.seqs == list(range(1, 3001))


def test_read_while_files_rotate(path: Path) -> None:
    write(path, "started")

    def busy() -> None:
        # About 50 files: enough for many rotations under the reader's feet, few enough to be read again and again.
        with EventLog(path, 4096, 1000) as log:
            for n in range(2, 2501):
                log.write(Event("calm", 0.0))
                if n % 500 == 0:
                    assert until(partial(written, path, n))

    writer = threading.Thread(target=busy)
    writer.start()
    rounds = 0
    while writer.is_alive() or not rounds:
        seqs = [line["seq"] for line in read(path)]
        assert seqs == list(range(1, len(seqs) + 1))
        rounds += 1
    writer.join()
    assert [line["seq"] for line in read(path)] == list(range(1, 2501))


# The clock on the wall.


class Clocks:
    """A machine that was switched on at noon, by a clock that can be set; `asleep` or awake, it knows how long ago."""

    def __init__(self) -> None:
        self.wall = datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp()
        self.up = 0.0

    def later(self, seconds: float) -> None:
        self.wall += seconds
        self.up += seconds


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    clocks = Clocks()
    monkeypatch.setattr(writer, "_uptime_s", lambda: clocks.up)
    return clocks


@pytest.mark.parametrize("years", [9, -9, 60 / 366 / 86400], ids=["years ahead", "years back", "a minute ahead"])
def test_clock_that_is_set_is_told_of_with_the_next_event(path: Path, clocks: Clocks, years: float) -> None:
    with EventLog(path, BIG, 4, clock=lambda: clocks.wall) as log:
        log.write(Event("started", 0.0))
        clocks.later(40)
        clocks.wall += years * 366 * 86400
        log.write(Event("masked", 40.0, {"person": 1}))
        clocks.later(3600)
        log.write(Event("stopped", 3640.0))
    found = lines(path)
    assert [line["event"] for line in found] == ["started", "clock_set", "masked", "stopped"]
    assert [line["seq"] for line in found] == [1, 2, 3, 4]
    assert (found[1]["time"], found[1]["t"], found[1]["before"]) == (found[2]["time"], 40.0, "2026-11-20T12:00:40.000Z")
    assert describe(found[1]).endswith("the clock was set; it would show 2026-11-20T12:00:40.000Z")


def test_clock_that_is_set_is_told_of_though_nothing_happens(
    path: Path, clocks: Clocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "CLOCK_CHECK_S", 0.01)
    with EventLog(path, BIG, 4, clock=lambda: clocks.wall) as log:
        log.write(Event("started", 0.0))
        assert until(partial(written, path, 1))
        clocks.wall += 86400
        assert until(partial(written, path, 2))
    assert kinds(path) == ["started", "clock_set"]


def test_sleep_and_leap_seconds_are_no_setting(path: Path, clocks: Clocks) -> None:
    with EventLog(path, BIG, 4, clock=lambda: clocks.wall) as log:
        log.write(Event("started", 0.0))
        clocks.later(8 * 3600)  # the machine slept: `t` stands still, what counts goes on
        log.write(Event("calm", 1.0))
        clocks.wall -= 1
        log.write(Event("calm", 2.0))
    assert kinds(path) == ["started", "calm", "calm"]


def logged(*rows: tuple[str, str] | tuple[str, str, str]) -> list[dict[str, Any]]:
    """Lines from (hour, kind) and (hour, "clock_set", hour it would be), all of one day unless the hour says which."""

    def moment(text: str) -> str:
        return f"{text if 'T' in text else '2026-11-20T' + text}:00Z"

    found = []
    for seq, row in enumerate(rows, 1):
        line: dict[str, Any] = {"seq": seq, "time": moment(row[0]), "event": row[1]}
        found.append(line | ({"before": moment(row[2])} if len(row) == 3 else {}))
    return found


@pytest.mark.parametrize(
    ("rows", "last_old"),
    [
        ([], 0),
        ([("11:30", "started"), ("11:45", "calm")], 0),
        ([("10:00", "started"), ("10:59", "calm"), ("11:01", "calm")], 2),
        # The Pi was off for two days, and knew it only when the network told it.
        (
            [
                ("2026-11-18T09:00", "started"),
                ("2026-11-18T10:00", "stopped"),
                ("2026-11-18T10:01", "started"),
                ("2026-11-18T10:02", "calm"),
                ("11:32", "clock_set", "2026-11-18T10:03"),
                ("11:40", "calm"),
            ],
            2,
        ),
        # Somebody set it years ahead for an hour and a half: that is not news until those years have come.
        (
            [
                ("10:00", "started"),
                ("2035-01-01T00:00", "clock_set", "10:00"),
                ("2035-01-01T00:10", "calm"),
                ("2035-01-01T01:20", "calm"),
                ("11:30", "clock_set", "2035-01-01T01:30"),
            ],
            3,
        ),
        # The same, but it was put right while nobody looked: before what came first after it, more is not known.
        ([("2035-01-01T00:10", "started"), ("2035-01-01T01:20", "calm"), ("10:30", "started"), ("11:30", "calm")], 3),
        ([("2035-01-01T00:10", "started"), ("2035-01-01T01:20", "calm"), ("11:30", "started")], 0),
        # A clock years late counts for its own run only.
        ([("10:00", "calm"), ("1999-01-01T00:00", "started"), ("11:59", "clock_set", "1999-01-01T01:00")], 2),
        ([("10:00", "calm"), ("1999-01-01T00:00", "started"), ("11:59", "clock_set", "1999-01-01T00:50")], 1),
        ([("10:00", "calm"), ("11:30", "clock_set", "yesterday")], 1),
    ],
)
def test_since_goes_by_what_the_clock_should_have_shown(rows: list[Any], last_old: int) -> None:
    since = datetime(2026, 11, 20, 11, tzinfo=UTC).timestamp()
    assert last_before(logged(*rows), since) == last_old


def test_since_with_lines_of_others() -> None:
    some = [{"event": "old", "time": "2020-01-01T00:00:00Z"}, {"event": "timeless", "seq": 7}, {"event": "no number"}]
    assert last_before(some, time.time()) == 0  # type: ignore[arg-type]
    assert [line["event"] for line in select(some, 7, ())] == ["old", "no number"]  # type: ignore[arg-type]
    assert list(select(some, 0, ("TIMELESS", "timeless"))) == [some[1]]  # type: ignore[arg-type]


# For people.


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("1h", 3600), ("2d", 172800), (" 1.5 h ", 5400), ("0s", 0)]
)
def test_parse_since(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "1", "h", "-1h", "1 week", "1h30m", "1H", "٣h", "nans"])
def test_parse_since_refuses(text: str) -> None:
    with pytest.raises(UsageError, match=re.escape(f"'{text}'")) as caught:
        parse_duration(text)
    assert "30m" in caught.value.hint


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "CET-1")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({"event": "signal", "signal": "STOP", "faces": 1}, "STOP   someone wears no mask (faces 1)"),
        ({"event": "signal", "signal": "IDLE"}, "IDLE   nobody at the door"),
        ({"event": "unmasked", "person": 3, "evidence": -1.8349}, "       person 3 wears no mask (evidence -1.83)"),
        ({"event": "masked", "person": 3}, "       person 3 wears a mask"),
        ({"event": "agitated", "person": 3, "agitation": 0.7}, "       person 3 looks agitated (agitation 0.70)"),
        ({"event": "calm", "person": 3}, "       person 3 is calm again"),
        ({"event": "cleared", "person": 3, "dwell_s": 4.2}, "       person 3 has gone, after 4.20 s"),
        ({"event": "cleared"}, "       person ? has gone, after ? s"),
        ({"event": "camera_lost", "reason": "unplugged"}, "       the camera is lost (reason unplugged)"),
        ({"event": "log_lost", "count": 7}, "       7 events are missing here: the log could not be written"),
        ({"event": "log_repaired", "bytes": 33}, "       33 bytes of a torn line were removed from the log"),
        (
            {"event": "accelerator_lost", "reason": "gone"},
            "       the Edge TPU is not in use; the models run on the CPU (reason gone)",
        ),
        ({"event": "yet_unknown", "device": "usb:0"}, 'yet_unknown {"device": "usb:0"}'),
        ({"event": "started", "source": "a\x1b[2Jb\nc"}, "       the door has started (source a�[2Jb�c)"),
        ({}, "? {}"),
    ],
)
def test_describe(data: dict[str, Any], text: str) -> None:
    line = {"seq": 1, "time": "2026-11-20T10:00:03.120Z", "t": 3.12, **data}
    assert describe(line) == f"11:00:03  {text}"


@pytest.mark.parametrize("moment", [None, "yesterday", 12, "2026-11-20T10:00:03"])
def test_describe_without_a_time(moment: object) -> None:
    assert describe({"time": moment, "event": "stopped"}) == "--:--:--         the door has stopped"


def test_every_kind_has_words() -> None:
    door = (
        "started",
        "stopped",
        "signal",
        "camera_lost",
        "camera_back",
        "fault",
        "clock_set",
        "log_lost",
        "log_repaired",
    )
    person = ("masked", "unmasked", "agitated", "calm", "cleared")
    for kind in door + person:
        assert "{" not in describe({"event": kind, "signal": "PASS"})


def test_summarise() -> None:
    some = [
        {"event": "started", "time": "2026-11-20T10:00:00.000Z"},
        {"event": "signal", "signal": "STOP", "time": "2026-11-20T10:00:03.120Z"},
        {"event": "unmasked", "time": "rubbish"},
        {"event": "signal", "signal": "IDLE", "time": "2026-11-20T10:00:05.000Z"},
        {"event": "signal", "signal": "STOP"},
    ]
    summary = summarise(iter(some))
    assert summary.records == 5
    assert summary.events == {"started": 1, "signal": 3, "unmasked": 1}
    assert summary.signals == {"STOP": 2, "IDLE": 1}
    assert summary.first == datetime(2026, 11, 20, 10, 0, 0, tzinfo=UTC)
    assert summary.last == datetime(2026, 11, 20, 10, 0, 5, tzinfo=UTC)


def test_summarise_nothing() -> None:
    summary = summarise([])
    assert (summary.records, summary.events, summary.signals, summary.first, summary.last) == (0, {}, {}, None, None)


def test_follow_goes_over_what_is_no_line(tmp_path: Path) -> None:
    """A hole of gigabytes, as nobody's log has it, is not read."""
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"seq": 1, "event": "a"}\n')
    os.truncate(path, 1 << 40)
    assert [line["seq"] for line in reader.follow(path, 0.01, lambda: True, 0)] == [1]
    with path.open("ab") as file:
        file.write(b'\n{"seq": 2, "event": "b"}\n')
    assert list(reader.follow(path, 0.01, lambda: True)) == []


@given(st.lists(st.binary(max_size=40).map(lambda data: data.replace(b"\n", b"")), max_size=20), st.booleans())
def test_a_log_is_read_backwards_as_forwards(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], end: bool
) -> None:
    data = b"\n".join(lines) + b"\n" * end
    path = tmp_path_factory.mktemp("log") / "x"
    path.write_bytes(data)
    with path.open("rb") as file:
        found = list(log_files.lines_from_end(file.fileno(), len(data)))
    assert [line for _, line in reversed(found)] == data.splitlines(keepends=True) or b"\r" in data
    assert b"".join(line for _, line in reversed(found)) == data
    assert all(data[start : start + len(line)] == line for start, line in found)


def test_a_line_longer_than_a_block_is_read_backwards(tmp_path: Path) -> None:
    lines = [b"a" * 70_000 + b"\n", b"\n", b"b" * (1 << 16) + b"\n", b"c" * 200_000]
    path = tmp_path / "x"
    path.write_bytes(b"".join(lines))
    with path.open("rb") as file:
        found = list(log_files.lines_from_end(file.fileno(), path.stat().st_size))
    assert [line for _, line in found] == lines[::-1]
