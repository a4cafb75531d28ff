"""Health: the checks of `doorlight doctor` that do not need the camera, the pins or another user's rights."""

from __future__ import annotations

import time
from typing import NamedTuple

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from ...doctor import runner
from ...doctor.finding import Finding, Severity
from ...doctor.host import Host
from ..page import Page, render, site_of
from ..translation import N_

#: Checks, and their titles. `doorlight doctor` has more; as this service's user they would fail for want of rights.
CHECKS = {
    "service": N_("Service"),
    "configuration": N_("Settings"),
    "temperature": N_("Temperature and power"),
    "clock": N_("Clock"),
    "journal": N_("Journal"),
}
SEVERITIES: dict[Severity, str] = {"ok": N_("all well"), "note": N_("worth a look"), "bad": N_("something is wrong")}
#: Findings are shown again for this time (seconds): the checks start a process.
KEEP_S = 30.0


class Findings(NamedTuple):
    """The findings by check, the worst severity, and the monotonic time at which they were made."""

    checks: list[tuple[str, Finding]]
    severity: Severity
    made_at: float


async def show(request: Request) -> HTMLResponse:
    """Return the page."""
    findings = await _findings(request)
    return render(
        request,
        "health.html",
        checks=findings.checks,
        severity=findings.severity,
        titles=CHECKS,
        severities=SEVERITIES,
        door=site_of(request).feed.state,
    )


async def _findings(request: Request) -> Findings:
    site = site_of(request)
    async with site.busy:
        newest: Findings | None = site.kept.get(PAGE.path)
        if newest is None or time.monotonic() - newest.made_at > KEEP_S:
            host = Host(config=str(site.config_file or ""), events=str(site.events_file))
            newest = site.kept[PAGE.path] = await run_in_threadpool(_check, host)
        return newest


def _check(host: Host) -> Findings:
    found = list(runner.run_checks(host, names=CHECKS))
    return Findings(found, runner.worst(finding.severity for _, finding in found), time.monotonic())


PAGE = Page("/health", N_("Health"), [Route("/health", show)])
