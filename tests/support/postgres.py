"""A PostgreSQL of its own for tests: a cluster in a temporary folder, which only a Unix socket reaches."""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.wait import wait_until

_NUMBERS = itertools.count()


def programs() -> Path | None:
    """Return the folder of initdb and postgres; None if PostgreSQL is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")) or [Path(shutil.which("initdb") or "/nonexistent")]
    return found[-1].resolve().parent if found[-1].exists() else None


def unprivileged() -> dict[str, Any]:
    """Return arguments for subprocess: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    pytest.skip("PostgreSQL refuses to run as root, and there is no other user")


class Cluster:
    """A running server. Each database is a new one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._programs = programs()
        self._process: subprocess.Popen[bytes] | None = None
        self._as_user = unprivileged()
        if self._as_user:
            os.chown(folder, self._as_user["user"], self._as_user["group"])
        self._run(
            "initdb",
            "-D",
            str(folder / "data"),
            "-U",
            "doorlight",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
        )

    def _run(self, program: str, *args: str) -> None:
        assert self._programs is not None
        subprocess.run(
            [self._programs / program, *args],
            cwd=self.folder,
            check=True,
            capture_output=True,
            timeout=120,
            **self._as_user,
        )

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        import psycopg

        assert self._programs is not None
        options = ("listen_addresses=", "fsync=off", f"unix_socket_directories={self.folder}", "max_connections=40")
        self._process = subprocess.Popen(
            [self._programs / "postgres", "-D", self.folder / "data", *(part for each in options for part in ("-c", each))],
            cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **self._as_user,
        )  # fmt: skip

        def answers() -> bool:
            with contextlib.suppress(psycopg.OperationalError):
                psycopg.connect(self.address("postgres")).close()
                return True
            return False

        wait_until(answers)

    def stop(self) -> None:
        """Stop the server at once, as a crash does."""
        if self._process is not None:
            self._process.send_signal(3)  # SIGQUIT: immediate shutdown
            self._process.wait(60)
            self._process = None

    def address(self, name: str, user: str = "doorlight") -> str:
        return f"postgresql:///{name}?host={self.folder}&user={user}"

    def new_database(self, options: str = "") -> str:
        """Make a database, and return its address."""
        import psycopg

        name = f"test{next(_NUMBERS)}"
        with psycopg.connect(self.address("postgres"), autocommit=True) as database:
            database.execute(f"CREATE DATABASE {name} {options}")
        return self.address(name)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A server for all tests of a session."""
    pytest.importorskip("psycopg", reason="the extra `fleet` is not installed")
    if programs() is None:
        pytest.skip("PostgreSQL is not installed: apt install postgresql")
    with tempfile.TemporaryDirectory(prefix="doorlight-pg-", ignore_cleanup_errors=True) as folder:
        server = Cluster(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop()
