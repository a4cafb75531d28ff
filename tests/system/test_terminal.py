"""Text of any origin becomes safe for a terminal."""

from __future__ import annotations

from edge.system.terminal import is_utf8, printable, wrap


def test_printable_replaces_control_characters() -> None:
    assert (
        printable("a\x1b[2Jb\nc\udcff")
        == "a\N{REPLACEMENT CHARACTER}[2Jb\N{REPLACEMENT CHARACTER}c\N{REPLACEMENT CHARACTER}"
    )
    assert printable("Tür 3") == "Tür 3"


def test_printable_cuts_long_text() -> None:
    assert printable("12345", 5) == "12345"
    assert printable("123456", 5) == "1234…"


def test_is_utf8() -> None:
    assert is_utf8("Tür")
    assert not is_utf8("T\udcffr")


def test_wrap_keeps_a_command_in_one_line() -> None:
    assert wrap("write this: sudo apt install x y; then restart", 22, "> ", "  ") == [
        "> write this:",
        "  sudo apt install x y;",
        "  then restart",
    ]
    command = "/opt/doorlight/bin/python -m pip install --no-deps x"
    assert wrap(command, 20, "> ") == [f"> {command}"]
    assert wrap("use pip, or doorlight; ask an expert", 18) == ["use pip, or", "doorlight; ask an", "expert"]
    assert wrap("", 20, "> ") == ["> "]
