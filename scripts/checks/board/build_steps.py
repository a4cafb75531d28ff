"""The build steps of the emulated board:

  pi-root    Debian 13 for arm64 with its own kernel, run by qemu-user; a folder
  pi-lgpio   lgpio for Python 3.13 on arm64, cross-compiled from PyPI's source; a folder
  pi-wheels  the Python packages that Doorlight needs there
  pi-product Debian with Doorlight installed by scripts/install.sh; a folder
  pi-image   an SD card with that and the guest's scripts; the kernel, its initial file system, the device trees

They are cached as those of the virtual door are (scripts/virtual_door/build.py): each by a hash of its inputs.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from virtual_door.build import (
    CHECKOUT,
    BuildStep,
    UnsupportedHostError,
    cache_folder,
    hash_of,
    run_program,
    source_of,
)
from virtual_door.build_steps import INSTALLED_FILES

from . import initramfs
from .boards import write_trees

HERE = Path(__file__).resolve().parent
MIRROR = "http://deb.debian.org/debian"
#: Packages of the guest beyond a minimal Debian. install.sh adds none: it runs without a network there.
GUEST_PACKAGES = (
    *("busybox-static", "dbus", "gpiod", "kmod", "linux-image-arm64", "procps", "python3", "python3-venv"),
    *("systemd-sysv", "udev"),
)
PYTHON = "3.13"
#: What packages run when they are installed, and what takes minutes under qemu-user: initramfs.py writes another initial file
#: system, this machine's depmod and Python do the same, and the board needs neither certificates nor udev's hardware database.
SLOW_FILES = (
    *("/usr/sbin/update-initramfs", "/usr/sbin/depmod", "/usr/sbin/update-ca-certificates", "/usr/bin/systemd-hwdb"),
    f"/usr/lib/python{PYTHON}/py_compile.py",
)
#: By a diversion, dpkg puts the package's file beside one that does nothing. (A file of this name in /usr/local would not be
#: found: apt gives dpkg a PATH of its own.)
REPLACE_SLOW_FILES = f"""
    set -e
    for file in {" ".join(SLOW_FILES)}; do
        chroot "$1" dpkg-divert --quiet --local --no-rename --divert "$file.real" --add "$file"
        mkdir -p "$1${{file%/*}}"
        case "$file" in
        *.py) echo "import sys; sys.stdin.read()" >"$1$file" ;;
        *) ln -s /bin/true "$1$file" ;;
        esac
    done
    """
RESTORE_SLOW_FILES = f"""
    set -e
    for file in {" ".join(SLOW_FILES)}; do
        rm "$1$file"
        chroot "$1" dpkg-divert --quiet --local --rename --remove "$file"
    done
    """
#: In the guest's folder: name server and certificates of this machine, until the script ends. /mnt is empty memory.
NETWORK = """
    mount -t tmpfs none mnt
    cp -L /etc/resolv.conf /etc/ssl/certs/ca-certificates.crt mnt/
    mkdir -p etc/ssl/certs
    touch etc/resolv.conf etc/ssl/certs/ca-certificates.crt
    mount --bind mnt/resolv.conf etc/resolv.conf
    mount --bind mnt/ca-certificates.crt etc/ssl/certs/ca-certificates.crt
"""
#: Programs of this machine, and the Debian package of each.
PROGRAMS = {
    "qemu-system-aarch64": "qemu-system-arm",
    "qemu-aarch64-static": "qemu-user-static",
    "mmdebstrap": "mmdebstrap",
    "arch-test": "arch-test",
    "fdtput": "device-tree-compiler",
    "mke2fs": "e2fsprogs",
    "depmod": "kmod",
    "swig": "swig",
    "aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu",
}
LGPIO = "lgpio==0.2.2.0"
#: QEMU's SD controller takes cards of a power of two only.
IMAGE_MB = 4096
MIN_FREE_MB = 8000
#: Where the guest has the clip, the picture and the scripts. The service sees no home folder.
GUEST_FOLDER = "srv/board"
#: What a guest without network and terminal waits for in vain, or does only at the first boot.
MASKED_UNITS = (
    *("getty.target", "serial-getty@ttyS1.service", "serial-getty@ttyAMA0.service", "systemd-logind.service"),
    *("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "fstrim.timer"),
    *("e2scrub_reap.service", "systemd-binfmt.service", "systemd-random-seed.service"),
)


def all_steps() -> list[BuildStep]:
    """Return every step, in build order."""
    return [root(), lgpio(), wheels(), product(), image()]


def check_host() -> None:
    """Raise UnsupportedHostError, with a hint, if this computer cannot build the image; register qemu for ARM programs."""
    missing = [package for program, package in PROGRAMS.items() if not shutil.which(program)]
    if not _has_c_library():
        missing.append("libc6-dev-arm64-cross")
    if missing:
        raise UnsupportedHostError(
            f"programs are missing: sudo apt install --no-install-recommends {' '.join(missing)}"
        )
    if os.geteuid() != 0:
        raise UnsupportedHostError("the build needs root for chroot and mounts: sudo scripts/checks/board.sh")
    cache_folder().mkdir(parents=True, exist_ok=True)
    free_mb = shutil.disk_usage(cache_folder()).free >> 20
    if free_mb < MIN_FREE_MB:
        raise UnsupportedHostError(f"{cache_folder()}: {free_mb} MB are free, {MIN_FREE_MB} MB are needed")
    if platform.machine() != "aarch64":
        _register_qemu()


def _has_c_library() -> bool:
    """Return whether the compiler for ARM finds a C library, which its Debian package only recommends."""
    ask = ["aarch64-linux-gnu-gcc", "-print-file-name=crt1.o"]
    try:
        # Without one, it prints the name as it is.
        return "/" in subprocess.run(ask, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return False


def _register_qemu() -> None:
    """Let the kernel run ARM programs by qemu. In a container, binfmt_misc may be there but not mounted."""
    folder, name = Path("/proc/sys/fs/binfmt_misc"), "qemu-aarch64"
    if not (folder / "register").exists():
        subprocess.run(["mount", "-t", "binfmt_misc", "binfmt_misc", folder], check=False, capture_output=True)
    config = Path(f"/usr/lib/binfmt.d/{name}.conf")
    try:
        if not (folder / name).exists():
            (folder / "register").write_text(config.read_text())
        subprocess.run(["arch-test", "arm64"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise UnsupportedHostError(f"ARM programs do not run here: {error}; apt install qemu-user-static") from error


def root() -> BuildStep:
    hooks = (REPLACE_SLOW_FILES, RESTORE_SLOW_FILES)
    parts = (" ".join(GUEST_PACKAGES), *hooks, source_of(_make_root), source_of(_compile))
    return BuildStep("pi-root", hash_of(*parts), _make_root)


def _make_root(folder: Path) -> None:
    guest, log = folder / "root", folder / "build.log"
    # With unshare, a build that is killed leaves no mounts in the cache.
    run_program(
        [
            *("unshare", "--mount", "nice", "mmdebstrap", "--quiet", "--architectures=arm64", "--variant=minbase"),
            *('--aptopt=APT::Install-Recommends "false"', f"--include={','.join(GUEST_PACKAGES)}"),
            *(f"--essential-hook={REPLACE_SLOW_FILES}", f"--customize-hook={RESTORE_SLOW_FILES}"),
            *("trixie", guest, MIRROR),
        ],
        log,
        error=UnsupportedHostError,
    )
    run_program(["depmod", "-b", guest, next(guest.glob("usr/lib/modules/*")).name], log)
    _compile(guest, Path(f"usr/lib/python{PYTHON}"), log)


def lgpio() -> BuildStep:
    return BuildStep("pi-lgpio", hash_of(root().key, LGPIO, NETWORK, source_of(_make_lgpio)), _make_lgpio)


def _make_lgpio(folder: Path) -> None:
    """Build what apt's python3-lgpio has on Raspberry Pi OS. Debian has no such package, and PyPI no wheel."""
    log = folder / "build.log"
    with tempfile.TemporaryDirectory(prefix="pi-lgpio-") as scratch:
        work = Path(scratch)
        download = [sys.executable, "-m", "pip", "download", "-q", "--no-deps"]
        run_program([*download, "--no-binary", ":all:", "-d", work, LGPIO], log, error=UnsupportedHostError)
        run_program(["tar", "-xf", next(work.glob("lgpio-*.tar.gz")), "-C", work], log)
        source = next(path for path in work.glob("lgpio-*") if path.is_dir())
        # Only the headers: the compiler is this machine's.
        package = f"libpython{PYTHON}-dev"
        script = f"""
            mount -t tmpfs none var/lib/apt/lists
            chroot . sh -ec 'apt-get -q update; cd /mnt; apt-get -q download {package}'
            dpkg-deb -x mnt/{package}_*.deb {work}/headers
            """
        _inside(root().folder / "root", NETWORK + script, log)
        wrapper = source / "lgpio_wrap.c"
        run_program(["swig", "-python", "-o", wrapper, "lgpio.i"], log, source)
        include = work / "headers/usr/include"
        words = [
            *("aarch64-linux-gnu-gcc", "-shared", "-fPIC", "-O2", "-pthread", "-w", "-Isrc"),
            *(
                f"-I{include}",
                f"-I{include}/python{PYTHON}",
                str(wrapper),
                *sorted(map(str, (source / "src").glob("lg*.c"))),
            ),
            *(str(source / "src/rgpiod.c"), "-lrt", "-ldl"),
            *("-o", str(folder / f"_lgpio.cpython-{PYTHON.replace('.', '')}-aarch64-linux-gnu.so")),
        ]
        run_program(words, log, source)
        shutil.copy(source / "lgpio.py", folder)
        # By this file, Python knows the version.
        metadata = folder / f"lgpio-{LGPIO.partition('==')[2]}.dist-info"
        metadata.mkdir()
        shutil.copy(source / "PKG-INFO", metadata / "METADATA")


def wheels() -> BuildStep:
    parts = (root().key, CHECKOUT / "pyproject.toml", NETWORK, source_of(_inside), source_of(_make_wheels))
    return BuildStep("pi-wheels", hash_of(*parts), _make_wheels)


def _make_wheels(folder: Path) -> None:
    """Download what pip chooses on the board: the pip of this machine would choose for its own Python and processor.

    That pip runs from its package: emulated, installing it takes minutes. Doorlight's own wheel has no machine code; the next step
    builds it.
    """
    log = folder / "build.log"
    own = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--wheel-dir", str(folder), str(CHECKOUT)]
    run_program(own, log, error=UnsupportedHostError)
    wheel = next(folder.glob("doorlight-*.whl"))
    script = f"""
        mount --bind {folder} media
        pip="$(ls usr/share/python-wheels/pip-*.whl)"
        chroot . python3 "/$pip/pip" --disable-pip-version-check --no-cache-dir download -q --only-binary=:all: \\
            -d /media '/media/{wheel.name}[link,metrics,people,web]'
        """
    _inside(root().folder / "root", NETWORK + script, log)
    wheel.unlink()


def _inside(guest: Path, script: str, log: Path, *options: str) -> None:
    """Run a shell script in the guest's folder, with mounts that end with it; `options` are for unshare."""
    run_program(
        [
            *("unshare", "--mount", "--propagation", "private", *options, "sh", "-euc"),
            f"mount -t proc proc proc; mount --rbind /dev dev; {script}",
        ],
        log,
        guest,
        error=UnsupportedHostError,
        PATH="/usr/sbin:/usr/bin:/sbin:/bin",
        HOME="/root",
        LANG="C.UTF-8",
    )


def product() -> BuildStep:
    parts = [CHECKOUT / name for name in INSTALLED_FILES]
    keys = (root().key, lgpio().key, wheels().key)
    return BuildStep("pi-product", hash_of(*keys, *parts, source_of(_make_product), source_of(_compile)), _make_product)


def _make_product(folder: Path) -> None:
    """Run scripts/install.sh in a chroot, with qemu-user and without a network."""
    log, guest = folder / "build.log", folder / "root"
    run_program(["cp", "-a", root().folder / "root", guest], log)
    # Where apt's python3-lgpio is on Raspberry Pi OS.
    for path in lgpio().folder.glob("*lgpio*"):
        run_program(["cp", "-a", path, guest / "usr/lib/python3/dist-packages"], log)
    source, packages = guest / GUEST_FOLDER / "source", guest / "root/wheels"
    for name in INSTALLED_FILES:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        run_program(["cp", "-a", CHECKOUT / name, source / name], log)
    shutil.copytree(wheels().folder, packages, ignore=shutil.ignore_patterns("*.log"))
    run_program([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--wheel-dir", packages, CHECKOUT], log)
    answers = "--expressions yes --controller Lab --sign left --camera /dev/video0"
    install = f"/{GUEST_FOLDER}/source/scripts/install.sh --without-start {answers} --wheels /root/wheels"
    _inside(guest, f"PIP_NO_COMPILE=1 chroot . {install}", log, "--net")
    shutil.rmtree(packages)
    for library in guest.glob("opt/doorlight/releases/*/lib"):
        _compile(guest, library.relative_to(guest), log)


def _compile(guest: Path, library: Path, log: Path) -> None:
    """Compile a library, as pip and Debian's packages do it; emulated, that is the larger part of an installation.

    A compiled module depends on Python's version, not on the processor, so a Python of this machine compiles too.
    """
    python, words = shutil.which(f"python{PYTHON}"), "-m compileall -q"
    # A shim of pyenv may exist and not run.
    if python and subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0:
        command = f"{python} {words} -p / {library}"
    else:
        command = f"chroot . /usr/bin/python3 {words} /{library}"
    # As pip does, ignore files that do not compile: some packages have them for their own tests.
    _inside(guest, f"{command} || true", log, "--net")


def image() -> BuildStep:
    files = [*_demo_files(), HERE / "guest", HERE / "initramfs.py", HERE / "boards.py"]
    settings = " ".join(MASKED_UNITS) + str(IMAGE_MB)
    sources = (source_of(_make_image), source_of(_write_card))
    return BuildStep("pi-image", hash_of(product().key, *files, settings, *sources), _make_image)


def _demo_files() -> list[Path]:
    return [CHECKOUT / "scripts/assets/demo" / name for name in ("door.mp4", "still.jpg")]


def _make_image(folder: Path) -> None:
    """Add the guest's scripts to the installed product, and write the card."""
    log, guest = folder / "build.log", folder / "root"
    run_program(["cp", "-a", product().folder / "root", guest], log)
    for file in (*(HERE / "guest").iterdir(), *_demo_files()):
        if file.is_file():
            shutil.copy(file, guest / GUEST_FOLDER)
    units = guest / "etc/systemd/system"
    (units / "board-check.service").symlink_to(f"/{GUEST_FOLDER}/board-check.service")
    (units / "multi-user.target.wants").mkdir(exist_ok=True)
    (units / "multi-user.target.wants/board-check.service").symlink_to(f"/{GUEST_FOLDER}/board-check.service")
    for unit in MASKED_UNITS:
        (units / unit).unlink(missing_ok=True)
        (units / unit).symlink_to("/dev/null")
    (units / "default.target").unlink(missing_ok=True)
    (units / "default.target").symlink_to("/usr/lib/systemd/system/multi-user.target")
    (guest / "etc/hostname").write_text("pi\n")
    (guest / "etc/fstab").write_text("")
    # With these files systemd skips what it does at the first boot only (users, caches).
    for changed in ("etc", "var"):
        (guest / changed / ".updated").write_text("")
    _write_card(folder, guest, log)
    shutil.rmtree(guest)


def _write_card(folder: Path, guest: Path, log: Path) -> None:
    """Write kernel, initial file system, device trees and the SD card's image into `folder`."""
    run_program(["cp", *guest.glob("boot/vmlinuz-*"), folder / "kernel"], log)
    initramfs.write(guest, folder / "initrd")
    write_trees(guest, folder, log)
    no_lazy_init = "lazy_itable_init=0,lazy_journal_init=0"
    card = folder / "sd.img"
    run_program(
        ["mke2fs", "-q", "-t", "ext4", "-E", no_lazy_init, "-L", "root", "-d", guest, card, f"{IMAGE_MB}M"], log
    )
