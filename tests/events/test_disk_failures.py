"""EventLog on failing disks: a file size limit, a full or read-only tmpfs, a failing fsync, a file that is removed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from edge.events.writer import EventLog
from edge.records import Event
from support.event_log import NO_ROTATION, kinds, records, write
from support.paths import ROOT
from support.wait import wait_until

#: Writes events beyond a limit on the size of a file; what follows depends on the test.
LIMITED = """
import resource, sys, time
from pathlib import Path
from edge.events import writer
from edge.events.writer import EventLog
from edge.records import Event

writer.RETRY_S = 0.1

def until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it never happened"
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


def run_limited(path: Path, count: int, end: str) -> list[str]:
    """Run LIMITED with `count` events, then the code `end`, in a child process. Return the lines that it prints."""
    ran = subprocess.run(
        [sys.executable, "-c", LIMITED + textwrap.dedent(end), str(path), str(count)],
        cwd=ROOT, capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


RECOVER = """
    resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    until(lambda: log.problem is None)  # it retries without a further event
    print(log.lost)
    log.write(Event("stopped", 9.0))
    log.close()
"""


def test_a_short_failure_loses_nothing(path: Path) -> None:
    problem, lost = run_limited(path, 100, RECOVER)
    assert str(path) in problem
    assert "File too large" in problem
    assert lost == "0"
    assert [record["seq"] for record in records(path)] == list(range(1, 103))
    assert kinds(path) == ["started", *["calm"] * 100, "stopped"]


def test_a_long_failure_loses_the_oldest_events_and_counts_them(path: Path) -> None:
    _, lost = run_limited(path, 5000, RECOVER)
    found = records(path)
    where = kinds(path).index("log_lost")
    assert kinds(path).count("log_lost") == 1
    assert found[where]["count"] == int(lost)
    # At most 1000 events waited, and as many were being written when the disk came back.
    assert 2990 <= int(lost) <= 4000
    # The record takes the place of the last lost event; every later event is there.
    assert [record["seq"] for record in found[where:]] == list(range(found[where]["seq"], 5003))
    # The count covers the whole gap.
    assert found[where - 1]["seq"] + int(lost) == found[where]["seq"]


def test_close_during_a_failure_does_not_hang_and_leaves_complete_lines(path: Path) -> None:
    printed = run_limited(path, 100, "log.close(); print(log.problem)")
    assert re.search(r"\d+ events lost", printed[-1])
    assert len(records(path)) >= 1
    write(path, "started")  # opens the log again, and finds no torn line
    assert "log_repaired" not in kinds(path)


def run_on_small_disk(tmp_path: Path, options: str, code: str) -> list[str]:
    """Run `code` in a child process with a new tmpfs at `disk`, in a mount namespace of its own.

    Return the lines it prints.
    """
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
            end = time.monotonic() + 60
            while not condition():
                assert time.monotonic() < end, "it never happened"
                time.sleep(0.005)
    """
    unshare = ["unshare", "--user", "--map-root-user", "--mount"]
    mount = f'mount -t tmpfs -o {options} none "{disk}" || exit 77; exec "$@"'
    if shutil.which("unshare") is None:
        pytest.skip("needs unshare (util-linux)")
    ran = subprocess.run(
        [*unshare, "sh", "-c", mount, "sh", sys.executable, "-c", textwrap.dedent(start) + textwrap.dedent(code)],
        cwd=ROOT, capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    if ran.returncode == 77 or ran.stderr.startswith("unshare:"):
        pytest.skip(f"cannot mount here: {ran.stderr.strip()}")
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


def test_events_wait_while_the_disk_is_full(tmp_path: Path) -> None:
    printed = run_on_small_disk(tmp_path, "size=64k", """
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
        print([record["seq"] for record in read(path)] == list(range(1, 202)))
    """)  # fmt: skip
    assert "No space left on device" in printed[0]
    assert printed[1] == "True"


def test_the_log_opens_on_a_full_disk(tmp_path: Path) -> None:
    printed = run_on_small_disk(tmp_path, "size=64k,nr_inodes=2", """
        (disk / "ballast").touch()  # with the root folder, the last inode
        log = EventLog(path, 10_000_000, 4)
        print(log.problem)
        log.write(Event("started", 0.0))
        (disk / "ballast").unlink()
        until(lambda: log.problem is None)
        log.close()
        print(*(record["event"] for record in read(path)))
    """)  # fmt: skip
    assert "No space left on device" in printed[0]
    assert printed[1] == "started"


def test_numbers_go_on_after_a_full_disk_whose_log_is_deleted(tmp_path: Path) -> None:
    """The counter is replaced in place, so that it needs no space."""
    printed = run_on_small_disk(tmp_path, "size=64k", """
        log = EventLog(path, 10_000_000, 4)
        log.write(Event("started", 0.0))
        until(lambda: path.stat().st_size > 0)
        with (disk / "ballast").open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 4096)
            except OSError:
                pass
        for n in range(1500):
            log.write(Event("calm", 0.0, {"n": n}))
        until(lambda: log.problem is not None)
        log.close()
        path.unlink()
        (disk / "ballast").unlink()
        with EventLog(path, 10_000_000, 4) as log:
            log.write(Event("started", 0.0))
        print(*(record["seq"] for record in read(path)))
    """)  # fmt: skip
    assert printed == ["1502"]


def test_events_wait_while_the_disk_is_read_only(tmp_path: Path) -> None:
    printed = run_on_small_disk(tmp_path, "size=64k", """
        log = EventLog(path, 4096, 4)
        log.write(Event("started", 0.0, {"text": "x" * 4000}))
        until(lambda: path.stat().st_size > 0)
        # The kernel refuses to remount a disk with a file open for writing, but a read-only bind mount on top of
        # the folder makes the rotation fail that is now due.
        assert os.system(f"mount --bind {disk} {disk} && mount -o remount,bind,ro {disk}") == 0
        log.write(Event("calm", 0.0, {"text": "x" * 1000}))
        until(lambda: log.problem is not None)
        print(log.problem, log.locked_out)
        assert os.system(f"umount {disk}") == 0
        until(lambda: log.problem is None)
        assert not log.locked_out
        log.close()
        print(*(record["event"] for record in read(path)))
    """)  # fmt: skip
    assert "Read-only file system True" in printed[0]
    assert printed[1] == "started calm"


def test_an_existing_log_opens_on_a_read_only_disk(tmp_path: Path) -> None:
    printed = run_on_small_disk(tmp_path, "size=64k", """
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
        print(*(record["seq"] for record in read(path)), log.locked_out)
        assert os.system(f"mount --bind {disk} {disk} && mount -o remount,bind,ro {disk}") == 0
        print(refused(path))
    """)  # fmt: skip
    assert "Read-only file system" in printed[0]
    assert "new.jsonl: cannot be written" in printed[1], "a log that does not exist yet"
    assert printed[2] == "1 2 False"
    assert "log.jsonl: cannot be written" in printed[3], "a writable disk that this process sees as read-only"


def test_events_are_written_again_once_after_a_failed_sync(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failed fsync it is unknown what is on the disk, because the kernel drops the pages."""
    fail = threading.Event()
    real = os.fsync

    def fsync(file: int) -> None:
        if fail.is_set():
            raise OSError(5, "Input/output error")
        real(file)

    monkeypatch.setattr(os, "fsync", fsync)
    with EventLog(path, NO_ROTATION, 4) as log:
        log.write(Event("started", 0.0))
        wait_until(lambda: path.stat().st_size > 0)
        fail.set()
        log.write(Event("calm", 0.0))
        wait_until(lambda: log.problem is not None)
        assert "Input/output error" in str(log.problem)
        fail.clear()
        log.write(Event("stopped", 0.0))
        wait_until(lambda: log.problem is None)
    assert kinds(path) == ["started", "calm", "stopped"]


@pytest.mark.parametrize("gone", ["deleted", "moved away"])
def test_a_removed_log_is_created_again(path: Path, gone: str) -> None:
    with EventLog(path, NO_ROTATION, 4) as log:
        log.write(Event("started", 0.0))
        wait_until(lambda: path.stat().st_size > 0)
        if gone == "deleted":
            path.unlink()
        else:
            path.rename(path.with_name("mine"))
        log.write(Event("stopped", 0.0))
        wait_until(path.exists)
    assert [(record["seq"], record["event"]) for record in records(path)] == [(2, "stopped")]
