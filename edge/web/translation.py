"""The page's languages: catalogues in gettext's format (locale/*.po), read as they are, without a build step.

To add a language, copy de.po, translate it, and add its name to LANGUAGES.
"""

from __future__ import annotations

import ast
import functools
import gettext
import io
import re
import struct
from importlib import resources

#: Code and own name of each language; the first one needs no catalogue.
LANGUAGES = {"en": "English", "de": "Deutsch"}
#: The attributes of a line of a catalogue: keyword, index of a plural form, quoted text.
_LINE = re.compile(r'(msgid_plural|msgid|msgstr)?(?:\[(\d+)\])?\s*(".*")')


def N_(message: str) -> str:
    """Mark a message for the catalogue. It is translated when it is shown."""
    return message


@functools.cache
def translations(language: str) -> gettext.NullTranslations:
    """Return the translations into a language of LANGUAGES."""
    if language == next(iter(LANGUAGES)):
        return gettext.NullTranslations()
    text = resources.files(__package__).joinpath("locale", f"{language}.po").read_text(encoding="utf-8")
    return gettext.GNUTranslations(io.BytesIO(_compiled(read_catalogue(text))))


def choose(chosen: str | None, accept_language: str) -> str:
    """Return the language of a page: `chosen` if it is one of LANGUAGES, else the best of an Accept-Language header."""
    if chosen in LANGUAGES:
        return chosen
    wishes = []
    for position, part in enumerate(accept_language[:500].lower().split(",")):
        name, _, quality = part.partition(";q=")
        try:
            weight = float(quality or 1)
        except ValueError:
            weight = 0.0
        wishes.append((-weight, position, name.strip().partition("-")[0]))
    found = (name for weight, _, name in sorted(wishes) if name in LANGUAGES and weight < 0)
    return next(found, next(iter(LANGUAGES)))


def read_catalogue(text: str) -> dict[str, str]:
    """Return the messages of a .po file and their translations.

    As in a .mo file, the forms of a plural are separated by NUL characters. Messages marked `fuzzy` and those without a
    translation are left out.
    """
    catalogue: dict[str, str] = {}
    for block in re.split(r"\n\s*\n", text):
        lines = block.strip().splitlines()
        if any(line.startswith("#,") and "fuzzy" in line for line in lines):
            continue
        parts: dict[str, str] = {}
        current = ""
        for line in lines:
            found = _LINE.fullmatch(line.strip())
            if found is None:  # a comment
                continue
            keyword, index, quoted = found.groups()
            current = f"{keyword}{index or ''}" if keyword else current
            parts[current] = parts.get(current, "") + ast.literal_eval(quoted)
        forms = [parts[name] for name in sorted(parts) if name.startswith("msgstr")]
        if "msgid" in parts and all(forms):
            catalogue["\0".join([parts["msgid"], *filter(None, [parts.get("msgid_plural")])])] = "\0".join(forms)
    return catalogue


def _compiled(catalogue: dict[str, str]) -> bytes:
    """Return a catalogue as a .mo file, see "The Format of GNU MO Files" in gettext's manual."""
    pairs = [(key.encode(), value.encode()) for key, value in sorted(catalogue.items())]
    start = 28 + 16 * len(pairs)
    tables, data = [b"", b""], b""
    for side in (0, 1):
        for pair in pairs:
            tables[side] += struct.pack("<II", len(pair[side]), start + len(data))
            data += pair[side] + b"\0"
    header = struct.pack("<7I", 0x950412DE, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, start)
    return header + tables[0] + tables[1] + data
