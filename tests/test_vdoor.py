"""The quick scenarios of the virtual door, where it has been built: scripts/vdoor build, then these run with scripts/test."""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

from vdoorlab import layers, report, runner
from vdoorlab.report import Report

CHECKOUT = Path(__file__).resolve().parent.parent
SCENARIOS = runner.find()


@functools.cache
def _stale() -> str:
    """Why the virtual door cannot be run here and now; "" where it can."""
    for layer in layers.layers():
        if not layer.there:
            built = any(layers.cache().glob(f"{layer.name}-*"))
            return (
                f"the virtual door's {layer.name} {'is out of date' if built else 'is not built'}: scripts/vdoor build"
            )
    return layers.probe()


@pytest.mark.parametrize("name", [name for name, module in SCENARIOS.items() if module.QUICK])
def test_quick_scenario(name: str, tmp_path: Path) -> None:
    if why := _stale():
        pytest.skip(why)
    said: list[str] = []
    (found,) = runner.run([name], tmp_path / "results", said.append)
    assert found.ok, "\n".join(said)


def test_every_scenario_says_what_it_tries() -> None:
    for name, module in SCENARIOS.items():
        assert len(runner.first_line(module)) > 20, name
        assert isinstance(module.QUICK, bool), name
        assert callable(module.run), name


def test_a_step_that_went_wrong_fails_the_scenario() -> None:
    found = Report("x", "")
    assert not found.ok, "a scenario that has stated nothing has shown nothing"
    found.equal(1, 1, "one")
    found.measure("time", [1.0, 2.0], "s", at_most=2)
    assert found.ok
    found.measure("time", [1.0, 2.1], "s", at_most=2)
    assert not found.ok
    found.measures.pop()
    found.equal(1, 2, "one")
    assert not found.ok


def test_the_report_names_what_failed(tmp_path: Path) -> None:
    found = Report("x", "What is tried.")
    found.equal("red|green", "green", "masked at the door")
    found.check(True, "numbers", 7, 8)
    report.write(tmp_path, [found], {"date": "today"})
    text = (tmp_path / "vdoor-report.md").read_text()
    assert "| x | FAILED | 2 | 1 |" in text
    assert "| numbers | 1 | 7 | 8 | ok |" in text
    assert "| masked at the door | 1 | green | red\\|green | **no** |" in text
    assert '"ok": false' in (tmp_path / "vdoor-report.json").read_text()


def test_a_layer_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOORLIGHT_VDOOR", str(tmp_path))
    monkeypatch.setattr(layers, "check_host", lambda: None)
    broken = True

    def make(folder: Path) -> None:
        (folder / "half").write_text("made")
        if broken:
            raise layers.BuildError("broke off")

    layer = layers.Layer("base", "1", make)
    monkeypatch.setattr(layers, "layers", lambda: [layer])
    with pytest.raises(layers.BuildError):
        layers.build(lambda _: None)
    assert [p.name for p in tmp_path.iterdir()] == [".lock"]
    with pytest.raises(layers.BuildError, match="scripts/vdoor build"):
        layers.newest("base")
    broken = False
    assert list(layers.build(lambda _: None)) == ["base"]
    assert layers.build(lambda _: None) == {}, "what is there is not made again"
    assert layers.newest("base") == layer.folder


def test_what_goes_into_a_layer_is_in_its_name(tmp_path: Path) -> None:
    (tmp_path / "edge").mkdir()
    file = tmp_path / "edge/door.py"
    file.write_text("1")
    first = layers._hash(tmp_path / "edge", "text")
    assert layers._hash(tmp_path / "edge", "text") == first
    file.write_text("2")
    second = layers._hash(tmp_path / "edge", "text")
    file.rename(tmp_path / "edge/other.py")
    assert len({first, second, layers._hash(tmp_path / "edge", "text"), layers._hash(tmp_path / "edge", "texts")}) == 4


def test_what_cannot_be_asked_for_is_said() -> None:
    argv = [sys.executable, "-m", "vdoorlab", "test", "no_such_scenario"]
    done = subprocess.run(argv, cwd=CHECKOUT / "scripts", capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "no_such_scenario" in done.stdout
