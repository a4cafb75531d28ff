"""Get the parts of a guest that are not in its packages: sources of its kernel, and lgpio for its Python."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from .build import UnsupportedHostError, run_program
from .suites import Suite

MIRROR = "http://deb.debian.org/debian"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
#: Raspberry Pi OS has this package in apt; Debian has it in neither release.
LGPIO = "lgpio==0.2.2.0"
#: Of the certificates and the name server, for programs in the guest that need the network.
NETWORK_FILES = ("etc/resolv.conf", "etc/ssl/certs/ca-certificates.crt")


def download(suite: Suite, packages: tuple[str, ...], folder: Path, log: Path) -> None:
    """Download Debian packages of a release, which need not be the host's, and unpack them into `folder`."""
    with tempfile.TemporaryDirectory(prefix="vdoor-apt-") as scratch:
        apt, deb = Path(scratch), f"deb [signed-by={KEYRING}]"
        for name in ("lists/partial", "cache/archives/partial", "packages"):
            (apt / name).mkdir(parents=True)
        (apt / "sources.list").write_text(
            f"{deb} {MIRROR} {suite.name} main\n{deb} {MIRROR}-security {suite.name}-security main\n"
        )
        (apt / "apt.conf").write_text(
            f'Dir::Etc::SourceList "{apt}/sources.list";\nDir::Etc::SourceParts "/dev/null";\n'
            f'Dir::State::Lists "{apt}/lists";\nDir::Cache "{apt}/cache";\n'
        )
        apt_get = ["apt-get", "-q", "-o", "APT::Sandbox::User=root"]
        conf = f"{apt}/apt.conf"
        run_program([*apt_get, "update"], log, apt, UnsupportedHostError, APT_CONFIG=conf)
        run_program([*apt_get, "download", *packages], log, apt / "packages", UnsupportedHostError, APT_CONFIG=conf)
        for package in sorted((apt / "packages").iterdir()):
            run_program(["dpkg-deb", "-x", package, folder], log)


def install_lgpio(suite: Suite, root: Path, log: Path) -> None:
    """Install lgpio where Raspberry Pi OS has it."""
    target = root / "usr/lib/python3/dist-packages"
    pip = [sys.executable, "-m", "pip"]
    if suite.has_lgpio_wheel:
        wheel = ["--only-binary=:all:", "--python-version", suite.python, "--target", str(target)]
        run_program([*pip, "install", "-q", "--no-deps", *wheel, LGPIO], log, error=UnsupportedHostError)
        return
    with tempfile.TemporaryDirectory(prefix="vdoor-lgpio-") as scratch:
        work = Path(scratch)
        source = [*pip, "download", "-q", "--no-deps", "--no-binary=lgpio", "--dest", str(work), LGPIO]
        run_program(source, log, error=UnsupportedHostError)
        (archive,) = work.glob("lgpio-*.tar.gz")
        run_program(["tar", "-xf", archive, "-C", work], log)
        download(suite, (f"libpython{suite.python}-dev",), work / "headers", log)
        _build_lgpio(suite, work / archive.name.removesuffix(".tar.gz"), work / "headers/usr/include", target, log)


def _build_lgpio(suite: Suite, source: Path, headers: Path, target: Path, log: Path) -> None:
    """Build what lgpio's setup.py builds for PyPI, with the headers of the guest's Python."""
    run_program(["swig", "-python", "-o", "lgpio_wrap.c", "lgpio.i"], log, source)
    include = ["-Isrc", f"-I{headers / f'python{suite.python}'}", f"-I{headers}"]
    c_files = sorted(source.glob("src/lg*.c"))
    output = target / f"_lgpio.cpython-{suite.python.replace('.', '')}-x86_64-linux-gnu.so"
    flags = ["-O2", "-w", "-shared", "-fPIC", "-pthread"]
    run_program(["gcc", *flags, *include, "lgpio_wrap.c", *c_files, "src/rgpiod.c", "-o", output], log, source)
    shutil.copy(source / "lgpio.py", target)


def run_inside(root: Path, command: str, log: Path, *, has_network: bool = False) -> None:
    """Run a shell command in a guest's root, at the host's speed. The root needs `prepare_network` for a network."""
    inside = f"mount -t proc proc proc; mount --rbind /dev dev; exec chroot . {command}"
    name_spaces = ["--mount", "--propagation", "private", *([] if has_network else ["--net"])]
    run_program(
        ["unshare", *name_spaces, "sh", "-euc", inside],
        log,
        root,
        PATH="/usr/sbin:/usr/bin:/sbin:/bin",
        HOME="/root",
        LANG="C.UTF-8",
    )


def prepare_network(root: Path) -> None:
    """Copy the name server and the certificates of the host."""
    for name in NETWORK_FILES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(f"/{name}", root / name)


def mmdebstrap(suite: Suite, packages: tuple[str, ...], root: Path, log: Path) -> None:
    """Make a minimal root of a Debian release, with these packages."""
    left_out = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "man", "locale")]
    command = ["mmdebstrap", "--variant=minbase", f"--include={','.join(packages)}", *left_out]
    run_program([*command, suite.name, root, MIRROR], log, error=UnsupportedHostError)
