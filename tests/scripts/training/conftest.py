"""Fixtures of the laboratory's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.evaluation import World
from support.training import write_data


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny data set of `write_data`."""
    folder = tmp_path_factory.mktemp("data")
    write_data(folder)
    return folder
