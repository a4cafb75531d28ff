"""Check `configuration`: load the settings file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..finding import Finding
from ..host import Host


def check(host: Host) -> Iterator[Finding]:
    """Yield one finding. Raises ConfigError if the file is wrong."""
    from ... import config

    path = host.option("config")
    config.load(Path(path) if path else None)
    yield Finding("ok", f"{path}: OK" if path else "default settings (no file is named with --config)")
