"""A PostgreSQL of its own for all tests of a session."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.servers import MissingError, Postgres


@pytest.fixture(scope="session")
def cluster() -> Iterator[Postgres]:
    """A server; each test makes a database in it."""
    pytest.importorskip("psycopg", reason="the extra `fleet` is not installed")
    with tempfile.TemporaryDirectory(prefix="doorlight-pg-", ignore_cleanup_errors=True) as folder:
        try:
            server = Postgres(Path(folder))
        except MissingError as error:
            pytest.skip(str(error))
        server.start()
        try:
            yield server
        finally:
            server.stop()
