"""Settings: the default file is the schema, what a file changes, and what check-config notes."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import get_type_hints

import pytest

from edge import areas_file, config
from edge.areas_file import Areas, AreasFile
from edge.cli import main
from edge.errors import ConfigError


def test_replaced_values_are_checked_like_those_of_a_file() -> None:
    settings = config.load()
    changed = config.replaced(settings, "policy", min_looks=7, min_decide_s=1.0)
    assert (changed.policy.min_looks, changed.policy.min_decide_s) == (7, 1.0)
    assert changed.tracker == settings.tracker
    with pytest.raises(ConfigError, match=r"'policy\.min_looks' is 0"):
        config.replaced(settings, "policy", min_looks=0)
    with pytest.raises(ConfigError, match=r"'policy\.masked_threshold' is 2 but 'policy\.change_to_masked' is 1\.6"):
        config.replaced(settings, "policy", masked_threshold=2.0)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "door.toml"


class TestLoad:
    def test_defaults(self) -> None:
        found = config.load()
        assert found.camera.source == "picamera"
        assert (found.lights.green, found.lights.red, found.lights.buzzer) == (17, 27, 24)
        assert found.expression.agitated == ("angry", "disgust")

    def test_default_file_lists_every_key_and_the_only_defaults(self) -> None:
        written = tomllib.loads(config.default_text())
        sections = get_type_hints(config.Config)
        assert list(written) == list(config.Config.__struct_fields__)
        for section, keys in written.items():
            kind = sections[section]
            assert list(keys) == list(kind.__struct_fields__), section
            assert not kind.__struct_defaults__, "a default outside of default.toml"

    def test_default_file_explains_every_key(self) -> None:
        """Each key follows a comment, or a key that follows one."""
        explained = False
        for line in config.default_text().splitlines():
            if not line or line.startswith("["):
                explained = False
            elif line.startswith("#"):
                explained = True
            else:
                assert explained, line

    def test_file_with_all_defaults(self, file: Path) -> None:
        file.write_text(config.default_text(), encoding="utf-8")
        assert config.load(file) == config.load()

    def test_file_with_some_keys(self, file: Path) -> None:
        file.write_text('[camera]\nsource = "/dev/video0"\n[policy]\nmin_looks = 6', encoding="utf-8")
        found = config.load(file)
        assert (found.camera.source, found.policy.min_looks) == ("/dev/video0", 6)
        assert (found.camera.fps, found.policy.min_signal_s) == (15, 0.6)

    def test_empty_file(self, file: Path) -> None:
        file.write_text("", encoding="utf-8")
        assert config.load(file) == config.load()

    def test_integer_is_accepted_as_a_float(self, file: Path) -> None:
        file.write_text("[policy]\nmin_signal_s = 1", encoding="utf-8")
        found = config.load(file).policy.min_signal_s
        assert (found, type(found)) == (1.0, float)

    def test_pins_may_be_swapped(self, file: Path) -> None:
        file.write_text("[lights]\ngreen = 27\nred = 17", encoding="utf-8")
        assert config.load(file).lights.red == 17

    @pytest.mark.parametrize(
        "text",
        [
            "[policy]\nmasked_threshold = 1.6",
            "[policy]\ncalm_threshold = 0.5",
            "[policy]\nchange_to_masked = 3",
            "[lights]\ngreen = 0",
            "[lights]\nbrightness = 0.01",
            "[lights]\nbuzzer_tone_hz = 100",
            "[lights]\nalarm_pattern_s = [0.01, 10]",
            '[lights]\nquiet_hours = "00:00-24:00"',
            "[camera]\nreopen_s = 8",
            "[tracker]\nmin_face_height = 0",
            '[camera]\nsource = "rtsp://camera/~anna"',
        ],
    )
    def test_limits_are_allowed(self, file: Path, text: str) -> None:
        file.write_text(text, encoding="utf-8")
        assert config.load(file) != config.load()

    def test_load_does_not_change_the_defaults(self, file: Path) -> None:
        before = config.load()
        file.write_text("[policy]\nmin_looks = 6", encoding="utf-8")
        config.load(file)
        assert config.load() == before

    def test_settings_are_read_only(self) -> None:
        with pytest.raises(AttributeError):
            config.load().policy.min_looks = 1  # type: ignore[misc]


class TestCheckConfig:
    def test_correct_file(self, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
        file.write_text("[policy]\nmin_looks = 6", encoding="utf-8")
        assert main(["check-config", str(file)]) == 0
        captured = capsys.readouterr()
        assert (captured.out, captured.err) == (f"{file}: OK\n", "")

    def test_without_a_file_it_prints_the_default_file(self, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["check-config"]) == 0
        file.write_text(capsys.readouterr().out, encoding="utf-8")
        assert main(["check-config", str(file)]) == 0

    def test_debug_option_raises(self, file: Path) -> None:
        file.write_text("[camera]\nfps = 0\n", encoding="utf-8")
        with pytest.raises(ConfigError):
            main(["check-config", "--debug", str(file)])


def test_check_config_notes_areas_that_were_set_on_the_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    file = tmp_path / "door.toml"
    file.write_text("[web]\nmay_configure = true\n")
    areas = AreasFile(str(file), "now", Areas(((0.0, 0.0), (1.0, 0.0), (1.0, 0.5))))
    areas_file.write(tmp_path / "areas.toml", areas)
    assert main(["check-config", str(file)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{file}: OK",
        f"note: door.zone and door.ignore were set on the page ({tmp_path / 'areas.toml'})",
    ]


def test_check_config_notes_settings_without_effect(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "door.toml"
    file.write_text('[camera]\nsource = "/dev/video0"\nmetering = "spot"\n[lights]\nbuzzer = 0\n')
    assert main(["check-config", str(file)]) == 0
    ok, *notes = capsys.readouterr().out.splitlines()
    assert ok == f"{file}: OK"
    assert notes[0] == "note: no effect on a USB camera: camera.metering"
    assert notes[1].endswith('for no buzzer write buzzer = "none"')
    assert len(notes) == 2


def test_a_relay_has_a_pin_only_if_it_is_there(tmp_path: Path) -> None:
    file = tmp_path / "door.toml"
    file.write_text("[relay]\npin = 23\nactive_low = true\n")
    relay = config.load(file).relay
    assert (relay.pins, relay.resting) == ({"relay": 23}, {23: True})
    relay = config.load().relay
    assert (relay.pins, relay.resting) == ({}, {})


def test_absent_lights_have_no_pins(tmp_path: Path) -> None:
    file = tmp_path / "door.toml"
    file.write_text('[lights]\ngreen = "none"\nbuzzer = "none"\nactive_low = true\n')
    lights = config.load(file).lights
    assert (lights.pins, lights.resting) == ({"red": 27}, {27: True})


def test_a_settings_file_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "door.toml"
    path.write_text("[lights]\ngreen = 5\n", encoding="utf-8-sig")
    assert config.load(path).lights.green == 5


def test_nothing_advises_to_copy_all_settings(capsys: pytest.CaptureFixture[str]) -> None:
    """A full copy would keep today's defaults after an upgrade, as default.toml says."""
    assert "Copy only the lines that you change" in config.default_text()
    with pytest.raises(SystemExit):
        main(["check-config", "--help"])
    text = capsys.readouterr().out
    assert "only the lines you change" in text
    assert "check-config >" not in text


def test_areas_may_repeat_their_first_corner_at_the_end(tmp_path: Path) -> None:
    corners = "[[0.1, 0.1], [0.5, 0.1], [0.5, 0.5], [0.1, 0.1]]"
    (tmp_path / "door.toml").write_text(f"[door]\nzone = {corners}\nignore = [{corners.replace('0.5', '0.2')}]")
    assert len(config.load(tmp_path / "door.toml").door.ignore) == 1


@pytest.mark.parametrize("marks", [1, 2, 3])
def test_byte_order_marks_are_skipped(tmp_path: Path, marks: int) -> None:
    (tmp_path / "door.toml").write_text("\ufeff" * marks + "[camera]\nfps = 7\n", encoding="utf-8")
    assert config.load(tmp_path / "door.toml").camera.fps == 7


ANSWERS = '[privacy]\nanswers_required = true\ncontroller = "Dr. Who"\nsign = "left"\n'


@pytest.mark.parametrize(
    ("text", "enabled"),
    [
        # A door in use: all three answers, or no expression.
        (ANSWERS + "[expression]\nenabled = true", True),
        (ANSWERS + "[expression]\nenabled = false", False),
        (ANSWERS, False),
        (ANSWERS + "[expression]\nrecheck_s = 0.2", False),
        (ANSWERS.replace("Dr. Who", "") + "[expression]\nenabled = true", False),
        (ANSWERS.replace("left", "   ") + "[expression]\nenabled = true", False),
        ("[privacy]\nanswers_required = true\n[expression]\nenabled = true", False),
        # A trial, and a door that was installed before there were questions: as before.
        ("", True),
        ("[expression]\nenabled = false", False),
        (ANSWERS.replace("true", "false"), True),
    ],
)
def test_expressions_wait_for_the_answers(tmp_path: Path, text: str, enabled: bool) -> None:
    path = tmp_path / "door.toml"
    path.write_text(text)
    assert config.load(path).expression.enabled is enabled
