"""Types of arguments that commands share."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
from msgspec.structs import replace

from edge import config
from edge.commands import options


@pytest.mark.parametrize(("text", "value"), [("0.01", 0.01), ("10", 10.0), ("1e1", 10.0)])
def test_seconds(text: str, value: float) -> None:
    assert options.seconds(10)(text) == value


@pytest.mark.parametrize("text", ["0", "-1", "10.1", "nan", "inf", "x", ""])
def test_seconds_out_of_range(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="not a number of seconds above 0 and up to 10"):
        options.seconds(10)(text)


@pytest.mark.parametrize("text", ["1", "16"])
def test_count(text: str) -> None:
    assert options.count(1, 16)(text) == int(text)


@pytest.mark.parametrize("text", ["0", "17", "1.5", "x", ""])
def test_count_out_of_range(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="not a whole number from 1 to 16"):
        options.count(1, 16)(text)


def test_the_models_option_takes_precedence_over_the_settings() -> None:
    default = config.load()
    changed = replace(default, models=replace(default.models, directory="settings"))
    assert options.models_folder(argparse.Namespace(models=Path("option")), changed) == Path("option")
    assert options.models_folder(argparse.Namespace(models=None), changed) == Path("settings")
    assert options.models_folder(argparse.Namespace(models=None), default) is None
