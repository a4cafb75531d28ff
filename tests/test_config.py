"""Settings: the default file is the schema, and every mistake is named with file, key and what is allowed."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import get_type_hints

import pytest

from edge import config
from edge.cli import main
from edge.errors import ConfigError

#: What is in the file; the words that its message and hint must hold, the key among them.
WRONG = {
    "unknown key": ("[camera]\nfsp = 15", ["'camera.fsp'", "did you mean 'camera.fps'?"]),
    "unknown key, nothing like it": ("[detector]\nzzz = 1", ["'detector.zzz'", "threshold, overlap, most_faces"]),
    "key outside its section": ("fps = 15", ["'fps'", "camera, models, detector"]),
    "unknown section": ("[polcy]\nlooks = 3", ["'polcy'", "did you mean 'policy'?"]),
    "section given as a value": ("camera = 3", ["'camera'", "must be a table", "[camera]"]),
    "section given as a list": ("[[camera]]\nfps = 15", ["'camera'", "must be a table", "[camera]"]),
    "value given as a section": ("[camera.fps]\na = 1", ["'camera.fps'", "Expected float"]),
    "text for a number": ('[camera]\nfps = "15"', ["'camera.fps'", "'15'", "Expected float, got str"]),
    "number for text": ("[camera]\nsource = 0", ["'camera.source'", "0", "Expected str, got int"]),
    "true for a whole number": ("[policy]\nlooks = true", ["'policy.looks'", "True", "Expected int, got bool"]),
    "true for a number": ("[policy]\nhold_s = true", ["'policy.hold_s'", "True", "Expected float, got bool"]),
    "number for true": ("[camera]\nmirror = 1", ["'camera.mirror'", "1", "Expected bool, got int"]),
    "fraction for a whole number": ("[policy]\nlooks = 3.5", ["'policy.looks'", "3.5", "Expected int"]),
    "date": ("[camera]\nwidth = 2026-01-01", ["'camera.width'", "Expected int, got date"]),
    "too large": ("[lights]\ngreen = 28", ["'lights.green'", "28", "<= 27"]),
    "too small": ("[policy]\nlooks = 0", ["'policy.looks'", "0", ">= 1"]),
    "not above zero": ("[camera]\nfps = 0", ["'camera.fps'", "0", "> 0"]),
    "wrong sign": ("[policy]\nunmasked_from = 1.2", ["'policy.unmasked_from'", "1.2", "< 0.0"]),
    "not a number": ("[detector]\nthreshold = nan", ["'detector.threshold'", "nan", "Expected float"]),
    "no end": ("[policy]\nhold_s = inf", ["'policy.hold_s'", "inf", "<= 3600"]),
    "no such angle": ("[camera]\nrotate = 45", ["'camera.rotate'", "45", "0, 90, 180 or 270"]),
    "no such metering": ('[camera]\nmetering = "center"', ["'camera.metering'", "'center'", "centre, spot or matrix"]),
    "no such accelerator": (
        '[models]\naccelerator = "gpu"',
        ["'models.accelerator'", "'gpu'", "auto, cpu, edgetpu"],
    ),
    "empty text": ('[camera]\nsource = ""', ["'camera.source'", "length >= 1"]),
    "unknown expression": (
        '[expression]\nagitated = ["angry", "furious"]',
        ["'expression.agitated[1]'", "'furious'", "angry, disgust, fear, happy, sad, surprise, neutral"],
    ),
    "text for a list": ('[expression]\nagitated = "angry"', ["'expression.agitated'", "Expected array, got str"]),
    "empty list": ("[expression]\nagitated = []", ["'expression.agitated'", "length >= 1"]),
    "two lights on one pin": ("[lights]\ngreen = 27", ["'lights.red'", "27", "'lights.green'", "a pin of its own"]),
    "buzzer on a light's pin": ("[lights]\nbuzzer = 17", ["'lights.buzzer'", "17", "'lights.green'"]),
    "a pattern without its end": ("[lights]\nalarm_s = [0.1, 0.1, 0.5]", ["'lights.alarm_s'", "3 entries", "in pairs"]),
    "a pattern of nothing": ("[lights]\nfault_s = []", ["'lights.fault_s'", "length >= 2"]),
    "a pattern too quick to see": ("[lights]\nfault_s = [0.5, 0]", ["'lights.fault_s[1]'", "0", ">= 0.01"]),
    "the pattern's former name": (
        "[lights]\nalarm_on_s = 0.1",
        ["'lights.alarm_on_s'", "did you mean 'lights.alarm_s'?"],
    ),
    "lamps that are never lit": ("[lights]\nbrightness = 0", ["'lights.brightness'", "0", ">= 0.01"]),
    "a tone nobody hears": (
        "[lights]\nbuzzer_tone_hz = 20",
        ["'lights.buzzer_tone_hz' is 20", "100 to 5000", "active"],
    ),
    "a tone too high": ("[lights]\nbuzzer_tone_hz = 20000", ["'lights.buzzer_tone_hz'", "20000", "<= 5000"]),
    "hours, half": ('[lights]\nquiet = "22-7"', ["'lights.quiet' is '22-7'", "22:00-07:00"]),
    "hours that are none": ('[lights]\nquiet = "22:00-26:00"', ["'lights.quiet'", "no clock"]),
    "no hours or all?": ('[lights]\nquiet = "07:00-07:00"', ["'lights.quiet'", "begins when it ends"]),
    "hours without quotes": ("[lights]\nquiet = 22:00:00", ["'lights.quiet'", "Expected str, got time"]),
    "calm above agitated": (
        "[policy]\ncalm_below = 0.6",
        ["'policy.calm_below' is 0.6", "'policy.agitated_from' is 0.5", "must not exceed"],
    ),
    "masked crossed": (
        "[policy]\nmasked_from = 2",
        ["'policy.masked_from' is 2", "'policy.to_masked' is 1.6", "must not exceed"],
    ),
    "unmasked crossed": (
        "[policy]\nto_unmasked = -1",
        ["'policy.to_unmasked' is -1", "'policy.unmasked_from' is -1.2", "must not exceed"],
    ),
    "masked out of reach": (
        "[policy]\nto_masked = 5",
        ["'policy.to_masked' is 5", "'tracker.look_limit' is 3", "must not exceed"],
    ),
    "unmasked out of reach": (
        "[policy]\nto_unmasked = -5",
        ["policy.to_unmasked' is 5", "'tracker.look_limit' is 3", "must not exceed"],
    ),
    "waits crossed": (
        "[camera]\nreopen_s = 9",
        ["'camera.reopen_s' is 9", "'camera.reopen_most_s' is 8", "must not exceed"],
    ),
    "not TOML": ("[camera]\nsource = picamera", ["is not TOML", "line 2", "text needs quotes"]),
    "half a line": ("[camera]\nfps =", ["is not TOML"]),
    "twice the same key": ("[camera]\nfps = 15\nfps = 20", ["is not TOML", "overwrite"]),
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "door.toml"


def complaint(path: Path) -> str:
    """Message and hint of the error that this file makes; the message names the file."""
    with pytest.raises(ConfigError) as caught:
        config.load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert caught.value.hint
    return f"{caught.value} | {caught.value.hint}"


@pytest.mark.parametrize(("text", "words"), WRONG.values(), ids=WRONG.keys())
def test_a_mistake_is_named(file: Path, text: str, words: list[str]) -> None:
    file.write_text(text, encoding="utf-8")
    found = complaint(file)
    assert [word for word in words if word not in found] == []


@pytest.mark.parametrize(("text", "words"), WRONG.values(), ids=WRONG.keys())
def test_the_command_tells_it_in_two_lines(
    file: Path, text: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(text, encoding="utf-8")
    assert main(["check-config", str(file)]) == 78
    said = capsys.readouterr()
    assert said.out == ""
    first, second = said.err.splitlines()
    assert first.startswith(f"doorlight: {file}: ")
    assert [word for word in words if word not in f"{first} | {second}"] == []


def test_not_utf8(file: Path) -> None:
    file.write_bytes('[camera]\nsource = "/srv/T\u00fcr"'.encode("latin-1"))
    found = complaint(file)
    assert "is not UTF-8 text (byte 25)" in found


def test_missing(file: Path) -> None:
    found = complaint(file)
    assert "No such file" in found


def test_a_folder(tmp_path: Path) -> None:
    found = complaint(tmp_path)
    assert "directory" in found


@pytest.mark.parametrize("name", ["missing.toml", "."])
def test_the_command_cannot_read(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-config", str(tmp_path / name)]) == 78
    assert "cannot be read" in capsys.readouterr().err


class TestRight:
    def test_the_defaults_load(self) -> None:
        found = config.load()
        assert found.camera.source == "picamera"
        assert (found.lights.green, found.lights.red, found.lights.buzzer) == (17, 27, 24)
        assert found.expression.agitated == ("angry", "disgust")

    def test_the_default_file_is_the_schema(self) -> None:
        written = tomllib.loads(config.default_text())
        sections = get_type_hints(config.Config)
        assert list(written) == list(config.Config.__struct_fields__)
        for section, keys in written.items():
            kind = sections[section]
            assert list(keys) == list(kind.__struct_fields__), section
            assert not kind.__struct_defaults__, "a default outside of default.toml"

    def test_every_key_is_explained(self) -> None:
        """Each key follows a comment, or one that does."""
        explained = False
        for line in config.default_text().splitlines():
            if not line or line.startswith("["):
                explained = False
            elif line.startswith("#"):
                explained = True
            else:
                assert explained, line

    def test_every_default_can_be_written_out(self, file: Path) -> None:
        file.write_text(config.default_text(), encoding="utf-8")
        assert config.load(file) == config.load()

    def test_a_file_over_the_defaults(self, file: Path) -> None:
        file.write_text('[camera]\nsource = "/dev/video0"\n[policy]\nlooks = 6', encoding="utf-8")
        found = config.load(file)
        assert (found.camera.source, found.policy.looks) == ("/dev/video0", 6)
        assert (found.camera.fps, found.policy.hold_s) == (15, 0.6)

    def test_an_empty_file(self, file: Path) -> None:
        file.write_text("", encoding="utf-8")
        assert config.load(file) == config.load()

    def test_a_whole_number_where_a_fraction_may_be(self, file: Path) -> None:
        file.write_text("[policy]\nhold_s = 1", encoding="utf-8")
        found = config.load(file).policy.hold_s
        assert (found, type(found)) == (1.0, float)

    def test_pins_may_change_places(self, file: Path) -> None:
        file.write_text("[lights]\ngreen = 27\nred = 17", encoding="utf-8")
        assert config.load(file).lights.red == 17

    @pytest.mark.parametrize(
        "text",
        [
            "[policy]\nmasked_from = 1.6",
            "[policy]\ncalm_below = 0.5",
            "[policy]\nto_masked = 3",
            "[lights]\ngreen = 0",
            "[lights]\nbrightness = 0.01",
            "[lights]\nbuzzer_tone_hz = 100",
            "[lights]\nalarm_s = [0.01, 10]",
            '[lights]\nquiet = "00:00-24:00"',
            "[camera]\nreopen_s = 8",
            "[tracker]\nleast_height = 0",
        ],
    )
    def test_limits_themselves_are_allowed(self, file: Path, text: str) -> None:
        file.write_text(text, encoding="utf-8")
        assert config.load(file) != config.load()

    def test_loading_leaves_no_trace(self, file: Path) -> None:
        before = config.load()
        file.write_text("[policy]\nlooks = 6", encoding="utf-8")
        config.load(file)
        assert config.load() == before

    def test_settings_cannot_be_changed(self) -> None:
        with pytest.raises(AttributeError):
            config.load().policy.looks = 1  # type: ignore[misc]


class TestCommand:
    def test_right(self, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
        file.write_text("[policy]\nlooks = 6", encoding="utf-8")
        assert main(["check-config", str(file)]) == 0
        said = capsys.readouterr()
        assert (said.out, said.err) == (f"{file}: right\n", "")

    def test_without_a_file_it_prints_one(self, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["check-config"]) == 0
        file.write_text(capsys.readouterr().out, encoding="utf-8")
        assert main(["check-config", str(file)]) == 0

    def test_debug_gives_the_traceback(self, file: Path) -> None:
        with pytest.raises(ConfigError):
            main(["check-config", "--debug", str(file)])
