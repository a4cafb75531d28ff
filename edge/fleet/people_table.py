"""The enrolled people of many doors in PostgreSQL: one sealed text, which the database cannot read.

`doorlight people sync` uses it. Content is encrypted and signed by a door, see people/transfer.py. The database only keeps
the newest one, and refuses a door that has not seen it.
"""

from __future__ import annotations

from typing import NamedTuple

import psycopg
from psycopg import errors

from .database import Address, Database, DatabaseError, explain

#: A larger content is not loaded.
MAX_BYTES = 1 << 20
#: There is one row at most.
SCHEMA = """\
CREATE SCHEMA IF NOT EXISTS doorlight_people;
CREATE TABLE IF NOT EXISTS doorlight_people.sealed (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    revision bigint NOT NULL CHECK (revision > 0),
    content bytea NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT now()
);
"""


class Stored(NamedTuple):
    """The newest content and its number."""

    revision: int
    content: bytes


def prepare(database: Database, address: Address) -> None:
    """Make the table if there is none. Raises DatabaseError."""
    try:
        if database.execute("SELECT to_regclass('doorlight_people.sealed')").fetchone() == (None,):
            with database.transaction():
                database.execute("SELECT pg_advisory_xact_lock(hashtext('doorlight.people'))")
                database.execute(SCHEMA)
    except psycopg.Error as error:
        raise explain(address, error) from error


def load(database: Database, address: Address) -> Stored | None:
    """Return the newest content; None if nothing was stored yet. Raises DatabaseError."""
    query = (
        "SELECT revision, CASE WHEN octet_length(content) <= %s THEN content END FROM doorlight_people.sealed LIMIT 2"
    )
    try:
        rows = database.execute(query, (MAX_BYTES,)).fetchall()
    except (errors.UndefinedTable, errors.InvalidSchemaName):
        return None
    except psycopg.Error as error:
        raise explain(address, error) from error
    if not rows:
        return None
    # Somebody may have made another table, or a view, in its place.
    revision, content = rows[0]
    if len(rows) > 1 or type(revision) is not int or not isinstance(content, bytes | None):
        raise DatabaseError(
            f"{address}: doorlight_people.sealed is not the table of people sync", "restore a backup of it"
        )
    if content is None or len(content) > MAX_BYTES:
        raise DatabaseError(f"{address}: what it has is too large for enrolled people", "restore a backup of it")
    return Stored(revision, content)


def store(database: Database, address: Address, content: bytes, revision: int) -> bool:
    """Store content as `revision`, if the database has the one before. Return False if another door came first.

    Raises DatabaseError.
    """
    try:
        if revision == 1:
            query = (
                "INSERT INTO doorlight_people.sealed (revision, content) VALUES (1, %(content)s) ON CONFLICT DO NOTHING"
            )
        else:
            query = (
                "UPDATE doorlight_people.sealed SET revision = %(revision)s, content = %(content)s, stored_at = now() "
                "WHERE revision = %(revision)s - 1"
            )
        return database.execute(query, {"revision": revision, "content": content}).rowcount == 1
    except psycopg.Error as error:
        raise explain(address, error) from error
