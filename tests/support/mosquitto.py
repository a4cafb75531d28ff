"""The broker Mosquitto for a test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.servers import OPEN_BROKER, MissingError, Mosquitto


def start_mosquitto(folder: Path, settings: str = OPEN_BROKER) -> Iterator[Mosquitto]:
    """Yield a running broker, and stop it. Skips the test if Mosquitto is not installed."""
    try:
        broker = Mosquitto(folder, settings)
    except MissingError as error:
        pytest.skip(str(error))
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()
