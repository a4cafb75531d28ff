"""Files that are replaced completely or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.files import replace_text, replacing


def test_a_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "truth.json"
    path.write_text("old")
    part = path.with_name("unknown")
    with pytest.raises(FileNotFoundError), replacing(path):
        part.read_text()
    assert path.read_text() == "old"
    with replacing(path) as part:
        part.write_text("new")
    assert path.read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["truth.json"]


def test_replace_text(tmp_path: Path) -> None:
    path = tmp_path / "new" / "page.md"
    replace_text(path, "Türe\n")
    assert path.read_bytes() == b"T\xc3\xbcre\n"
    assert [p.name for p in path.parent.iterdir()] == ["page.md"]
