"""A system in a folder, on which --read-only and --read-write of scripts/install.sh run without changing this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from support import installation
from support.paths import ROOT

#: Debian 13 with Doorlight and overlayroot, and a stick with ext4: answers of programs.
PROGRAMS = {
    "findmnt": r"""
case "$*" in
"-n -o SOURCE /" | "-n -v -o SOURCE /") echo /dev/mmcblk0p2 ;;
"-n -o FSTYPE /") echo ext4 ;;
*) exit 1 ;;
esac""",
    "blkid": 'case "$*" in *TYPE*) [ "$3" = PTTYPE ] || echo ext4 ;; *UUID*) echo 12-34 ;; esac',
    "lsblk": 'case "$*" in *MOUNTPOINT*) echo "/dev/sda1 ext4 " ;; *) echo sda1 ;; esac',
    "findfs": 'case "$1" in UUID=12-34) echo /dev/sda1 ;; *) exit 1 ;; esac',
    "modprobe": "exit 1",
    "lsinitramfs": "echo scripts/init-bottom/overlayroot",
    "update-initramfs": "echo update-initramfs >&2; exit 99",
    "dpkg-query": "echo installed",
    "apt-cache": "exit 0",
    "apt-get": "exit 99",
    "systemctl": "echo systemctl >&2; exit 99",
    "mount": "echo mount >&2; exit 99",
    "df": 'printf "h\\n/dev/x 9999 1 9000 1%% /\\n"',
    "du": 'printf "300\\ttotal\\n"',
}
#: What the script finds where it looks for the system's files.
FILES = {
    "os-release": 'PRETTY_NAME="Debian GNU/Linux 13 (trixie)"\nID=debian\nVERSION_ID="13"\n',
    "cmdline": "console=tty1 root=PARTUUID=1-02 rootwait\n",
    "initramfs/here": "",
    "fstab": "UUID=9 / ext4 defaults 0 1\n",
    "opt/current/bin/doorlight": "",
    "etc/doorlight.toml": "",
}
RUN = r"""
. "$1/functions"
OPT=$1/opt ETC=$1/etc STATE=$1/state LINK_STATE=$1/link DATA=$1/data LOWER=$1/lower FSTAB=$1/fstab OS_RELEASE=$1/os-release
RPI_ISSUE=$1/rpi-issue CMDLINE=$1/cmdline INITRAMFS=$1/initramfs OVERLAY_CONF=$1/overlayroot.conf BARE_ROOT=$1/root
PYTHON=python3 scratch=$1/scratch dry=$3 without_start=yes wheels="" data=$4 untested=$5
is_disk() { case "$1" in /dev/sda1 | /dev/mmcblk0*) ;; *) return 1 ;; esac; }
is_readable() { [ ! -e "${OPT%/*}/unreadable" ]; }
$2
"""
FSTAB_LINES = """\
# begin: folders of Doorlight on a disk of their own, see install.sh --read-only
UUID=12-34 {0}/data ext4 noatime,nofail,x-systemd.device-timeout=30s 0 2
{0}/data{0}/etc {0}/etc none bind,nofail,x-systemd.requires-mounts-for={0}/data 0 0
{0}/data{0}/opt {0}/opt none bind,nofail,x-systemd.requires-mounts-for={0}/data 0 0
# end: folders of Doorlight on a disk of their own
"""


class System:
    """A system in a folder: its files, and the programs that answer for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "functions").write_text(installation.functions())
        (folder / "scratch").mkdir()
        for name, content in FILES.items():
            self.add(name, content)
        for name, script in PROGRAMS.items():
            self.replace(name, script)

    def add(self, name: str, text: str = "") -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def remove(self, name: str) -> None:
        path = self.folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    def replace(self, name: str, script: str) -> None:
        """Replace a program by a shell script."""
        self.add(f"bin/{name}", f"#!/bin/sh\n{script}\n")
        (self.folder / "bin" / name).chmod(0o755)

    def become_overlay(self, source: str = "overlayroot") -> None:
        """Let an overlay be the root."""
        answers = f'*"SOURCE /") echo {source} ;; *"FSTYPE /") echo overlay ;; *SOURCE*) echo /dev/sda1 ;; *) exit 1 ;;'
        self.replace("findmnt", f'case "$*" in {answers} esac')

    def run(
        self, step: str = "read_only", data: str = "/dev/sda1", untested: str = "", dry: str = "yes"
    ) -> subprocess.CompletedProcess[str]:
        """Run a step of the script; `dry` changes nothing."""
        return subprocess.run(
            ["sh", "-euc", RUN, "sh", str(self.folder), step, dry, data, untested],
            cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
            env={**os.environ, "PATH": f"{self.folder}/bin:{os.environ['PATH']}"},
        )  # fmt: skip

    def refuses(self, *words: str, code: int = 69, **options: str) -> None:
        """Check that the script refuses with one sentence that has these words, and a hint, and changes nothing."""
        before = {path: path.read_bytes() for path in self.folder.rglob("*") if path.is_file()}
        done = self.run(**{"dry": "", **options})
        assert done.returncode == code, done.stderr
        assert done.stderr.startswith("doorlight: ")
        for word in words:
            assert word in done.stderr
        assert before == {path: path.read_bytes() for path in self.folder.rglob("*") if path.is_file()}
