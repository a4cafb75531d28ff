"""Begin the trial of the release in the command line, by the real code. Only install.sh is replaced."""

import sys

sys.path.insert(0, "/opt/code")
from pathlib import Path
from types import SimpleNamespace

from edge.commands.update import locked
from edge.update.disk import Disk
from edge.update.door import Door
from edge.update.layout import Layout
from edge.update.trial import Trials
from edge.update.updater import Installer, Updater

UNITS = Path("/etc/systemd/system")
layout, disk, door = Layout(), Disk(), Door()


class Copying(Installer):
    """Writes units as install.sh does: a changed one, a new one, and a broken one of those that look after the trial."""

    def switch(self, staged, release):
        unit = UNITS / "doorlight.service"
        unit.write_text(f"{unit.read_text()}# of {release.name}\n")
        (UNITS / "doorlight-extra.service").write_text("[Service]\nExecStart=/bin/true\n")
        (UNITS / "doorlight-trial.service").write_text("[Service]\nExecStart=/bin/false\n")
        disk.link(str(release), layout.current)


names = ("doorlight.service", "doorlight-extra.service", "doorlight-trial.service")
candidate = SimpleNamespace(
    digest="0" * 64, manifest=SimpleNamespace(files={f"systemd/{name}": None for name in names})
)
with locked(layout):
    Updater(layout, disk, door, Trials(layout, disk, door), Copying())._switch(
        Path("/none"), layout.releases / sys.argv[1], candidate
    )
