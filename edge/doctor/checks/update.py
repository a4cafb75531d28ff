"""Check `update`: which version is installed, whether one is on trial, how the last update ended, and whether updates can be checked."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from ... import __version__
from ...update import status
from ...update.door import Door
from ...update.layout import Layout
from ..finding import Finding
from ..host import Host

TIMER = "etc/systemd/system/timers.target.wants/doorlight-update.timer"


def check(host: Host) -> Iterator[Finding]:
    """Yield the state of the versions, and notes about the nightly update. Raises UnavailableError if its files are damaged."""
    layout = Layout(Path(host.root))
    found = status.collect(layout, Door(root=layout.root))
    if not found.chosen:
        yield Finding("ok", f"version {__version__}, not installed as a service")
        return
    message = "; ".join(status.describe(found))
    if found.trial is not None:
        yield Finding("note", message, "doorlight update --status; to go back: sudo doorlight update --rollback")
    elif found.result is not None and not found.result.kept and found.result.reason != status.BY_HAND:
        yield Finding("note", message, "sudo journalctl -u doorlight -e; ask who made the update")
    else:
        yield Finding("ok", message)
    if (layout.root / TIMER).is_symlink():
        yield from _nightly(host, layout)


def _nightly(host: Host, layout: Layout) -> Iterator[Finding]:
    """Yield what keeps the nightly update from working."""
    if not host.settings.update.source:
        yield Finding(
            "note",
            "the nightly update has no source",
            "set [update] source, or: sudo systemctl disable doorlight-update.timer",
        )
    if not layout.keys.is_file():
        yield Finding(
            "note",
            f"{layout.keys}: there is no such file, so no update is trusted",
            'see "Updates" in systemd/README.md',
        )
    if shutil.which("ssh-keygen") is None:
        yield Finding("note", "ssh-keygen is not installed, which checks updates", "sudo apt install openssh-client")
