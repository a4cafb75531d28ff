"""Each change is complete and durable when it returns: checked by the calls of the system that it makes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.update.disk import Disk


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The calls that make something durable, and renames, in their order."""
    made: list[str] = []

    def record(name: str, real: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object) -> object:
            where = (
                os.readlink(f"/proc/self/fd/{arguments[0]}")
                if name == "fsync"
                else str(arguments[-1])
                if arguments
                else ""
            )
            made.append(f"{name} {Path(where).name}".strip())
            return real(*arguments)

        return call

    for name in ("fsync", "replace", "symlink"):
        monkeypatch.setattr(os, name, record(name, getattr(os, name)))
    monkeypatch.setattr(os, "sync", record("sync", lambda: None))
    return made


def test_a_file_is_synced_before_its_name_and_the_name_after(tmp_path: Path, calls: list[str]) -> None:
    Disk().write(tmp_path / "state", b"text")
    assert (tmp_path / "state").read_bytes() == b"text"
    assert calls == ["fsync state.new", "replace state", f"fsync {tmp_path.name}"]


def test_a_link_is_replaced_at_once(tmp_path: Path, calls: list[str]) -> None:
    for target in ("one", "two"):
        Disk().link(target, tmp_path / "current")
    assert os.readlink(tmp_path / "current") == "two"
    assert calls[3:] == ["symlink current.new", "replace current", f"fsync {tmp_path.name}"]


def test_a_removal_is_durable(tmp_path: Path, calls: list[str]) -> None:
    (tmp_path / "trial").touch()
    Disk().remove(tmp_path / "trial")
    assert calls == [f"fsync {tmp_path.name}"]
    Disk().remove(tmp_path / "nowhere/trial")


def test_sync_is_that_of_the_whole_system(tmp_path: Path, calls: list[str]) -> None:
    (tmp_path / "a").write_text("a")
    (tmp_path / "a").chmod(0o750)
    Disk().copy(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o750
    assert calls == []
    Disk().sync()
    assert calls == ["sync"]


def test_folders(tmp_path: Path) -> None:
    Disk().make_folder(tmp_path / "a/b/c")
    Disk().make_folder(tmp_path / "a/b/c")
    Disk().rename(tmp_path / "a/b", tmp_path / "d")
    assert (tmp_path / "d/c").is_dir()
    Disk().remove_tree(tmp_path / "d")
    Disk().remove_tree(tmp_path / "d")
    assert not (tmp_path / "d").exists()
