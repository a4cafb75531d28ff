"""Check `coral`: whether the models run on the Edge TPU."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..finding import Finding, Severity
from ..host import Host


def check(host: Host) -> Iterator[Finding]:
    """Yield one finding."""
    from ...inference import edgetpu, manifest
    from ...inference.perception import required_models

    mode, devices = host.settings.models.accelerator, edgetpu.find_devices(Path(host.root))
    names = ", ".join(
        f"{each.name} ({'ready' if each.initialised else 'its firmware is not loaded yet'})" for each in devices
    )
    if mode == "cpu" or not devices:
        setting = "" if devices else f", accelerator = {mode!r}"
        message = f"{names or 'no Coral'}; the models run on the CPU{setting}"
        if mode == "edgetpu":
            yield Finding("bad", message, "plug it into a USB 3 port with its own cable; then: lsusb")
        else:
            yield Finding("ok", message)
        return
    if host.service_is_running:  # only one process at a time can use a Coral
        status = host.unit_property("StatusText")
        severity: Severity = "ok" if "Edge TPU (" in status else "note"
        yield Finding(severity, f"{names}; status of the running service: {status}")
        return
    status_now = edgetpu.check_edgetpu(
        manifest.load(host.models_folder), required_models(host.settings), Path(host.root)
    )
    if status_now.ready:
        yield Finding("ok", f"{names}; the models run on it ({status_now.library}, {status_now.runtime})")
    else:
        # Models for the Edge TPU are not shipped, and the door works without them.
        severity = "note" if status_now.library and status_now.without_edgetpu and mode == "auto" else "bad"
        yield Finding(severity, f"{names}, but the models run on the CPU: {status_now.problem}", status_now.hint)
