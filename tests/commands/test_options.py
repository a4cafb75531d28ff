"""Types of arguments that commands share."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from edge import config
from edge.cli import main
from edge.commands import options
from edge.lights import gpio
from support.command import write_settings
from support.paths import CLIP


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


@pytest.fixture
def service_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The settings file of an installed service."""
    file = tmp_path / "etc/doorlight.toml"
    file.parent.mkdir()
    file.write_text("[lights]\nred = 5\nactive_low = true\n")
    monkeypatch.setattr(options, "SERVICE_SETTINGS", file)
    return file


class TestServiceSettings:
    def test_are_used_without_config_and_named(self, service_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert options.load_settings(None) == config.load(service_file)
        assert capsys.readouterr() == ("", f"settings: {service_file}\n")

    def test_config_takes_precedence(self, service_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """The unit passes --config: the journal gets no line more."""
        assert options.load_settings(write_settings("[lights]\nred = 6")).lights.red == 6
        assert capsys.readouterr() == ("", "")

    def test_no_service(self, service_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
        service_file.unlink()
        assert options.load_settings(None) == config.load()
        service_file.parent.rmdir()
        assert options.load_settings(None) == config.load()
        assert capsys.readouterr() == ("", "")

    @pytest.mark.parametrize("which", ["file", "folder"])
    def test_a_file_that_this_user_may_not_read_is_noted(
        self, which: str, service_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def refuse(path: object, *_: object, **__: object) -> bool:
            if which == "folder":
                raise PermissionError(13, "Permission denied", path)
            return False

        # Permissions do not stop root, who may run the tests.
        monkeypatch.setattr(os, "stat" if which == "folder" else "access", refuse)
        found = options.load_settings(None)
        monkeypatch.undo()
        assert found == config.load()
        assert capsys.readouterr().err == (
            f"note: {service_file}: no permission to read it; the defaults are used (to use it: sudo)\n"
        )

    def test_a_wrong_file_is_an_error(self, service_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
        service_file.write_text("[lights]\nred = 99\n")
        assert main(["lights", "--off"]) == 78
        assert f"doorlight: {service_file}: 'lights.red' is 99" in capsys.readouterr().err

    def test_lights_off_uses_its_pins(self, service_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        requested: list[object] = []
        monkeypatch.setattr(gpio, "switch_off", requested.append)
        assert main(["lights", "--off"]) == 0
        assert requested == [{17: True, 5: True, 24: False}]

    @pytest.mark.parametrize(
        "argv",
        [
            ["run", "--simulate", "--source", str(CLIP)],
            ["annotate", str(CLIP), "out.jpg"],
            ["bench", "--source", str(CLIP)],
            ["lights", "--test", "--simulate", "--seconds", "0.01"],
        ],
    )
    def test_every_command_of_the_door_uses_them(
        self, argv: list[str], service_file: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        # Wrong settings end each command before it does anything.
        service_file.write_text("[camera]\nrotate = 45\n")
        assert main(argv) == 78
        error = capfd.readouterr().err
        assert f"settings: {service_file}\n" in error
        assert "'camera.rotate' is 45" in error
