"""Fixtures of the event log's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.events import writer
from edge.events.appender import Appender
from support.appender import append, line
from support.event_log import NO_ROTATION


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of a log that does not exist yet."""
    return tmp_path / "log.jsonl"


@pytest.fixture(autouse=True)
def no_skipped_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip no numbers after an end without `stopped`: most logs here end so.

    Tests of the skipping set their own value.
    """
    monkeypatch.setattr(writer, "SKIPPED_AFTER_CRASH", 0)


@pytest.fixture
def log(path: Path) -> Iterator[Appender]:
    """An open log with a first line, after which the write-ahead file is used."""
    opened = Appender(path, NO_ROTATION, 4)
    opened.open()
    append(opened, line(1))
    yield opened
    opened.close()
