"""The store on a disk that fails: power cuts at any step, no space left, no permission to write."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.cli import main
from edge.errors import OutputError
from edge.people import consent, private_file
from edge.people.store import Place
from support.people import PAST, enrol, names, person, remove

ADA, BOB = person("Ada Lovelace", 1), person("Bob", 2)


class PowerCutError(BaseException):
    """The power fails."""


@pytest.mark.parametrize("step", range(9))
@pytest.mark.parametrize("what", ["open", "rename", "fsync"])
def test_after_a_power_cut_the_store_is_the_old_or_the_new_one(
    where: Place, monkeypatch: pytest.MonkeyPatch, step: int, what: str
) -> None:
    enrol(where, ADA, BOB)
    count = itertools.count()

    def cut(function: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **options: object) -> object:
            if next(count) == step:
                raise PowerCutError
            return function(*args, **options)

        return call

    with monkeypatch.context() as patch:
        where_it_is: object = Path if what == "rename" else os
        patch.setattr(where_it_is, what, cut(getattr(where_it_is, what)))
        with contextlib.suppress(PowerCutError):
            remove(where, BOB.name)
    assert names(where) in (["Ada Lovelace", "Bob"], ["Ada Lovelace"])
    remove(where, BOB.name)
    assert names(where) == ["Ada Lovelace"]
    assert len(where.key.read_text().split()) == 4, "the key before is gone"
    assert {path.name for path in where.file.parent.iterdir()} == {path.name for path in where}


@pytest.mark.parametrize("name", ["people.db", "people.key"])
def test_a_full_disk_changes_nothing(where: Place, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    enrol(where, ADA)
    replace = private_file.replace

    def full(path: Path, content: bytes) -> None:
        if path.name == name:
            raise OSError(28, "No space left on device")
        replace(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(private_file, "replace", full)
        with pytest.raises(OutputError, match="No space left"):
            enrol(where, BOB)
    assert names(where) == ["Ada Lovelace"]


class FailingDisk:
    """A disk that refuses to write files with some names."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, number: int, *names: str) -> None:
        self._open, self._number, self._names = os.open, number, names
        monkeypatch.setattr(os, "open", self.open)

    def open(self, path: str | Path, flags: int, *args: int, **options: int) -> int:
        if flags & os.O_ACCMODE != os.O_RDONLY and str(path).endswith(self._names):
            raise OSError(self._number, os.strerror(self._number), str(path))
        return self._open(path, flags, *args, **options)


@pytest.mark.parametrize("name", ["people.lock", "people.key.new", "people.db.new"])
@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (
            errno.EROFS,
            "the disk is read-only, as a failing card makes itself (sudo dmesg | tail): sudo mount -o remount,rw /",
        ),
        (errno.ENOSPC, "make room on the disk: df -h "),
        (errno.EACCES, "for the service's people: sudo"),
        (errno.EIO, "doorlight doctor"),
    ],
)
def test_a_disk_that_cannot_be_written_says_what_to_do(
    where: Place, monkeypatch: pytest.MonkeyPatch, name: str, number: int, hint: str
) -> None:
    enrol(where, ADA)
    FailingDisk(monkeypatch, number, name)
    with pytest.raises(OutputError) as caught:
        enrol(where, BOB)
    assert caught.value.hint.startswith(hint)
    assert os.strerror(number) in str(caught.value)
    assert str(where.file.parent) in str(caught.value)
    assert names(where) == ["Ada Lovelace"]


def test_people_are_listed_from_a_disk_that_is_read_only(
    where: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Expired ones cannot be deleted there."""
    settings = tmp_path / "door.toml"
    settings.write_text(f'[people]\nfile = "{where.file}"\n')
    monkeypatch.setattr(consent, "may_delete", lambda: True)
    enrol(where, ADA, person("Late", 3, until=PAST))
    FailingDisk(monkeypatch, errno.EROFS, "people.lock", ".new")
    assert main(["people", "list", "--config", str(settings)]) == 0
    said = capfd.readouterr()
    assert "Ada Lovelace" in said.out
    assert "note: expired people cannot be deleted: " in said.err
    assert "the disk is read-only" in said.err
