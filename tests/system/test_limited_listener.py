from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest

from edge.system import limited_listener
from edge.system.limited_listener import LimitedListener
from support.limits import no_more_files

PAUSE_S = 7.0


@pytest.fixture
def listener() -> Iterator[LimitedListener]:
    with LimitedListener(socket.AF_INET, 2, PAUSE_S) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(8)
        yield listener


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waited: list[float] = []
    monkeypatch.setattr(limited_listener, "_sleep", waited.append)
    return waited


def test_a_closed_connection_makes_room_for_another(listener: LimitedListener, pauses: list[float]) -> None:
    with contextlib.ExitStack() as opened:
        clients = [opened.enter_context(socket.create_connection(listener.getsockname(), 60)) for _ in range(6)]
        accepted = [opened.enter_context(listener.accept()[0]) for _ in range(2)]
        assert all(connection.getblocking() for connection in accepted)
        with pytest.raises(BlockingIOError):  # as many as may be open are refused at once
            listener.accept()
        assert [client.recv(1) for client in clients[2:4]] == [b"", b""]
        accepted[0].close()
        third, _ = listener.accept()
        assert opened.enter_context(third).getpeername() == clients[4].getsockname()
    assert pauses == []


def test_it_waits_neither_for_clients_nor_after_finding_none(listener: LimitedListener, pauses: list[float]) -> None:
    with pytest.raises(BlockingIOError):
        listener.accept()
    assert pauses == []


def test_without_a_free_file_it_pauses_and_the_client_waits(listener: LimitedListener, pauses: list[float]) -> None:
    with socket.socket() as client:
        with no_more_files():
            client.connect(listener.getsockname())
            with pytest.raises(OSError, match="Too many open files"):
                listener.accept()
        assert pauses == [PAUSE_S]
        listener.accept()[0].close()
