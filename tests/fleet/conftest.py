"""The tests of the fleet need the extra `fleet`; without it they are left out."""

from __future__ import annotations

from importlib.util import find_spec

from support.postgres import cluster

if not all(find_spec(name) for name in ("psycopg", "paho")):
    collect_ignore_glob = ["test_*.py"]

__all__ = ["cluster"]
