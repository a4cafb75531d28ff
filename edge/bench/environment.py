"""The environment of a benchmark: machine, libraries, models, and caveats about the figures.

A report may be sent to strangers. No serial number, address, or name of a file, folder or person goes into it.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Sequence
from contextlib import suppress
from importlib import metadata
from typing import TYPE_CHECKING, Any

from ..inference.manifest import Manifest

if TYPE_CHECKING:
    from ..doctor.host import Host


def describe_machine(host: Host) -> dict[str, Any]:
    """Return the machine of a report: model, processor, memory, operating system."""

    def first(path: str, pattern: str) -> str:
        found = re.search(pattern, host.read(path), re.MULTILINE)
        return found[1].strip() if found else ""

    return {
        "model": host.model,
        "processor": first("proc/cpuinfo", r"^model name\s*:(.*)"),
        "architecture": platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mb": int(first("proc/meminfo", r"^MemTotal:\s*(\d+)") or 0) // 1024,
        "system": first("etc/os-release", r'^PRETTY_NAME="?([^"\n]*)'),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def describe_heat(host: Host) -> tuple[str, ...]:
    """Return temperature, throttling and processor frequency, each as text."""
    from ..doctor.checks import temperature  # not at the top: `run` measures how long its imports take

    parts = [finding.message for finding in temperature.check(host)]
    current_mhz, max_mhz = (_frequencies_mhz(host, name) for name in ("scaling_cur_freq", "cpuinfo_max_freq"))
    if current_mhz and max_mhz:
        governor = host.read("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
        parts.append(f"{max(current_mhz)} of {max(max_mhz)} MHz ({governor})")
    return tuple(parts)


def _frequencies_mhz(host: Host, name: str) -> list[int]:
    """Return a cpufreq frequency of each core."""
    paths = host.glob(f"sys/devices/system/cpu/cpu[0-9]*/cpufreq/{name}")
    texts = [host.read(str(path.relative_to(host.root))) for path in paths]
    return [int(text) // 1000 for text in texts if text.isdigit()]


def service_caveat(host: Host) -> str | None:
    """Return a caveat if the service runs and uses the processor too."""
    if host.service_is_running:
        return "the service was running and used the processor too: sudo systemctl stop doorlight"
    return None


def library_versions(runtime_name: str) -> dict[str, str]:
    """Return the versions of the libraries in use."""
    versions = {}
    for name in (runtime_name.replace("_", "-"), "numpy", "opencv-python-headless", "picamera2", "lgpio"):
        with suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


def describe_models(rows: Manifest, names: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return date and checksum of each model."""
    return {name: {"date": rows[name].date, "sha256": rows[name].sha256} for name in names}


def without_home(text: str) -> str:
    """Return `text` without the path of the home folder, which usually contains the user's name."""
    home = os.path.expanduser("~")
    return text.replace(home, "~") if len(home) > 1 else text
