"""Check `temperature`: the temperature, and whether the Pi reports under-voltage or throttling."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ...errors import UnavailableError
from ...system.temperature import highest_c
from ..finding import Finding, Severity
from ..host import Host, run_command

#: Degrees Celsius: shortly before a Pi reduces its clock, and where it does. (A 3B+ reduces it a little from 60 on.)
WARM_C, HOT_C = 70, 80
#: The bits of `vcgencmd get_throttled`, from bit 0 for "now" and from bit 16 for "since boot".
THROTTLED = ("under-voltage", "processor frequency capped", "throttled", "soft temperature limit")

POWER = "use the official power supply of this Pi, and a short, thick cable"
COOL = "add a heat sink or a fan, or use a box with holes"


def check(host: Host) -> Iterator[Finding]:
    """Yield a finding about the temperature, and one about power supply and throttling on a Pi."""
    degrees = highest_c(Path(host.root))
    if degrees is not None:
        yield _temperature_finding(degrees, host.is_pi)
    try:
        bits = int(run_command("vcgencmd", "get_throttled").removeprefix("throttled="), 16)
    except (UnavailableError, ValueError) as error:
        if host.is_pi:
            yield Finding("note", f"the state of the power supply is unknown: {error}", "sudo doorlight doctor")
        elif degrees is None:
            yield Finding("ok", "this machine has no temperature sensor")
        return
    yield _throttling_finding(bits)


def _temperature_finding(degrees: float, is_pi: bool) -> Finding:
    severity: Severity = "ok"
    if is_pi:  # a PC is built for higher temperatures
        severity = "bad" if degrees >= HOT_C else "note" if degrees >= WARM_C else "ok"
    return Finding(severity, f"{degrees:.0f} °C", "" if severity == "ok" else COOL)


def _throttling_finding(bits: int) -> Finding:
    now = [name for k, name in enumerate(THROTTLED) if bits >> k & 1]
    since_boot = [name for k, name in enumerate(THROTTLED) if bits >> (k + 16) & 1 and name not in now]
    parts = [f"{when}: {', '.join(names)}" for when, names in (("now", now), ("since boot", since_boot)) if names]
    if not parts:
        return Finding("ok", "power supply and processor frequency OK since boot")
    severity: Severity = "bad" if {"under-voltage", "throttled"} & set(now) else "note"
    return Finding(severity, "; ".join(parts), POWER if "under-voltage" in now + since_boot else COOL)
