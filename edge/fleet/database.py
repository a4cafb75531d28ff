"""A connection to PostgreSQL, its errors in words, and the version of its schema."""

from __future__ import annotations

import re
import selectors
from collections.abc import Generator
from importlib import resources
from typing import Any, TypeAlias

import psycopg
from psycopg import conninfo, errors

from ..errors import UnavailableError, UsageError

#: The schema that this version of Doorlight reads and writes.
SCHEMA_VERSION = 1
#: A statement that takes longer (seconds) is given up, and tried again.
STATEMENT_TIMEOUT_S = 60
#: Seconds. PostgreSQL gives up a slow statement itself. If it is stopped, or its disk hangs, the client does, this much later.
MARGIN_S = 5
#: Seconds. A server that vanishes without a word is noticed after this time.
TIMEOUT_S = 15

Database: TypeAlias = "psycopg.Connection[Any]"

_HINTS = {
    "28": "check user and password: PGPASSFILE names a file of passwords, see ~/.pgpass",
    "3D": "createdb the database, or correct --database",
    "42501": "give this user the rights of scripts/fleet/roles.sql",
    "42": "doorlight collect --print-schema shows the tables that it needs",
    "08": "start it, or correct --database",
    "53100": "make room on its disk",
    "53300": "raise max_connections, or end some connections",
    "25006": "connect to the primary server: target_session_attrs=read-write in --database",
}
#: What PostgreSQL says when it refuses a connection has no code. Only in English.
_REFUSALS = (
    (re.compile(r"password authentication failed|no password supplied|pg_hba\.conf|Peer authentication failed"), "28"),
    (re.compile(r'database ".*" does not exist'), "3D"),
    (re.compile(r'role ".*" does not exist'), "28"),
)
#: What libpq says of a wrong value in the address or in a variable such as PGSSLMODE. It repeats the value.
_WRONG_VALUE = re.compile(
    r'invalid integer value ".*" for connection option "(?P<option>\w+)"|invalid "?(?P<name>\w+)"? value: '
    r"|invalid (?P<port>port) number: |bad value for (?P<timeout>\w+): "
    r'|could not match \d+ (?P<count>port) numbers|(?P<service>service) ".*" not found',
    re.DOTALL,
)
#: Classes of errors that another attempt may mend: connection, transaction, resources, operator, system.
_TRANSIENT = ("08", "40", "53", "55", "57", "58", "25", "XX")


class DatabaseError(UnavailableError):
    """The database cannot be used. `is_permanent`: another attempt fails in the same way."""

    def __init__(self, message: str, hint: str = "", *, is_permanent: bool = False) -> None:
        super().__init__(message, hint)
        self.is_permanent = is_permanent


class Address:
    """Where the database is, of a text such as postgresql://user@host/doorlight."""

    def __init__(self, text: str, key: str = "--database") -> None:
        """Parse the text of the option or setting `key`. Raises UsageError, without repeating it, if it is wrong.

        It must not have a password.
        """
        self.key = key
        try:
            self.parameters = conninfo.conninfo_to_dict(text)
        except (psycopg.ProgrammingError, UnicodeEncodeError):
            raise UsageError(
                f"{key}: is not an address of PostgreSQL", "for example postgresql://user@host/doorlight"
            ) from None
        if "password" in self.parameters or "sslpassword" in self.parameters:
            raise UsageError(
                f"{key}: has a password, which everyone on this machine can read there",
                "write it into ~/.pgpass (chmod 600), or name such a file in PGPASSFILE",
            )
        # libpq ends the host at the first / or @: the rest of a password is then part of another parameter.
        if any("@" in str(self.parameters.get(name, "")) for name in ("host", "hostaddr", "port", "dbname")):
            raise UsageError(
                f"{key}: has an @ in the name of the host or of the database",
                "a / or @ in a password must be written %2F, %40; better, write the password into ~/.pgpass (chmod 600)",
            )

    def __str__(self) -> str:
        host = self.parameters.get("host") or self.parameters.get("hostaddr") or "on this machine"
        name = self.parameters.get("dbname") or self.parameters.get("service") or "of this user"
        return f"database {name} {host if host == 'on this machine' else f'at {host}'}"


class Connection(psycopg.Connection[Any]):
    """A connection that is closed if the server gives no answer to a statement for `answer_timeout_s` (seconds)."""

    answer_timeout_s: float = STATEMENT_TIMEOUT_S + MARGIN_S

    def wait(self, gen: Generator[int, int, Any], *_args: object, **_options: object) -> Any:
        """Return the result of `gen`, which psycopg makes of a statement, and which yields the events to wait for.

        Raises psycopg.Error. psycopg's own method waits without a limit.
        """
        try:
            wanted = next(gen)
            while True:
                # Not DefaultSelector: epoll needs a free file descriptor, and its error is no psycopg.Error.
                with selectors.PollSelector() as selector:
                    selector.register(self.fileno(), wanted)
                    ready = [events for _, events in selector.select(self.answer_timeout_s)]
                if not ready:
                    self.close()
                    raise psycopg.OperationalError("no answer to a statement")
                wanted = gen.send(ready[0])
        except StopIteration as end:
            return end.value
        except KeyboardInterrupt:
            self.close()  # its statement is unfinished: it can run no other
            raise


def connect(address: Address, timeout_s: int | None = None) -> Connection:
    """Return a connection. Raises DatabaseError, and UsageError if a value of the address is wrong.

    `timeout_s` limits connecting and each statement, instead of TIMEOUT_S and STATEMENT_TIMEOUT_S.
    """
    defaults: dict[str, Any] = {
        "connect_timeout": timeout_s or TIMEOUT_S,
        "keepalives_idle": TIMEOUT_S,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": TIMEOUT_S * 1000,
        "application_name": "doorlight",
        "client_encoding": "utf8",
    }
    text = conninfo.make_conninfo(**{**defaults, **address.parameters})
    try:
        database = Connection.connect(text, autocommit=True)
    except psycopg.Error as error:
        if not error.sqlstate and (wrong := _WRONG_VALUE.search(str(error))) is not None:
            name = next(filter(None, wrong.groups()))
            raise UsageError(
                f"{address.key}: the value of {name} is wrong", f"correct {name} in the address, or the variable PG…"
            ) from None
        raise explain(address, error) from error
    statement_timeout_s = timeout_s or STATEMENT_TIMEOUT_S
    database.answer_timeout_s = statement_timeout_s + MARGIN_S
    try:
        _set_up(database, address, 1000 * statement_timeout_s)
    except psycopg.Error as error:
        database.close()
        raise explain(address, error) from error
    except DatabaseError:
        database.close()
        raise
    return database


def _set_up(database: Database, address: Address, statement_timeout_ms: int) -> None:
    # A server may be configured to answer before a commit is on the disk: then its crash would lose events.
    database.execute(
        f"SET statement_timeout = {statement_timeout_ms}; SET timezone = 'UTC'; "
        "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
    )
    encoding = database.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise DatabaseError(
            f"{address}: its texts are {encoding}, not UTF-8",
            "createdb --encoding=UTF8 --template=template0",
            is_permanent=True,
        )


def schema_text() -> str:
    """Return the SQL that makes the schema and its tables."""
    return resources.files(__package__).joinpath("schema.sql").read_text(encoding="utf-8")


def prepare(database: Database, address: Address) -> None:
    """Make the tables if there are none. Raises DatabaseError if they cannot be made, or are of another version."""
    try:
        with database.transaction():
            database.execute("SELECT pg_advisory_xact_lock(hashtext('doorlight.schema'))")
            if _version(database) is None:
                database.execute(schema_text())
    except psycopg.Error as error:
        raise explain(address, error) from error
    check_version(database, address)


def check_version(database: Database, address: Address) -> None:
    """Raise DatabaseError if the tables are missing, or are of another version than this program's."""
    try:
        version = _version(database)
    except psycopg.Error as error:
        raise explain(address, error) from error
    if version is None:
        raise DatabaseError(
            f"{address}: it has no tables of Doorlight",
            "doorlight collect makes them when it starts",
            is_permanent=True,
        )
    if version != SCHEMA_VERSION:
        raise DatabaseError(
            f"{address}: its schema is of version {version}, and this doorlight knows version {SCHEMA_VERSION}",
            "install the newest Doorlight on this machine",
            is_permanent=True,
        )


def _version(database: Database) -> int | None:
    if database.execute("SELECT to_regclass('doorlight.schema_version')").fetchone() == (None,):
        return None
    row = database.execute("SELECT max(version) FROM doorlight.schema_version").fetchone()
    return None if row is None else row[0]


def explain(address: Address, error: psycopg.Error) -> DatabaseError:
    """Return what went wrong in words. Never contains a password."""
    text = (error.diag.message_primary or str(error)).strip()
    code = error.sqlstate or ""
    if not code:
        code = next((code for pattern, code in _REFUSALS if pattern.search(text)), "08")
        # libpq adds further lines of advice, and repeats the address.
        text = (text.splitlines() or [type(error).__name__])[0].rpartition("failed: ")[2]
        if code == "08":
            text = f"cannot be reached: {text}"
    if isinstance(error, errors.QueryCanceled):
        text = "a statement has taken too long"
    hint = _HINTS.get(code) or _HINTS.get(code[:2]) or "see the log of the database"
    hint = hint.replace("--database", address.key)
    return DatabaseError(f"{address}: {text}", hint, is_permanent=not code.startswith(_TRANSIENT))
