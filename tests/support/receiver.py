"""A webhook's receiver: a small server that answers as a test wants, also badly."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple


class Call(NamedTuple):
    """A request: the path, the headers in lower case, the body."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


#: Gets the number of the call, from 0, and the connection, and returns what is sent back.
Reply = Callable[[int, socket.socket], bytes]


def answer(status: int, *headers: str) -> bytes:
    """Return an answer without a body."""
    return "\r\n".join([f"HTTP/1.1 {status} X", *headers, "Content-Length: 0", "", ""]).encode()


class Receiver:
    """Listens on a port of this machine. `calls` are the requests, `reply` what is answered."""

    def __init__(self, reply: Reply = lambda *_: answer(204), context: ssl.SSLContext | None = None) -> None:
        self.calls: list[Call] = []
        self.reply = reply
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http{'s' if self._context else ''}://127.0.0.1:{self.port}/hook"

    def close(self) -> None:
        self._listener.close()
        with socket.socket() as wake:
            wake.connect_ex(("127.0.0.1", self.port))
        self._thread.join(60)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(60)
                try:
                    if self._context is not None:
                        connection = self._context.wrap_socket(connection, server_side=True)
                    call = _read(connection)
                    self.calls.append(call)
                    connection.sendall(self.reply(len(self.calls) - 1, connection))
                except (OSError, ValueError):
                    continue
                finally:
                    connection.close()


def _read(connection: socket.socket) -> Call:
    data = b""
    while b"\r\n\r\n" not in data:
        if not (part := connection.recv(65536)):
            raise ValueError("closed")
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    first, *rows = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (row.partition(":") for row in rows)}
    while len(body) < int(headers.get("content-length", "0")):
        body += connection.recv(65536)
    return Call(first.split(" ")[1], headers, body)


def hang(_number: int, connection: socket.socket) -> bytes:
    """Answer nothing until the caller goes."""
    connection.recv(1)
    return b""


def drip(_number: int, connection: socket.socket) -> bytes:
    """Send a byte now and then, for ever."""
    for byte in b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1000:
        connection.sendall(bytes([byte]))
        time.sleep(0.02)
    return b""
