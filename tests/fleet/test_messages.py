"""What a message says, and hostile ones that are put aside."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.events.record import encode
from edge.fleet.messages import (
    MAX_MESSAGE_BYTES,
    Availability,
    Document,
    EventRow,
    Gap,
    Message,
    Rejected,
    read_message,
)
from edge.fleet.topics import KINDS, parse_topic, topic_filter
from edge.link.topics import Topics
from support.played_day import play_day

TOPIC = "doorlight/front/events"
LINE = b'{"seq": 7, "time": "2026-11-20T12:00:00.123Z", "t": 3.5, "event": "signal", "signal": "STOP", "people": 1}'


def reason(topic: str, payload: bytes) -> str:
    """Return why a message is put aside."""
    found = read_message(Message(topic, payload))
    assert isinstance(found, Rejected), found
    assert (found.topic, found.payload) == (topic, payload)
    return found.reason


def test_an_event() -> None:
    moment = datetime(2026, 11, 20, 12, 0, 0, 123000, UTC)
    assert read_message(Message(TOPIC, LINE)) == EventRow("front", 7, moment, "signal", "STOP", None, LINE.decode())


def test_every_line_of_a_day_is_an_event_and_stays_as_it_is() -> None:
    for record in play_day(datetime(2026, 11, 20, tzinfo=UTC)).records:
        line = encode(record).rstrip(b"\n")
        found = read_message(Message(TOPIC, line))
        assert isinstance(found, EventRow)
        assert found.record.encode() == line
        assert (found.seq, found.event, found.person) == (record["seq"], record["event"], record.get("person"))


def test_other_messages() -> None:
    assert read_message(Message("doorlight/a-1/availability", b"online", True)) == Availability("a-1", True, True)
    assert read_message(Message("doorlight/a/availability", b"offline")) == Availability("a", False, False)
    assert read_message(Message("doorlight/a/state", b'{"signal": "OFF"}')) == Document(
        "a", "state", '{"signal": "OFF"}', False
    )
    assert isinstance(read_message(Message("doorlight/a/stats", b"{}")), Document)
    assert read_message(Message("doorlight/a/gap", b'{"first": 11, "last": 500, "time": "x"}')) == Gap("a", 11, 500)


@pytest.mark.parametrize(
    "topic",
    [
        "", "/", "doorlight", "doorlight/", "doorlight//events", "doorlight/front", "doorlight/front/secrets",
        "doorlight/front/back/events", "doorlight/../events", "doorlight/-front/events", "doorlight/$share/events",
        "doorlight/front door/events", "doorlight/fr\N{RIGHT-TO-LEFT OVERRIDE}ont/events", "doorlight/front\x1b[2J/events",
        "doorlight/front\n/events", "doorlight/ｆront/events", "doorlight/'; DROP TABLE events; --/events",
        f"doorlight/{'x' * 65}/events", f"doorlight/{'x' * 60_000}/events", "Doorlight/front/events", "x/front/events",
        "doorlight/front/events/", "doorlight/front/Events", "?",
    ],
)  # fmt: skip
def test_tricks_with_topics(topic: str) -> None:
    assert reason(topic, LINE) in ("unknown topic", "impossible name of a door")


@pytest.mark.parametrize(
    "payload",
    [
        b"", b"{", b"[]", b"null", b"7", b'"seq"', b"{}", b"\xff\xfe", b"\0", LINE[:-1], LINE + b"}", LINE + LINE, b" " + LINE,
        b"\xef\xbb\xbf" + LINE,
        LINE.decode().encode("utf-16"), LINE.decode().encode("utf-16-le"),
        LINE.replace(b'"seq": 7, ', b""),
        *(LINE.replace(b'"seq": 7', b'"seq": ' + value) for value in (
            b"0", b"-7", b"7.0", b"1e3", b'"7"', b"null", b"true", b"[7]", b"9007199254740992", b"1" * 5000, b"NaN", b"Infinity",
        )),
        *(LINE.replace(b'"2026-11-20T12:00:00.123Z"', value) for value in (
            b"null", b"7", b'"yesterday"', b'"2026-11-20T12:00:00"', b'"0001-01-01T00:00:00Z"', b'"9999-12-31T23:59:59Z"',
        )),
        *(LINE.replace(b'"event": "signal"', b'"event": ' + value) for value in (
            b"null", b'""', b'"a\\u0000b"', b'"\\ud800"', b'"\\u001b[2J"', b'"' + b"x" * 65 + b'"', b"{}",
        )),
        LINE.replace(b'"people": 1', b'"people": NaN'), LINE.replace(b'"people": 1', b'"people": -Infinity'),
        LINE.replace(b'"people": 1', b'"people": ' + b"[" * 20 + b"]" * 20),
        LINE.replace(b'"people": 1', b'"people": ' + b"[" * 30_000), LINE.replace(b"STOP", b"ST\0OP"),
        LINE.replace(b"STOP", b"\xed\xa0\x80"), LINE.replace(b"STOP", b"\xff"),
        LINE.replace(b"STOP", b"x" * MAX_MESSAGE_BYTES),
    ],
)  # fmt: skip
def test_hostile_events(payload: bytes) -> None:
    assert reason(TOPIC, payload)


@pytest.mark.parametrize("value", [b'"x"', b"[]", b"{}", b"true", b"-3", b"1.5", b"1" + b"0" * 40])
def test_strange_fields_do_not_hide_an_event(value: bytes) -> None:
    line = LINE.replace(b'"STOP"', value).replace(b'"people": 1', b'"person": ' + value)
    found = read_message(Message(TOPIC, line))
    assert isinstance(found, EventRow)
    assert (found.signal, found.person) == (None, None)


@pytest.mark.parametrize("payload", [b"", b"ONLINE", b"online\n", b"\xff", b"true", b"x" * 1000])
def test_hostile_availability(payload: bytes) -> None:
    assert reason("doorlight/front/availability", payload) == "neither online nor offline"


@pytest.mark.parametrize(
    "payload",
    [b"{}", b"[1, 2]", b'{"first": 5, "last": 4}', b'{"first": true, "last": 4}', b'{"first": 1, "last": 1e9}'],
)
def test_hostile_gaps(payload: bytes) -> None:
    assert reason("doorlight/front/gap", payload)


@given(st.sampled_from(KINDS), st.binary(max_size=200) | st.text(max_size=50).map(str.encode))
def test_any_payload_is_a_value(kind: str, payload: bytes) -> None:
    read_message(Message(f"doorlight/front/{kind}", payload))


@given(st.text(max_size=40), st.sampled_from([LINE, b"online", b"{}"]))
def test_any_topic_is_a_value(topic: str, payload: bytes) -> None:
    read_message(Message(topic, payload))


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(), lambda each: st.lists(each) | st.dictionaries(st.text(), each), max_leaves=8))  # fmt: skip
def test_any_json_is_a_value(value: object) -> None:
    read_message(Message("doorlight/front/state", json.dumps(value).encode()))
    read_message(Message("doorlight/front/state", json.dumps({"signal": value}).encode()))


def test_topics_are_those_of_the_link() -> None:
    topics = Topics("front-1")
    for kind in KINDS:
        assert parse_topic(getattr(topics, kind)) == ("front-1", kind)
        assert parse_topic(topic_filter(kind).replace("+", "front-1")) == ("front-1", kind)


def test_a_password_is_not_in_a_message() -> None:
    assert "secret" not in repr(Message(TOPIC, b"secret"))
