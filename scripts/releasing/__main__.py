"""The command scripts/release."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from . import bundle
from .bundle import ReleaseError

CHECKOUT = Path(__file__).parents[2]
EPILOG = """\
  ssh-keygen -t ed25519 -f release-key            once: make a key, and keep it off the boxes
  scripts/release --key release-key               packages for this machine, from the network
  scripts/release --key release-key --wheels DIR  packages that scripts/install.sh --fetch-wheels DIR has made on a box

The bundle is for machines of the same kind: processor and version of Python. Copy its folder or its tar file to a stick, or put the
folder on a web server. Each box needs the line that this command prints, once, in /etc/doorlight/update-keys.
Exit codes: 0 OK, 2 wrong usage, 69 the bundle cannot be made.
"""


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/release",
        description="Make a bundle of this checkout for doorlight update, and sign it.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--key", type=Path, required=True, metavar="FILE", help="private key that signs (see ssh-keygen)"
    )
    parser.add_argument(
        "--wheels", type=Path, metavar="DIR", help="folder of Python packages (default: download and build)"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("dist"), metavar="DIR", help="where the bundle goes (default: dist)"
    )
    parser.add_argument("--min-python", default="3.11", metavar="VERSION", help="lowest Python (default: 3.11)")
    args = parser.parse_args()
    try:
        make(args.key, args.wheels, args.out, args.min_python)
    except ReleaseError as error:
        print(f"doorlight: {error}", file=sys.stderr)
        return 69
    return 0


def make(key: Path, wheels: Path | None, out: Path, min_python: str) -> None:
    """Write a signed bundle, as a folder and as a tar file, below `out`. Raises ReleaseError."""
    if not key.is_file():
        raise ReleaseError(f"{key}: there is no such key; make one: ssh-keygen -t ed25519 -f {key}")
    with tempfile.TemporaryDirectory() as scratch:
        if wheels is None:
            wheels = Path(scratch) / "wheels"
            command = [str(CHECKOUT / "scripts/install.sh"), "--fetch-wheels", str(wheels)]
            if subprocess.run(command, check=False).returncode:
                raise ReleaseError("the packages cannot be built, see above")
        names = sorted(path.name for path in wheels.glob("*.whl"))
        version, architecture = bundle.version_of(names), bundle.architecture_of(names)
        _check_version(version)
        files = {f"wheels/{name}": wheels / name for name in names} | bundle.checkout_files(CHECKOUT)
        folder = out / f"doorlight-{version}-{architecture}"
        if folder.exists():
            raise ReleaseError(f"{folder}: is there already; remove it first: rm -r {folder}")
        bundle.write(folder, files, version, architecture, min_python)
    try:
        bundle.sign(folder, key)
    except ReleaseError:
        shutil.rmtree(folder)
        raise
    tar = folder.with_name(f"{folder.name}.tar")
    bundle.write_tar(folder, tar)
    print(f"{folder}\n{tar}")
    public = key if key.suffix == ".pub" else key.with_name(f"{key.name}.pub")
    if public.is_file():
        print("the line for /etc/doorlight/update-keys of each box:")
        print(bundle.trusted_line(public.read_text(encoding="utf-8")))


def _check_version(version: str) -> None:
    """Raise ReleaseError if the wheel is not of this checkout, whose units and install.sh go into the bundle."""
    text = (CHECKOUT / "edge/__init__.py").read_text(encoding="utf-8")
    if f'__version__ = "{version}"' not in text:
        raise ReleaseError(f"the wheels have version {version}, which is not that of this checkout (edge/__init__.py)")


if __name__ == "__main__":
    sys.exit(main())
