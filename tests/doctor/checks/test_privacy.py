"""Check `privacy`."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.doctor import FakeMachine, only, write_settings

ANSWERS = '[privacy]\nanswers_required = {required}\ncontroller = "Dr. Who, 555"\nsign = "left"\n'


def test_a_trial_is_not_asked(machine: FakeMachine) -> None:
    finding = only(machine.check("privacy"))
    assert finding[:2] == ("ok", "default settings, as for a trial: expressions are read")


@pytest.mark.parametrize(("enabled", "says"), [("true", "expressions are read"), ("false", "no expression is read")])
def test_everything_answered(machine: FakeMachine, tmp_path: Path, enabled: str, says: str) -> None:
    path = write_settings(tmp_path, f"[expression]\nenabled = {enabled}\n" + ANSWERS.format(required="true"))
    finding = only(machine.check("privacy", config=path))
    assert finding[:2] == ("ok", f"{says}; responsible: Dr. Who, 555; sign: left")


def test_expressions_above_a_mask_are_named(machine: FakeMachine, tmp_path: Path) -> None:
    path = write_settings(tmp_path, "[expression]\nenabled = true\nmasked = true\n" + ANSWERS.format(required="true"))
    finding = only(machine.check("privacy", config=path))
    assert finding[1].startswith("expressions are read, above a mask too; responsible:")


@pytest.mark.parametrize(
    ("text", "missing", "state"),
    [
        (ANSWERS.format(required="true"), "[expression] enabled", "no expression is read"),
        (
            '[expression]\nenabled = true\n[privacy]\nanswers_required = true\nsign = " "\n',
            "[privacy] controller, [privacy] sign",
            "no expression is read",
        ),
        (
            "",
            "[expression] enabled, [privacy] controller, [privacy] sign",
            "expressions are read, because [privacy] answers_required is false",
        ),
    ],
)
def test_what_is_missing(machine: FakeMachine, tmp_path: Path, text: str, missing: str, state: str) -> None:
    path = write_settings(tmp_path, text)
    finding = only(machine.check("privacy", config=path))
    assert finding[:2] == ("note", f"not answered: {missing}; {state}")
    assert path in finding.fix


def test_a_wrong_file_is_the_matter_of_another_check(machine: FakeMachine, tmp_path: Path) -> None:
    for path in (write_settings(tmp_path, "[expression"), str(tmp_path / "none.toml")):
        assert only(machine.check("privacy", config=path)).severity == "note"
