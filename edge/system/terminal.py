"""Make text safe for a terminal and for other programs: names and messages may contain anything."""

from __future__ import annotations

import re

#: An address, also a misspelt one, after its scheme: a login or a key may stand anywhere in it. `end` closes a text or list.
ADDRESS = re.compile(r"""(?i)(?P<scheme>://|\b(?:rtsps?|https?|udp)\s*[:;]/*).*?(?P<end>["'\])},`\s]*)\Z""", re.DOTALL)
#: An address without a scheme that has a login or a key.
LOGIN = re.compile(r"""(?i)[^\s"'=]*(?:@|\?[\w.-]+=|\b(?:pass\w*|pwd|token|secret)=).*""", re.DOTALL)
#: A command in a hint, from its first word up to the next punctuation mark.
COMMAND = re.compile(
    r"(?<![\w./-])(?:sudo|doorlight|pip|python3?|/\S+/python\S*|ls|lsusb|ffmpeg|scripts/\S+)\s(?:(?![;,:](?:\s|\Z)).)*"
)


def is_utf8(text: str) -> bool:
    """Return whether a name can be encoded as UTF-8. Linux allows names that cannot; they make OpenCV segfault."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def printable(text: str, max_length: int | None = None) -> str:
    """Return `text` cut to `max_length` characters, with U+FFFD in place of each character that is not printable.

    Such a character could move the cursor, end the line, or fail to be encoded.
    """
    if max_length is not None and len(text) > max_length:
        text = text[: max_length - 1] + "…"
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def without_login(text: str) -> str:
    """Return a line of text with "…" in place of its first address, and of a login without one."""
    return LOGIN.sub("…", ADDRESS.sub(r"\g<scheme>…\g<end>", text))


def wrap(text: str, columns: int, first: str = "", following: str = "") -> list[str]:
    """Return `text` in lines of at most `columns` characters. A command in it stays in one line, so that it can be copied.

    The first line begins with `first`, the others with `following`; both count. A longer word or command has a line of
    its own.
    """
    import textwrap  # not at the top, because most commands do not need it

    glued = COMMAND.sub(lambda match: match[0].rstrip().replace(" ", "\0") + match[0][len(match[0].rstrip()) :], text)
    lines = textwrap.wrap(
        glued,
        columns,
        initial_indent=first,
        subsequent_indent=following,
        break_on_hyphens=False,
        break_long_words=False,
    )
    return [line.replace("\0", " ") for line in lines] or [first]
