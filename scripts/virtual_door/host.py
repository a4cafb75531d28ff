"""Check that this computer can build and run a virtual door, and install the Debian packages that the build needs."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from .build import UnsupportedHostError, build_command, cache_folder, latest

#: Debian packages that the build steps call or unpack.
PACKAGES = (
    "build-essential",
    "flex",
    "bison",
    "bc",
    "mmdebstrap",
    "e2fsprogs",
    "xz-utils",
    "python3-venv",
    "swig",
    "openssh-client",
    "debian-archive-keyring",
)
MIN_FREE_MB = 6000


def package_version(package: str) -> str:
    """Return the version of an installed Debian package, or "" if it is not installed."""
    query = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True)
    return "" if query.returncode else query.stdout


def missing_packages() -> list[str]:
    """Return those of PACKAGES that are not installed."""
    return [package for package in PACKAGES if not package_version(package)]


def check_build_host() -> None:
    """Raise UnsupportedHostError, with a hint, if this computer cannot build a virtual door."""
    if platform.machine() != "x86_64" or sys.platform != "linux":
        raise UnsupportedHostError(
            f"User-Mode Linux needs Linux on x86-64; this is {sys.platform} on {platform.machine()}"
        )
    if shutil.which("apt-get") is None:
        raise UnsupportedHostError("the build needs Debian (apt, mmdebstrap)")
    if missing := missing_packages():
        raise UnsupportedHostError(
            f"Debian packages are missing; install them with {build_command()} --apt, or with:\n"
            f"  sudo apt-get install --no-install-recommends {' '.join(missing)}"
        )
    if os.geteuid() != 0:
        raise UnsupportedHostError(f"the build needs root for chroot and mounts: sudo {build_command()}")
    free_mb = shutil.disk_usage(_existing_parent(cache_folder())).free >> 20
    if free_mb < MIN_FREE_MB:
        raise UnsupportedHostError(
            f"{cache_folder()}: {free_mb} MB are free, {MIN_FREE_MB} MB are needed; "
            f"set DOORLIGHT_VDOOR to a folder on a larger disk"
        )


def install_missing_packages(say: Callable[[str], None]) -> None:
    """Install the missing Debian packages. Raises UnsupportedHostError if apt-get fails."""
    missing = missing_packages()
    if not missing:
        return
    say(f"apt      installs {' '.join(missing)} …")
    for argv in (["update"], ["install", "-y", "--no-install-recommends", *missing]):
        try:
            done = subprocess.run(
                ["apt-get", "-q", *argv],
                env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
            )
        except OSError as error:
            raise UnsupportedHostError(f"apt-get: {error}") from error
        if done.returncode:
            raise UnsupportedHostError(f"apt-get {argv[0]} failed:\n{(done.stdout + done.stderr)[-2000:]}")


def _existing_parent(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


def why_not_runnable() -> str:
    """Return why User-Mode Linux does not run on this computer, or "" if it does. Takes a second.

    The kernel starts /bin/true as init. It must panic because init exits, and init's exit code must be 0. This needs
    ptrace and memory that allows execution.
    """
    with tempfile.TemporaryDirectory(prefix="vdoor-probe-") as scratch:
        argv = [
            *(latest("kernel") / "linux", "mem=128M", f"ubd0={scratch}/cow,{latest('product') / 'root.ext4'}"),
            *("root=/dev/ubda", "ro", "init=/bin/true", "con=null", "con0=null,fd:1", "panic=1"),
        ]
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else scratch
        process = subprocess.Popen(
            list(map(str, argv)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={"TMPDIR": memory, "HOME": "/", "PATH": "/usr/bin:/bin"},
            start_new_session=True,
            text=True,
            errors="replace",
        )
        try:
            output, _ = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            output = "timeout: it runs for more than 60 s"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    if "Attempted to kill init! exitcode=0x00000000" in output:
        return ""
    return "User-Mode Linux does not run on this computer:\n" + "\n".join(output.splitlines()[-12:])
