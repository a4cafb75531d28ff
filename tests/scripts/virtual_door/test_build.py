"""The cache of build steps."""

from __future__ import annotations

from pathlib import Path

import pytest

from virtual_door import build
from virtual_door.build import (
    BuildError,
    BuildStep,
    build_command,
    cache_folder,
    chosen_suite,
    hash_of,
    latest,
    out_of_date,
)
from virtual_door.build_steps import all_steps
from virtual_door.suites import SUITES, Suite


def _silent(_: str) -> None:
    pass


def test_failed_step_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOORLIGHT_VDOOR", str(tmp_path))
    fails = True

    def make(folder: Path) -> None:
        (folder / "half").write_text("made")
        if fails:
            raise BuildError("failed")

    step = BuildStep("base", "1", make)
    with pytest.raises(BuildError):
        build.build([step], _silent)
    assert [p.name for p in cache_folder().iterdir()] == [".lock"]
    with pytest.raises(BuildError, match="scripts/vdoor build"):
        latest("base")
    fails = False
    assert list(build.build([step], _silent)) == ["base"]
    assert build.build([step], _silent) == {}, "a current result is not built again"
    assert latest("base") == step.folder


def test_out_of_date_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOORLIGHT_VDOOR", str(tmp_path))

    def make(folder: Path) -> None:
        (folder / "file").write_text("made")

    assert "is not built" in out_of_date([BuildStep("base", "1", make)])
    build.build([BuildStep("base", "1", make)], _silent)
    assert out_of_date([BuildStep("base", "1", make)]) == ""
    assert "is out of date" in out_of_date([BuildStep("base", "2", make)])


def test_suites_are_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOORLIGHT_VDOOR", str(tmp_path))

    def make(folder: Path) -> None:
        (folder / "suite").write_text(chosen_suite().name)

    for suite in SUITES:
        monkeypatch.setenv("VDOOR_SUITE", suite.name)
        assert "is not built" in out_of_date([BuildStep("base", "1", make)])
        build.build([BuildStep("base", "1", make)], _silent)
    for suite in SUITES:
        monkeypatch.setenv("VDOOR_SUITE", suite.name)
        assert (latest("base") / "suite").read_text() == suite.name


def test_hints_name_the_suite_unless_it_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VDOOR_SUITE", raising=False)
    assert build_command() == "scripts/vdoor build"
    monkeypatch.setenv("VDOOR_SUITE", SUITES[1].name)
    assert build_command() == f"scripts/vdoor --suite {SUITES[1].name} build"


def test_an_unknown_suite_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VDOOR_SUITE", "potato")
    with pytest.raises(BuildError, match="no suite 'potato'; set it to one of: trixie, bookworm"):
        chosen_suite()


@pytest.mark.parametrize("suite", SUITES)
def test_each_suite_has_its_steps(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VDOOR_SUITE", suite.name)
    keys = {step.name: step.key for step in all_steps()}
    monkeypatch.setenv("VDOOR_SUITE", next(other.name for other in SUITES if other != suite))
    others = {step.name: step.key for step in all_steps()}
    assert {name for name in keys if keys[name] == others[name]} == {"clips"}, "only pictures are the same"


def test_hash_covers_texts_file_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "edge").mkdir()
    file = tmp_path / "edge/door.py"
    file.write_text("1")
    first = hash_of(tmp_path / "edge", "text")
    assert hash_of(tmp_path / "edge", "text") == first
    file.write_text("2")
    second = hash_of(tmp_path / "edge", "text")
    file.rename(tmp_path / "edge/other.py")
    assert len({first, second, hash_of(tmp_path / "edge", "text"), hash_of(tmp_path / "edge", "texts")}) == 4
