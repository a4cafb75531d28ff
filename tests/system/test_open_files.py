"""The processes that have a file open, from the real /proc."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path

from edge.system.open_files import processes_using


def test_finds_this_process_and_another(tmp_path: Path) -> None:
    path = tmp_path / "device"
    path.touch()
    assert processes_using(str(path)) == []
    code = f"import sys; file = open({str(path)!r}); print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with path.open():
            found = processes_using(str(path))
        assert [pid for pid, _ in found] == sorted([os.getpid(), other.pid])
        assert dict(found)[other.pid].startswith("python")
        assert other.stdin is not None
        other.stdin.close()
    assert processes_using(str(path)) == []


def test_follows_a_symbolic_link(tmp_path: Path) -> None:
    path, link = tmp_path / "gpiochip0", tmp_path / "gpiochip4"
    path.touch()
    link.symlink_to(path)
    with path.open():
        assert [pid for pid, _ in processes_using(str(link))] == [os.getpid()]


def test_finds_a_file_without_a_path() -> None:
    poll = select.epoll()
    try:
        assert os.getpid() in [pid for pid, _ in processes_using("/nowhere", "anon_inode:[eventpoll]")]
    finally:
        poll.close()
