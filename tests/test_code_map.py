"""The maps in edge/README.md name what is there."""

from __future__ import annotations

import re

import pytest

from support.paths import ROOT

EDGE = ROOT / "edge"
PAGE = (EDGE / "README.md").read_text(encoding="utf-8")
SOURCES = [*EDGE.rglob("*.py"), EDGE / "default.toml"]


def section(heading: str) -> str:
    """Return the text below a heading of the page, to the next one."""
    text = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    assert text, f"edge/README.md has no section {heading}"
    return text


def code(text: str) -> list[str]:
    """Return what stands in backticks, without the part after a space or an asterisk."""
    return [re.split(r"[ *]", name)[0] for name in re.findall(r"`([^`]+)`", text)]


def test_every_module_and_package_is_in_the_table_of_layers() -> None:
    rows = [line.split("|")[2] for line in section("Packages").splitlines() if re.match(r"\| \d ", line)]
    named = {name.rstrip("/") for row in rows for name in code(row)}
    modules = {path.name for path in EDGE.glob("*.py")} - {"__init__.py"}
    packages = {path.parent.name for path in EDGE.glob("*/__init__.py")}
    assert named == modules | packages | {"default.toml"}


@pytest.mark.parametrize("heading", ["The path of a frame", "Where to change what", "Processes"])
def test_named_files_exist(heading: str) -> None:
    for name in code(section(heading)):
        if name.endswith((".py", ".toml", ".sh")):
            places = (EDGE, ROOT, ROOT / "tests", EDGE / "inference")
            assert any((folder / name).exists() for folder in places), f"edge/README.md names {name}"


@pytest.mark.parametrize("heading", ["The path of a frame", "Where to change what", "Processes"])
def test_named_functions_classes_and_settings_exist(heading: str) -> None:
    words = set().union(*(re.findall(r"\w+", path.read_text(encoding="utf-8")) for path in SOURCES))
    for name in code(section(heading)):
        if re.fullmatch(r"[\w.]+", name) and not name.endswith((".py", ".toml")):
            assert set(name.split(".")) <= words | {path.stem for path in SOURCES}, f"edge/README.md names {name}"
