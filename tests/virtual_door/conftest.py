"""Fixtures for the scenarios of the virtual door, and the report of all that ran (see scripts/virtual_door/README.md).

A scenario is a test with the marker `virtual_door`. It makes doors with the fixture `lab`, and adds its checks to
`report`.
"""

from __future__ import annotations

import functools
import inspect
import os
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from virtual_door import report as report_files
from virtual_door.build import out_of_date
from virtual_door.build_steps import all_steps
from virtual_door.host import why_not_runnable
from virtual_door.lab import RESULTS, Lab, MachineRoom, about, machine_room
from virtual_door.report import Report

#: The report of one scenario, and those of all scenarios of this run.
REPORT = pytest.StashKey[Report]()
REPORTS = pytest.StashKey[list[Report]]()


def results_folder() -> Path:
    return Path(os.environ.get("VDOOR_RESULTS") or RESULTS)


@functools.cache
def why_not_testable() -> str:
    """Return why the virtual door cannot be tested now, or "" if it can."""
    problem = "" if os.environ.get("VDOOR_AS_BUILT") else out_of_date(all_steps())
    return problem or why_not_runnable()


@pytest.fixture(scope="session")
def room() -> Iterator[MachineRoom]:
    """The folder for machines; skips where there is no virtual door."""
    if problem := why_not_testable():
        pytest.skip(problem)
    with machine_room() as room:
        yield room


@pytest.fixture
def results(request: pytest.FixtureRequest) -> Path:
    """The folder for files of this scenario, runs/vdoor/TEST; it is created when needed."""
    folder = results_folder() / str(request.node.name)
    shutil.rmtree(folder, ignore_errors=True)
    return folder


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Report:
    """The checks of this scenario. The test fails at its end if one of them failed."""
    description = inspect.getdoc(request.function) or ""
    report = Report(request.node.name, description)
    request.node.stash[REPORT] = report
    reports: list[Report] = request.config.stash.setdefault(REPORTS, [])
    reports.append(report)
    return report


@pytest.fixture
def lab(room: MachineRoom, report: Report, results: Path) -> Lab:
    """Makes doors, and saves their logs if the scenario fails."""
    return Lab(report, results, room)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Fail a scenario at its end if one of its checks failed."""
    result = yield
    report = pyfuncitem.stash.get(REPORT, None)
    if report is not None and not report.ok:
        pytest.fail("\n".join(report.failures()) or "the scenario has checked nothing", pytrace=False)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Write the report after each scenario: a run that is interrupted has one too."""
    result = yield
    report = item.stash.get(REPORT, None)
    if report is not None and call.when == "call":
        report.seconds = call.duration
        if result.failed and not report.failures():
            report.error = result.longreprtext
        result.sections.append(("measured", "\n".join(f"{m.name}: {m}" for m in report.measures)))
        folder = results_folder()
        folder.mkdir(parents=True, exist_ok=True)
        reports: list[Report] = item.config.stash[REPORTS]
        report_files.write(folder, reports, about())
    return result


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if config.stash.get(REPORTS, None):
        terminalreporter.write_line(f"virtual door: {results_folder() / 'vdoor-report.md'}")
