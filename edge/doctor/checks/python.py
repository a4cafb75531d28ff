"""Check `python`: report Python, the operating system and the board."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Iterator

from ..finding import Finding
from ..host import Host


def check(host: Host) -> Iterator[Finding]:
    """Yield one finding; it is always "ok", because an unsupported Python cannot run Doorlight."""
    system = re.search(r'^PRETTY_NAME="?([^"\n]*)', host.read("etc/os-release"), re.MULTILINE)
    machine = ", ".join(filter(None, [host.model, system[1] if system else "", platform.machine()]))
    yield Finding("ok", f"Python {platform.python_version()} in {sys.prefix} on {machine}")
