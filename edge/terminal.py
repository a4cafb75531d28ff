"""Text for a terminal and for other programs, whatever names and messages are in it."""

from __future__ import annotations


def is_utf8(text: str) -> bool:
    """Whether a name can be written as UTF-8. One that cannot (Linux allows any bytes) makes OpenCV segfault."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def printable(text: str, most: int | None = None) -> str:
    """Without what could move a terminal's cursor, end a line or fail to be encoded; cut where longer than `most`."""
    if most is not None and len(text) > most:
        text = text[: most - 1] + "…"
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
