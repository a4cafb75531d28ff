"""What the door shows, and what it answers: one connection to its socket, shared by everyone who has the page open.

The connection tells the door to send frames only while somebody watches. When the connection is lost, the last frame is
forgotten: nobody must take it for the present.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ..view import protocol
from .rate_limit import RateLimit

#: The door is asked for frames for this long after the last request. A page asks again at once.
LINGER_S = 3.0
RECONNECT_S = 1.0
#: The first frame arrives within this time (seconds) after the door is watched.
FIRST_FRAME_S = 3.0
#: Requests to the door, at once and a second. The door cuts off who asks more, and all viewers share the connection.
ASK_BURST, ASK_PER_S = 20, 2.0
#: The door sends at least once within its longest camera timeout (10 s), also without a camera.
SILENT_AFTER_S = 12.0

#: "off": no door offers its socket. "silent": it is connected, but does not answer.
State = Literal["off", "on", "silent"]


class NoAnswerError(Exception):
    """The door has not answered a request: it is not there, it is of another version, or it takes too long."""


class Answer(NamedTuple):
    """The answer to a request: a JSON object, and what belongs to it."""

    values: dict[str, Any]
    body: bytes


class LiveFrame(NamedTuple):
    """A decision (JSON in UTF-8) and its frame (JPEG, may be empty). `number` counts from 1."""

    number: int
    decision: bytes
    jpeg: bytes


class DoorFeed:
    """The newest moment of the door. `run` must be running; everything belongs to one event loop."""

    def __init__(self, sockets: Callable[[], list[Path]] = protocol.sockets_to_try) -> None:
        """`sockets` returns the paths to try, the best first."""
        self._sockets = sockets
        self._newest: LiveFrame | None = None
        self._number = 0
        self._changed = asyncio.Condition()
        self._writer: asyncio.StreamWriter | None = None
        self._waiting = 0
        self._watched_until = 0.0
        self._is_watching = False
        self._numbers = itertools.count(1)
        self._asking = RateLimit(ASK_BURST, ASK_PER_S)
        self._asked: dict[int, asyncio.Future[Answer]] = {}
        self.state: State = "off"

    @property
    def viewers(self) -> int:
        """The number of requests that wait for a moment."""
        return self._waiting

    async def run(self) -> None:
        """Keep the connection, until cancelled."""
        pause = asyncio.create_task(self._pause_when_unwatched())
        try:
            while True:
                with contextlib.suppress(OSError, asyncio.IncompleteReadError, ValueError):
                    await self._read_from_door()
                await self._set(None, "off")
                await asyncio.sleep(RECONNECT_S)
        finally:
            pause.cancel()

    async def after(self, number: int, timeout_s: float = SILENT_AFTER_S) -> LiveFrame | None:
        """Return the newest moment if it is newer than `number`; else wait for it. None if there is none in time.

        Returns None early if the door goes away; `state` says why.
        """
        if number > self._number:  # of an earlier run of this service
            number = 0
        self._waiting += 1
        try:
            self._watch()
            if self.state == "off":
                await asyncio.sleep(RECONNECT_S)  # so that a page that waits for the door does not ask in a loop
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s), self._changed:
                    await self._changed.wait_for(lambda: self.state == "off" or self._newer(number) is not None)
            newer = self._newer(number)
            if newer is None and self.state == "on":
                self.state = "silent"
            return newer
        finally:
            self._waiting -= 1
            self._watched_until = asyncio.get_running_loop().time() + LINGER_S

    async def ask(self, request: dict[str, Any], timeout_s: float, is_watching: bool = False) -> Answer:
        """Return the door's answer to a request. Raises NoAnswerError.

        With `is_watching`, the door is watched meanwhile: it knows frames, and drops the question when nobody waits.
        """
        if not self._asking.take(""):
            return Answer({"state": "busy"}, b"")
        if self._writer is None:
            raise NoAnswerError
        number = next(self._numbers)
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        self._waiting += is_watching
        try:
            if is_watching:
                await self._wait_for_a_frame()
            if self._writer is None:
                raise NoAnswerError
            self._writer.write(protocol.encode_request({**request, "id": number}))
            async with asyncio.timeout(timeout_s):
                return await answer
        except TimeoutError:
            raise NoAnswerError from None
        finally:
            del self._asked[number]
            if is_watching:
                self._waiting -= 1
                self._watched_until = asyncio.get_running_loop().time() + LINGER_S

    async def _wait_for_a_frame(self) -> None:
        """Watch the door, and wait until it has sent a frame: before that it knows none that may be asked about."""
        self._watch()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FIRST_FRAME_S), self._changed:
                await self._changed.wait_for(lambda: self.state == "off" or self._newest is not None)

    def _newer(self, number: int) -> LiveFrame | None:
        return self._newest if self._newest is not None and self._newest.number > number else None

    def _watch(self) -> None:
        if not self._is_watching and self._writer is not None:
            self._is_watching = True
            self._newest = None  # it is from the last time that somebody watched
            self._writer.write(protocol.WATCH)

    async def _pause_when_unwatched(self) -> None:
        while True:
            await asyncio.sleep(0.5)
            is_over = not self._waiting and asyncio.get_running_loop().time() >= self._watched_until
            if self._is_watching and is_over and self._writer is not None:
                self._is_watching = False
                self._newest = None
                self._writer.write(protocol.PAUSE)

    async def _read_from_door(self) -> None:
        """Connect, and read until the connection ends. Raises OSError, IncompleteReadError, or ValueError."""
        reader, writer = await self._connect()
        self._writer, self._is_watching = writer, False
        try:
            await self._set(None, "on")
            if self._waiting:
                self._watch()
            while True:
                first, second = protocol.HEADER.unpack(await reader.readexactly(protocol.HEADER.size))
                is_answer, first = bool(first & protocol.ANSWER), first & ~protocol.ANSWER
                if max(first, second) > protocol.MAX_PART_BYTES:
                    raise ValueError("the door sends too much")
                decision = await reader.readexactly(first)
                jpeg = await reader.readexactly(second)
                if is_answer:
                    self._take_answer(json.loads(decision), jpeg)
                elif self._is_watching:  # what is still under way after PAUSE is dropped
                    self._number += 1
                    await self._set(LiveFrame(self._number, decision, jpeg), "on")
        finally:
            self._writer, self._is_watching = None, False
            writer.close()
            for answer in self._asked.values():
                if not answer.done():
                    answer.set_exception(NoAnswerError())

    def _take_answer(self, values: dict[str, Any], body: bytes) -> None:
        answer = self._asked.get(values["answer"])
        if answer is not None and not answer.done():  # otherwise nobody waits for it any more
            answer.set_result(Answer(values, body))

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        error: OSError = FileNotFoundError()
        for path in self._sockets():
            try:
                return await asyncio.open_unix_connection(path)
            except OSError as problem:
                error = problem
        raise error

    async def _set(self, newest: LiveFrame | None, state: State) -> None:
        async with self._changed:
            self._newest, self.state = newest, state
            self._changed.notify_all()
