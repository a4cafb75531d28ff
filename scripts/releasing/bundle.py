"""Write a bundle: the files, the manifest, the signature, and a tar file of them."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import tarfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

#: As edge/update/signature.py and edge/update/manifest.py have them.
NAMESPACE = "doorlight-update"
MANIFEST, SIGNATURE, FORMAT = "manifest.json", "manifest.json.sig", 1
#: Files and folders of the checkout that scripts/install.sh needs to install from wheels.
CHECKOUT_FILES = ("scripts/install.sh", "scripts/installation", "scripts/assets/demo/still.jpg", "systemd")


class ReleaseError(Exception):
    """A bundle cannot be made."""


def version_of(wheels: Iterable[str]) -> str:
    """Return the version of the wheel of Doorlight. Raises ReleaseError if there is not exactly one."""
    found = [match[1] for name in wheels if (match := re.fullmatch(r"doorlight-([^-]+)-.*\.whl", name))]
    if len(found) != 1:
        raise ReleaseError(f"the wheels must have Doorlight once, not {len(found)} times")
    return found[0]


def architecture_of(wheels: Iterable[str]) -> str:
    """Return the processor that compiled wheels are for. Raises ReleaseError if they are for none or for several."""
    found = {
        match[1]
        for name in wheels
        if (match := re.search(r"(?:linux|manylinux\w*?)_(x86_64|aarch64|armv7l|armv6l)\.whl", name))
    }
    if len(found) != 1:
        raise ReleaseError(f"the wheels must be for one processor, not for {', '.join(sorted(found)) or 'none'}")
    return found.pop()


def checkout_files(checkout: Path) -> dict[str, Path]:
    """Return the files that install.sh needs, by their names in the bundle."""
    paths = [checkout / name for name in CHECKOUT_FILES]
    found = [file for path in paths for file in (sorted(path.iterdir()) if path.is_dir() else [path])]
    return {file.relative_to(checkout).as_posix(): file for file in found if file.suffix != ".md"}


def write(
    folder: Path,
    files: Mapping[str, Path],
    version: str,
    architecture: str,
    min_python: str = "3.11",
    made: float | None = None,
) -> None:
    """Write a bundle without its signature into a new folder. `made` is its time, by default now."""
    folder.mkdir(parents=True)
    entries = {}
    for name, source in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        data = target.read_bytes()
        entries[name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    manifest = {
        "format": FORMAT,
        "version": version,
        "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(made)),
        "min_python": min_python,
        "architecture": architecture,
        "files": entries,
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def sign(folder: Path, key: Path) -> None:
    """Sign the manifest with a private key, or with a public one whose private key an agent has. Raises ReleaseError."""
    (folder / SIGNATURE).unlink(missing_ok=True)
    command = ["ssh-keygen", "-Y", "sign", "-f", str(key), "-n", NAMESPACE, str(folder / MANIFEST)]
    try:
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True, errors="replace", check=False)
    except FileNotFoundError:
        raise ReleaseError("ssh-keygen is not installed: sudo apt install openssh-client") from None
    if done.returncode or not (folder / SIGNATURE).exists():
        raise ReleaseError(f"ssh-keygen cannot sign with {key}: {done.stderr.strip()}")


def write_tar(folder: Path, path: Path) -> None:
    """Write a bundle as an uncompressed tar file in the format ustar, the manifest first."""
    names = [MANIFEST, SIGNATURE]
    names += sorted(
        str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file() and file.name not in names
    )
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name in names:
            tar.add(folder / name, f"{folder.name}/{name}", recursive=False)


def trusted_line(public_key: str) -> str:
    """Return the line of /etc/doorlight/update-keys that trusts a public key, for this purpose only."""
    return f'doorlight namespaces="{NAMESPACE}" {" ".join(public_key.split()[:2])}'
