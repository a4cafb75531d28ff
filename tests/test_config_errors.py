"""Wrong settings: an error names the file, the key and the allowed values."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge import config
from edge.cli import main
from edge.errors import ConfigError

#: By case: the text of the file, and the words that message and hint must contain.
WRONG = {
    "unknown key": ("[camera]\nfsp = 15", ["'camera.fsp'", "did you mean 'camera.fps'?"]),
    "unknown key without a similar one": ("[detector]\nzzz = 1", ["'detector.zzz'", "threshold, nms_iou, max_faces"]),
    "key outside its section": ("fps = 15", ["'fps'", "it belongs under [camera]"]),
    "unknown section": ("[polcy]\nmin_looks = 3", ["'polcy'", "did you mean 'policy'?"]),
    "value instead of a section": ("camera = 3", ["'camera'", "must be a table", "[camera]"]),
    "list instead of a section": ("[[camera]]\nfps = 15", ["'camera'", "must be a table", "[camera]"]),
    "section instead of a value": ("[camera.fps]\na = 1", ["'camera.fps' is a section", "not a number"]),
    "text instead of a number": (
        '[camera]\nfps = "15"',
        ["'camera.fps'", "'15'", "text instead of a number", "above 0 and up to 120, without quotes"],
    ),
    "number instead of text": (
        "[camera]\nsource = 0",
        ["'camera.source'", "0", "a number instead of text", 'text in quotes, such as source = "picamera"'],
    ),
    "true instead of an integer": (
        "[policy]\nmin_looks = true",
        ["'policy.min_looks' is true", "not a whole number", "from 1 to 100"],
    ),
    "true instead of a number": (
        "[policy]\nmin_signal_s = true",
        ["'policy.min_signal_s' is true", "not a number", "from 0 to 3600"],
    ),
    "number instead of true": ("[camera]\nmirror = 1", ["'camera.mirror' is 1", "write true or false"]),
    "fraction instead of an integer": (
        "[policy]\nmin_looks = 3.5",
        ["'policy.min_looks'", "3.5", "not a whole number"],
    ),
    "date": (
        "[camera]\nwidth = 2026-01-01",
        ["'camera.width' is 2026-01-01", "a date instead of a whole number", "from 64 to 4096"],
    ),
    "too large": ("[lights]\ngreen = 28", ["'lights.green'", "28", "too large", "from 0 to 27"]),
    "too small": ("[policy]\nmin_looks = 0", ["'policy.min_looks'", "0", "too small", "from 1 to 100"]),
    "not above zero": ("[camera]\nfps = 0", ["'camera.fps' is 0", "too small", "above 0 and up to 120"]),
    "wrong sign": ("[policy]\nunmasked_threshold = 1.2", ["'policy.unmasked_threshold'", "1.2", "a number below 0"]),
    "not a number": ("[detector]\nthreshold = nan", ["'detector.threshold'", "nan", "not a number"]),
    "infinity": ("[policy]\nmin_signal_s = inf", ["'policy.min_signal_s'", "inf", "too large", "to 3600"]),
    "unknown angle": ("[camera]\nrotate = 45", ["'camera.rotate'", "45", "0, 90, 180 or 270"]),
    "unknown metering": (
        '[camera]\nmetering = "center"',
        ["'camera.metering'", "'center'", '"centre", "matrix" or "spot"'],
    ),
    "unknown accelerator": (
        '[models]\naccelerator = "gpu"',
        ["'models.accelerator'", "'gpu'", '"auto", "cpu" or "edgetpu"'],
    ),
    "empty text": ('[camera]\nsource = ""', ["'camera.source'", "empty", 'source = "picamera"']),
    "unknown expression": (
        '[expression]\nagitated = ["angry", "furious"]',
        ["'expression.agitated[1]'", "'furious'", '"angry", "disgust"', '"sad" or "surprise"'],
    ),
    "text instead of a list": (
        '[expression]\nagitated = "angry"',
        ["'expression.agitated'", "text instead of a list", '["angry", "disgust"]'],
    ),
    "empty list": ("[expression]\nagitated = []", ["'expression.agitated'", "too few entries"]),
    "host with a port": (
        '[web]\nhosts = ["door.example.org:8080"]',
        ["'web.hosts'", "'door.example.org:8080'", 'the name only: "door.example.org"'],
    ),
    "two lines on the sign": (
        '[privacy]\ncontroller = "a\\nb"',
        ["'privacy.controller'", "line break", "write one line"],
    ),
    "too long for the sign": (
        f'[privacy]\ncontroller = "{"x" * 300}"',
        ["'privacy.controller'", "too long, with 300 characters", "use at most 200 characters"],
    ),
    "a source without https": (
        '[update]\nsource = "http://example.org"',
        ["'update.source'", "neither a full path nor an https address", 'write "https://'],
    ),
    "a notice that is no address": (
        '[privacy]\nnotice = "example.org"',
        ["'privacy.notice'", "'example.org'", 'in full: "https://'],
    ),
    "corner outside the picture": (
        "[door]\nzone = [[0, 0], [1.5, 0], [1, 1]]",
        ["'door.zone[1][0]'", "1.5", "shares from 0 to 1: 0.25 is a quarter"],
    ),
    "corner of three numbers": (
        "[door]\nzone = [[0, 0, 0], [1, 0], [1, 1]]",
        ["'door.zone[0]'", "3 entries instead of 2", "each corner as [x, y]"],
    ),
    "closed area of two corners": (
        "[door]\nzone = [[0, 0], [1, 1], [0, 0]]",
        ["'door.zone'", "at least 3 corners, not 2"],
    ),
    "area of two corners": ("[door]\nzone = [[0, 0], [1, 1]]", ["'door.zone'", "at least 3 corners, not 2"]),
    "area that crosses itself": (
        "[door]\nzone = [[0, 0], [1, 1], [1, 0], [0, 1]]",
        ["'door.zone'", "crosses itself", "corner 1", "corner 3", "in their order"],
    ),
    "area that is a line": ("[door]\nignore = [[[0, 0], [0.5, 0.5], [1, 1]]]", ["'door.ignore[0]'", "is a line"]),
    "ignored area of one corner": (
        "[door]\nignore = [[[0, 0], [1, 0], [1, 1]], [[0, 0]]]",
        ["'door.ignore[1]'", "not 1"],
    ),
    "ignored area that covers the zone": (
        "[door]\nzone = [[0.4, 0.4], [0.6, 0.4], [0.6, 0.6]]\nignore = [[[0.3, 0.3], [0.7, 0.3], [0.7, 0.7], [0.3, 0.7]]]",
        ["'door.ignore'", "covers the whole zone", "smaller"],
    ),
    "ignored areas that cover the picture": (
        "[door]\nignore = [[[0, 0], [1, 0], [1, 1], [0, 1]]]",
        ["'door.ignore'", "covers the whole picture"],
    ),
    "two lights on one pin": (
        "[lights]\ngreen = 27",
        ["'lights.green' is 27", "27 is already red's pin (the default)", "another pin for green"],
    ),
    "buzzer and light on one pin": (
        "[lights]\nbuzzer = 17",
        ["'lights.buzzer' is 17", "already green's pin (the default)"],
    ),
    "relay on the pin of a light": (
        "[relay]\npin = 17",
        ["'relay.pin' is 17", "green's pin ('lights.green', the default)", "for the relay, or one for green, too"],
    ),
    "relay on the pin of a light, both in the file": (
        "[lights]\nbuzzer = 23\n[relay]\npin = 23",
        ["'relay.pin' is 23", "already buzzer's pin ('lights.buzzer') |", "choose another pin for the relay"],
    ),
    "relay on the pin of a light that is moved": (
        "[relay]\npin = 5\n[lights]\nred = 5",
        ["'relay.pin' is 5", "red's pin ('lights.red')"],
    ),
    "no relay, but not in words": ("[relay]\npin = false", ["'relay.pin' is false", '"none" for no relay']),
    "a relay for known people, but nobody is known": (
        '[relay]\nwhen = "PASS and known"',
        ["'relay.when' is \"PASS and known\"", "'people.enabled' is false", "enabled = true under [people]"],
    ),
    "a relay for known people who may not open": (
        '[relay]\nwhen = "PASS and known"\n[people]\nenabled = true',
        ["'relay.when' is \"PASS and known\"", "'people.may_open' is false", "may_open = true under [people]"],
    ),
    "a relay for known people and pictures on the wall": (
        '[relay]\nwhen = "PASS and known"\n[people]\nenabled = true\nmay_open = true\n[door]\nignore_still_s = 0',
        ["'door.ignore_still_s' is 0", "a picture on the wall could open"],
    ),
    "a store of people in the working folder": (
        '[people]\nfile = "people.db"',
        [
            "'people.file' is 'people.db', which does not begin with /",
            'write the full path, such as "/var/lib/doorlight/people.db"',
        ],
    ),
    "a log of people with names": ('[people]\nlog = "name"', ["'people.log' is 'name'", '"id", "known" or "nothing"']),
    "so many looks that nobody is known": ("[people]\nmin_looks = 9", ["'people.min_looks' is 9", "from 1 to 8"]),
    "a relay in a signal that is not PASS": ('[relay]\nwhen = "IDLE"', ["'relay.when' is 'IDLE'", 'write "PASS"']),
    "a list of conditions": ('[relay]\nwhen = ["PASS"]', ["'relay.when'", "a list instead of text", 'write "PASS"']),
    "a relay that fails in a third way": ('[relay]\nfail = "open"', ["'relay.fail' is 'open'", '"safe" or "secure"']),
    "a pulse that no relay follows": (
        "[relay]\nseconds = 0.05",
        ["'relay.seconds' is 0.05: too short", "0 to switch", "0.1 to 60"],
    ),
    "an endless pulse": ("[relay]\nseconds = inf", ["'relay.seconds' is inf: too large", "from 0 to 60"]),
    "a pulse that is no number": ("[relay]\nseconds = nan", ["'relay.seconds' is nan: not a number"]),
    "relay without section": ("relay = 23", ["'relay' must be a table", "[relay]"]),
    "no buzzer, but not in words": ("[lights]\nbuzzer = false", ["'lights.buzzer' is false", '"none" for no buzzer']),
    "no buzzer, empty": ('[lights]\nbuzzer = ""', ["'lights.buzzer'", 'a pin from 0 to 27 without quotes, or "none"']),
    "no buzzer, negative": ("[lights]\nbuzzer = -1", ["'lights.buzzer' is -1", "too small"]),
    "no green lamp, misspelt": ('[lights]\ngreen = "off"', ["'lights.green'", '"none" for no green lamp']),
    "no red lamp": ('[lights]\nred = "none"', ["'lights.red'", "STOP and FAULT need a red lamp"]),
    "pattern without its last off time": (
        "[lights]\nalarm_pattern_s = [0.1, 0.1, 0.5]",
        ["'lights.alarm_pattern_s'", "3 entries", "in pairs"],
    ),
    "empty pattern": ("[lights]\nfault_pattern_s = []", ["'lights.fault_pattern_s'", "too few entries", "[0.5, 0.5]"]),
    "pattern with a time of zero": (
        "[lights]\nfault_pattern_s = [0.5, 0]",
        ["'lights.fault_pattern_s[1]'", "0", "from 0.01 to 10"],
    ),
    "misspelt pattern": (
        "[lights]\nalarm_on_s = 0.1",
        ["'lights.alarm_on_s'", "did you mean 'lights.alarm_pattern_s'?"],
    ),
    "brightness of zero": ("[lights]\nbrightness = 0", ["'lights.brightness' is 0:", "too small", "from 0.01 to 1"]),
    "tone below the range of a buzzer": (
        "[lights]\nbuzzer_tone_hz = 20",
        ["'lights.buzzer_tone_hz' is 20", "100 to 5000", "active"],
    ),
    "tone above the range of a buzzer": (
        "[lights]\nbuzzer_tone_hz = 20000",
        ["'lights.buzzer_tone_hz'", "20000", "too large", "from 0 to 5000"],
    ),
    "hours without minutes": ('[lights]\nquiet_hours = "22-7"', ["'lights.quiet_hours' is '22-7'", "22:00-07:00"]),
    "hours beyond 24": ('[lights]\nquiet_hours = "22:00-26:00"', ["'lights.quiet_hours'", "does not exist"]),
    "hours of equal begin and end": (
        '[lights]\nquiet_hours = "07:00-07:00"',
        ["'lights.quiet_hours'", "begins when it ends"],
    ),
    "hours without quotes": (
        "[lights]\nquiet_hours = 22:00:00",
        ["'lights.quiet_hours' is 22:00:00", "text in quotes", '"22:00-07:00"'],
    ),
    "true in quotes": (
        '[lights]\nactive_low = "yes"',
        ["'lights.active_low' is 'yes'", "write true or false, without quotes"],
    ),
    "angle in quotes": (
        '[camera]\nrotate = "180"',
        ["'camera.rotate'", "a whole number without quotes: 0, 90, 180 or 270"],
    ),
    "percent instead of a share": (
        "[lights]\nbrightness = 50",
        ["'lights.brightness' is 50", "a number from 0.01 to 1"],
    ),
    "pin in quotes": ('[lights]\nred = "27"', ["'lights.red' is '27'", "a pin from 0 to 27 without quotes"]),
    "pin with decimals": ("[lights]\ngreen = 17.0", ["'lights.green' is 17.0: not a whole number"]),
    "zone as a box": ("[door]\nzone = [0.25, 0, 0.75, 1]", ["'door.zone[0]'", "a list of corners: [[0.25, 0.0], "]),
    "zone in words": ('[door]\nzone = "left"', ["'door.zone' is 'left'", "a list of corners: [[0.25, 0.0], "]),
    "zone with one pair of brackets too many": (
        "[door]\nzone = [[[0, 0], [1, 0], [1, 1]]]",
        ["'door.zone[0]'", "one pair of [ ] less around it"],
    ),
    "ignored areas with one pair of brackets too few": (
        "[door]\nignore = [[0, 0], [1, 0], [1, 1]]",
        ["'door.ignore[0][0]' is 0", "one more pair of [ ] around it: a list of areas"],
    ),
    "ignored areas as a box": ("[door]\nignore = [0, 0, 1, 1]", ["'door.ignore[0]'", "a list of areas: [[["]),
    "ignored area in percent": (
        "[door]\nignore = [[[0, 0], [25, 0], [1, 1]]]",
        ["'door.ignore[0][1][0]' is 25", "a quarter"],
    ),
    "corner with decimal commas": (
        "[door]\nzone = [[0,25, 0,5], [1, 0], [1, 1]]",
        ["'door.zone[0]'", "with decimal points"],
    ),
    "pattern without brackets": (
        "[lights]\nalarm_pattern_s = 0.5",
        ["'lights.alarm_pattern_s'", "on and off in turn: [0.25"],
    ),
    "size of the log": (
        "[events]\nrotate_bytes = 1",
        ["'events.rotate_bytes' is 1", "a whole number of at least 4096"],
    ),
    "key of another section": ("[camera]\ngreen = 17", ["'camera.green'", "it belongs under [lights]"]),
    "key of two sections outside of one": ("recheck_s = 1", ["'recheck_s'", "under [expression] or [tracker]"]),
    "misspelt key outside its section": ("brightnes = 1", ["'brightnes'", "did you mean 'lights.brightness'?"]),
    "renamed key outside its section": ("gone_s = 1", ["'gone_s'", "it is now called 'tracker.forget_after_s'"]),
    "two lights on one pin, both in the file": (
        "[lights]\nred = 5\ngreen = 5",
        ["'lights.red' is 5", "5 is already green's pin |", "another pin for red"],
    ),
    "home folder of the event log": (
        '[events]\nfile = "~/log.jsonl"',
        ["'events.file'", "begins with ~", "/home/USER/log.jsonl"],
    ),
    "home folder of a user": (
        '[models]\ndirectory = "~anna/m"',
        ["'models.directory'", "the full path: /home/anna/m"],
    ),
    "home folder in a variable": ('[camera]\nsource = "$HOME/a.mp4"', ["'camera.source'", "$HOME", "/home/USER/a.mp4"]),
    "agitation thresholds crossed": (
        "[policy]\ncalm_threshold = 0.6",
        ["'policy.calm_threshold' is 0.6", "'policy.agitated_threshold' is 0.5", "must not exceed"],
    ),
    "masked thresholds crossed": (
        "[policy]\nmasked_threshold = 2",
        ["'policy.masked_threshold' is 2", "'policy.change_to_masked' is 1.6", "must not exceed"],
    ),
    "unmasked thresholds crossed": (
        "[policy]\nchange_to_unmasked = -1",
        ["'policy.change_to_unmasked' is -1", "'policy.unmasked_threshold' is -1.2", "must not exceed"],
    ),
    "masked threshold above the maximum evidence": (
        "[policy]\nchange_to_masked = 5",
        ["'policy.change_to_masked' is 5", "'tracker.max_log_odds' is 3", "must not exceed"],
    ),
    "unmasked threshold above the maximum evidence": (
        "[policy]\nchange_to_unmasked = -5",
        ["policy.change_to_unmasked' is 5", "'tracker.max_log_odds' is 3", "must not exceed"],
    ),
    "reopen times crossed": (
        "[camera]\nreopen_s = 9",
        ["'camera.reopen_s' is 9", "'camera.reopen_max_s' is 8", "must not exceed"],
    ),
    "not TOML": ("[camera]\nsource = picamera", ["is not TOML", "line 2", 'text needs quotes: source = "picamera"']),
    "incomplete line": ("[camera]\nfps =", ["is not TOML"]),
    "duplicate key": (
        "[camera]\nfps = 15\nfps = 20",
        ["is not TOML", "overwrite", "fps is there twice (first in line 2)"],
    ),
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "door.toml"


def error_text(path: Path) -> str:
    """Return message and hint of the ConfigError for this file. The message must name the file."""
    with pytest.raises(ConfigError) as caught:
        config.load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert caught.value.hint
    return f"{caught.value} | {caught.value.hint}"


@pytest.mark.parametrize(("text", "words"), WRONG.values(), ids=WRONG.keys())
def test_error_names_file_key_and_allowed_values(file: Path, text: str, words: list[str]) -> None:
    file.write_text(text, encoding="utf-8")
    found = error_text(file)
    assert [word for word in words if word not in found] == []


@pytest.mark.parametrize(("text", "words"), WRONG.values(), ids=WRONG.keys())
def test_check_config_prints_message_and_hint(
    file: Path, text: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(text, encoding="utf-8")
    assert main(["check-config", str(file)]) == 78
    captured = capsys.readouterr()
    assert captured.out == ""
    first, second = captured.err.splitlines()
    assert first.startswith(f"doorlight: {file}: ")
    assert [word for word in words if word not in f"{first} | {second}"] == []


def test_file_that_is_not_utf8(file: Path) -> None:
    file.write_bytes('[camera]\nsource = "/srv/T\u00fcr"'.encode("latin-1"))
    found = error_text(file)
    assert "is not UTF-8 text (byte 25)" in found


def test_missing_file(file: Path) -> None:
    found = error_text(file)
    assert "No such file" in found


def test_folder_instead_of_a_file(tmp_path: Path) -> None:
    found = error_text(tmp_path)
    assert "directory" in found


def test_check_config_of_a_missing_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-config", str(tmp_path / "missing.toml")]) == 66
    error = capsys.readouterr().err
    assert "missing.toml: no such file" in error
    assert (
        "doorlight check-config, without a file, prints all settings to read; copy only the lines you change" in error
    )


def test_check_config_of_an_unreadable_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-config", str(tmp_path)]) == 78
    error = capsys.readouterr().err
    assert "cannot be read" in error
    assert "--config" not in error


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
def test_a_settings_file_in_another_encoding_is_refused_by_its_name(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "door.toml"
    path.write_text("[lights]\ngreen = 5\n", encoding=encoding)
    with pytest.raises(ConfigError, match=f"is {encoding[:6].upper()} text, not UTF-8") as caught:
        config.load(path)
    assert "save it as UTF-8" in caught.value.hint


@pytest.mark.parametrize(
    "source", ["rtsp:/me:geheim@h/x", "me:geheim@h/x", "192.168.1.5/live", "gopher://me:geheim@h/"]
)
def test_misspelt_address_is_refused_without_showing_it(tmp_path: Path, source: str) -> None:
    path = tmp_path / "door.toml"
    path.write_text(f'[camera]\nsource = "{source}"\n', encoding="utf-8")
    with pytest.raises(
        ConfigError, match=r"'camera\.source' (looks like an|is an unsupported kind of) address"
    ) as caught:
        config.load(path)
    assert "geheim" not in f"{caught.value} {caught.value.hint}"
    path.write_text('[camera]\nsource = " rtsp://me:geheim@h/x"\n', encoding="utf-8")
    config.load(path)
