"""What a webhook gets: some events as JSON, or the receiver's own fields, signed.

The signature is that of https://www.standardwebhooks.com: libraries for many languages check it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from ..config_messages import shown
from ..errors import ConfigError
from ..events.record import EventRecord, sequence_number, timestamp
from ..events.text import KINDS, describe_event
from ..link_settings import WebhookSettings
from .log_tail import Missing

#: The first of the events of a call are in it as they are; the others are counted.
MAX_EVENTS = 200
MAX_MISSING = 20
_SECRET_PREFIX = b"whsec_"


class Batch:
    """The events of one call: `count` in all, and what is missing in the log among them."""

    def __init__(self) -> None:
        self.count = 0
        self.missing: list[Missing] = []
        self._records: list[EventRecord] = []
        self._last: EventRecord = {}
        self._kinds: Counter[str] = Counter()

    def __bool__(self) -> bool:
        return bool(self.count or self.missing)

    def add(self, record: EventRecord) -> None:
        """Add an event."""
        self.count += 1
        self._kinds[_kind(record)] += 1
        self._last = record
        if len(self._records) < MAX_EVENTS:
            self._records.append(record)

    def add_missing(self, missing: Missing) -> None:
        """Add numbers that the log has lost."""
        if len(self.missing) < MAX_MISSING:
            self.missing.append(missing)

    def identity(self, door: str) -> str:
        """Return what is the same if this call is repeated."""
        first = sequence_number(self._records[0]) if self._records else 0
        return f"{door}-{first}-{sequence_number(self._last)}"

    def text(self) -> str:
        """Return the events in one sentence."""
        lost = "".join(f" (the events {each.first} to {each.last} are lost)" for each in self.missing)
        if self.count <= 1:
            return (_describe(self._last) if self.count else "events are lost") + lost
        kinds = ", ".join(f"{kind} {number}×" for kind, number in self._kinds.most_common(5))
        times = f"{_clock(self._records[0])} to {_clock(self._last)}"
        return f"{self.count} events from {times}: {kinds}; the last: {_describe(self._last)}{lost}"

    def values(self, door: str) -> dict[str, str]:
        """Return the values of the placeholders in a body."""
        return {
            "door": door,
            "text": self.text(),
            "event": _kind(self._last) if self.count else "missing",
            "count": str(self.count),
            "time": str(self._last.get("time", "")),
            "seq": str(sequence_number(self._last)),
        }

    def as_json(self, door: str) -> dict[str, Any]:
        """Return the body for a receiver that wants nothing special."""
        return {
            "door": door,
            "text": self.text(),
            "count": self.count,
            "events": self._records,
            "missing": [each._asdict() for each in self.missing],
        }


def check_events(settings: WebhookSettings) -> None:
    """Raise ConfigError if a webhook names an event or signal that this version does not know."""
    known = {kind.lower() for kind in KINDS}
    for event in settings.events:
        if event.lower() not in known:
            raise ConfigError(
                f"link.webhook {settings.name}: 'events' has {shown(event)}, which is no event",
                f"choose from: {', '.join(KINDS)}",
            )


def body_of(batch: Batch, door: str, template: Mapping[str, Any]) -> bytes:
    """Return the body of a call: `template` with its placeholders filled in, or without one the events."""
    content = _filled(template, batch.values(door)) if template else batch.as_json(door)
    return json.dumps(content, ensure_ascii=False).encode("utf-8", "replace")


def signature_headers(secret: bytes, identity: str, time_s: int, body: bytes) -> dict[str, str]:
    """Return the headers that sign a call: HMAC-SHA256 over identity, time stamp (seconds since the epoch) and body."""
    key = secret
    if secret.startswith(_SECRET_PREFIX):
        key = base64.b64decode(secret.removeprefix(_SECRET_PREFIX))
    signed = f"{identity}.{time_s}.".encode() + body
    digest = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    return {"webhook-signature": f"v1,{digest}"}


def _filled(value: Any, values: Mapping[str, str]) -> Any:
    match value:
        case str():
            for name, text in values.items():
                value = value.replace(f"{{{name}}}", text)
            return value
        case dict():
            return {key: _filled(item, values) for key, item in value.items()}
        case list():
            return [_filled(item, values) for item in value]
    return value


def _kind(record: EventRecord) -> str:
    return str(record.get("signal" if record.get("event") == "signal" else "event", "?"))


def _describe(record: EventRecord) -> str:
    return f"{_kind(record)}: {describe_event(record)}"


def _clock(record: EventRecord) -> str:
    moment = timestamp(record)
    return moment.astimezone().strftime("%H:%M:%S") if moment else "--:--:--"
