"""Advice for a settings file that is not TOML: the wrong line, and what to write there instead.

tomllib says where it stopped. The rules below know the usual mistakes of people who do not write TOML every day.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from .system.terminal import printable, without_login

#: Longer lines are cut off in messages.
MAX_LINE_LENGTH = 70
#: The rules read no more than this of a line: their expressions take quadratic time.
MAX_READ_LENGTH = 500
#: The advice if no rule fits.
GENERAL = "text needs quotes; true and false are lower case"
CURLY_QUOTES = "“”„‟‘’‚‛«»″′"
KEY_AND_VALUE = re.compile(r"\s*(?P<key>[\w.-]+)\s*=\s*(?P<value>[^#]*?)\s*(?:#.*)?")
NUMBER = r"[+-]?\d*\.?\d+"


class Place(NamedTuple):
    """Where tomllib stopped: `number` is that of the line, from 1; `column` too."""

    lines: list[str]
    number: int
    column: int

    @property
    def line(self) -> str:
        return self.lines[self.number - 1]

    @property
    def character(self) -> str:
        """The character at the column; "" at the end of the line."""
        return self.line[self.column - 1 : self.column]


def advice(text: str, message: str) -> str:
    """Return the hint for `text`, which tomllib rejects with `message`: the line, and what to write there."""
    place = _place([line[:MAX_READ_LENGTH] for line in text.replace("\r\n", "\n").split("\n")], message)
    if 'Expected "\'"' in message:  # tomllib searches for the end of the text up to the end of the file
        odd = (k for k in range(place.number, 0, -1) if place.lines[k - 1].count("'") % 2)
        place = place._replace(number=next(odd, place.number))
    if "twice" in message or "overwrite" in message or "redefine" in message:
        place, found = _duplicate(place)
    elif "Unclosed array" in message:
        place, found = _unclosed_list(place)
    else:
        found = _for_statement(place, message) or _for_value(place, message) or GENERAL
    line = printable(without_login(place.line.strip().replace("\t", " ")), MAX_LINE_LENGTH)
    return f"in line {place.number}, `{line}`: {found}"


def _place(lines: list[str], message: str) -> Place:
    if found := re.search(r"at line (\d+), column (\d+)", message):
        return Place(lines, min(int(found[1]), len(lines)), int(found[2]))
    last = next((k for k in range(len(lines), 0, -1) if _has_content(lines[k - 1])), 1)  # "at end of document"
    return Place(lines, last, len(lines[last - 1]) + 1)


def _duplicate(place: Place) -> tuple[Place, str]:
    """Return the line with a section or key that is in the file for the second time, and the advice for it."""
    begins = re.compile(
        r"\s*\[+\s*([A-Za-z_][\w.-]*)|[^\[#=]*="
    )  # place is the end of the value, lines below for a list
    number = next((k for k in range(place.number, 0, -1) if begins.match(place.lines[k - 1])), place.number)
    place = place._replace(number=number)
    heading = re.match(r"\s*\[+\s*([\w.-]+)", place.line)
    name = heading[1] if heading else place.line.partition("=")[0].strip()
    before = place.lines[: place.number - 1]
    if heading:
        pattern = re.compile(rf"\s*\[*\s*{re.escape(name)}\b")
    else:  # only since the heading of its own section
        pattern = re.compile(rf"\s*{re.escape(name)}\s*=")
        starts = [k for k, line in enumerate(before) if line.lstrip().startswith("[")]
        before = [""] * starts[-1] + before[starts[-1] :] if starts else before
    first = next((k for k, line in enumerate(before, 1) if pattern.match(line)), None)
    other = f" (first in line {first})" if first else ""
    if heading:
        shown = printable(name, 40)
        return place, f"[{shown}] is there twice{other}: write all its keys below one [{shown}]"
    return place, f"{printable(name, 40)} is there twice{other}: delete one of the two lines"


def _unclosed_list(place: Place) -> tuple[Place, str]:
    """Return the line of a list in which tomllib expects a comma or a ], and the advice for it."""
    comma = "write a comma between two entries of a list, and ] at its end"
    if place.line[: place.column - 1].strip():
        at_end = not place.character
        return place, "a ] is missing" if at_end else comma
    # The next line begins with something else: the one above it is wrong.
    above = next((k for k in range(place.number - 1, 0, -1) if _has_content(place.lines[k - 1])), place.number)
    is_statement = re.match(r"\s*\[*\s*[A-Za-z_]", place.line)
    return place._replace(number=above), "a ] is missing" if is_statement else comma


def _has_content(line: str) -> bool:
    return line.strip() != "" and not line.lstrip().startswith("#")


def _for_statement(place: Place, message: str) -> str | None:
    """Return the advice for a line that is not "key = value" or "[section]"."""
    line = place.line.strip()
    if any(character in line.partition("#")[0] for character in CURLY_QUOTES):
        return 'write straight quotes: "…"'
    if not place.character.isascii() and not place.character.isprintable():
        return f"delete the invisible character in column {place.column}"
    if line.startswith(("//", ";", "/*", "--")):
        return "a comment begins with #"
    if "Expected ']" in message:
        return "a ] is missing at the end of the section's name"
    if "Expected '='" in message:
        if pair := re.match(r"([\w.-]+)\s*:\s*(.*)", line):
            if not pair[2]:
                return f"write a section as [{pair[1]}]"
            return f"write = instead of : as in {pair[1]} = {printable(without_login(pair[2]), 40)}"
        if "=" in line:
            return "a key has no spaces"
        return "write key = value, or [name] for a section"
    return None


def _for_value(place: Place, message: str) -> str | None:
    """Return the advice for a wrong value."""
    if "hex value" in message or "Unescaped" in message:
        return r"write \\ for each \ in a text"
    if "Unterminated string" in message or "Illegal character '\\n'" in message or 'Expected "' in message:
        return "a quote is missing at the end of the text"
    pair = KEY_AND_VALUE.fullmatch(place.line)
    if not pair:
        return None
    key, value = pair["key"], pair["value"]
    if not value:
        return "write a value after the =, or delete the line"
    if advised := _for_bool(key, value) or _for_number(key, value) or _for_list(key, value):
        return advised
    if re.search(r"\s[\w.-]+\s*=", value):
        return "write each key on a line of its own"
    if value.startswith("="):
        return "write one ="
    if value[0] in "\"'" and value.count(value[0]) > 1:
        return f"delete what follows the closing {value[0]}"
    if value[0] in "[{":
        return None
    text = without_login(value.strip("\"'"))
    return f'text needs quotes: {key} = "{printable(text, 40)}"'


def _for_bool(key: str, value: str) -> str | None:
    word = value.lower()
    if word in ("true", "false"):
        return f"write it in lower case: {key} = {word}"
    if word in ("yes", "no", "on", "off"):
        return f"write true or false: {key} = {'true' if word in ('yes', 'on') else 'false'}"
    return None


def _for_number(key: str, value: str) -> str | None:
    if re.fullmatch(r"[+-]?\d+,\d+", value):
        return f"write a decimal point, not a comma: {key} = {value.replace(',', '.')}"
    if re.fullmatch(r"\d{1,3}([ ']\d{3})+|\d{1,3}([.,]\d{3}){2,}", value):
        return f"write the number without separators: {key} = {re.sub('[^0-9]', '', value)}"
    if re.fullmatch(r"[+-]?(\.\d+|\d+\.)", value):
        full = re.sub(r"\.$", ".0", re.sub(r"(?<!\d)\.", "0.", value))
        return f"write a digit before and after the decimal point: {key} = {full}"
    if zeros := re.fullmatch(r"([+-]?)0+(\d+)", value):
        return f"write the number without 0 in front: {key} = {zeros[1]}{zeros[2]}"
    if unit := re.fullmatch(rf"({NUMBER})\s*([^\W\d_]{{1,4}}|%)", value):
        return f"write the number without its unit: {key} = {unit[1]}"
    return None


def _for_list(key: str, value: str) -> str | None:
    entries = value.strip("() ").split(",")
    if (
        value[0] not in "[{"
        and len(entries) > 1
        and all(re.fullmatch(rf"\s*({NUMBER}|\"\w*\")\s*", each) for each in entries)
    ):
        return f"write a list in [ ]: {key} = [{printable(', '.join(each.strip() for each in entries), 40)}]"
    return None
