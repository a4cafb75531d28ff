"""Fixtures of the metrics' tests."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

if find_spec("prometheus_client") is None:
    pytest.skip("the extra `metrics` is not installed", allow_module_level=True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of a log that does not exist yet."""
    return tmp_path / "events.jsonl"
