"""The command that boots an emulated Raspberry Pi, without QEMU: its options, and its report."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from checks.board import __main__ as command
from checks.board import results
from checks.board.boards import BOARDS
from checks.board.build_steps import GUEST_FOLDER
from checks.board.results import Result


def test_qemu_gets_steps_and_an_unchanged_card() -> None:
    words = " ".join(command.qemu_command(BOARDS["raspi3b"], Path("/cache"), ["a", "b"], systemd=True))
    assert "board.steps=a,b" in words
    assert "init=/sbin/init" in words
    assert "snapshot=on" in words
    plain = " ".join(command.qemu_command(BOARDS["raspi4b"], Path("/cache"), ["a"], systemd=False))
    assert f"init=/{GUEST_FOLDER}/init" in plain


def test_without_a_card_everything_is_skipped_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOORLIGHT_BOARD", str(tmp_path))
    monkeypatch.setenv("DOORLIGHT_VDOOR", "")
    monkeypatch.setattr(sys, "argv", ["board", "--as-built"])
    assert command.main() == 0
    assert "SKIPPED: the emulated Raspberry Pi: " in capsys.readouterr().out


def test_an_unknown_step_is_a_usage_error(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("DOORLIGHT_VDOOR", "")
    monkeypatch.setattr(sys, "argv", ["board", "--only", "clip,clap"])
    with pytest.raises(SystemExit, match="2"):
        command.main()
    assert "no such step: clap" in capsys.readouterr().err


def test_the_report_has_every_step_with_its_verdict(tmp_path: Path) -> None:
    passed, failed, left = Result("a", "step a", 12.4), Result("b", "step b"), Result("c", "step c")
    passed.check(True, "green", "after 0.1 s")
    failed.check(True, "red", "")
    failed.check(False, "dark", "never | ever")
    results.write(tmp_path, [passed, failed, left], {"date": "today"})
    text = (tmp_path / "board-report.md").read_text()
    assert "| a: step a | passed | 12 | green: after 0.1 s |" in text
    assert "| failed | 0 | **expected dark, seen never \\| ever**; red |" in text
    assert "| c: step c | not run | 0 |" in text
    assert json.loads((tmp_path / "board-report.json").read_text())["steps"][1]["verdict"] == "failed"


@pytest.mark.parametrize("verdicts", [["passed", "not run"], ["failed"], []])
def test_only_a_run_in_which_everything_passed_is_good(verdicts: list[results.Verdict]) -> None:
    assert results.exit_code([Result("a", "a", verdict=verdict) for verdict in verdicts]) == 1
    assert results.exit_code([Result("a", "a", verdict="passed")]) == 0
