"""Compare versions such as "0.2.0" and "0.2.0rc1"."""

from __future__ import annotations

import re

_FORM = re.compile(r"(\d{1,6}(?:\.\d{1,6}){1,3})(?:(a|b|rc)(\d{1,4}))?")


def parse(text: str) -> tuple[tuple[int, ...], tuple[str, int]]:
    """Return a key by which versions are ordered: 0.2.0rc1 is before 0.2.0, which equals 0.2. Raises ValueError."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no version such as 1.2.0")
    numbers = tuple(int(part) for part in found[1].split("."))
    # "z" is after every name of a version before the release.
    return numbers + (0,) * (4 - len(numbers)), (found[2] or "z", int(found[3] or 0))


def is_lower(version: str, than: str) -> bool:
    """Return whether `version` is lower than the other one. Raises ValueError."""
    return parse(version) < parse(than)
