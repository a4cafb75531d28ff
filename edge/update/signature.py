"""Check who signed a content, by default the manifest of an update: `ssh-keygen -Y verify` against the keys that this box trusts."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from ..errors import ConfigError, InputError, UnavailableError

#: What the signature is for, so that no signature made for another purpose counts.
NAMESPACE = "doorlight-update"
#: A signature is checked in milliseconds.
TIMEOUT_S = 20.0
TRUST = 'put the public key of who makes your updates into it: see "Updates" in systemd/README.md'


class Purpose(NamedTuple):
    """What is signed: the namespace of its signatures, its name in messages, what the key signs, and how to trust a key."""

    namespace: str
    name: str
    thing: str
    trust: str


UPDATE = Purpose(NAMESPACE, "manifest.json", "update", TRUST)


def check(
    content: bytes,
    signature: bytes,
    keys: Path,
    not_before: float = 0.0,
    now: float | None = None,
    purpose: Purpose = UPDATE,
) -> str:
    """Return who signed the content, a name of the file `keys` in ssh-keygen's format ALLOWED SIGNERS.

    `now` is the time of the clock, by default that of the system. A box without a clock starts in 1970, when no key is valid yet:
    the time is taken to be at least `not_before`, seconds since 1970, and the time at which `keys` was written.

    Raises UnavailableError if there is no ssh-keygen, ConfigError if `keys` is missing or not safe, and InputError if the
    signature is not one of a key that is trusted now.
    """
    if shutil.which("ssh-keygen") is None:
        raise UnavailableError("ssh-keygen: is not installed", "sudo apt install openssh-client")
    written_at = _check_keys(keys, purpose)
    # ssh-keygen takes no time on the first day of 1970.
    at = max(time.time() if now is None else now, not_before, written_at, 2 * 86400.0)
    when = "-Overify-time=" + time.strftime("%Y%m%d%H%M%S", time.gmtime(at))
    with tempfile.TemporaryDirectory(prefix="doorlight-") as folder:
        file = Path(folder) / "signature"
        file.write_bytes(signature)
        # Without a look at the keys: whether it is a signature of this content, and by which key.
        code, signer, error = _ssh_keygen(content, "check-novalidate", "-n", purpose.namespace, "-s", file)
        if code:
            raise InputError(
                f"{purpose.name}: is not what was signed: {_first_line(error)}",
                "copy it again; if that does not help, ask for it again",
            )
        code, principals, error = _ssh_keygen(content, "find-principals", "-s", file, "-f", keys, when)
        if code or not principals.strip():
            key = signer.rpartition(" with ")[2].strip() or "an unknown key"
            raise InputError(
                f"{purpose.name}: signed by {key}, which this box does not trust{_detail(error)}",
                f"if you trust who made it, add the key to {keys}",
            )
        principal = principals.split("\n")[0].partition(",")[0]
        code, _, error = _ssh_keygen(
            content, "verify", "-n", purpose.namespace, "-I", principal, "-s", file, "-f", keys, when
        )
        if code:
            raise InputError(
                f"{purpose.name}: the key of {principal} must not sign {purpose.thing}s now{_detail(error)}",
                f"see {keys}",
            )
    return principal


def _check_keys(keys: Path, purpose: Purpose) -> float:
    """Return when the file of trusted keys was written. Raises ConfigError if it is missing, or if others may change it."""
    try:
        status = keys.stat()
        with keys.open("rb") as file:
            has_key = any(line.strip() and not line.strip().startswith(b"#") for line in file)
    except FileNotFoundError:
        raise ConfigError(f"{keys}: there is no such file, so no {purpose.thing} is trusted", purpose.trust) from None
    except OSError as error:
        raise ConfigError(f"{keys}: cannot be read: {error.strerror}", purpose.trust) from None
    if status.st_uid not in (0, os.geteuid()) or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigError(
            f"{keys}: others than root may change it, and so decide what runs here",
            f"sudo chown root:root {keys} && sudo chmod 644 {keys}",
        )
    if not has_key:
        raise ConfigError(f"{keys}: has no key, so no {purpose.thing} is trusted", purpose.trust)
    return status.st_mtime


def _ssh_keygen(content: bytes, action: str, *arguments: str | Path) -> tuple[int, str, str]:
    """Return the exit code, and what ssh-keygen prints to standard output and to standard error."""
    try:
        done = subprocess.run(
            ["ssh-keygen", "-Y", action, *map(str, arguments)],
            input=content,
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
            # The time of -Overify-time is local time.
            env={**os.environ, "LC_ALL": "C", "TZ": "UTC"},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnavailableError(
            f"ssh-keygen: cannot be run: {error}", "sudo apt install --reinstall openssh-client"
        ) from None
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "no reason given")


def _detail(error: str) -> str:
    """Return the line of ssh-keygen that says what is wrong with a key, such as that it has expired."""
    lines = [line.partition(": ")[2] for line in error.splitlines() if "key is " in line or "key has " in line]
    return f": {lines[0]}" if lines else ""
