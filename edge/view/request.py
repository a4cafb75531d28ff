"""Ask the door of the service to offer what it sees, without a restart. Needs root."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from ..system.systemd import VIEW_REQUEST

UNIT = "doorlight.service"
_TIMEOUT_S = 5.0


def request_view() -> bool:
    """Send VIEW_REQUEST to the service's door; return whether there is one that expects it.

    The default action of the signal ends a process: a door of an older version, or one that is still starting, gets none.
    """
    pid = _main_pid()
    if pid is None or not catches(pid, VIEW_REQUEST):
        return False
    try:
        os.kill(pid, VIEW_REQUEST)
    except OSError:
        return False
    return True


def catches(pid: int, number: int) -> bool:
    """Return whether a process has a handler for a signal."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return False
    caught = next((line.split()[1] for line in lines if line.startswith("SigCgt:")), "0")
    return bool(int(caught, 16) >> (number - 1) & 1)


def _main_pid() -> int | None:
    command = ["systemctl", "show", "--property=MainPID", "--value", UNIT]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    text = done.stdout.strip()
    return int(text) if text.isdigit() and int(text) > 0 else None
