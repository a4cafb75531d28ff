"""The maps in edge/README.md name what is there."""

from __future__ import annotations

import re
import tomllib
from importlib import import_module
from types import ModuleType

import pytest

from edge.events.text import KINDS
from support.paths import ROOT, SCRIPTS

EDGE = ROOT / "edge"
PAGE = (EDGE / "README.md").read_text(encoding="utf-8")
TABLES = tomllib.loads((EDGE / "default.toml").read_text(encoding="utf-8"))
#: Settings with and without their table.
SETTINGS = {name for table, keys in TABLES.items() for key in keys for name in (key, f"{table}.{key}")}


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


def rows(text: str) -> list[str]:
    """Return the rows of the tables in a section, and its other text as one more."""
    lines = text.splitlines()
    table = [line for line in lines if line.startswith("|")]
    return [*table, "\n".join(line for line in lines if not line.startswith("|"))]


def modules_of(row: str) -> list[ModuleType]:
    """Return the modules that a row names, such as `camera/live.py`."""
    files = [name for name in code(row) if name.endswith(".py") and (EDGE / name).exists()]
    for folder, library in (
        ("web/", "starlette"),
        ("fleet/", "psycopg"),
        ("fleet/", "paho"),
        ("link/mqtt", "paho"),
        ("metrics/", "prometheus_client"),
    ):
        if any(file.startswith(folder) for file in files):
            pytest.importorskip(library, reason=f"the extra for {folder} is not installed")
    return [import_module(f"edge.{file.removesuffix('.py').replace('/', '.')}") for file in files]


def has_attribute(holder: object, name: str) -> bool:
    """Return whether `name`, such as Class.method, exists in a module or class. Fields without a value count, too."""
    head, _, rest = name.partition(".")
    if not hasattr(holder, head):
        return not rest and head in getattr(holder, "__annotations__", {})
    return not rest or has_attribute(getattr(holder, head), rest)


def exists(name: str, modules: list[ModuleType]) -> bool:
    """Return whether a name exists in `modules` or their classes, or as a module, setting, event or field of events."""
    if name in SETTINGS or name in {*KINDS, "seq"} or any(has_attribute(module, name) for module in modules):
        return True
    for module in modules:
        classes = [value for value in vars(module).values() if getattr(value, "__module__", "") == module.__name__]
        if any(has_attribute(each, name) for each in classes):
            return True
    head, _, rest = name.partition(".")
    if any((EDGE / path).exists() for path in (f"{head}.py", head)):
        return not rest or has_attribute(import_module(f"edge.{head}"), rest)
    return (SCRIPTS / f"{name.replace('.', '/')}.py").exists()


@pytest.mark.parametrize("heading", ["The path of a frame", "Where to change what", "Processes"])
def test_named_functions_classes_and_settings_exist(heading: str) -> None:
    for row in rows(section(heading)):
        for setting in re.findall(r"`\[(\w+)\] (\w+)`", row):
            assert ".".join(setting) in SETTINGS, f"edge/README.md names {setting}"
        for name in code(row):
            is_name = re.fullmatch(r"[\w.]+", name) and not name.endswith((".py", ".toml"))
            if is_name and name != "doorlight":  # the command
                assert exists(name, modules_of(row)), f"edge/README.md names {name}"


@pytest.mark.parametrize(
    ("name", "file", "expected"),
    [
        ("LiveSource._maintain", "camera/live.py", True),
        ("read", "camera/live.py", True),
        ("decision_times", "frame_rate.py", True),
        ("pipeline.Pipeline", "policy.py", True),
        ("camera.timeout_s", "door.py", True),
        ("LiveSource._maintain", "camera/stream.py", False),
        ("LiveSource.mend", "camera/live.py", False),
        ("decision_times", "policy.py", False),
        ("door.Tube", "door.py", False),
        ("camera.timeout", "door.py", False),
    ],
)
def test_a_name_is_looked_up_where_the_row_says(name: str, file: str, expected: bool) -> None:
    assert exists(name, modules_of(f"| question | `{file}` |")) is expected
