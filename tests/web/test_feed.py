"""The page's end of the socket: it asks for frames only while somebody watches, and never shows an old one."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from edge.view import server as view_server
from edge.view.server import Reply, ViewServer
from edge.web import feed as feed_module
from edge.web.feed import DoorFeed
from support.view import decision, frame, number_and_size


@pytest.fixture(autouse=True)
def times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "RECONNECT_S", 0.05)
    monkeypatch.setattr(feed_module, "LINGER_S", 60.0)
    monkeypatch.setattr(feed_module, "FIRST_FRAME_S", 60.0)
    monkeypatch.setattr(view_server, "MAX_FRAME_RATE", 1e9)
    monkeypatch.setattr(view_server, "END_AFTER_S", 0.0)


@contextlib.asynccontextmanager
async def running(feed: DoorFeed) -> AsyncIterator[DoorFeed]:
    task = asyncio.create_task(feed.run())
    try:
        yield feed
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(condition: object) -> None:
    async with asyncio.timeout(60):
        while not condition():  # type: ignore[operator]
            await asyncio.sleep(0.005)


def make_view(folder: Path) -> ViewServer:
    return ViewServer(folder / "view.sock", number_and_size(10), group_may_watch=False)


def test_frames_come_while_somebody_waits_and_stop_afterwards(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        view = make_view(folder)
        async with running(DoorFeed(lambda: [folder / "view.sock"])) as feed:
            await until(lambda: feed.state == "on")
            assert view._watchers == 0, "connected, but nobody watches"
            waiting = asyncio.create_task(feed.after(0))
            await until(lambda: view._watchers)
            view.offer(frame(5), decision())
            moment = await waiting
            assert moment is not None
            assert json.loads(moment.decision)["number"] == 5
            following = asyncio.create_task(feed.after(moment.number))
            await until(lambda: feed.viewers == 1)
            monkeypatch.setattr(feed_module, "LINGER_S", 0.1)
            view.offer(frame(6), decision())
            later = await following
            assert later is not None
            assert (later.number, json.loads(later.decision)["number"]) == (moment.number + 1, 6)
            await until(lambda: not view._watchers)
            assert [data["state"] for data in view.take_events()] == ["began", "ended"]
            # The next one does not get what the last one saw.
            assert await feed.after(0, timeout_s=0.05) is None
        view.close()

    asyncio.run(scenario())


def test_a_door_that_comes_later_and_goes_again(folder: Path) -> None:
    async def scenario() -> None:
        async with running(DoorFeed(lambda: [folder / "view.sock"])) as feed:
            assert await feed.after(0, timeout_s=0.1) is None
            assert feed.state == "off"
            view = make_view(folder)
            await until(lambda: feed.state == "on")
            waiting = asyncio.create_task(feed.after(0))
            await until(lambda: view._watchers)
            view.offer(frame(1), decision())
            assert await waiting is not None
            view.close()
            await until(lambda: feed.state == "off")
            assert await feed.after(0, timeout_s=0.1) is None, "the last frame is not the present"

    asyncio.run(scenario())


def test_a_door_that_hangs_is_silent(folder: Path) -> None:
    async def scenario() -> None:
        view = make_view(folder)
        async with running(DoorFeed(lambda: [folder / "view.sock"])) as feed:
            await until(lambda: feed.state == "on")
            assert await feed.after(0, timeout_s=0.1) is None
            assert feed.state == "silent"
            waiting = asyncio.create_task(feed.after(0))
            await until(lambda: view._watchers)
            view.offer(frame(1), decision())
            assert await waiting is not None
            assert feed.state == "on"
        view.close()

    asyncio.run(scenario())


def test_a_number_of_an_earlier_run_is_not_waited_for(folder: Path) -> None:
    async def scenario() -> None:
        view = make_view(folder)
        async with running(DoorFeed(lambda: [folder / "view.sock"])) as feed:
            await until(lambda: feed.state == "on")
            waiting = asyncio.create_task(feed.after(10**9))
            await until(lambda: view._watchers)
            view.offer(frame(1), decision())
            moment = await waiting
            assert moment is not None
            assert moment.number == 1
        view.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("sent", [b"\xff" * 8, b"\0\0\0\5\0\0\0\0ab", b""])
def test_what_is_no_door_is_left(folder: Path, sent: bytes) -> None:
    """Lengths of gigabytes, or an end within a message: the connection is made again, and nothing is shown."""
    connections = 0
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "view.sock"))
        listener.listen()

        def answer() -> None:
            nonlocal connections
            while connections < 3:
                channel, _ = listener.accept()
                connections += 1
                channel.sendall(sent)
                channel.close()

        thread = threading.Thread(target=answer)
        thread.start()

        async def scenario() -> None:
            async with running(DoorFeed(lambda: [folder / "view.sock"])) as feed:
                await until(lambda: connections >= 3)
                assert await feed.after(0, timeout_s=0.05) is None

        asyncio.run(scenario())
        thread.join()


def test_a_question_about_a_frame_waits_for_the_first_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A browser without scripts asks when the door has not been watched for a while."""
    monkeypatch.setattr(feed_module, "LINGER_S", 0.1)

    class Asked:
        offers = -1

        def handle(self, request: object, offers: Sequence[object], client: object, reply: Reply) -> None:
            self.offers = len(offers)
            reply({"state": "done"}, b"")

        def forget(self, client: object) -> None:
            pass

        def close(self) -> None:
            pass

    async def scenario() -> None:
        asked = Asked()
        view = ViewServer(folder / "view.sock", number_and_size(10), group_may_watch=False, requests=asked)
        async with running(DoorFeed(lambda: [folder / "view.sock"])) as feed:
            await until(lambda: feed.state == "on")
            waiting = asyncio.create_task(feed.ask({"ask": "explain"}, 20, is_watching=True))
            await until(lambda: view._watchers)
            await asyncio.sleep(0.7)  # longer than LINGER_S: it is still watched
            assert asked.offers == -1
            view.offer(frame(5), decision())
            assert (await waiting).values["state"] == "done"
            assert asked.offers == 1
        view.close()

    asyncio.run(scenario())
