"""Webhooks: signed, few, none lost, and never about the past."""

from __future__ import annotations

import base64
import gzip
import hashlib
import hmac
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.config import load
from edge.errors import ConfigError, InputError, OutputError
from edge.link import cursor, webhook_worker
from edge.link.cursor import CursorFile
from edge.link.http_post import Answer, post
from edge.link.log_tail import Missing
from edge.link.status import STATUS_FILE, read_status
from edge.link.webhook_message import MAX_EVENTS, Batch, body_of, signature_headers
from edge.link.webhook_worker import host_of
from support.link import line, write_log
from support.receiver import Receiver, answer, hang
from support.running_link import StartLink
from support.wait import wait_until


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    opened = Receiver()
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook_worker, "POLL_S", 0.01)
    monkeypatch.setattr(webhook_worker, "FIRST_RETRY_S", 0.02)
    monkeypatch.setattr(webhook_worker, "MAX_RETRY_S", 0.1)


class Clock:
    """The monotonic clock of the webhooks' worker, which stands still."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self._asked = 0

    def monotonic(self) -> float:
        self._asked += 1
        return self.now_s

    def time(self) -> float:
        return time.time()

    def wait_for_a_look(self) -> None:
        """Wait until the worker, which has events to send, has read to the end of the log once more."""
        before = self._asked
        wait_until(lambda: self._asked >= before + 2)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(webhook_worker, "time", made)
    return made


@pytest.fixture
def secret(tmp_path: Path) -> Callable[[str], str]:
    def write(text: str) -> str:
        file = tmp_path / f"secret-{len(list(tmp_path.iterdir()))}"
        file.write_text(f"{text}\n")
        file.chmod(0o600)
        return str(file)

    return write


def lines(url: str, *more: str, events: str = '"ALARM"', interval_s: float = 0.0) -> list[str]:
    return [
        "[[link.webhook]]", 'name = "a"', f'url = "{url}"', f"events = [{events}]", f"interval_s = {interval_s}", *more,
    ]  # fmt: skip


def alarm(log: Path, *numbers: int) -> None:
    with log.open("ab") as file:
        for seq in numbers:
            file.write(line(seq, "signal", signal="ALARM", before="STOP", people=1))


def has_begun(link: object, folder: Path) -> bool:
    return CursorFile(folder / "webhook-a.cursor").load() is not None


def test_an_alarm_is_told_and_nothing_of_the_past(receiver: Receiver, start_link: StartLink, log: Path) -> None:
    alarm(log, 1, 2, 3)
    link = start_link(*lines(receiver.url))
    wait_until(lambda: has_begun(link, link.place.state_folder))
    write_log(log, range(4, 8))
    alarm(log, 8)
    wait_until(lambda: receiver.calls)
    (call,) = receiver.calls
    assert call.json["door"] == "d1"
    assert call.json["count"] == 1
    assert [record["seq"] for record in call.json["events"]] == [8]
    assert call.json["text"].startswith("ALARM: someone looks agitated")
    assert "webhook-signature" not in call.headers
    assert call.headers["webhook-id"] == "d1-8-8"


def test_the_alarms_of_a_log_that_was_replaced(receiver: Receiver, start_link: StartLink, log: Path) -> None:
    alarm(log, 5000)
    link = start_link(*lines(receiver.url))
    wait_until(lambda: has_begun(link, link.place.state_folder))
    log.unlink()
    alarm(log, 1)
    wait_until(lambda: receiver.calls)
    assert [record["seq"] for record in receiver.calls[0].json["events"]] == [1]
    said = "the log was replaced after event 5000: the new one is sent from its first event on"
    assert f"webhook a: {said}" in link.lines
    wait_until(lambda: [target.last_problem for target in read_status(link.place.log.parent / STATUS_FILE)] == [said])


def test_a_cursor_that_was_written_by_hand_loses_no_alarm(receiver: Receiver, start_link: StartLink, log: Path) -> None:
    alarm(log, 1, 2, 3)
    folder = log.parent / "state"
    folder.mkdir()
    (folder / "webhook-a.cursor").write_text('{"seq": 1}\n')
    start_link(*lines(receiver.url))
    wait_until(lambda: receiver.calls)
    assert [record["seq"] for record in receiver.calls[0].json["events"]] == [2, 3]


def test_a_hundred_alarms_in_a_minute_are_few_calls(
    receiver: Receiver, start_link: StartLink, log: Path, clock: Clock
) -> None:
    log.touch()
    link = start_link(*lines(receiver.url, interval_s=60.0))
    wait_until(lambda: has_begun(link, link.place.state_folder))
    alarm(log, 1)
    wait_until(lambda: len(receiver.calls) == 1)
    for seq in range(2, 101):
        alarm(log, seq)
    clock.now_s += 59.0
    clock.wait_for_a_look()
    assert len(receiver.calls) == 1
    clock.now_s += 1.0
    wait_until(lambda: len(receiver.calls) == 2)
    link.stop()
    first, last = receiver.calls
    assert [record["seq"] for record in first.json["events"]] == [1]
    assert [record["seq"] for record in last.json["events"]] == list(range(2, 101))
    assert last.json["count"] == 99
    assert last.json["text"].startswith("99 events from ")
    assert "ALARM 99×" in last.json["text"]


@pytest.mark.parametrize("bad", ["500", "404", "close", "hang"])
def test_nothing_is_lost_while_the_receiver_fails(
    bad: str, receiver: Receiver, start_link: StartLink, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reply(number: int, connection: object) -> bytes:
        if number >= 3:
            return answer(200)
        if bad == "hang":
            return hang(number, connection)  # type: ignore[arg-type]
        return b"HTTP/1.1 20" if bad == "close" else answer(int(bad))

    def impatient_post(url: str, headers: Any, body: bytes, context: Any) -> Answer:
        return post(url, headers, body, context, timeout_s=0.2 if bad == "hang" and len(receiver.calls) < 3 else 60.0)

    monkeypatch.setattr(webhook_worker, "post", impatient_post)
    receiver.reply = reply
    log.touch()
    link = start_link(*lines(receiver.url))
    wait_until(lambda: has_begun(link, link.place.state_folder))
    for seq in (1, 2, 3):
        alarm(log, seq)
        wait_until(lambda seq=seq: len(receiver.calls) >= min(seq, 3))  # type: ignore[misc]
    wait_until(lambda: {record["seq"] for call in receiver.calls[3:] for record in call.json["events"]} >= {1, 2, 3})
    link.wait_for_line("webhook a: connected")
    link.stop()
    stored = CursorFile(link.place.state_folder / "webhook-a.cursor").load()
    assert stored is not None
    assert stored.seq == 3
    assert "/hook" not in "".join(link.lines)


def test_a_link_that_is_killed_before_the_call_is_received(
    receiver: Receiver, start_link: StartLink, log: Path
) -> None:
    receiver.reply = lambda *_: answer(503, "Retry-After: 100")
    log.touch()
    link = start_link(*lines(receiver.url))
    wait_until(lambda: has_begun(link, link.place.state_folder))
    alarm(log, 1, 2)
    wait_until(lambda: receiver.calls)
    time.sleep(0.2)
    assert len(receiver.calls) == 1, "it was asked to wait"
    link.stop()
    receiver.reply = lambda *_: answer(200)
    start_link(*lines(receiver.url))
    wait_until(lambda: len(receiver.calls) == 2)
    assert [record["seq"] for record in receiver.calls[1].json["events"]] == [1, 2]


def test_a_message_that_the_receiver_refuses_does_not_block_the_next(
    receiver: Receiver, start_link: StartLink, log: Path
) -> None:
    receiver.reply = lambda number, _: answer(400 if number < webhook_worker.MAX_REFUSALS else 200)
    log.touch()
    link = start_link(*lines(receiver.url))
    wait_until(lambda: has_begun(link, link.place.state_folder))
    alarm(log, 1)
    link.wait_for_line("1 event is left out: the receiver answers 400")
    alarm(log, 2)
    wait_until(lambda: len(receiver.calls) == webhook_worker.MAX_REFUSALS + 1)
    assert [record["seq"] for record in receiver.calls[-1].json["events"]] == [2]


def test_lost_events_are_told(receiver: Receiver, start_link: StartLink, log: Path) -> None:
    write_log(log, range(1, 11))
    link = start_link(*lines(receiver.url))
    wait_until(lambda: has_begun(link, link.place.state_folder))
    link.stop()
    log.write_bytes(b"")
    write_log(log, range(501, 505))
    start_link(*lines(receiver.url))
    wait_until(lambda: receiver.calls)
    assert receiver.calls[0].json["missing"] == [{"first": 11, "last": 500}]
    assert receiver.calls[0].json["text"] == "events are lost (the events 11 to 500 are lost)"


def test_signature_token_and_body_of_the_receiver_s_kind(
    receiver: Receiver, start_link: StartLink, log: Path, secret: Callable[[str], str]
) -> None:
    log.touch()
    more = [
        f'secret = "{secret("whsec_" + base64.b64encode(b"key").decode())}"', f'token = "{secret("tok")}"',
        'body = { topic = "door", message = "{door}: {text}", tags = ["{event}", "{{x}}"], priority = 4 }',
    ]  # fmt: skip
    link = start_link(*lines(f"secret:{secret(receiver.url)}", *more))
    wait_until(lambda: has_begun(link, link.place.state_folder))
    alarm(log, 7)
    wait_until(lambda: receiver.calls)
    (call,) = receiver.calls
    assert call.json["tags"] == ["ALARM", "{{x}}"]
    assert call.json["priority"] == 4
    assert call.json["message"].startswith("d1: ALARM: someone")
    assert call.headers["authorization"] == "Bearer tok"
    signed = f"{call.headers['webhook-id']}.{call.headers['webhook-timestamp']}.".encode() + call.body
    digest = base64.b64encode(hmac.digest(b"key", signed, hashlib.sha256)).decode()
    assert call.headers["webhook-signature"] == f"v1,{digest}"
    assert abs(int(call.headers["webhook-timestamp"]) - time.time()) < 60


def test_the_signature_is_that_of_standard_webhooks() -> None:
    """The example of the specification's reference implementation."""
    headers = signature_headers(
        b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_secret_that_is_no_base64(start_link: StartLink, secret: Callable[[str], str]) -> None:
    link = start_link(*lines("https://example.org/", f'secret = "{secret("whsec_abc")}"'))
    with pytest.raises(InputError, match="is no base64 after whsec_"):
        link.stop()


def test_an_event_that_does_not_exist(start_link: StartLink) -> None:
    link = start_link(*lines("https://example.org/", events='"alarmm"'))
    with pytest.raises(ConfigError, match="'alarmm', which is no event"):
        link.stop()


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://hooks.slack.com/services/T/B/key", "https://hooks.slack.com"),
        ("http://h:8080?key=1", "http://h:8080"),
        ("https://[::1]:8443/a", "https://[::1]:8443"),
    ],
)
def test_only_the_host_of_an_address_is_shown(url: str, host: str) -> None:
    assert host_of(url) == host


def test_a_batch_is_bounded() -> None:
    batch = Batch()
    for seq in range(1, 10_001):
        batch.add({"seq": seq, "event": "agitated", "person": seq})
        batch.add_missing(Missing(seq, seq))
    content = batch.as_json("d")
    assert (content["count"], len(content["events"])) == (10_000, MAX_EVENTS)
    assert len(body_of(batch, "d", {})) < 100_000


def test_the_examples_of_the_guide_are_right(tmp_path: Path) -> None:
    from support.paths import ROOT

    text = (ROOT / "edge/link/README.md").read_text()
    blocks = [block for block in text.split("```")[1::2] if block.startswith("toml")]
    assert len(blocks) >= 6
    for block in blocks:
        file = tmp_path / "door.toml"
        file.write_text(block.removeprefix("toml"))
        for webhook in load(file).link.webhook:
            assert body_of(Batch(), "d", webhook.body)


def test_a_disk_that_refuses_the_cursor_stops_the_calls(
    receiver: Receiver, start_link: StartLink, log: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call would be made again after every restart."""
    log.touch()
    link = start_link(*lines(receiver.url))
    wait_until(lambda: has_begun(link, link.place.state_folder))
    is_full = True
    replace = cursor.replace_file

    def refuse(path: Path, data: bytes) -> None:
        if is_full:
            raise OSError(28, "No space left on device")
        replace(path, data)

    monkeypatch.setattr(cursor, "replace_file", refuse)
    monkeypatch.setattr(cursor, "STORE_EVERY_S", 0.0)
    write_log(log, [1])
    link.wait_for_line("webhook-a.cursor: cannot be written: No space left on device")
    alarm(log, 2)
    clock.wait_for_a_look()
    assert not receiver.calls
    is_full = False
    clock.now_s += webhook_worker.HOLD_S
    wait_until(lambda: receiver.calls)
    link.wait_for_line("webhook a: connected")


def test_the_past_is_not_told_if_another_program_has_compressed_it(
    receiver: Receiver, start_link: StartLink, log: Path
) -> None:
    log.with_name("events.jsonl.1.gz").write_bytes(gzip.compress(line(1, "signal", signal="ALARM")))
    log.touch()
    link = start_link(*lines(receiver.url))
    wait_until(lambda: has_begun(link, link.place.state_folder))
    alarm(log, 2)
    wait_until(lambda: receiver.calls)
    assert [record["seq"] for record in receiver.calls[0].json["events"]] == [2]


def test_a_log_that_cannot_be_read_at_the_first_start(receiver: Receiver, start_link: StartLink, log: Path) -> None:
    """A link that is stopped meanwhile must not begin with the oldest event the next time."""
    log.mkdir()
    link = start_link(*lines(receiver.url))
    link.wait_for_line("cannot be read")
    link.stop()
    assert not has_begun(link, link.place.state_folder)
    log.rmdir()
    alarm(log, 1)
    again = start_link(*lines(receiver.url))
    wait_until(lambda: has_begun(again, again.place.state_folder))
    alarm(log, 2)
    wait_until(lambda: receiver.calls)
    assert [record["seq"] for record in receiver.calls[0].json["events"]] == [2]


def test_two_links_of_one_machine(start_link: StartLink, log: Path, receiver: Receiver) -> None:
    log.touch()
    first = start_link(*lines(receiver.url))
    wait_until(lambda: has_begun(first, first.place.state_folder))
    with pytest.raises(OutputError, match="another link is running"):
        start_link(*lines(receiver.url)).stop()
    first.stop()
    start_link(*lines(receiver.url)).stop()
