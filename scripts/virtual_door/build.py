"""Run build steps and keep their results in a cache, which has a folder for each suite.

Each result is a folder of the cache whose name ends in a hash of all inputs of its step. A step fills a temporary
folder, which is then renamed: a build that is killed leaves nothing incomplete. A step whose inputs are unchanged does
not run again.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import inspect
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .suites import NAMES, SUITES, Suite

#: The folder of this package, and the checkout that it belongs to.
HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent.parent


class BuildError(Exception):
    """A build step failed or its result is missing; the message gives the reason and a hint."""


class UnsupportedHostError(BuildError):
    """This computer or its network cannot build or run a virtual door. Exit code 69."""


def chosen_suite() -> Suite:
    """Return the suite of $VDOOR_SUITE, which scripts/vdoor --suite sets, or the default. Raises BuildError."""
    name = os.environ.get("VDOOR_SUITE") or SUITES[0].name
    for suite in SUITES:
        if suite.name == name:
            return suite
    raise BuildError(f"VDOOR_SUITE: there is no suite {name!r}; set it to one of: {', '.join(NAMES)}")


def build_command(suite: str = "") -> str:
    """Return the command that builds a suite (default: the chosen one), for hints."""
    suite = suite or chosen_suite().name
    return "scripts/vdoor build" if suite == NAMES[0] else f"scripts/vdoor --suite {suite} build"


def cache_folder() -> Path:
    """Return the suite's folder of the cache, which is $DOORLIGHT_VDOOR or ~/.cache/doorlight/vdoor."""
    cache = Path(os.environ.get("DOORLIGHT_VDOOR") or Path.home() / ".cache/doorlight/vdoor")
    return cache.absolute() / chosen_suite().name


@dataclass(frozen=True)
class BuildStep:
    """One build step: `key` is a hash of its inputs, `make` writes the result into an empty folder."""

    name: str
    key: str
    make: Callable[[Path], None]

    @property
    def folder(self) -> Path:
        """The folder of the result."""
        return cache_folder() / f"{self.name}-{self.key}"

    @property
    def is_built(self) -> bool:
        return self.folder.is_dir()


def hash_of(*parts: str | bytes | Path) -> str:
    """Return a short hash of texts and files, file names included; of a folder, all files but `__pycache__`."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            files = (
                sorted(p for p in part.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
                if part.is_dir()
                else [part]
            )
            for file in files:
                digest.update(f"\0{file.relative_to(part.parent)}\0{os.access(file, os.X_OK)}\0".encode())
                digest.update(file.read_bytes())
        else:
            digest.update(b"\0" + (part.encode() if isinstance(part, str) else part))
    return digest.hexdigest()[:12]


def source_of(make: Callable[..., None]) -> str:
    """Return the source of a step's function: a change to it runs the step again."""
    return inspect.getsource(make)


def run_program(
    argv: Sequence[str | Path],
    log: Path,
    cwd: Path | None = None,
    error: type[BuildError] = BuildError,
    **env: str,
) -> None:
    """Run a program with its output appended to `log`. If it fails, raise `error` with the last lines of the log."""
    with log.open("ab") as file:
        file.write(f"\n$ {' '.join(map(str, argv))}\n".encode())
        file.flush()
        code = subprocess.run(
            list(map(str, argv)), cwd=cwd, env={**os.environ, **env}, stdin=subprocess.DEVNULL, stdout=file, stderr=file
        ).returncode
    if code:
        last_lines = "\n".join(log.read_text(errors="replace").splitlines()[-25:])
        raise error(f"{argv[0]} failed (exit code {code}):\n{last_lines}")


def latest(name: str) -> Path:
    """Return the folder of a step's newest result. Raises BuildError if the step has never run."""
    results = sorted(cache_folder().glob(f"{name}-*"), key=lambda folder: folder.stat().st_mtime)
    if not results:
        raise BuildError(f"{cache_folder()}: the build step '{name}' has not run yet; run: {build_command()}")
    return results[-1]


def out_of_date(steps: Sequence[BuildStep]) -> str:
    """Return which step has no current result, as a message with a hint; "" if all results are current."""
    for step in steps:
        if not step.is_built:
            has_old_result = any(cache_folder().glob(f"{step.name}-*"))
            problem = f"is out of date ({step.name} has changed)" if has_old_result else "is not built"
            return f"the virtual door {problem}: {build_command()}"
    return ""


def build(
    steps: Sequence[BuildStep], say: Callable[[str], None], check_host: Callable[[], None] = lambda: None
) -> dict[str, float]:
    """Run the steps that have no current result, and return the seconds that each of them took.

    `check_host` is called before the first of them. Raises BuildError; a step that fails leaves nothing in the cache.
    """
    durations_s: dict[str, float] = {}
    with _build_lock():
        for step in steps:
            if step.is_built:
                say(f"{step.name:8} is up to date: {step.folder}")
                continue
            if not durations_s:
                check_host()
            say(f"{step.name:8} …")
            durations_s[step.name] = _run_step(step)
            say(f"{step.name:8} built in {durations_s[step.name]:.0f} s: {step.folder}")
    return durations_s


def _run_step(step: BuildStep) -> float:
    """Run one step, remove its older results, and return the seconds it took."""
    for leftover in cache_folder().glob(".making-*"):
        shutil.rmtree(leftover)
    began = time.monotonic()
    scratch = Path(tempfile.mkdtemp(prefix=".making-", dir=cache_folder()))
    scratch.chmod(0o755)
    try:
        step.make(scratch)
        subprocess.run(["sync", "-f", scratch], check=True)
        scratch.rename(step.folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    for old in cache_folder().glob(f"{step.name}-*"):
        if old != step.folder:
            shutil.rmtree(old)
    return time.monotonic() - began


@contextlib.contextmanager
def _build_lock() -> Iterator[None]:
    """Hold the cache's lock, so that two builds do not do the same work at the same time."""
    cache_folder().mkdir(parents=True, exist_ok=True)
    with (cache_folder() / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
