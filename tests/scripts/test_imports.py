"""Which packages of the development environment may import which: imports go down only."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from support.paths import SCRIPTS

#: From top to bottom.
PACKAGES = ("assets", "speed", "training", "peers")


def imported_packages(path: Path) -> set[str]:
    """Return the top-level names of all absolute imports in a file."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_go_down(package: str) -> None:
    files = sorted((SCRIPTS / package).rglob("*.py"))
    assert files
    above = set(PACKAGES[: PACKAGES.index(package)])
    found = {str(path.relative_to(SCRIPTS)): above & imported_packages(path) for path in files}
    assert {file: names for file, names in found.items() if names} == {}
