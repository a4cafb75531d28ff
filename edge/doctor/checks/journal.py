"""Check `journal`: whether the systemd journal survives a reboot."""

from __future__ import annotations

from collections.abc import Iterator

from ..finding import Finding
from ..host import Host

MAKE_PERSISTENT = (
    r"sudo mkdir -p /etc/systemd/journald.conf.d && printf '[Journal]\nStorage=persistent\nSystemMaxUse=50M\n' | "
    "sudo tee /etc/systemd/journald.conf.d/90-persistent.conf && sudo systemctl restart systemd-journald"
)


def check(host: Host) -> Iterator[Finding]:
    """Yield one finding."""
    # That /var/log/journal exists proves nothing: Raspberry Pi OS has it, and tells journald not to use it. journald
    # removes its files from /run as soon as it writes to the disk.
    if host.glob("run/log/journal/*"):
        message = f"in memory only: a reboot deletes it; the event log stays: {host.events_file}"
        yield Finding("note", message, MAKE_PERSISTENT)
    elif host.glob("var/log/journal/*"):
        yield Finding("ok", "on the disk")
    else:
        yield Finding("note", "there is no systemd journal; the event log does not need it")
