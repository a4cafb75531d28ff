"""SystemdNotifier against real datagram sockets, of both kinds that systemd uses."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.system.systemd import SystemdNotifier


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A listening socket and its name, as in $NOTIFY_SOCKET."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        if request.param == "path":
            name = str(tmp_path / "notify")
            listener.bind(name)
        else:
            name = f"@doorlight-test-{os.getpid()}"
            listener.bind("\0" + name[1:])
        listener.settimeout(5)
        yield listener, name


def test_each_message(systemd: tuple[socket.socket, str]) -> None:
    listener, name = systemd
    notifier = SystemdNotifier({"NOTIFY_SOCKET": name})
    notifier.ready()
    assert listener.recv(4096) == b"READY=1"
    notifier.status("green, 15 frames/s")
    assert listener.recv(4096) == b"STATUS=green, 15 frames/s"
    notifier.watchdog()
    assert listener.recv(4096) == b"WATCHDOG=1"
    notifier.stopping()
    assert listener.recv(4096) == b"STOPPING=1"


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r", "\u2028", "\x0b"])
def test_a_line_break_in_the_status_begins_no_field(systemd: tuple[socket.socket, str], line_break: str) -> None:
    listener, name = systemd
    SystemdNotifier({"NOTIFY_SOCKET": name}).status(f"camera lost{line_break}MAINPID=1")
    assert listener.recv(4096) == b"STATUS=camera lost MAINPID=1"


def test_a_status_of_any_text_is_sent(systemd: tuple[socket.socket, str]) -> None:
    listener, name = systemd
    notifier = SystemdNotifier({"NOTIFY_SOCKET": name})
    notifier.status("Tür: \udcff")
    assert listener.recv(4096).decode() == "STATUS=Tür: ?"
    notifier.status("")
    assert listener.recv(4096) == b"STATUS="


WITHOUT_LISTENER = ["", "/no/such/folder/notify", "@nobody-listens-here", "vsock:2:1234", "/" + "x" * 300]


@pytest.mark.parametrize("name", WITHOUT_LISTENER)
def test_no_error_if_nothing_listens(name: str) -> None:
    notifier = SystemdNotifier({"NOTIFY_SOCKET": name} if name else {})
    notifier.ready()
    notifier.status("anyone?")
    notifier.watchdog()
    notifier.stopping()


def test_a_full_queue_neither_blocks_nor_raises(systemd: tuple[socket.socket, str]) -> None:
    listener, name = systemd
    notifier = SystemdNotifier({"NOTIFY_SOCKET": name})
    for _ in range(2000):  # Linux queues at most some hundred datagrams, so a blocking send would hang here
        notifier.watchdog()
    assert listener.recv(4096) == b"WATCHDOG=1"
