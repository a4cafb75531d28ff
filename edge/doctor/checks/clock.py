"""Check `clock`: whether the clock is set."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ...errors import UnavailableError
from ...system.clock import is_set
from ..finding import Finding
from ..host import Host, run_command


def check(host: Host) -> Iterator[Finding]:
    """Yield one finding."""
    with contextlib.suppress(UnavailableError):
        if run_command("timedatectl", "show", "-p", "NTPSynchronized", "--value") == "yes":
            yield Finding("ok", "synchronised by the network")
            return
    if is_set():
        yield Finding("ok", "set by the network or by a clock chip")
    else:
        yield Finding(
            "note",
            "not set since boot: times in the event log may be wrong (their order is not), and the buzzer ignores its "
            "quiet hours",
            "with a network: sudo timedatectl set-ntp true; without: add a clock chip with a battery",
        )
