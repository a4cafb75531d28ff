"""What the link says about itself: to systemd, to its log, to doctor."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.errors import UnavailableError
from edge.link import service, status
from edge.link.log_tail import Missing
from edge.link.status import LinkStatus, read_status


@pytest.fixture
def printed() -> list[str]:
    return []


@pytest.fixture
def link(printed: list[str]) -> LinkStatus:
    found = LinkStatus(printed.append)
    found.add("broker", "b:1")
    found.add("webhook a", "https://h", is_connected=True)
    return found


def test_the_line_for_systemctl_status(link: LinkStatus) -> None:
    assert link.describe() == "broker: waiting, last event 0; webhook a: OK, last event 0"
    link.set_connected("broker")
    link.set_received("broker", 7)
    link.report_failure("webhook a", UnavailableError("h: no", "do that"))
    link.report_missing("broker", Missing(3, 5))
    line = link.describe()
    assert line.startswith("broker: OK, last event 7, lost 3 to 5, noticed 20")
    assert line.endswith("; webhook a: h: no, last event 0")


def test_a_problem_is_printed_once_an_hour(
    link: LinkStatus, printed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    for _ in range(100):
        link.report_failure("broker", UnavailableError("b:1: no", "do that"))
        link.report_failure("broker", UnavailableError("b:1: not this either"))
    assert printed == ["broker: b:1: no (do that)", "broker: b:1: not this either"]
    now += status.PRINT_AGAIN_S + 1
    link.report_failure("broker", UnavailableError("b:1: no", "do that"))
    assert len(printed) == 3


def test_many_different_problems_use_no_more_memory(link: LinkStatus) -> None:
    for k in range(10 * status.MAX_PRINTED):
        link.report_failure("broker", UnavailableError(f"b:1: {k}"))
    assert len(link._printed_at) <= status.MAX_PRINTED


def test_doctor_reads_what_was_written(link: LinkStatus, tmp_path: Path) -> None:
    link.report_failure("broker", UnavailableError("b:1: nö", "do that"))
    link.count_skipped("webhook a", 3, "x")
    link.write(tmp_path, tmp_path / "absent")
    broker, webhook = read_status(tmp_path / status.STATUS_FILE)
    assert (broker.problem, broker.hint, broker.last_problem) == ("b:1: nö", "do that", "b:1: nö")
    assert (webhook.skipped, webhook.address) == (3, "https://h")
    assert link.lost_events("webhook a") == ["3 events were left out"]


def test_a_path_that_is_not_utf_8(link: LinkStatus, tmp_path: Path) -> None:
    link.report_failure("broker", UnavailableError("d\udcff.jsonl: cannot be read", "ls -l d\udcff.jsonl"))
    link.write(tmp_path)
    broker, _ = read_status(tmp_path / status.STATUS_FILE)
    assert (broker.problem, broker.hint) == ("d?.jsonl: cannot be read", "ls -l d?.jsonl")


def test_losses_are_remembered_by_the_next_process(link: LinkStatus, tmp_path: Path) -> None:
    link.report_missing("broker", Missing(3, 5))
    link.count_skipped("webhook a", 2, "x")
    link.write(tmp_path)
    after = LinkStatus(lambda _: None)
    after.add("broker", "b:1")
    after.restore(tmp_path)
    assert after.lost_events("broker")[0].startswith("the log has lost the events 3 to 5")


def test_a_problem_that_is_over(link: LinkStatus) -> None:
    error = UnavailableError("b:1: refuses the topic doorlight/d/events")
    link.report_failure("broker", error, is_connected=True)
    link.report_delivery("broker", "doorlight/d/state")
    assert "refuses" in link.describe()
    link.report_delivery("broker", "doorlight/d/events")
    assert "refuses" not in link.describe()
    link.report_failure("broker", error)
    link.report_solved("broker", UnavailableError("another"))
    assert "refuses" in link.describe()
    link.report_solved("broker", error)
    assert "refuses" not in link.describe()


def test_a_thread_that_hangs_is_noticed(link: LinkStatus, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    link.beat("broker")
    link.beat("webhook a")
    now = time.monotonic()
    monkeypatch.setattr("time.monotonic", lambda: now + service.MAX_SILENCE_S + 1)
    link.beat("broker")
    assert link.silent_for_s() > service.MAX_SILENCE_S
