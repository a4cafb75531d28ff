"""A door that is watched, without a door: decisions to offer, and a client of the socket."""

from __future__ import annotations

import contextlib
import json
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from edge.pipeline import Decision
from edge.policy import Person
from edge.records import Box, Face, Frame, Signal, Track
from edge.view import protocol
from edge.view.offer import Offer
from edge.view.protocol import encode_json
from edge.view.server import Encoder

TIMEOUT_S = 60.0


def decision(
    t: float = 1.0,
    signal: Signal = Signal.IDLE,
    tracks: tuple[Track, ...] = (),
    people: dict[int, Person] | None = None,
    fault: str | None = None,
    outside: tuple[Box, ...] = (),
    found: tuple[Box, ...] | None = (),
) -> Decision:
    """Return a decision; by default one about an empty door."""
    faces: dict[int, Face] = {}
    return Decision(t, signal, tracks, faces, people or {}, [], fault, 0.0, outside, found=found)


def frame(number: int = 0, height: int = 48, width: int = 64) -> Frame:
    """Return a frame of one colour."""
    return Frame(number, number / 10, np.full((height, width, 3), 90, np.uint8))


def number_and_size(size: int) -> Encoder:
    """Return an encoder: JSON has the number of the frame and of the faces, the JPEG is `size` bytes."""

    def encode(offer: Offer) -> tuple[bytes, bytes]:
        number = None if offer.frame is None else offer.frame.number
        faces = None if offer.faces is None else len(offer.faces)
        return encode_json({"version": 1, "number": number, "faces": faces}), b"j" * size

    return encode


@contextlib.contextmanager
def short_folder() -> Iterator[Path]:
    """Yield a folder whose path leaves room for the 107 bytes of a socket's name."""
    with tempfile.TemporaryDirectory(prefix="view") as name:
        yield Path(name)


class Watcher:
    """A client of the socket."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(TIMEOUT_S)
        self.socket.connect(str(path))

    def watch(self) -> None:
        self.socket.sendall(protocol.WATCH)

    def receive(self) -> tuple[dict[str, Any], bytes]:
        """Return the next message: JSON and JPEG. Raises EOFError if the server has closed the connection."""
        lengths = protocol.HEADER.unpack(self._exactly(protocol.HEADER.size))
        return json.loads(self._exactly(lengths[0])), self._exactly(lengths[1])

    def receive_answer(self) -> tuple[dict[str, Any], bytes]:
        """Return the next answer: JSON and what belongs to it. Frames before it are dropped."""
        while True:
            first, second = protocol.HEADER.unpack(self._exactly(protocol.HEADER.size))
            values, body = json.loads(self._exactly(first & ~protocol.ANSWER)), self._exactly(second)
            if first & protocol.ANSWER:
                return values, body

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    def is_closed(self) -> bool:
        """Wait until the server has closed the connection; False if it sends something."""
        with contextlib.suppress(ConnectionResetError):
            return self.socket.recv(1) == b""
        return True

    def close(self) -> None:
        self.socket.close()
