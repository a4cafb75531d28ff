"""What doors and collectors say of a TLS handshake that a server refuses."""

from __future__ import annotations

import contextlib
import gc
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator

import pytest

from edge.errors import UnavailableError
from edge.fleet import broker as fleet_broker
from edge.link import mqtt
from edge.link.tls_context import Names, tls_context
from edge.link_settings import Broker
from support.paths import ROOT

CERTIFICATES = ROOT / "tests" / "support" / "certificates"
Serve = Callable[[ssl.SSLContext], int]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a server that does one handshake; return its port."""
    started: list[tuple[socket.socket, threading.Thread]] = []

    def start(settings: ssl.SSLContext) -> int:
        listening = socket.create_server(("127.0.0.1", 0))

        def accept() -> None:
            with listening.accept()[0] as accepted, pytest.raises(ssl.SSLError):
                settings.wrap_socket(accepted, server_side=True)

        started.append((listening, threading.Thread(target=accept)))
        started[-1][1].start()
        return int(listening.getsockname()[1])

    yield start
    for listening, thread in started:
        thread.join()
        listening.close()


def server() -> ssl.SSLContext:
    """Return the settings of a server with TLS 1.2."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATES / "server.pem", CERTIFICATES / "server.key")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


def client() -> ssl.SSLContext:
    return tls_context(CERTIFICATES / "ca.pem", None, None, Names("ca", "certificate", "key"))


def connect_door(port: int, tls: ssl.SSLContext) -> None:
    login = mqtt.Login("door", tls=tls)
    mqtt.MqttConnection(Broker("127.0.0.1", port, has_tls=True), login, mqtt.Will("t", b"")).open()


def connect_collector(port: int, tls: ssl.SSLContext) -> None:
    fleet_broker.Connection(fleet_broker.Broker("127.0.0.1", port, "collector", "group", tls=tls))


def asks_for_a_certificate(server: ssl.SSLContext, _client: ssl.SSLContext) -> None:
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_verify_locations(CERTIFICATES / "ca.pem")


def has_another_cipher(server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    server.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
    client.set_ciphers("ECDHE-ECDSA-AES256-GCM-SHA384")


def speaks_an_older_version(_server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    client.minimum_version = ssl.TLSVersion.TLSv1_3


@pytest.mark.parametrize(
    ("prepare", "expected", "hint"),
    [
        (asks_for_a_certificate, "asks for a certificate", "set "),
        (has_another_cipher, "allows none of this .*'s ciphers", "allow TLS 1.3, or "),
        (speaks_an_older_version, "speaks only old versions of TLS", "allow TLS 1.2"),
    ],
)
@pytest.mark.parametrize("connect", [connect_door, connect_collector])
def test_the_reason_of_a_refused_handshake(
    connect: Callable[[int, ssl.SSLContext], None],
    prepare: Callable[[ssl.SSLContext, ssl.SSLContext], None],
    expected: str,
    hint: str,
    serve: Serve,
) -> None:
    there, here = server(), client()
    prepare(there, here)
    with pytest.raises(UnavailableError, match=f"{expected}$") as caught:
        connect(serve(there), here)
    assert caught.value.hint.startswith(hint)


@pytest.mark.parametrize("connect", [connect_door, connect_collector])
def test_a_server_that_knows_only_tls_1_0(connect: Callable[[int, ssl.SSLContext], None]) -> None:
    """It knows nothing of newer versions, and answers with its own. OpenSSL here does not do that any more: it sends an alert."""
    content = b"\3\1" + bytes(32) + b"\0\0\x2f\0"  # version, random, no session, AES128-SHA, no compression
    hello = b"\x16\3\1\0" + bytes([4 + len(content)]) + b"\2\0\0" + bytes([len(content)]) + content
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            with listening.accept()[0] as accepted:
                accepted.recv(4096)
                accepted.sendall(hello)
                with contextlib.suppress(ConnectionError):
                    accepted.recv(4096)  # the client's alert

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(UnavailableError, match=r"speaks only old versions of TLS$"):
            connect(listening.getsockname()[1], client())
        thread.join()


@contextlib.contextmanager
def refusing() -> Iterator[int]:
    """Yield the port of a broker that refuses each connection because it is unavailable."""

    def refuse() -> None:
        with contextlib.suppress(OSError):
            while True:
                with listening.accept()[0] as accepted:
                    accepted.recv(4096)
                    accepted.sendall(b"\x20\3\0\x88\0")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=refuse)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


def is_refused_by_door(port: int) -> None:
    connection = mqtt.MqttConnection(Broker("127.0.0.1", port, has_tls=False), mqtt.Login("door"), mqtt.Will("t", b""))
    try:
        connection.open()
    except UnavailableError:
        connection.close()


def is_refused_by_collector(port: int) -> None:
    with contextlib.suppress(UnavailableError):
        fleet_broker.Connection(fleet_broker.Broker("127.0.0.1", port, "collector", "group"))


@pytest.mark.parametrize("is_refused", [is_refused_by_door, is_refused_by_collector])
def test_a_refused_connection_leaves_no_open_file(is_refused: Callable[[int], None]) -> None:
    """The files of a client that is part of a cycle are closed when Python looks for cycles: perhaps after hours."""
    with refusing() as port:
        is_refused(port)
        gc.collect()
        gc.disable()
        try:
            before = len(os.listdir("/proc/self/fd"))
            for _ in range(20):
                is_refused(port)
            assert len(os.listdir("/proc/self/fd")) < before + 20
        finally:
            gc.enable()
