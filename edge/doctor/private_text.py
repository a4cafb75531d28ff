"""Remove what is private from text that may be sent to strangers: addresses, logins, secrets, names.

Two rules, because neither is enough: known values are replaced wherever they occur (every text of the settings file that is
not one of a few harmless ones, the contents of the secrets' files, names of this machine and its user), and so is
everything that has the form of an address, a login, a serial number or a secret. When in doubt, a word is removed.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import tomllib
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..camera import address
from ..config import default_text
from ..counted import counted
from ..events.text import KINDS
from ..link.secret_files import FOLDER as SECRETS_FOLDER
from ..link_settings import SECRET_PREFIX
from ..system.files import read_regular
from ..system.libraries import installed_version

HIDDEN = "‹hidden›"
#: Shorter values would be found in ordinary words.
MIN_LENGTH = 3
#: A shorter part of an address, such as "live", is a word and no key.
MIN_KEY_LENGTH = 6
#: Texts of the settings that say nothing about a place or a person.
HARMLESS = re.compile(
    r"picamera|none|auto|cpu|edgetpu|centre|spot|matrix|secure|safe|PASS|/dev/video\d+|\d\d?:\d\d-\d\d?:\d\d"
)
#: Names of machines and users that say nothing, and that are words of the messages.
ORDINARY_NAMES = {"raspberrypi", "localhost", "doorlight", "door", "root", "debian", "camera", "admin", "user"}
MAX_SECRET_BYTES = 64 << 10

#: Forms of what is private, and what takes its place. The order matters: an address may contain an e-mail address. Each begins
#: only where a run of its characters begins: otherwise a word of 40,000 letters would take minutes.
FORMS = (
    (re.compile(r"(?i)(?<![a-z0-9+.-])([a-z0-9+.-]+)://\S+"), rf"\1://{HIDDEN}"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{6,}"), rf"\1 {HIDDEN}"),
    (
        re.compile(r"""(?i)(?<![\w.-])([\w.-]*(?:pass(?:word|wd|phrase)?|pwd|secret|token|psk|api[_-]?key|serial(?: ?n\w{0,20})?))["']?(\s*[=:]\s*|\s+is\s+)\S+"""),
        rf"\1\2{HIDDEN}",
    ),
    (re.compile(r"(?<![^\s@<>()\"'])[^\s@<>()\"']+@[\w.-]+"), HIDDEN),
    (re.compile(r"(?i)(?<![\w:])(?:[0-9a-f]{1,4}:){3,7}[0-9a-f]{1,4}(?![\w:])"), HIDDEN),  # IPv6, MAC
    (re.compile(r"(?i)(?<![\w:])[0-9a-f]{0,4}(?::[0-9a-f]{1,4})*::(?:[0-9a-f]{1,4}(?::[0-9a-f]{1,4})*)?(?![\w:])"), HIDDEN),
    (re.compile(r"(?i)\b(?=[a-z]*\d)[0-9a-f]{16,}\b"), HIDDEN),  # serial numbers, checksums, identifiers
    (re.compile(r"(/home/|/media/)[^/\s]+"), rf"\1{HIDDEN}"),
)  # fmt: skip
IPV4 = re.compile(r"(?:(?<![\w.-])(?P<before>[\w.-]+ ))?(?<![\w.])(?P<ip>\d{1,3}(?:\.\d{1,3}){3})(?![\w.]*\.\d)")


class PrivateText:
    """Removes what is private from texts, with the known values of one machine."""

    def __init__(self, values: Iterable[str]) -> None:
        """`values` are private texts, which are found in any of the usual encodings."""
        forms = {form for value in values if len(value.strip()) >= MIN_LENGTH for form in _encodings(value.strip())}
        # The longest first: a password may contain the user's name.
        ordered = sorted(forms, key=lambda form: (-len(form), form))
        self._known = re.compile("|".join(map(_as_word, ordered)), re.IGNORECASE) if ordered else None

    def hide(self, text: str) -> str:
        """Return `text` without what is private."""
        if self._known is not None:
            text = self._known.sub(HIDDEN, text)
        for pattern, replacement in FORMS:
            text = pattern.sub(replacement, text)
        return IPV4.sub(_hide_ipv4, text)


def private_values(settings: str, root: str = "/", source: str = "") -> Iterator[str]:
    """Yield the private texts of a machine: of the settings file `settings` ("" if none), of the source, secrets, names."""
    if settings:
        yield from _texts_of_file(Path(settings))
    if source and not HARMLESS.fullmatch(source):
        yield from _parts_of_address(source)
    for file in _secret_files(settings, root):
        with contextlib.suppress(OSError):
            yield from read_regular(file, MAX_SECRET_BYTES).decode("utf-8-sig", errors="replace").splitlines()
    names = {socket.gethostname(), os.environ.get("SUDO_USER", ""), os.environ.get("USER", ""), Path.home().name}
    with contextlib.suppress(OSError):
        names |= {home.name for home in (Path(root) / "home").iterdir()}
    yield from (name for name in names if len(name) >= MIN_LENGTH and name.lower() not in ORDINARY_NAMES)


def _secret_files(settings: str, root: str) -> Iterator[Path]:
    """Yield the files of secrets: those in SECRETS_FOLDER, and those that [link] of the settings file names with a full path."""
    with contextlib.suppress(OSError):
        yield from sorted((Path(root) / SECRETS_FOLDER.relative_to("/")).iterdir())
    with contextlib.suppress(OSError, ValueError):  # the link reads no secrets if the settings are not TOML
        for text in _texts(tomllib.loads(Path(settings).read_bytes().decode("utf-8-sig")).get("link")):
            if (path := text.removeprefix(SECRET_PREFIX)).startswith("/"):
                yield Path(root) / path.lstrip("/")


def _texts_of_file(path: Path) -> Iterator[str]:
    """Yield the texts of a settings file, also of one that is wrong, and the parts of addresses in them."""
    defaults = set(_texts(tomllib.loads(default_text())))
    try:
        content = path.read_bytes().decode("utf-8-sig", errors="replace")
    except OSError:
        return
    try:
        found = set(_texts(tomllib.loads(content)))
    except ValueError:  # not TOML: whatever stands in quotes or after an equals sign
        found = {
            text.strip("\"' ") for text in re.findall(r"""=\s*(.+)|"([^"]*)"|'([^']*)'""", content) for text in text
        }
    for text in found - defaults - set(KINDS):
        if not HARMLESS.fullmatch(text):
            yield text
            yield from _parts_of_address(text)


def _texts(value: object) -> Iterator[str]:
    """Yield every text in tables and lists, without the keys."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)


def _parts_of_address(text: str) -> Iterator[str]:
    """Yield user, password, host and keys of an address: messages may name one of them alone."""
    if match := re.fullmatch(r"([\w.-]+):\d+", text):
        yield match[1]
    if "://" not in text:
        return
    with contextlib.suppress(ValueError):
        found = address.split(text)
        yield from (found.user, found.password, found.host, found.without_login)
        yield from (part for part in re.split(r"[/?&=#;]", found.rest) if len(part) >= MIN_KEY_LENGTH)


def _encodings(value: str) -> set[str]:
    """Return a text as it is, as Python and JSON write it, and as part of an address."""
    return {
        value,
        repr(value)[1:-1],
        json.dumps(value)[1:-1],
        urllib.parse.quote(value, safe=""),
        urllib.parse.quote(value),
    }


def _as_word(value: str) -> str:
    """Return a pattern that finds a value, but not a short one inside of a longer word."""
    if len(value) > 6:
        return re.escape(value)
    return rf"(?<!\w){re.escape(value)}(?!\w)"


def _hide_ipv4(match: re.Match[str]) -> str:
    """Hide an IPv4 address; keep the version of an installed package, which may look like one, and this machine's own."""
    before, ip = match["before"] or "", match["ip"]
    package = before.strip()
    if ip.startswith(("127.", "0.0.0.0")) or (package and installed_version(package) == ip):
        return match[0]
    return f"{before}{HIDDEN}"


def shown_settings(settings: Mapping[str, Any], defaults: Mapping[str, Any]) -> Iterator[str]:
    """Yield "[section] key = value" for each setting that differs from the default, without private texts.

    Numbers and switches are shown, texts only if they are harmless. Unknown keys are only counted.
    """
    for section, values in sorted(settings.items()):
        if not isinstance(values, Mapping) or section not in defaults:
            yield "a table that is not known"
            continue
        for key, value in sorted(values.items()):
            if key not in defaults[section]:
                yield f"[{section}] a key that is not known"
            elif value != defaults[section][key]:
                yield f"[{section}] {key} = {_shown(value)}"


def _shown(value: object) -> str:
    if isinstance(value, bool | int | float) or (isinstance(value, str) and HARMLESS.fullmatch(value)):
        return json.dumps(value)
    if isinstance(value, list) and not list(_texts(value)) and not any(isinstance(each, dict) for each in value):
        return json.dumps(value)
    if isinstance(value, list):
        return f"{counted(len(value), 'entry', 'entries')}, not shown"
    return "set, not shown" if value else "empty"
