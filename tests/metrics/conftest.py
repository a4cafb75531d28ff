"""The tests of the metrics need the extra `metrics`; without it they are left out."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

if find_spec("prometheus_client") is None:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of a log that does not exist yet."""
    return tmp_path / "events.jsonl"
