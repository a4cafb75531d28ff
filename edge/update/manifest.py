"""The manifest of a bundle: its version, what it runs on, and each file with size and SHA-256."""

from __future__ import annotations

import re
from typing import Annotated

import msgspec
from msgspec import Meta

from ..errors import InputError
from . import version

#: Names in a bundle.
MANIFEST, SIGNATURE = "manifest.json", "manifest.json.sig"
MAX_MANIFEST_BYTES, MAX_SIGNATURE_BYTES = 1 << 20, 1 << 16
#: Largest bundle: ten times the size of today's.
MAX_BUNDLE_BYTES = 2_000_000_000
FORMAT = 1
#: A part of a name. Not ".." and nothing hidden, no blank, and nothing that a shell or a FAT file system reads differently.
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]{0,200}")
MAX_PARTS = 5
#: What the installation starts with.
INSTALLER = "scripts/install.sh"

AGAIN = "ask for the bundle again"


class BundleFile(msgspec.Struct, frozen=True):
    """Size and SHA-256, in lower case hex, of a file."""

    bytes: Annotated[int, Meta(ge=0, le=MAX_BUNDLE_BYTES)]
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class Manifest(msgspec.Struct, frozen=True):
    """What a bundle has. `made` is the UTC time at which it was made, "2026-11-27T16:00:00Z"; `files` are by name."""

    format: int
    version: str
    made: Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]
    min_python: Annotated[str, Meta(pattern=r"^3\.\d{1,2}$")]
    architecture: Annotated[str, Meta(pattern=r"^[a-z0-9_]{1,20}$")]
    files: Annotated[dict[str, BundleFile], Meta(max_length=500)]

    @property
    def total_bytes(self) -> int:
        """The size of all files."""
        return sum(file.bytes for file in self.files.values())

    @property
    def wheels(self) -> list[str]:
        """The file names of the Python packages, without their folder."""
        return [name.rpartition("/")[2] for name in self.files if name.endswith(".whl")]


def parse(data: bytes) -> Manifest:
    """Return the manifest that `data` holds. Raises InputError with what is wrong with it.

    Its names are safe: relative, below the bundle's folder, and different from each other on every file system.
    """
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{MANIFEST}: is no manifest of a bundle: {error}", AGAIN) from None
    if manifest.format != FORMAT:
        raise InputError(
            f"{MANIFEST}: has format {manifest.format}; this version knows {FORMAT}",
            "update to a version between the two first, or run scripts/install.sh of the new one",
        )
    try:
        version.parse(manifest.version)
    except ValueError as error:
        raise InputError(f"{MANIFEST}: {error}", AGAIN) from None
    _check_names(manifest)
    if manifest.total_bytes > MAX_BUNDLE_BYTES:
        raise InputError(f"{MANIFEST}: its files have more than {MAX_BUNDLE_BYTES / 1e9:g} GB", AGAIN)
    if INSTALLER not in manifest.files:
        raise InputError(f"{MANIFEST}: the bundle has no {INSTALLER}", AGAIN)
    if not any(name.startswith(f"doorlight-{manifest.version}-") for name in manifest.wheels):
        raise InputError(f"{MANIFEST}: the bundle has no wheel of doorlight {manifest.version}", AGAIN)
    return manifest


def _check_names(manifest: Manifest) -> None:
    seen: set[str] = set()
    for name in manifest.files:
        parts = name.split("/")
        if len(parts) > MAX_PARTS or not all(_PART.fullmatch(part) for part in parts):
            raise InputError(f"{MANIFEST}: {name!r} is no name of a file in a bundle", "do not use this bundle")
        # A stick with a FAT file system takes "A" and "a" for one file.
        folded = name.casefold()
        folders = {"/".join(folded.split("/")[:count]) for count in range(1, len(parts))}
        if folded in seen or folded in (MANIFEST, SIGNATURE):
            raise InputError(f"{MANIFEST}: {name!r} is named twice", "do not use this bundle")
        seen.add(folded)
        if folders & {each.casefold() for each in manifest.files}:
            raise InputError(f"{MANIFEST}: {name!r} is below a file", "do not use this bundle")
