"""A settings file that is not TOML: the error shows the wrong line, and what to write there."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from edge import config
from edge.errors import ConfigError

#: By case: the text, the number of the line that is shown, and the advice.
CASES = {
    "decimal comma": ("[camera]\nfps = 0,5", 2, "write a decimal point, not a comma: fps = 0.5"),
    "decimal comma and comment": ("[camera]\nfps = 7,5  # don\u2019t", 2, "not a comma: fps = 7.5"),
    "colon": ("[expression]\nenabled: false", 2, "write = instead of : as in enabled = false"),
    "section with a colon": ("camera:\n  fps: 3", 1, "write a section as [camera]"),
    "no sign": ("[lights]\ngreen 17", 2, "write key = value"),
    "two signs": ("[lights]\ngreen == 17", 2, "write one ="),
    "space in a key": ("[lights]\nactive low = true", 2, "a key has no spaces"),
    "section twice": ("[camera]\nfps = 1\n\n[camera]\nwidth = 64", 4, "[camera] is there twice (first in line 1)"),
    "section after its keys": ("camera.fps = 2\n[camera]\nwidth = 64", 2, "[camera] is there twice (first in line 1)"),
    "key twice": ("[camera]\nfps = 1\nwidth = 64\nfps = 2\n[door]", 4, "fps is there twice (first in line 2)"),
    "key twice, and in another section": (
        "[expression]\nrecheck_s = 1\n[tracker]\nrecheck_s = 1\nrecheck_s = 2",
        5,
        "recheck_s is there twice (first in line 4)",
    ),
    "list twice": (
        "[door]\nzone = []\nzone = [\n[0, 0],\n[1, 1],\n]\n[lights]",
        3,
        "zone is there twice (first in line 2)",
    ),
    "no bracket of a list before a comment": ("[door]\nzone = [[0, 0]\n# areas\nignore = []", 2, "a ] is missing"),
    "no closing quote": ('[camera]\nsource = "picamera\nfps = 3', 2, "a quote is missing at the end"),
    "no closing quote at the end of the file": ('[camera]\nsource = "picamera\n\n', 2, "a quote is missing at the end"),
    "no closing single quote": ("[camera]\nsource = 'picamera\nfps = 3", 2, "a quote is missing at the end"),
    "no opening quote": ('[camera]\nsource = picamera"', 2, 'text needs quotes: source = "picamera"'),
    "no quotes": ("[camera]\nsource = /dev/video0", 2, 'text needs quotes: source = "/dev/video0"'),
    "hours without quotes": ("[lights]\nquiet_hours = 22:00-07:00", 2, 'quotes: quiet_hours = "22:00-07:00"'),
    "none without quotes": ("[lights]\nbuzzer = none", 2, 'text needs quotes: buzzer = "none"'),
    "curly quotes": ("[camera]\nsource = \u201cpicamera\u201d", 2, "write straight quotes"),
    "one curly quote": ('[camera]\nsource = "picamera\u201d', 2, "write straight quotes"),
    "curly single quotes": ("[camera]\nsource = \u2018picamera\u2019", 2, "write straight quotes"),
    "backslash": ('[camera]\nsource = "C:\\Users\\a"', 2, "for each \\ in a text"),
    "text after the text": ('[camera]\nsource = "picamera";', 2, 'delete what follows the closing "'),
    "no bracket of a section": ("[camera\nfps = 3", 1, "a ] is missing at the end of the section's name"),
    "no bracket of a list": ("[door]\nzone = [[0, 0], [1, 0], [1, 1]\n[lights]\ngreen = 2", 2, "a ] is missing"),
    "no bracket of a list before a key": ("[door]\nzone = [[0, 0], [1, 0], [1, 1]\nignore = []", 2, "a ] is missing"),
    "no bracket of a list of many lines": (
        "[door]\nzone = [\n[0, 0],\n[1, 1]\n\n[lights]\nred = 2",
        4,
        "a ] is missing",
    ),
    "no bracket of a list at the end": ("[door]\nzone = [[0, 0], [1, 0], [1, 1]\n", 2, "a ] is missing"),
    "no comma in a list of many lines": ("[door]\nzone = [\n[0, 0]\n[1, 1]\n]", 3, "write a comma between two entries"),
    "no comma in a list": ("[door]\nzone = [[0 0], [1, 0], [1, 1]]", 2, "write a comma between two entries"),
    "list without brackets": ("[lights]\nalarm_pattern_s = 0.25, 0.5", 2, "[ ]: alarm_pattern_s = [0.25, 0.5]"),
    "text in a list without quotes": ("[expression]\nagitated = [angry]", 2, "text needs quotes"),
    "capital letter": ("[lights]\nactive_low = True", 2, "write it in lower case: active_low = true"),
    "yes": ("[lights]\nactive_low = yes", 2, "write true or false: active_low = true"),
    "off": ("[expression]\nenabled = Off", 2, "write true or false: enabled = false"),
    "no digit before the point": ("[camera]\nexposure_stops = -.5", 2, "decimal point: exposure_stops = -0.5"),
    "no digit after the point": ("[camera]\nfps = 5.", 2, "decimal point: fps = 5.0"),
    "zero in front": ("[lights]\ngreen = 017", 2, "write the number without 0 in front: green = 17"),
    "unit": ("[policy]\nchange_s = 0.5 s", 2, "write the number without its unit: change_s = 0.5"),
    "percent": ("[lights]\nbrightness = 50%", 2, "write the number without its unit: brightness = 50"),
    "separators": ("[events]\nrotate_bytes = 5.000.000", 2, "without separators: rotate_bytes = 5000000"),
    "no value": ("[lights]\ngreen =\nred = 5", 2, "write a value after the ="),
    "two keys in a line": ("[camera]\nfps = 15 width = 64", 2, "write each key on a line of its own"),
    "comment of another language": ("// door\n[camera]", 1, "a comment begins with #"),
    "invisible character": ("[camera]\nfps = 1\u00a0\nwidth = 64", 2, "delete the invisible character in column 8"),
    "lines of Windows": ("[camera]\r\nfps = 0,5\r\n", 2, "fps = 0.5"),
    "something else": ("<<<<<<< HEAD\n[camera]", 1, "text needs quotes"),
}


def hint(tmp_path: Path, text: str) -> str:
    file = tmp_path / "door.toml"
    file.write_bytes(text.encode())
    with pytest.raises(ConfigError, match=r"door\.toml: is not TOML: ") as caught:
        config.load(file)
    return caught.value.hint


@pytest.mark.parametrize(("text", "number", "advice"), CASES.values(), ids=CASES.keys())
def test_the_line_is_shown_with_advice(text: str, number: int, advice: str, tmp_path: Path) -> None:
    found = hint(tmp_path, text)
    assert found.startswith(f"in line {number}, `{text.splitlines()[number - 1].strip()[:30].strip()}"), found
    assert advice in found


def test_a_long_or_unprintable_line_is_short_and_printable(tmp_path: Path) -> None:
    for line in ("fps = " + "x" * 10000, "fps = " + " " * 900000 + "x", "fps = \x1b[31m", "fps = " + "[" * 3000):
        found = hint(tmp_path, f"[camera]\n{line}")
        assert found.isprintable()
        assert len(found) < 250


def test_no_text_breaks_the_advice(tmp_path: Path) -> None:
    """Cut the default file anywhere, and put a sign anywhere into it."""
    lines = config.default_text().splitlines()
    settings = "\n".join(line for line in lines if not line.startswith("#"))
    for k in range(0, len(settings), 29):
        for text in (
            settings[:k],
            *(f"{settings[:k]}{sign}{settings[k:]}" for sign in ("'", '"', "[", "=", "\u201d", ",")),
        ):
            file = tmp_path / "door.toml"
            file.write_text(text, encoding="utf-8")
            with contextlib.suppress(ConfigError):
                config.load(file)
