"""Clients of the metrics that say nothing, go away, or are too many."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.metrics import server
from edge.metrics.keeper import TotalsKeeper
from edge.metrics.server import MetricsServer
from edge.system import limited_listener
from fleet.servers import free_port
from support.limits import no_more_files, no_more_threads
from support.link import write_log
from support.wait import wait_until

#: Closing a socket with this option resets the connection.
RESET = struct.pack("ii", 1, 0)


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """The port of a server."""
    write_log(tmp_path / "events.jsonl", range(1, 4))
    port = free_port()
    running = MetricsServer(TotalsKeeper(tmp_path / "events.jsonl", None), "127.0.0.1", port)
    yield port
    running.close()


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), 60)


def is_closed(client: socket.socket) -> bool:
    """Wait until the server has closed the connection."""
    with contextlib.suppress(ConnectionResetError):
        return client.recv(1) == b""
    return True


def has_metrics(port: int) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
        return b"doorlight_log_readable 1.0" in answer.read()
    return False


def test_more_connections_than_allowed_are_closed(port: int) -> None:
    silent = [connect(port) for _ in range(server.MAX_CONNECTIONS)]
    for _ in range(50):
        with connect(port) as client:
            assert is_closed(client)
    assert threading.active_count() < 50
    for client in silent:
        client.close()
    wait_until(lambda: has_metrics(port))


def test_a_silent_client_is_cut_off(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server._Handler, "timeout", 0.05)
    with connect(port) as client:
        assert is_closed(client)


def test_a_client_that_goes_away_is_not_reported(port: int, capfd: pytest.CaptureFixture[str]) -> None:
    for _ in range(server.MAX_CONNECTIONS):
        with connect(port) as client:
            client.sendall(b"GET /metrics HTTP/1.1\r\n")
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    wait_until(lambda: has_metrics(port))
    assert capfd.readouterr().err == ""


def test_without_a_free_thread_the_connection_is_closed(port: int) -> None:
    for _ in range(server.MAX_CONNECTIONS + 1):
        with no_more_threads(), connect(port) as client:
            assert is_closed(client)
    assert has_metrics(port)


def test_with_too_many_open_files_clients_wait_and_the_thread_rests(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rests, goes_on = threading.Event(), threading.Event()

    def rest(_: float) -> None:
        rests.set()
        goes_on.wait(60)

    monkeypatch.setattr(limited_listener, "_sleep", rest)
    with socket.socket() as client:
        with no_more_files():
            client.connect(("127.0.0.1", port))
            assert rests.wait(60)
        goes_on.set()
    wait_until(lambda: has_metrics(port))
