"""`doorlight sign`."""

from __future__ import annotations

import builtins
import errno
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from edge.cli import main


@pytest.fixture
def door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A settings file with answers."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "door.toml"
    path.write_text('[privacy]\ncontroller = "Dr. Who, a@b.example"\nsign = "left"\n', encoding="utf-8")
    return path


def sign(*arguments: object) -> int:
    return main(["sign", *map(str, arguments)])


def test_both_languages_and_a_qr_code(door: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("segno", reason="segno is in the extra `web`")
    assert sign("out.svg", "--config", door) == 0
    picture = Path("out.svg").read_text(encoding="utf-8")
    assert "Camera at this door" in picture
    assert "Kamera an dieser Tür" in picture
    assert picture.count("Dr. Who, a@b.example") == 2
    assert re.search(r'<path transform="[^"]+" stroke="#000" d="M0 0.5h7M', picture), "the corner of a QR code"
    printed = capsys.readouterr()
    assert "print it on A4" in printed.out
    assert "not answered" not in printed.err


def test_one_language(door: Path) -> None:
    assert sign("out.svg", "--config", door, "--language", "de") == 0
    assert "Camera at this door" not in Path("out.svg").read_text(encoding="utf-8")


def test_without_an_answer_there_is_a_line_to_write_on(door: Path, capsys: pytest.CaptureFixture[str]) -> None:
    door.write_text("")
    assert sign("out.svg", "--config", door) == 0
    assert "write the name on the line" in capsys.readouterr().err
    assert "Responsible:<" in Path("out.svg").read_text(encoding="utf-8")


def test_without_segno_there_is_no_qr_code(
    door: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "segno":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.delitem(sys.modules, "segno", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    assert sign("out.svg", "--config", door) == 0
    assert "no QR code" in capsys.readouterr().err
    assert Path("out.svg").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["out.png"], 2, "SVG"),
        (["out.svg", "--language", "fr"], 2, "choose en or de"),
        (["nowhere/out.svg"], 74, "no folder"),
        (["out.svg/x.svg"], 74, "no folder"),
        (["https://a.example/out.svg"], 2, "is an address"),
    ],
)
def test_refusals(door: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, says: str) -> None:
    try:
        found = sign(*arguments, "--config", door)
    except SystemExit as error:
        found = int(str(error.code))
    assert found == code
    assert says in capsys.readouterr().err


def test_a_folder_of_that_name(door: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("out.svg").mkdir()
    assert sign("out.svg", "--config", door) == 74
    assert "cannot be written: Is a directory" in capsys.readouterr().err


def test_an_old_sign_stays_if_the_disk_is_full(
    door: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    Path("old.svg").write_text("the old sign")
    monkeypatch.setattr(os, "write", full)
    monkeypatch.setattr(Path, "write_text", lambda path, *_, **__: path.touch() or full())
    for name in ("old.svg", "new.svg"):
        assert sign(name, "--config", door) == 74
        assert "cannot be written: No space left" in capsys.readouterr().err
    monkeypatch.undo()
    assert Path(door.parent, "old.svg").read_text() == "the old sign"
    assert {path.name for path in door.parent.iterdir()} == {"door.toml", "old.svg"}


def test_another_file_is_not_overwritten(door: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("out.svg.new").write_text("of somebody else")
    assert sign("out.svg", "--config", door) == 74
    assert "out.svg.new is in the way" in capsys.readouterr().err
    assert Path("out.svg.new").read_text() == "of somebody else"


def test_a_link_stays_a_link(door: Path) -> None:
    Path("out.svg").symlink_to("real.svg")
    assert sign("out.svg", "--config", door) == 0
    assert Path("out.svg").is_symlink()
    assert "<svg" in Path("real.svg").read_text(encoding="utf-8")


def test_a_pipe_is_refused(door: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo("out.svg")
    reader = os.open("out.svg", os.O_RDWR | os.O_NONBLOCK)  # so that a writer does not wait
    try:
        assert sign("out.svg", "--config", door) == 74
    finally:
        os.close(reader)
    assert "a pipe" in capsys.readouterr().err
