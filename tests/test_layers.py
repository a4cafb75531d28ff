"""Who may import whom: the design's layer table, held against every import in edge/, wherever it is written."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import edge

PACKAGE = Path(edge.__file__).parent

#: Lowest layer first. A module imports from lower rows only: never sideways, never up.
LAYERS = (
    ("__init__", "errors", "records", "clock", "holders", "ourselves", "stages", "files", "native", "terminal"),
    ("config", "manifest", "images", "boxes", "glance", "health", "gpio", "figures"),
    ("tracker", "policy", "device", "pictures"),  # made of the settings, boxes and pictures of the row below them
    ("picamera", "decoder"),
    ("interpreter", "camera", "lights", "events", "notify"),
    ("accelerator", "keeper"),  # the interpreter, and the lights, in processes of their own
    ("perception", "wiring"),
    ("machine",),
    ("checks",),
    ("door", "doctor"),
    ("annotate", "bench"),
    ("cli",),
    ("__main__",),
)
LAYER = {module: k for k, row in enumerate(LAYERS) for module in row}

RUNTIMES = {"ai_edge_litert", "tflite_runtime", "pycoral", "tflite"}
#: What makes models stays out of what uses them.
TRAINING = {
    "scripts",
    "doorlab",
    "train",
    "export",
    "evaluate",
    "tensorflow",
    "torch",
    "sklearn",
    "matplotlib",
    "tests",
}


def imports(source: str) -> set[str]:
    """Every module that `source`, a module of edge, imports: absolute names, also of those in functions, under
    TYPE_CHECKING, and by `importlib.import_module("…")`.

    >>> sorted(imports("from . import boxes"))
    ['edge.boxes']
    """
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(filter(None, ["edge" if node.level else "", node.module]))
            assert node.level <= 1, "edge has no sub-packages"
            # `from . import boxes` names modules; `from .boxes import iou` names what is in one.
            found |= {f"edge.{alias.name}" for alias in node.names} if base == "edge" else {base}
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in {
            "importlib.import_module",
            "import_module",
            "__import__",
        }:
            what = node.args[0]
            found.add(str(what.value) if isinstance(what, ast.Constant) else f"<{ast.unparse(what)}>")
    return found


def own(name: str) -> str | None:
    """The module of edge that an import names; None where it names another package."""
    package, _, rest = name.partition(".")
    if package != "edge":
        return None
    module = rest.partition(".")[0]
    return module if (PACKAGE / f"{module}.py").is_file() else "__init__"


MODULES = sorted(path.stem for path in PACKAGE.glob("*.py"))
IMPORTS = {module: imports((PACKAGE / f"{module}.py").read_text(encoding="utf-8")) for module in MODULES}


def test_every_module_has_its_place_and_every_place_its_module() -> None:
    assert sorted(LAYER) == MODULES
    assert not [path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE], (
        "a sub-package needs a row of its own"
    )


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down(module: str) -> None:
    used = {name for name in map(own, IMPORTS[module]) if name is not None}
    wrong = {name for name in used if LAYER[name] >= LAYER[module]}
    assert not wrong, f"edge/{module}.py (row {LAYER[module]}) must not import {sorted(wrong)}"


@pytest.mark.parametrize("module", MODULES)
def test_only_the_interpreter_knows_a_runtime(module: str) -> None:
    packages = {name.partition(".")[0] for name in IMPORTS[module]}
    assert not packages & RUNTIMES or (module == "interpreter" and packages & RUNTIMES == {"pycoral"})
    if module != "interpreter":
        assert not [name for name in packages if name.startswith("<")], "an import by a computed name cannot be checked"


def test_the_interpreter_imports_what_it_says() -> None:
    from edge.interpreter import EDGETPU_RUNTIMES
    from edge.interpreter import RUNTIMES as taken

    assert {*taken, *EDGETPU_RUNTIMES} <= RUNTIMES
    assert [name for name in IMPORTS["interpreter"] if name.startswith("<")] == ["<f'{candidate}.interpreter'>"]


@pytest.mark.parametrize("module", MODULES)
def test_training_stays_out(module: str) -> None:
    assert not {name.partition(".")[0] for name in IMPORTS[module]} & TRAINING


def test_the_scan_sees_every_way_to_import() -> None:
    source = """
from typing import TYPE_CHECKING
import a.b, c
from . import boxes, __version__
from .config import load
if TYPE_CHECKING:
    from .door import Loop
def f():
    from edge.policy import step
    import edge.lights as x
    importlib.import_module("lgpio"); importlib.import_module(name)
"""
    assert imports(source) == {
        "typing", "a.b", "c", "edge.boxes", "edge.__version__", "edge.config", "edge.door", "edge.policy",
        "edge.lights", "lgpio", "<name>",
    }  # fmt: skip
    assert [own(name) for name in ("edge.boxes", "edge.__version__", "edge", "cv2")] == [
        "boxes",
        "__init__",
        "__init__",
        None,
    ]


def test_the_command_line_loads_nothing_heavy() -> None:
    """`doorlight --help` answers at once, also where a system library is missing."""
    code = "import sys, edge.cli; edge.cli.parser(); print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent, timeout=60
    )
    loaded = set(done.stdout.split())
    assert "edge" in loaded
    assert not loaded & {"numpy", "cv2", "gpiozero", "msgspec", "rich", *RUNTIMES}
