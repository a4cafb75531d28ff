"""Who has a file open, by the real /proc."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path

from edge.holders import holders


def test_this_process_and_another(tmp_path: Path) -> None:
    path = tmp_path / "device"
    path.touch()
    assert holders(str(path)) == []
    code = f"import sys; file = open({str(path)!r}); print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with path.open():
            found = holders(str(path))
        assert [pid for pid, _ in found] == sorted([os.getpid(), other.pid])
        assert dict(found)[other.pid].startswith("python")
        assert other.stdin is not None
        other.stdin.close()
    assert holders(str(path)) == []


def test_by_another_name(tmp_path: Path) -> None:
    path, link = tmp_path / "gpiochip0", tmp_path / "gpiochip4"
    path.touch()
    link.symlink_to(path)
    with path.open():
        assert [pid for pid, _ in holders(str(link))] == [os.getpid()]


def test_what_has_no_path() -> None:
    poll = select.epoll()
    try:
        assert os.getpid() in [pid for pid, _ in holders("/nowhere", "anon_inode:[eventpoll]")]
    finally:
        poll.close()
