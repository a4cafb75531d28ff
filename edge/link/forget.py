"""Remove what a broker keeps about a door, so that no ghost of it stays in Home Assistant."""

from __future__ import annotations

import secrets
import time
from pathlib import Path

from .. import __version__
from ..errors import UnavailableError, UsageError
from ..link_settings import LinkSettings, parse_broker
from .announcement import Announcement
from .broker_errors import BrokerError, refused
from .discovery import OFFLINE, ONLINE
from .login import broker_login
from .mqtt import MqttConnection, Will
from .topics import door_name

TIMEOUT_S = 10.0
#: The broker sends a retained message within this time (seconds) after the subscription.
_LISTEN_S = 1.0


def forget(settings: LinkSettings, folder: Path) -> str:
    """Remove the retained messages of this door. Return what was done, in one sentence.

    `folder` has the names under which the door was announced before. Raises UsageError without a broker, BrokerError, and
    UnavailableError if the link of this door is connected: it would publish them again.
    """
    if not settings.broker:
        raise UsageError("[link] names no broker", "a webhook keeps nothing about a door")
    broker, door = parse_broker(settings.broker), door_name(settings.door)
    announcement = Announcement(door, settings.discovery_prefix, __version__, folder, is_wanted=True)
    will = Will(announcement.topics.availability, b"")
    connection = MqttConnection(broker, broker_login(settings, f"doorlight-forget-{secrets.token_hex(4)}"), will)
    try:
        connection.open()
        if _is_online(connection, announcement.topics.availability):
            raise UnavailableError(
                f"{broker}: the link of {door} is connected",
                "stop it first: sudo systemctl disable --now doorlight-link",
            )
        waiting = {connection.publish(topic, b"", retain=True): topic for topic in announcement.removal()}
        count = len(waiting)
        deadline = time.monotonic() + TIMEOUT_S
        while waiting:
            connection.wait(0.1)
            while connection.acknowledged:
                number, error = connection.acknowledged.popleft()
                topic = waiting.pop(number, "")
                if error is not None:
                    raise refused(str(broker), error, f"the topic {topic}")
            if time.monotonic() > deadline:
                raise BrokerError(f"{broker}: the broker acknowledges nothing", "try again")
    finally:
        connection.close()
    announcement.clear()
    return f"{broker}: {door} is removed ({count} topics)"


def _is_online(connection: MqttConnection, topic: str) -> bool:
    """Return whether a link is connected: then the retained availability is "online"."""
    connection.subscribe(topic, retained=True)
    deadline = time.monotonic() + _LISTEN_S
    while time.monotonic() < deadline:
        connection.wait(0.1)
        while connection.received:
            payload = connection.received.popleft().payload
            if payload in (ONLINE, OFFLINE):
                return payload == ONLINE
    return False
