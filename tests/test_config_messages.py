"""A wrong value of any setting is explained by what to write instead."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from edge import config
from edge.errors import ConfigError

DEFAULTS = tomllib.loads(config.default_text())
KEYS = [f"{section}.{key}" for section, values in DEFAULTS.items() for key in values]
#: Each is wrong for almost every key.
VALUES = [
    *('"x"', '""', "true", "-1e9", "1e9", "1.5", "nan", "99999999999", "[]", "[[]]", "[[[[[0]]]]]", '["x"]', "{a = 1}"),
    *("2026-01-01", "07:00:00", "[1, [2]]", "[[], 1]", '[["x", 1]]', "[[[0.5, 0.5], 1]]", "[" + "0.5, " * 200 + "]"),
    *("1" * 5000, f'"{"x" * 5000}"', "0x" + "f" * 5000, "[" * 60 + "]" * 60),
]
#: Words of programmers, and of msgspec.
JARGON = ("Expected", "array", "bool", "str ", "int ", "float", "object", "`", "None", "length", "Type(")


@pytest.mark.parametrize("key", KEYS)
def test_every_key_explains_wrong_values_without_jargon(key: str, tmp_path: Path) -> None:
    section, _, name = key.partition(".")
    file = tmp_path / "door.toml"
    refused = []
    for value in VALUES:
        file.write_text(f"[{section}]\n{name} = {value}\n")
        try:
            config.load(file)
        except ConfigError as error:
            refused.append((str(error).removeprefix(f"{file}: "), error.hint))
    assert len(refused) > 15
    for message, hint in refused:
        assert hint
        assert len(message) < 400
        if "is not TOML" not in message:
            assert [word for word in JARGON if word in f"{message} {hint}"] == []


def test_the_login_of_a_camera_is_not_printed(tmp_path: Path) -> None:
    file = tmp_path / "door.toml"
    for line in ('["rtsp://anna:secret@host/a"]', "rtsp://anna:secret@host/a", '"rtsp://anna:sec@ret@host/a'):
        file.write_text(f"[camera]\nsource = {line}\n")
        with pytest.raises(ConfigError) as caught:
            config.load(file)
        text = f"{caught.value} {caught.value.hint}"
        assert "rtsp://…" in text
        assert "anna" not in text
        assert "ret" not in text
