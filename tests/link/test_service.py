"""The service: a target that fails ends it, and says why."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.config import load
from edge.errors import OutputError
from edge.link import service
from edge.link.log_tail import Missing
from edge.link.service import LinkError, Place
from edge.link.status import STATUS_FILE, LinkStatus, read_status
from edge.link_settings import LinkSettings
from edge.system.systemd import SystemdNotifier
from support.wait import wait_until


class Waiting:
    """A target that does nothing until it is stopped."""

    name = "webhook waiting"

    def __init__(self) -> None:
        self.has_started = threading.Event()
        self.is_stopped = False

    def run(self, stop: threading.Event) -> None:
        self.has_started.set()
        stop.wait(60)
        self.is_stopped = True


class Failing:
    """A target with a bug, or with a problem that ends it. It works after `times` failures, if that is given.

    It fails only when `after` has started: a target that has not need not be stopped.
    """

    name = "broker"

    def __init__(self, error: Exception, times: int | None = None, after: Waiting | None = None) -> None:
        self._error = error
        self._after = after
        self._times = times
        self.runs = 0

    def run(self, stop: threading.Event) -> None:
        if self._after is not None:
            assert self._after.has_started.wait(60)
        self.runs += 1
        if self._times is None or self.runs <= self._times:
            raise self._error
        stop.wait(60)


def run(folder: Path, monkeypatch: pytest.MonkeyPatch, *workers: service.Worker) -> list[str]:
    """Run a service of these targets, and return what it has printed."""

    def part(*_: object) -> Iterator[service.Worker]:
        yield from workers

    lines: list[str] = []
    monkeypatch.setattr(service, "PARTS", (part,))
    monkeypatch.setattr(service, "TICK_S", 0.02)
    service.run(load().link, Place(folder / "events.jsonl", folder), threading.Event(), lines.append)
    return lines


def test_a_target_without_memory_ends_all_with_its_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Waiting()
    with pytest.raises(LinkError, match="the link has failed: MemoryError"):
        run(tmp_path, monkeypatch, other, Failing(MemoryError(), after=other))
    assert other.is_stopped
    assert LinkError.exit_code not in (2, 78), "systemd would not restart it"


@pytest.mark.parametrize("error", [ValueError("a bug"), KeyError("x"), OSError(5, "x")])
def test_a_target_with_a_bug_starts_again_and_the_others_stay(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, failing = Waiting(), Failing(error, times=3)
    statuses: list[LinkStatus] = []

    def part(_settings: LinkSettings, _place: Place, status: LinkStatus) -> Iterator[service.Worker]:
        statuses.append(status)
        for worker in (other, failing):
            status.add(worker.name, "h", is_connected=True)
            yield worker

    monkeypatch.setattr(service, "PARTS", (part,))
    monkeypatch.setattr(service, "TICK_S", 0.02)
    monkeypatch.setattr(service, "FIRST_RETRY_S", 0.01)
    stop, printed = threading.Event(), list[str]()
    place = Place(tmp_path / "events.jsonl", tmp_path)
    thread = threading.Thread(target=service.run, args=(load().link, place, stop, printed.append))
    thread.start()
    try:
        wait_until(lambda: failing.runs == 4)
        assert not other.is_stopped
        assert statuses[0].describe() == "webhook waiting: OK, last event 0; broker: OK, last event 0"
    finally:
        stop.set()
        thread.join(60)
    assert other.is_stopped
    assert printed.count("Traceback (most recent call last):") == 1
    assert f"broker: has failed: {type(error).__name__} (it starts again; report it)" in printed
    (broker,) = [target for target in read_status(tmp_path / STATUS_FILE) if target.name == "broker"]
    assert broker.last_problem == f"has failed: {type(error).__name__}"


def test_a_problem_ends_it_with_its_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OutputError, match=r"x.cursor: is damaged"):
        run(tmp_path, monkeypatch, Failing(OutputError("x.cursor: is damaged")))


def test_losses_are_on_the_disk_before_it_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def part(_settings: LinkSettings, _place: Place, status: LinkStatus) -> Iterator[service.Worker]:
        status.add("broker", "b:1")
        status.report_missing("broker", Missing(3, 5))
        yield Waiting()

    monkeypatch.setattr(service, "PARTS", (part,))
    monkeypatch.setattr(service, "TICK_S", 0.02)
    stop = threading.Event()
    place = Place(tmp_path / "events.jsonl", tmp_path)
    thread = threading.Thread(target=service.run, args=(load().link, place, stop, lambda _: None))
    thread.start()
    wait_until(lambda: [target.missing for target in read_status(tmp_path / STATUS_FILE)])
    stop.set()
    thread.join(60)


def test_a_target_that_hangs_gets_no_more_time_from_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pings: list[bool] = []
    monkeypatch.setattr(SystemdNotifier, "watchdog", lambda _: pings.append(True))
    monkeypatch.setattr(LinkStatus, "silent_for_s", lambda _: service.MAX_SILENCE_S + 1)
    with pytest.raises(LinkError):
        run(tmp_path, monkeypatch, Failing(MemoryError()))
    assert not pings
