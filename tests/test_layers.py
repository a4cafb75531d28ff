"""Who may import whom: the contracts of [tool.importlinter] in pyproject.toml, and what a static scan cannot see."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import edge
from support.paths import ROOT

PACKAGE = Path(edge.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

RUNTIMES = {"ai_edge_litert", "tflite_runtime", "pycoral", "tflite"}
#: Too large, or too slow to import, for `doorlight --help` and `doorlight lights --off`.
HEAVY = {"numpy", "cv2", "gpiozero", "rich", *RUNTIMES}


def test_import_contracts() -> None:
    pytest.importorskip("importlinter", reason="import-linter is in the extra `dev`")
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()", "--no-cache"],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


def calls(source: str, function: str) -> Iterator[ast.expr]:
    """Yield the first argument of each call of `function` (such as "child_process.command") in `source`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and node.args and ast.unparse(node.func) == function:
            yield node.args[0]


def test_calls_are_found() -> None:
    source = 'import x\nx.f("a", 1)\ndef g():\n    return [x.f(name)]'
    assert [ast.unparse(argument) for argument in calls(source, "x.f")] == ["'a'", "name"]


def test_modules_of_child_processes_exist() -> None:
    """A child process is started by the name of a module, which no type checker compares with the files."""
    named = []
    for path in MODULES:
        for argument in calls(path.read_text(encoding="utf-8"), "child_process.command"):
            assert isinstance(argument, ast.Constant), f"{path}: give the module's name as a literal"
            named.append(str(argument.value))
    assert len(named) >= 3
    for name in named:
        spec = importlib.util.find_spec(name)
        assert spec is not None, name
        assert spec.origin is not None
        assert "__main__" in Path(spec.origin).read_text(encoding="utf-8"), f"{name} does nothing when it is run"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_interpreter_loads_a_runtime(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    names = {ast.unparse(argument).strip("f'") for argument in calls(source, "importlib.import_module")}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    if path == PACKAGE / "inference/interpreter.py":
        assert {"{candidate}.interpreter", "pycoral.utils.edgetpu"} <= names
        return
    assert not {name.partition(".")[0] for name in names} & RUNTIMES
    assert not [name for name in names if "{" in name], "an import by a computed name cannot be checked"


def loaded_by(code: str) -> set[str]:
    """Return the top-level packages that Python has loaded after `code`."""
    program = f"import sys\n{code}\nprint(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=PACKAGE.parent, timeout=60
    )
    return set(done.stdout.splitlines()[-1].split())


def test_the_command_line_loads_nothing_heavy() -> None:
    """`doorlight --help` answers at once, even if a system library is missing."""
    loaded = loaded_by("import edge.cli; edge.cli.build_parser()")
    assert "edge" in loaded
    assert not loaded & {*HEAVY, "msgspec"}


def test_switching_the_lights_off_loads_nothing_heavy() -> None:
    """It runs after a crash, when a library may be what is broken."""
    assert not loaded_by("import edge.cli; edge.cli.main(['lights', '--off'])") & HEAVY
