"""The command speed.check. Its errors are tested in test_compare.py, with those of speed.compare."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from speed import check, compare, program_targets
from speed.target import TargetResult


@pytest.mark.parametrize(("met", "code"), [(True, 0), (None, 0), (False, 1)])
def test_a_missed_target_is_exit_code_1(
    met: bool | None, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(compare, "Comparison", lambda args: SimpleNamespace())
    monkeypatch.setattr(program_targets, "check_start", lambda: [TargetResult("start ≤ 1 s", "2 s", met)])
    assert check.main(["--only", "start", "--json"]) == code
    report = json.loads(capsys.readouterr().out)
    assert report == {"start": [{"target": "start ≤ 1 s", "measured": "2 s", "met": met}]}
    assert check.main(["--only", "start"]) == code
    mark = {True: "yes", False: "NO", None: "–"}[met]
    assert capsys.readouterr().out.splitlines()[-1].split() == ["start", "≤", "1", "s", mark, "2", "s"]


@pytest.mark.parametrize("given", [["--rounds", "0"], ["--hours", "0"], ["--slower", "-1"], ["--only", "nothing"]])
def test_wrong_arguments_are_usage_errors(given: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        check.main(given)
    assert stopped.value.code == 2
