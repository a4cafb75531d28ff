"""A real server on loopback, and clients that mean no good."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
import subprocess
import threading
from pathlib import Path

import anyio.to_thread
import pytest
from starlette.staticfiles import StaticFiles

from edge.errors import InputError, UnavailableError
from edge.view import protocol
from edge.view.server import ViewServer
from edge.web import server
from edge.web.app import MAX_THREADS
from edge.web.page import TOKEN_COOKIE
from support.limits import few_more_files
from support.view import decision, frame, number_and_size
from support.web import TOKEN, make_app, serving

REQUEST = f"GET {{}} HTTP/1.1\r\nHost: localhost\r\nCookie: {TOKEN_COOKIE}={TOKEN}\r\n\r\n"
TIMEOUT_S = 60.0


async def get(port: int, path: str) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body of an answer."""
    async with asyncio.timeout(TIMEOUT_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUEST.format(path).encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        writer.close()
    return int(head[0].split()[1]), headers, body


async def is_cut_off(reader: asyncio.StreamReader) -> bool:
    """Read to the end of a connection; False if it stays open."""
    try:
        async with asyncio.timeout(TIMEOUT_S):
            while await reader.read(1 << 16):
                pass
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False
    return True


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a certificate and its key."""
    folder = tmp_path_factory.mktemp("tls")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    try:
        subprocess.run(
            [*command.split(), "-addext", "subjectAltName=DNS:localhost", "-keyout", "key.pem", "-out", "cert.pem"],
            cwd=folder, check=True, capture_output=True,
        )  # fmt: skip
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    return folder / "cert.pem", folder / "key.pem"


def test_a_moment_of_the_door_arrives_as_it_was_sent(folder: Path) -> None:
    async def scenario() -> None:
        view = ViewServer(folder / "view.sock", number_and_size(30_000), group_may_watch=False)
        async with serving(make_app(folder)) as port:
            answer = asyncio.create_task(get(port, "/live/next?after=0"))
            while not view._watchers:
                await asyncio.sleep(0.01)
            view.offer(frame(4), decision())
            status, headers, body = await answer
        view.close()
        lengths = protocol.HEADER.unpack(body[:8])
        assert (status, headers["doorlight-number"], lengths[1], len(body)) == (200, "1", 30_000, 8 + sum(lengths))
        assert body[8:].startswith(b'{"version":1,"number":4')

    asyncio.run(scenario())


def test_slow_clients_are_cut_off_and_others_are_served(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "STALLED_AFTER_S", 0.5)
    accepted: list[object] = []

    class Recording(server.GuardedProtocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            accepted.append(self.client)

    monkeypatch.setattr(server, "GuardedProtocol", Recording)

    async def drip(port: int, start: bytes) -> bool:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(start)
        closed = asyncio.create_task(is_cut_off(reader))
        while not closed.done():
            writer.write(b"x")  # a byte now and then must not keep it open
            await asyncio.sleep(0.1)
        writer.close()
        return await closed

    async def scenario() -> None:
        async with serving(make_app(folder)) as port:
            starts = [
                b"",
                b"GET / HT",
                b"GET / HTTP/1.1\r\nHost: localhost\r\nX-a: ",
                b"POST /setup/lines HTTP/1.1\r\nHo",
            ]
            slow = [asyncio.create_task(drip(port, start)) for start in starts * 5]
            async with asyncio.timeout(TIMEOUT_S):
                while len(accepted) < len(slow):
                    await asyncio.sleep(0.01)
            monkeypatch.setattr(server, "STALLED_AFTER_S", TIMEOUT_S)  # for the next one
            assert (await get(port, "/live"))[0] == 200
            assert all(await asyncio.gather(*slow))

    asyncio.run(scenario())


def test_a_client_that_reads_nothing_is_cut_off(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "STALLED_AFTER_S", 0.3)
    waits_for_reader = asyncio.Event()
    lost: list[object] = []

    class Recording(server.GuardedProtocol):
        def pause_writing(self) -> None:
            super().pause_writing()
            waits_for_reader.set()

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            lost.append(self.client)

    monkeypatch.setattr(server, "GuardedProtocol", Recording)

    async def scenario() -> None:
        view = ViewServer(folder / "view.sock", number_and_size(protocol.MAX_PART_BYTES), group_may_watch=False)
        async with serving(make_app(folder)) as port:
            stalled = socket.create_connection(("127.0.0.1", port))
            stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            stalled.sendall(REQUEST.format("/live/next?after=0").encode())
            while not view._watchers:
                await asyncio.sleep(0.01)
            view.offer(frame(1), decision())
            async with asyncio.timeout(TIMEOUT_S):
                await waits_for_reader.wait()
            monkeypatch.setattr(server, "STALLED_AFTER_S", TIMEOUT_S)  # for the next one
            assert (await get(port, "/live"))[0] == 200
            async with asyncio.timeout(TIMEOUT_S):
                while stalled.getsockname() not in lost:
                    await asyncio.sleep(0.02)
            stalled.close()
        view.close()

    asyncio.run(scenario())


BROKEN = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
    b"GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 100_000,
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    b"\0" * 5000,
]


def test_broken_requests_get_no_frame_and_do_no_harm(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "STALLED_AFTER_S", 0.5)
    chance = random.Random(1)

    async def send(port: int, data: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        received = b""
        try:
            writer.write(data)
            writer.write_eof()
            async with asyncio.timeout(TIMEOUT_S):
                while part := await reader.read(1 << 16):
                    received += part
        except ConnectionResetError:
            pass
        writer.close()
        return received

    async def scenario() -> None:
        async with serving(make_app(folder)) as port:
            requests = BROKEN + [bytes(chance.randbytes(chance.randrange(1, 300))) for _ in range(40)]
            for k in range(0, len(requests), 10):
                for answer in await asyncio.gather(*(send(port, data) for data in requests[k : k + 10])):
                    assert not answer or answer.split()[1] in (b"400", b"401", b"403", b"404", b"405", b"429"), answer[
                        :80
                    ]
            monkeypatch.setattr(server, "STALLED_AFTER_S", TIMEOUT_S)
            assert (await get(port, "/live"))[0] == 200

    asyncio.run(scenario())


def test_more_connections_than_allowed_are_closed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 5)

    async def scenario() -> None:
        async with serving(make_app(folder)) as port:
            opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(6)]
            assert await is_cut_off(opened[5][0])
            for _, writer in opened:
                writer.close()
            await asyncio.sleep(0.1)
            assert (await get(port, "/live"))[0] == 200

    asyncio.run(scenario())


@pytest.mark.parametrize("is_https", [False, True])
def test_a_crowd_that_says_nothing_does_not_use_up_the_files(
    is_https: bool,
    folder: Path,
    pair: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """All connect before the server accepts one, as when a busy machine lets it wait."""
    monkeypatch.setattr(server, "STALLED_AFTER_S", 0.5)
    crowd: list[socket.socket] = []

    async def scenario() -> None:
        async with serving(make_app(folder), *(pair if is_https else ())) as port:
            crowd.extend(socket.create_connection(("127.0.0.1", port)) for _ in range(3 * server.MAX_CONNECTIONS))
            with few_more_files(server.MAX_CONNECTIONS + 20):
                for client in crowd:
                    client.setblocking(False)
                    reader, writer = await asyncio.open_connection(sock=client)
                    assert await is_cut_off(reader)
                    writer.close()

    try:
        asyncio.run(scenario())
    finally:
        for client in crowd:
            client.close()
    assert "out of system resource" not in caplog.text


def test_a_crowd_that_asks_at_once_has_few_threads(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    goes_on = threading.Event()
    lookup_path = StaticFiles.lookup_path

    def wait(files: StaticFiles, path: str) -> object:
        goes_on.wait(60)
        return lookup_path(files, path)

    monkeypatch.setattr(StaticFiles, "lookup_path", wait)

    async def scenario() -> None:
        async with serving(make_app(folder)) as port:
            asked = [asyncio.create_task(get(port, "/static/doorlight.css")) for _ in range(30)]
            threads = anyio.to_thread.current_default_thread_limiter()
            while threads.borrowed_tokens + threads.statistics().tasks_waiting < len(asked):
                await asyncio.sleep(0.01)
            assert threads.borrowed_tokens == MAX_THREADS
            goes_on.set()
            assert {status for status, _, _ in await asyncio.gather(*asked)} == {200}

    asyncio.run(scenario())


def test_the_server_ends_after_its_time(folder: Path) -> None:
    async def scenario() -> None:
        listener = server.open_socket("127.0.0.1", 0)
        async with asyncio.timeout(TIMEOUT_S):
            await server.make_server(make_app(folder), for_s=0.3).serve(sockets=[listener])

    asyncio.run(scenario())


def test_a_port_in_use_is_a_sentence() -> None:
    with server.open_socket("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(UnavailableError, match=rf"127\.0\.0\.1:{port}: the port is in use") as caught:
            server.open_socket("127.0.0.1", port)
    assert "[web] listen" in caught.value.hint


def test_an_address_of_another_machine_is_a_sentence() -> None:
    with pytest.raises(UnavailableError, match="does not have the address"):
        server.open_socket("192.0.2.1", 8080)


def test_https(folder: Path, pair: tuple[Path, Path]) -> None:
    server.check_certificate(*pair)

    async def scenario() -> None:
        listener = server.open_socket("127.0.0.1", 0)
        running = server.make_server(make_app(folder), None, *pair)
        task = asyncio.create_task(running.serve(sockets=[listener]))
        while not running.started:
            await asyncio.sleep(0.01)
        trust = ssl.create_default_context(cafile=str(pair[0]))
        port = listener.getsockname()[1]
        async with asyncio.timeout(TIMEOUT_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust, server_hostname="localhost")
            writer.write(f"GET /?token={TOKEN} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            writer.close()
        running.should_exit = True
        await task
        assert b" 200 " in head.split(b"\r\n")[0]
        assert b"; Secure" in head

    asyncio.run(scenario())


def test_certificates_that_cannot_be_used_are_sentences(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    certificate, key = pair
    text = tmp_path / "text.pem"
    text.write_text("a shopping list")
    for files, problem in {
        (tmp_path / "nothing.pem", key): "nothing.pem: cannot be read: No such file",
        (certificate, tmp_path): "cannot be read: Is a directory",
        (text, key): "is no certificate for",
        (certificate, text): "is no certificate for",
        (key, certificate): "is no certificate for",
    }.items():
        with pytest.raises(InputError, match=problem) as caught:
            server.check_certificate(*files)
        assert caught.value.hint
