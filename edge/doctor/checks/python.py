"""Check `python`: report Python, the operating system and the board."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Iterator

from ...system.libraries import INSTALL_64_BIT, is_32_bit_python_on_64_bits
from ..finding import Finding
from ..host import Host


def check(host: Host) -> Iterator[Finding]:
    """Yield one finding; it is bad if pip would install packages for another processor, or finds none."""
    system = re.search(r'^PRETTY_NAME="?([^"\n]*)', host.read("etc/os-release"), re.MULTILINE)
    machine = ", ".join(filter(None, [host.model, system[1] if system else "", platform.machine()]))
    message = f"Python {platform.python_version()} in {sys.prefix} on {machine}"
    if is_32_bit_python_on_64_bits():
        yield Finding("bad", f"{message}: a 32-bit Python under a 64-bit kernel", INSTALL_64_BIT)
    else:
        yield Finding("ok", message)
