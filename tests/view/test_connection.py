"""What a client sends: commands in any pieces, requests, and everything that is neither."""

from __future__ import annotations

import contextlib
import json
import random
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.view import connection as connection_module
from edge.view import protocol, server
from edge.view.connection import Connection
from edge.view.server import Reply, ViewServer
from support.view import Watcher, decision, frame, number_and_size, short_folder
from support.wait import wait_until


class Echo:
    """Answers a request with what it asks, its time and the number of offers."""

    def __init__(self) -> None:
        self.forgotten: list[object] = []
        self.is_closed = False
        self.replies: list[Reply] = []

    def handle(self, request: dict[str, Any], offers: Any, client: object, reply: Reply) -> None:
        self.replies.append(reply)
        if request.get("ask") != "later":
            reply({"asked": request.get("ask"), "times": [offer.decision.t for offer in offers]}, b"body")

    def forget(self, client: object) -> None:
        self.forgotten.append(client)

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def path() -> Iterator[Path]:
    with short_folder() as folder:
        yield folder / "view.sock"


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
def view(path: Path, echo: Echo, monkeypatch: pytest.MonkeyPatch) -> Iterator[ViewServer]:
    monkeypatch.setattr(server, "MAX_FRAME_RATE", 1e9)
    view = ViewServer(path, number_and_size(10), group_may_watch=False, requests=echo)
    yield view
    view.close()
    assert echo.is_closed


@pytest.fixture
def client(view: ViewServer, path: Path) -> Iterator[Watcher]:
    client = Watcher(path)
    yield client
    client.close()


def test_a_request_is_answered_also_without_watching(client: Watcher) -> None:
    client.socket.sendall(protocol.encode_request({"id": 7, "ask": "x"}))
    assert client.receive_answer() == ({"answer": 7, "asked": "x", "times": []}, b"body")


def test_requests_in_pieces_and_several_at_once(client: Watcher) -> None:
    data = b"".join(protocol.encode_request({"id": k, "ask": "ä"}) for k in range(3))
    for k in range(len(data)):
        client.socket.sendall(data[k : k + 1])
    assert [client.receive_answer()[0]["answer"] for _ in range(3)] == [0, 1, 2]


def test_commands_between_requests_count(client: Watcher, view: ViewServer) -> None:
    request = protocol.encode_request({"id": 1})
    client.socket.sendall(protocol.WATCH + request + protocol.PAUSE + protocol.WATCH)
    assert client.receive_answer()[0]["answer"] == 1
    wait_until(lambda: view._watchers == 1)


def test_a_request_may_be_about_the_frames_of_the_last_seconds(
    client: Watcher, view: ViewServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "KEEP_BYTES", 3 * frame().picture.nbytes)
    monkeypatch.setattr(server, "KEEP_S", 3600.0)
    client.watch()
    wait_until(lambda: view._watchers == 1)
    for k in range(5):
        view.offer(frame(k), decision(float(k)))
        client.receive()
    client.socket.sendall(protocol.encode_request({"id": 1}))
    assert client.receive_answer()[0]["times"] == [2.0, 3.0, 4.0]
    client.socket.sendall(protocol.PAUSE)
    wait_until(lambda: not view._watchers)
    client.socket.sendall(protocol.encode_request({"id": 2}))
    assert client.receive_answer()[0]["times"] == [], "nothing is kept while nobody watches"


def test_an_answer_may_come_later_and_from_any_thread(client: Watcher, echo: Echo) -> None:
    client.socket.sendall(protocol.encode_request({"id": 3, "ask": "later"}))
    wait_until(lambda: echo.replies)
    echo.replies[0]({"state": "done"}, b"")
    assert client.receive_answer() == ({"answer": 3, "state": "done"}, b"")
    client.close()
    echo.replies[0]({"state": "done"}, b"")  # nobody is there any more


def test_an_answer_does_not_replace_a_frame_nor_a_frame_an_answer() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        client = Connection(ours)
        client.give(b"f" * (8 << 20))  # larger than the buffer
        client.give(b"newest")
        client.answer(b"answer")
        assert not client.is_closed
        for _ in range(connection_module.MAX_ANSWERS):
            client.answer(b"more")
        assert client.is_closed, "it reads nothing, and asks on"


def test_who_stops_watching_is_forgotten(client: Watcher, view: ViewServer, echo: Echo) -> None:
    client.watch()
    wait_until(lambda: view._watchers == 1)
    echo.forgotten.clear()
    client.socket.sendall(protocol.PAUSE)
    wait_until(lambda: echo.forgotten)


@pytest.mark.parametrize(
    "data",
    [
        b"X",
        b"\0",
        b"GET / HTTP/1.1\r\n\r\n",
        b"R" + protocol.REQUEST_LENGTH.pack(protocol.MAX_REQUEST_BYTES + 1),
        b"R\xff\xff\xff\xff",
        *(
            b"R" + protocol.REQUEST_LENGTH.pack(len(text)) + text
            for text in (
                b"", b"{", b"[]", b"1", b'"id"', b"{}", b'{"id": "1"}', b'{"id": null}', b'{"id": 1.5}', b"\xff\xfe",
                b"[" * 60_000, b'{"id":' * 9_000, b"9" * 60_000,
            )
        ),
    ],
)  # fmt: skip
def test_what_is_no_command_closes_the_connection(data: bytes, client: Watcher, view: ViewServer, path: Path) -> None:
    client.socket.sendall(data)
    assert client.is_closed()
    assert view._thread.is_alive()
    other = Watcher(path)
    other.socket.sendall(protocol.encode_request({"id": 1}))
    assert other.receive_answer()[0]["answer"] == 1
    other.close()


@pytest.mark.parametrize("data", [b"WP" * 200, protocol.encode_request({"id": 1}) * 200])
def test_a_client_that_floods_the_door_is_cut_off(data: bytes, client: Watcher, view: ViewServer) -> None:
    client.socket.sendall(data)
    wait_until(lambda: not view._connections)
    assert view.take_events() == [], "no frame was handed over"


def test_ten_thousand_broken_clients(path: Path, view: ViewServer) -> None:
    """Seeded: the door goes on, and keeps none of them."""
    chance = random.Random(15)
    whole = protocol.encode_request({"id": 1, "ask": "explain", "stage": "mask", "t": 1.0})
    for _ in range(10_000):
        data = bytearray(whole if chance.random() < 0.7 else chance.randbytes(chance.randrange(1, 80)))
        for _ in range(chance.randrange(4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError, ConnectionError):  # too many connections
                client.sendall(bytes(data[: chance.randrange(len(data) + 1)]))
    wait_until(lambda: not view._connections)
    last = Watcher(path)
    last.socket.sendall(protocol.encode_request({"id": 5, "ask": "x"}))
    assert last.receive_answer()[0]["asked"] == "x"
    last.close()
    assert json.loads(protocol.encode_json({"a": 1})) == {"a": 1}
