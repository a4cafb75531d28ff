"""The cache of build steps."""

from __future__ import annotations

from pathlib import Path

import pytest

from virtual_door import build
from virtual_door.build import BuildError, BuildStep, hash_of, latest, out_of_date


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
    assert [p.name for p in tmp_path.iterdir()] == [".lock"]
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
