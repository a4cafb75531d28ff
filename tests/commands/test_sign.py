"""`doorlight sign`."""

from __future__ import annotations

import builtins
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
