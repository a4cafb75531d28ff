"""Fixtures of the event log's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.events import writer


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
