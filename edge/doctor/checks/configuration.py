"""Check `configuration`: load the settings file, and the areas that were set on the page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..finding import Finding
from ..host import Host


def check(host: Host) -> Iterator[Finding]:
    """Yield a finding for each file. Raises ConfigError if the settings file is wrong."""
    from ... import areas_file, config

    path = host.option("config")
    settings = Path(path) if path else None
    loaded = config.load(settings)
    yield Finding("ok", f"{path}: OK" if path else "default settings (no file is named with --config)")
    areas = areas_file.path_for(settings, host.uses_service_options)
    if areas is not None and host.uses_service_options:
        areas = Path(host.root) / areas.relative_to("/")
    _, note = areas_file.applied(loaded, areas, settings)
    if note:
        yield Finding("note", note, "undo it on the page Set up, or delete the file and restart the door")
