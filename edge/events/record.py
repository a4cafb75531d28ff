"""One line of the event log: how it is encoded and parsed, its number and its time."""

from __future__ import annotations

import codecs
import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

EventRecord = dict[str, Any]

#: Longer lines are damaged: a normal line has some hundred bytes. The limit bounds memory.
MAX_LINE_BYTES = 1 << 20
#: Deeper nesting is damage: normal records are flat, and recursion on a deep one would exhaust the stack.
MAX_DEPTH = 8


def utc_text(wall_s: float) -> str:
    """Return `wall_s` (seconds since the epoch) as ISO 8601 in UTC with milliseconds."""
    return datetime.fromtimestamp(wall_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def encode(record: EventRecord) -> bytes:
    """Return the line of a record: one JSON object in UTF-8 and a line feed."""
    # File names that are not UTF-8 contain lone surrogates, which UTF-8 cannot encode: they become "?".
    text = json.dumps(_json_value(record), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "replace") + b"\n"


def ascii_text(record: EventRecord) -> str:
    """Return a record as one JSON object in one line of ASCII, which no terminal interprets."""
    return json.dumps(_json_value(record), allow_nan=False)


def _json_value(value: object) -> object:
    """Convert `value` to what JSON can express.

    No value may stop the log: NaN and infinity become null, others text.
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): _json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(item) for item in value]
    return str(value)


def parse(line: bytes) -> EventRecord | None:
    """Return the record of a line; None if the line is damaged. A byte order mark, as editors write it, is skipped."""
    line = line.removeprefix(codecs.BOM_UTF8)
    # The cheap checks come first: a damaged log may contain megabytes of garbage.
    if not line.startswith(b"{") or len(line) > MAX_LINE_BYTES:
        return None
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and _is_nested_within(value, MAX_DEPTH) else None


def parse_complete(line: bytes) -> EventRecord | None:
    """Return the record of a line that ends with a line feed; None if the line is torn or damaged."""
    return parse(line) if line.endswith(b"\n") else None


def _is_nested_within(value: object, depth: int) -> bool:
    if not isinstance(value, dict | list):
        return True
    items = value.values() if isinstance(value, dict) else value
    return depth > 0 and all(_is_nested_within(item, depth - 1) for item in items)


def sequence_number(record: EventRecord) -> int:
    """Return `seq` of a record; 0 if it is missing or impossible.

    Numbers from 2**53 on are not exact in every JSON reader.
    """
    seq = record.get("seq")
    return seq if type(seq) is int and 0 < seq < 1 << 53 else 0


def timestamp(record: EventRecord) -> datetime | None:
    """Return `time` of a record in UTC; None if it is missing or unreadable."""
    return parse_time(record.get("time"))


def parse_time(text: object) -> datetime | None:
    """Return an ISO 8601 time with a time zone as UTC; None if `text` is not one."""
    if not isinstance(text, str):
        return None
    try:
        found = datetime.fromisoformat(text)
        moment = found.astimezone(UTC) if found.tzinfo else None
    except (ValueError, OverflowError):
        return None
    # A Pi's clock starts in 1970, and the years at the far end of the range have no local time.
    return moment if moment and 1970 <= moment.year < 9999 else None
