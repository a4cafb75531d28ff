"""A fake machine for the checks of `doorlight doctor`: /sys, /dev and /run in a folder, commands as scripts on PATH."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from edge.doctor.finding import Finding
from edge.doctor.host import Host, User
from edge.doctor.runner import run_check
from edge.lights import gpio

#: What `systemctl show` prints about a service that runs.
RUNNING = """
LoadState=loaded
ActiveState=active
SubState=running
Result=success
ExecMainStatus=0
NRestarts=0
StatusText=IDLE, 14.8 frames/s, CPU (ai_edge_litert), all well
WatchdogUSec=30s
User=nobody
SupplementaryGroups=
WorkingDirectory=/var/lib/doorlight
ExecStart={ path=/opt/bin/doorlight ; argv[]=/opt/bin/doorlight run --config /etc/no.toml --events /var/e.jsonl ; ignore_errors=no ; start_time=[n/a] }
"""


class FakeMachine:
    """A machine whose root folder is `root`; commands in `bin` come first on PATH."""

    def __init__(self, folder: Path) -> None:
        self.root, self.bin = folder / "root", folder / "bin"
        self.root.mkdir()
        self.bin.mkdir()

    def add_file(self, path: str, text: str = "") -> Path:
        """Write a file below the root folder; return its path."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def add_command(self, name: str, output: str = "", code: int = 0, first: str = "") -> None:
        """Add a command that runs the shell line `first`, prints `output` and exits with `code`."""
        script = self.bin / name
        script.write_text(f"#!/bin/sh\n{first}\ncat <<'EOF'\n{output.strip()}\nEOF\nexit {code}\n")
        script.chmod(0o755)

    def install_service(self, **changes: str) -> None:
        """Install a service that runs, with these properties changed."""
        properties = dict(line.split("=", 1) for line in RUNNING.strip().splitlines()) | changes
        self.add_command("systemctl", "\n".join(f"{key}={value}" for key, value in properties.items()))

    def become_pi(self) -> None:
        """Make the machine a Raspberry Pi."""
        self.add_file("proc/device-tree/model", "Raspberry Pi 4 Model B Rev 1.5\0")

    def host(self, **options: Any) -> Host:
        """Return the host that describes this machine, with options of `doorlight run`."""
        return Host(**options, root=str(self.root))

    def host_with_user(self, groups: set[int], **options: Any) -> Host:
        """Return a host whose door runs as the user "door", who is in these groups and is not the current user."""
        host = self.host(**options)
        host.__dict__["user"] = User("door", 54321, frozenset(groups), False)  # as its cached property would
        return host

    def check(self, name: str, **options: Any) -> list[Finding]:
        """Run the check `name` and return its findings."""
        return run_check(name, self.host(**options))


def only(findings: list[Finding]) -> Finding:
    """Return the single finding of a list."""
    assert len(findings) == 1, findings
    return findings[0]


def write_settings(folder: Path, text: str) -> str:
    """Write a settings file; return its path."""
    path = folder / "settings.toml"
    path.write_text(text)
    return str(path)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeMachine:
    """A PC on which systemctl, timedatectl and vcgencmd fail."""
    fake = FakeMachine(tmp_path)
    fake.add_command("systemctl", code=1, first="echo System has not been booted with systemd >&2")
    fake.add_command("timedatectl", code=1)
    fake.add_command("vcgencmd", code=1, first="echo VCHI initialization failed >&2")
    monkeypatch.setenv("PATH", f"{fake.bin}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(gpio, "CHIPS", str(fake.root / "dev/gpiochip*"))
    return fake
