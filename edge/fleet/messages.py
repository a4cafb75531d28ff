"""What a message of a door says. Whatever it contains, it is a value here or is put aside with a reason: nothing raises."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, NoReturn

from ..events.record import parse, sequence_number, timestamp
from ..records import SIGNAL_NAMES
from .topics import parse_topic

#: A line of the log has some hundred bytes. The broker is asked not to deliver longer messages than this.
MAX_MESSAGE_BYTES = 64 << 10
#: Kinds of events have short names.
MAX_KIND_LENGTH = 64


class EventRow(NamedTuple):
    """A line of a door's log. `record` is the line as it was sent."""

    door: str
    seq: int
    time: datetime
    event: str
    signal: str | None
    person: int | None
    record: str


class Availability(NamedTuple):
    """Whether the link of a door is connected. `is_retained`: the broker kept this message from before."""

    door: str
    is_online: bool
    is_retained: bool


class Document(NamedTuple):
    """The JSON object `state` or `stats` of a door."""

    door: str
    kind: str
    text: str
    is_retained: bool


class Gap(NamedTuple):
    """Numbers that a door's log lost before they were sent. The door may not have used all of them."""

    door: str
    first: int
    last: int


class Rejected(NamedTuple):
    """A message that is none of these, with the reason."""

    topic: str
    payload: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class Message:
    """A message from the broker. `number` is for its acknowledgement; 0 if it needs none (QoS 0)."""

    topic: str
    payload: bytes = field(repr=False)
    is_retained: bool = False
    number: int = 0


Content = EventRow | Gap | Availability | Document | Rejected


def read_message(message: Message) -> Content:
    """Return what a message says."""
    topic, payload = message.topic, message.payload
    try:
        if len(payload) > MAX_MESSAGE_BYTES:
            raise ValueError("too long")
        door, kind = parse_topic(topic)
        if kind == "availability":
            return Availability(door, _is_online(payload), message.is_retained)
        text = _text(payload)
        if kind == "events":
            return _event(door, text)
        value = _object(text)
        if kind == "gap":
            return _gap(door, value)
        return Document(door, kind, text, message.is_retained)
    except ValueError as error:
        return Rejected(topic, payload, str(error))


def _is_online(payload: bytes) -> bool:
    if payload not in (b"online", b"offline"):
        raise ValueError("neither online nor offline")
    return payload == b"online"


def _text(payload: bytes) -> str:
    """Return a payload as text that PostgreSQL takes. Raises ValueError."""
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    if "\0" in text:
        raise ValueError("has a NUL character")
    return text


def _object(text: str) -> dict[str, object]:
    # PostgreSQL refuses Python's NaN and Infinity, a byte order mark, and what is nested very deeply.
    if "NaN" in text or "Infinity" in text:
        try:
            json.loads(text, parse_constant=_refuse_constant)
        except RecursionError:
            raise ValueError("not an event") from None
    record = parse(text.encode()) if text.startswith("{") else None
    if record is None:
        raise ValueError("not a JSON object")
    return record


def _event(door: str, text: str) -> EventRow:
    record = _object(text)
    seq, moment, kind = sequence_number(record), timestamp(record), record.get("event")
    if not seq:
        raise ValueError("no number (seq)")
    if moment is None:
        raise ValueError("no time")
    if not isinstance(kind, str) or not kind or len(kind) > MAX_KIND_LENGTH or not kind.isprintable():
        raise ValueError("no kind of event")
    signal, person = record.get("signal"), record.get("person")
    return EventRow(
        door,
        seq,
        moment,
        kind,
        str(signal) if kind == "signal" and isinstance(signal, str) and signal in SIGNAL_NAMES else None,
        person if type(person) is int and 0 < person < 1 << 53 else None,
        text,
    )


def _gap(door: str, value: dict[str, object]) -> Gap:
    first, last = value.get("first"), value.get("last")
    if type(first) is not int or type(last) is not int or not 0 < first <= last < 1 << 53:
        raise ValueError("no first and last number")
    return Gap(door, first, last)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"not JSON: {name}")
