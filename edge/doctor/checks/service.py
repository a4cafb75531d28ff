"""Check `service`: report the state of doorlight.service."""

from __future__ import annotations

from collections.abc import Iterator

from ..finding import Finding
from ..host import UNIT, Host

SHOW_JOURNAL = f"sudo journalctl -u {UNIT} -b -e"


def check(host: Host) -> Iterator[Finding]:
    """Yield one finding."""
    unit = host.unit
    if "error" in unit:
        yield Finding("note", f"systemd does not answer: {unit['error']}")
        return
    state, restarts = unit.get("ActiveState", ""), unit.get("NRestarts", "0")
    if unit.get("LoadState") != "loaded":
        yield Finding("note", f"not installed ({UNIT}: {unit.get('LoadState')})", "sudo scripts/install.sh")
    elif state == "active":
        message = f"running; status: {unit.get('StatusText') or 'none'}; watchdog {unit.get('WatchdogUSec')}"
        if restarts == "0":
            yield Finding("ok", message)
        else:
            yield Finding("note", f"{message}; restarted {restarts} times", SHOW_JOURNAL)
    elif state == "inactive":
        yield Finding("note", "installed, but not running", f"sudo systemctl enable --now {UNIT}")
    else:
        reason = f"{unit.get('Result')}, exit code {unit.get('ExecMainStatus')}, restarted {restarts} times"
        yield Finding("bad", f"{state} ({unit.get('SubState')}): {reason}", SHOW_JOURNAL)
