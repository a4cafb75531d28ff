"""Unknown keys of a settings file: one error names all of them, with the right name of each."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from edge import config
from edge.cli import main
from edge.errors import ConfigError
from edge.renamed_settings import MAX_LISTED, RENAMED

CURRENT = tomllib.loads(config.default_text())

#: A complete settings file from before the keys were renamed.
OLD_FILE = """\
[camera]
source = "picamera"
width = 640
height = 480
fps = 15
rotate = 0
mirror = false
timeout_s = 2.0
reopen_s = 0.5
reopen_most_s = 8.0
wait = false
small_width = 256
longest_exposure_s = 0.033
metering = "centre"
exposure_stops = 0.0
grey = false

[models]
directory = ""
accelerator = "auto"
threads = 1

[detector]
threshold = 0.0
overlap = 0.45
most_faces = 10
rest_s = 2.0
settled_s = 0.1

[expression]
enabled = true
agitated = ["angry", "disgust"]
look_again_s = 0.1

[tracker]
new_score = 0.65
gone_s = 0.7
memory_s = 0.8
least_height = 0.09
look_again_s = 0.4
most_looks = 3
look_limit = 3.0

[policy]
doubt_s = 1.5
looks = 4
decide_s = 0.4
masked_from = 1.2
unmasked_from = -1.2
to_masked = 1.6
to_unmasked = -1.6
change_s = 1.0
agitated_from = 0.5
calm_below = 0.3
agitated_s = 0.7
hold_s = 0.6
alarm_most_s = 6.0
alarm_again_s = 20.0

[lights]
green = 17
red = 27
buzzer = 24
active_low = false
buzzer_active_low = false
brightness = 1.0
buzzer_tone_hz = 0
alarm_s = [0.25, 0.25]
fault_s = [0.5, 0.5]
quiet = ""

[events]
file = ""
rotate_bytes = 5000000
keep = 4
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "door.toml"


def error_of(file: Path, text: str) -> ConfigError:
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        config.load(file)
    return caught.value


def test_old_file_gets_every_new_name_in_one_message(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(OLD_FILE, encoding="utf-8")
    assert main(["check-config", str(file)]) == 78
    message, hint = capsys.readouterr().err.splitlines()
    assert message.startswith(f"doorlight: {file}: 30 unknown keys: ")
    assert "doorlight check-config" in hint
    found = {}
    for part in message.split(" unknown keys: ")[1].split("; "):
        section, _, items = part.removeprefix("[").partition("] ")
        found[section] = dict(item.split(" is now ") for item in items.split(", "))
    assert found == RENAMED
    # The old file has the old name of every key in the table.
    old = tomllib.loads(OLD_FILE)
    assert {section: set(old[section]) - set(CURRENT[section]) for section in RENAMED} == {
        section: set(names) for section, names in RENAMED.items()
    }


def test_old_file_with_the_new_names_loads(file: Path) -> None:
    lines, section = [], ""
    for line in OLD_FILE.splitlines():
        key, equals, value = line.partition(" = ")
        if line.startswith("["):
            section = line.strip("[]")
        lines.append(RENAMED.get(section, {}).get(key, key) + equals + value)
    file.write_text("\n".join(lines), encoding="utf-8")
    loaded = config.load(file)
    for section, items in tomllib.loads(OLD_FILE).items():
        for key, value in items.items():
            new_value = getattr(getattr(loaded, section), RENAMED.get(section, {}).get(key, key))
            assert new_value == (tuple(value) if isinstance(value, list) else value), f"[{section}] {key}"


@pytest.mark.parametrize("section", RENAMED)
def test_table_leads_from_unused_names_to_current_ones(section: str) -> None:
    names = RENAMED[section]
    assert not names.keys() & CURRENT[section].keys(), "an old name is a current key"
    assert set(names.values()) <= CURRENT[section].keys(), "a new name is not a key"
    assert len(set(names.values())) == len(names), "two old names lead to one key"


def test_a_single_renamed_key_gets_its_new_name_as_hint(file: Path) -> None:
    error = error_of(file, "[policy]\nlooks = 5")
    assert str(error) == f"{file}: unknown key 'policy.looks'"
    assert error.hint == "it is now called 'policy.min_looks'"


def test_the_same_old_name_depends_on_its_section(file: Path) -> None:
    error = error_of(file, "[tracker]\nlook_again_s = 0.3\n[detector]\noverlap = 0.3")
    assert "[tracker] look_again_s is now recheck_s; [detector] overlap is now nms_iou" in str(error)


@pytest.mark.parametrize("key", ["match_iou", "overlap"])
def test_a_setting_that_is_gone_says_why(file: Path, key: str) -> None:
    error = error_of(file, f"[tracker]\n{key} = 0.3")
    assert str(error) == f"{file}: unknown key 'tracker.{key}'"
    assert error.hint == "delete it: a face is matched to where it is expected"
    both = error_of(file, f"[tracker]\n{key} = 0.3\nzzz = 1")
    assert f"{key} (delete it: a face is matched to where it is expected)" in str(both)


def test_misspelt_and_renamed_keys_are_in_one_message(file: Path) -> None:
    text = '[camera]\nfsp = 15\nzzz = 1\n[lights]\nquiet = ""\n[polcy]\nmin_looks = 3'
    assert str(error_of(file, text)).endswith(
        ": 4 unknown keys: [camera] fsp (did you mean fps?), zzz (no such setting); "
        "[lights] quiet is now quiet_hours; polcy (did you mean policy?)"
    )


def test_unknown_keys_are_reported_before_wrong_values(file: Path) -> None:
    error = error_of(file, '[camera]\nfps = "x"\nfsp = 15\nwidht = 3')
    assert "fsp (did you mean fps?), widht (did you mean width?)" in str(error)


def test_many_unknown_keys_do_not_hide_a_renamed_one(file: Path) -> None:
    lines = [f"k{k} = 1" for k in range(MAX_LISTED + 7)]
    text = str(error_of(file, "\n".join(["[policy]", *lines, "looks = 5"])))
    assert "looks is now min_looks" in text
    assert f"k{MAX_LISTED - 1} (no such setting)" in text
    assert f"k{MAX_LISTED} " not in text
    assert text.endswith("; and 7 more")


def test_a_long_key_name_is_cut_off(file: Path) -> None:
    text = str(error_of(file, f"[policy]\n{'x' * 5000} = 1\nlooks = 5"))
    assert "looks is now min_looks" in text
    assert len(text) - len(str(file)) < 200
