"""Fixtures of the fleet's tests."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from support.postgres import cluster

if not all(find_spec(name) for name in ("psycopg", "paho")):
    pytest.skip("the extra `fleet` is not installed", allow_module_level=True)

__all__ = ["cluster"]
