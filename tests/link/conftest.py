"""A log, a link that runs in this process, and a real broker."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edge import config, link_settings
from edge.link import service
from edge.link.log_tail import LogTail
from edge.link.service import Place
from support.link import OpenTail
from support.running_link import RunningLink, Serve, StartLink

if TYPE_CHECKING:
    from support.broker import Broker, Subscriber

#: The broker's answer to a client that connects.
CONNACK = b"\x20\x03\x00\x00\x00"
NEEDS_PAHO = ["test_mqtt*.py"]
if find_spec("paho") is None:
    collect_ignore_glob = NEEDS_PAHO


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


@pytest.fixture
def start_link(tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StartLink]:
    """Start a link with some lines of [link]; it is stopped after the test. It waits for nothing longer than needed."""
    if find_spec("paho") is not None:
        from edge.link import mqtt_worker

        monkeypatch.setattr(mqtt_worker, "POLL_S", 0.02)
        monkeypatch.setattr(mqtt_worker, "FIRST_RETRY_S", 0.05)
        monkeypatch.setattr(mqtt_worker, "STATE_EVERY_S", 0.05)
        monkeypatch.setattr(mqtt_worker, "GOODBYE_S", 30.0)
        monkeypatch.setattr(mqtt_worker, "MAX_ANNOUNCE_DELAY_S", 0.0)
    monkeypatch.setattr(service, "TICK_S", 0.05)
    running: list[RunningLink] = []

    def start(*lines: str, door: str = "d1") -> RunningLink:
        file = tmp_path / "door.toml"
        file.write_text("\n".join(["[link]", f'door = "{door}"', *lines]) + "\n")
        settings = config.load(file).link
        folder = tmp_path / "state"
        folder.mkdir(exist_ok=True)
        place = Place(log, folder, tmp_path)
        stop, printed, failures = threading.Event(), list[str](), list[BaseException]()

        def run() -> None:
            try:
                service.run(settings, place, stop, printed.append)
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        running.append(RunningLink(place, stop, thread, printed, failures))
        return running[-1]

    yield start
    for link in running:
        with contextlib.suppress(BaseException):
            link.stop()


@pytest.fixture
def make_broker(tmp_path: Path) -> Iterator[Callable[..., Broker]]:
    from support.broker import Broker

    brokers: list[Broker] = []

    def make(*lines: str, anonymous: bool = True) -> Broker:
        brokers.append(Broker(tmp_path, *lines, anonymous=anonymous))
        brokers[-1].start()
        return brokers[-1]

    yield make
    for broker in brokers:
        broker.stop()


@pytest.fixture
def broker(make_broker: Callable[..., Broker]) -> Broker:
    return make_broker()


@pytest.fixture
def listen() -> Iterator[Callable[..., Subscriber]]:
    from support.broker import Subscriber

    opened: list[Subscriber] = []

    def subscribe(broker: Broker, *filters: str, **login: str) -> Subscriber:
        opened.append(Subscriber(broker.port, *filters, **login))
        return opened[-1]

    yield subscribe
    for each in opened:
        each.close()


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a broker that answers each message with the next of `answers`, and then ends the connection."""
    started: list[tuple[socket.socket, threading.Thread]] = []

    def start(*answers: bytes) -> link_settings.Broker:
        listening = socket.create_server(("127.0.0.1", 0))

        def answer() -> None:
            with listening.accept()[0] as accepted:
                for each in (CONNACK, *answers):
                    accepted.recv(4096)
                    accepted.sendall(each)

        started.append((listening, threading.Thread(target=answer)))
        started[-1][1].start()
        return link_settings.Broker("127.0.0.1", int(listening.getsockname()[1]), has_tls=False)

    yield start
    for listening, thread in started:
        thread.join()
        listening.close()


@pytest.fixture
def open_tail() -> Iterator[OpenTail]:
    """Opens tails that are closed after the test."""
    with contextlib.ExitStack() as opened:
        yield lambda path, cursor: opened.enter_context(contextlib.closing(LogTail(path, cursor)))
