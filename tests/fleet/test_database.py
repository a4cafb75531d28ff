"""A PostgreSQL that is stopped, which keeps its connections and answers nothing; and what is said of an error."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import psycopg
import pytest

from edge.fleet import database
from edge.fleet.database import Address, Connection, DatabaseError
from fleet.servers import Postgres
from support.limits import no_more_files


@pytest.fixture
def address(cluster: Postgres) -> Address:
    return Address(cluster.new_database())


@pytest.fixture
def stopped(address: Address) -> Iterator[Connection]:
    """A connection whose process in the server is stopped."""
    with database.connect(address) as connection:
        process = connection.info.backend_pid
        os.kill(process, signal.SIGSTOP)
        connection.answer_timeout_s = 0.1
        goes_on = threading.Timer(60.0, os.kill, (process, signal.SIGCONT))  # ends a test that waits without a limit
        goes_on.start()
        yield connection
        goes_on.cancel()
        os.kill(process, signal.SIGCONT)


@pytest.mark.postgres
def test_a_statement_without_an_answer_is_given_up(stopped: Connection, address: Address) -> None:
    with pytest.raises(DatabaseError, match="cannot be reached: no answer to a statement") as caught:
        database.check_version(stopped, address)
    assert not caught.value.is_permanent
    assert stopped.closed


@pytest.mark.postgres
def test_a_transaction_without_an_answer_is_given_up(stopped: Connection) -> None:
    with pytest.raises(psycopg.OperationalError, match="no answer to a statement"), stopped.transaction():
        stopped.execute("SELECT 1")


@pytest.mark.postgres
def test_statements_need_no_file_descriptor_of_their_own(address: Address) -> None:
    with database.connect(address) as connection, no_more_files():
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_hint_names_the_setting_that_has_the_address() -> None:
    address = Address("postgresql://db.example/doorlight", "web.fleet_database")
    error = database.explain(address, psycopg.OperationalError("connection timeout expired"))
    assert error.hint == "start it, or correct web.fleet_database"
