"""Say what is wrong with the value of a setting, and what to write instead.

msgspec reports the place of the first wrong value. What is allowed there follows from the types of the settings.
"""

from __future__ import annotations

import datetime
import math
import re
import reprlib
from typing import Any

import msgspec
from msgspec import inspect

from .counted import counted
from .errors import ConfigError
from .system.terminal import without_login

#: What replaces the general words for some keys, by key.
HINTS = {
    "lights.green": 'a pin from 0 to 27 without quotes, or "none" for no green lamp',
    "lights.red": "a pin from 0 to 27 without quotes: STOP and FAULT need a red lamp",
    "lights.buzzer": 'a pin from 0 to 27 without quotes, or "none" for no buzzer',
    "lights.alarm_pattern_s": "seconds on and off in turn: [0.25, 0.25]",
    "lights.fault_pattern_s": "seconds on and off in turn: [0.5, 0.5]",
    "relay.pin": 'a pin from 0 to 27 without quotes, or "none" for no relay',
    "relay.when": '"PASS", or "PASS and known" with enabled and may_open of [people]',
    "expression.agitated": 'a list: ["angry", "disgust"]',
    "web.hosts": 'a list of names: ["door.example.org"]',
    "door.zone": "a list of corners: [[0.25, 0.0], [0.75, 0.0], [0.75, 1.0], [0.25, 1.0]]",
    "door.ignore": "a list of areas: [[[0.0, 0.0], [0.2, 0.0], [0.2, 0.4], [0.0, 0.4]]]",
}
#: A value for each key that is text.
EXAMPLES = {
    "camera.source": "picamera",
    "models.directory": "/srv/models",
    "events.file": "/srv/doorlight/events.jsonl",
    "people.file": "/srv/doorlight/people.db",
    "people.database": "postgresql://door@db.example.org/people",
    "lights.quiet_hours": "22:00-07:00",
    "web.listen": "127.0.0.1:8080",
    "web.fleet_database": "postgresql://doorlight-page@127.0.0.1/doorlight",
    "link.metrics_listen": "127.0.0.1:9187",
    "web.certificate": "/etc/doorlight/certificate.pem",
    "web.key": "/etc/doorlight/key.pem",
    "privacy.controller": "Dr. Who, 12 High Street, 555 1234",
    "privacy.sign": "left of the door",
    "privacy.notice": "https://example.org/door",
    "update.source": "https://example.org/doorlight",
    "link.door": "entrance",
    "link.broker": "mqtts://broker.example.org:8883",
    "link.username": "door-entrance",
    "link.password": "mqtt-password",
    "link.ca": "/etc/doorlight/ca.pem",
    "link.certificate": "/etc/doorlight/door.pem",
    "link.key": "door-key",
    "link.discovery_prefix": "homeassistant",
}
#: Nested lists of a correct value, by key: an area is a list of corners, and a corner is a list.
DEPTHS = {"door.zone": 2, "door.ignore": 3}
#: By the name of an allowed type: its types in Python.
TYPES: dict[str, type | tuple[type, ...]] = {
    "true or false": bool,
    "a whole number": int,
    "a number": (int, float),
    "text": str,
    "a list": list,
}
#: By the type of a value: its name in messages.
KINDS: dict[type, str] = {
    int: "a number",
    float: "a number",
    str: "text",
    list: "a list",
    datetime.datetime: "a date",
    datetime.date: "a date",
    datetime.time: "a time",
}


def wrong_value(message: str, name: str, settings: dict[str, Any], schema: type[msgspec.Struct]) -> ConfigError:
    """Return the error for a value that msgspec rejects with `message`: "Expected `int` <= 27 - at `$.lights.green`".

    `name` is the file, `settings` its values, and `schema` the type to which they could not be converted.
    """
    path = message.partition(" - at `$.")[2].rstrip("`")
    key = path.partition("[")[0]
    value, allowed = _locate(path, settings, schema)
    hint = _polygon_hint(path, value, settings) if key in DEPTHS else _hint(key, value, allowed)
    return ConfigError(f"{name}: '{path}' is {shown(value)}: {_problem(value, allowed)}", f"write {hint}")


def enormous_number(name: str, settings: dict[str, Any], schema: type[msgspec.Struct]) -> ConfigError:
    """Return the error for an integer that msgspec cannot format: Python refuses to format thousands of digits."""
    key = next(
        f"{section}.{key}"
        for section, values in settings.items()
        for key, value in values.items()
        if isinstance(value, int) and value.bit_length() > 64
    )
    value, allowed = _locate(key, settings, schema)
    return ConfigError(f"{name}: '{key}' is an enormous number", f"write {_hint(key, value, allowed)}")


def shown(value: object) -> str:
    """Return a short form of a value, whatever its length and depth, as it is written in TOML, without logins."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a section"
    if isinstance(value, datetime.date | datetime.time):
        return str(value)
    short = reprlib.Repr()
    short.maxstring = short.maxlong = short.maxother = 80
    try:
        return without_login(short.repr(value))
    except ValueError:  # Python refuses to format numbers of thousands of digits.
        return "an enormous number"


def _locate(path: str, settings: Any, schema: type[msgspec.Struct]) -> tuple[Any, inspect.Type]:
    """Return the value at a path such as "door.zone[1][0]", and the type that is allowed there."""
    value, allowed = settings, inspect.type_info(schema)
    for part in re.findall(r"\w+", path):
        if isinstance(allowed, inspect.StructType):
            value = value[part]
            allowed = next(field.type for field in allowed.fields if field.name == part)
        else:
            value = value[int(part)]
            allowed = _item_type(allowed, int(part))
    return value, allowed


def _item_type(allowed: inspect.Type, index: int) -> inspect.Type:
    if isinstance(allowed, inspect.TupleType):
        return allowed.item_types[index]
    assert isinstance(allowed, inspect.VarTupleType)
    return allowed.item_type


def _problem(value: object, allowed: inspect.Type) -> str:
    """Return what is wrong with a value that is not of the type `allowed`, or outside of its range."""
    noun = _noun(allowed)
    if noun == "a whole number" and isinstance(value, float):
        return "not a whole number"
    if not isinstance(value, TYPES[noun]) or (isinstance(value, bool) and noun != "true or false"):
        return f"{KINDS[type(value)]} instead of {noun}" if type(value) in KINDS else f"not {noun}"
    match value, allowed:
        case _, inspect.LiteralType():
            return "not one of the allowed values"
        case str(), _:
            return f"too long, with {len(value)} characters" if value else "empty"
        case list(), inspect.TupleType(item_types=items):
            return f"{counted(len(value), 'entry', 'entries')} instead of {len(items)}"
        case list(), inspect.VarTupleType(min_length=minimum):
            return "too few entries" if len(value) < (minimum or 0) else "too many entries"
        case float(), _ if math.isnan(value):
            return "not a number"
        case ((int() | float()), (inspect.IntType(ge=low, gt=above) | inspect.FloatType(ge=low, gt=above))):
            is_small = (low is not None and value < low) or (above is not None and value <= above)
            return "too small" if is_small else "too large"
        case int(), _:  # a pin, or "none"
            return "too small" if value < 0 else "too large"
    return f"not {noun}"


def _noun(allowed: inspect.Type) -> str:
    match allowed:
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType() | inspect.UnionType():
            return "a whole number"
        case inspect.FloatType():
            return "a number"
        case inspect.LiteralType(values=choices):
            return "text" if isinstance(choices[0], str) else "a whole number"
        case inspect.StrType():
            return "text"
        case _:
            return "a list"


def _hint(key: str, value: object, allowed: inspect.Type) -> str:
    """Return what to write instead of a wrong value of `key`, or of an entry of its list."""
    quoted = ", without quotes" if isinstance(value, str) else ""
    match allowed:
        case inspect.BoolType():
            return f"true or false{quoted}"
        case inspect.IntType() if key not in HINTS:
            return f"a whole number {_range(allowed)}{quoted}"
        case inspect.FloatType():
            return f"a number {_range(allowed)}{quoted}"
        case inspect.LiteralType(values=choices) if len(choices) > 1:
            names = [f'"{choice}"' if isinstance(choice, str) else str(choice) for choice in choices]
            listed = f"{', '.join(names[:-1])} or {names[-1]}"
            return listed if isinstance(choices[0], str) else f"a whole number{quoted.replace(',', '')}: {listed}"
        case inspect.StrType() if key not in HINTS:
            if isinstance(value, str) and allowed.max_length is not None and len(value) > allowed.max_length:
                return f"use at most {allowed.max_length} characters"
            example = f'{key.partition(".")[2]} = "{EXAMPLES[key]}"'
            return f"{'text' if isinstance(value, str) else 'text in quotes'}, such as {example}"
        case _:
            return HINTS[key]


def _range(allowed: inspect.IntType | inspect.FloatType) -> str:
    """Return the range of a number: "from 0.01 to 1", "above 0 and up to 120", "below 0"."""
    low, above, high, below = allowed.ge, allowed.gt, allowed.le, allowed.lt
    if low is not None and high is not None:
        return f"from {low} to {high}"
    ends = [
        *([f"of at least {low}"] if low is not None else []),
        *([f"above {above}"] if above is not None else []),
        *([f"up to {high}"] if high is not None else []),
        *([f"below {below}"] if below is not None else []),
    ]
    return " and ".join(ends)


def _polygon_hint(path: str, value: Any, settings: dict[str, Any]) -> str:
    """Return what to write instead of a wrong value in door.zone or door.ignore. The usual mistake is a pair of brackets."""
    key = path.partition("[")[0]
    whole = settings["door"][key.partition(".")[2]]
    depth = _depth(whole)
    is_list_of_corners = isinstance(whole, list) and all(isinstance(item, list) and len(item) == 2 for item in whole)
    if key == "door.ignore" and depth == DEPTHS[key] - 1 and is_list_of_corners:
        return "one more pair of [ ] around it: a list of areas, [[[x, y], [x, y], [x, y]]]"
    if depth == DEPTHS[key] + 1:
        return f"one pair of [ ] less around it: {HINTS[key]}"
    if depth != DEPTHS[key]:
        return HINTS[key]
    if isinstance(value, list):
        is_corner = path.count("[") == DEPTHS[key] - 1
        return "each corner as [x, y], with decimal points: [0.25, 0.0]" if is_corner else "fewer of them"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "shares from 0 to 1: 0.25 is a quarter"
    return "shares from 0 to 1, without quotes: 0.25 is a quarter" if isinstance(value, str) else HINTS[key]


def _depth(value: Any) -> int:
    """Return how many lists are nested in `value`, by the first entry of each; at most one more than any key allows."""
    depth = 0
    while isinstance(value, list) and depth <= max(DEPTHS.values()):
        depth += 1
        value = value[0] if value else None
    return depth
