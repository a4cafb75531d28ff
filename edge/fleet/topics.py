"""The topics of the doors: doorlight/DOOR/events, and what else a door publishes."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple, get_args

from ..link.topics import ROOT
from ..link_settings import NAME

Kind = Literal["events", "gap", "availability", "state", "stats"]
KINDS: tuple[Kind, ...] = get_args(Kind)
#: As `[link] door` allows it.
DOOR_NAME = re.compile(NAME)


class Topic(NamedTuple):
    """A door, and what a message of it is about."""

    door: str
    kind: Kind


def parse_topic(topic: str) -> Topic:
    """Parse "doorlight/front/events". Raises ValueError, with the reason."""
    root, _, rest = topic.partition("/")
    door, _, kind = rest.rpartition("/")
    if root != ROOT or kind not in KINDS:
        raise ValueError("unknown topic")
    if not DOOR_NAME.fullmatch(door):
        raise ValueError("impossible name of a door")
    return Topic(door, kind)


def topic_filter(kind: Kind) -> str:
    """Return the filter for messages of a kind from all doors."""
    return f"{ROOT}/+/{kind}"
