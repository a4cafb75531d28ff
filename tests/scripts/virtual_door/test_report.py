"""The report of a scenario: what makes it fail, and what the files say."""

from __future__ import annotations

from pathlib import Path

from virtual_door import report
from virtual_door.report import Report


def test_failed_check_or_measure_fails_the_scenario() -> None:
    found = Report("x", "")
    assert not found.ok, "a scenario without checks proves nothing"
    found.equal(1, 1, "one")
    found.measure("time", [1.0, 2.0], "s", at_most=2)
    assert found.ok
    found.measure("time", [1.0, 2.1], "s", at_most=2)
    assert not found.ok
    found.measures.pop()
    found.equal(1, 2, "one")
    assert not found.ok
    assert found.failures() == ["one: expected 2, seen 1"]


def test_exception_fails_the_scenario() -> None:
    found = Report("x", "")
    found.equal(1, 1, "one")
    found.error = "MachineError: no answer"
    assert not found.ok


def test_report_names_failures(tmp_path: Path) -> None:
    found = Report("x", "The description.")
    found.equal("red|green", "green", "masked at the door")
    found.check(True, "numbers", 7, 8)
    report.write(tmp_path, [found], {"date": "today"})
    text = (tmp_path / "vdoor-report.md").read_text()
    assert "| x | FAILED | 2 | 1 |" in text
    assert "| numbers | 1 | 7 | 8 | ok |" in text
    assert "| masked at the door | 1 | green | red\\|green | **no** |" in text
    assert '"ok": false' in (tmp_path / "vdoor-report.json").read_text()
