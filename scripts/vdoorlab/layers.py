"""What the virtual door is made of, layer by layer, each made once for what goes into it:

  kernel    User-Mode Linux from Debian's kernel sources, v4l2loopback, the Raspberry Pi's device tree
  base      a Debian Bookworm with what a Raspberry Pi OS has, and the test bench's hands; a directory
  wheels    the Python packages that Doorlight needs
  product   the base with Doorlight installed by scripts/install.sh; an ext4 image
  clips     what the camera sees, as raw frames

A layer lies in the cache in a folder whose name ends in a hash of everything that went into it. It is made beside its
place and moved there whole: a build that is killed leaves nothing half-made, and what has not changed is not made again.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import inspect
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent.parent

#: Host packages: what the build calls, or unpacks.
PACKAGES = (
    "build-essential",
    "linux-source-6.1",
    "flex",
    "bison",
    "bc",
    "mmdebstrap",
    "e2fsprogs",
    "xz-utils",
    "python3-venv",
)
#: Guest packages beyond a minimal Debian. install.sh brings nothing: the guest has no network.
GUEST_PACKAGES = ("systemd-sysv", "udev", "kmod", "dbus", "python3", "python3-venv", "e2fsprogs", "procps", "dmsetup")
KERNEL_SOURCE = Path("/usr/src/linux-source-6.1.tar.xz")
LOOPBACK = "v4l2loopback-dkms"
#: Raspberry Pi OS has it from apt, Debian Bookworm not at all.
LGPIO = "lgpio==0.2.2.0"
IMAGE_MB = 2500

BOOTSTRAP = """\
#!/bin/sh
# The folder that the test bench shares (vdoor=… on the kernel's command line), and its hands.
for word in $(cat /proc/cmdline); do
    case "$word" in vdoor=*) mount -t hostfs none /root/vdoor -o "${word#vdoor=}" ;; esac
done
exec /usr/bin/python3 -I -S -B /root/vdoor/guest/agent.py
"""
UNIT = """\
[Unit]
Description=Virtual door: hands of the test bench
DefaultDependencies=no
After=systemd-remount-fs.service systemd-udevd.service systemd-tmpfiles-setup-dev.service
Before=sysinit.target
ConditionKernelCommandLine=vdoor

[Service]
Type=notify
ExecStart=/usr/local/sbin/vdoor
OOMScoreAdjust=-1000
TimeoutStartSec=60
Restart=no

[Install]
WantedBy=sysinit.target
"""
#: What a door has no use for, and what a machine without a network and a terminal would wait for.
UNUSED = (
    *("proc-sys-fs-binfmt_misc.automount", "systemd-binfmt.service", "getty.target", "systemd-logind.service"),
    *(
        "apt-daily.timer",
        "apt-daily-upgrade.timer",
        "dpkg-db-backup.timer",
        "e2scrub_all.timer",
        "e2scrub_reap.service",
    ),
    *("fstrim.timer", "systemd-update-utmp.service", "systemd-update-utmp-runlevel.service", "systemd-pstore.service"),
    *("systemd-user-sessions.service", "sys-kernel-tracing.mount", "sys-fs-fuse-connections.mount"),
    *("dev-hugepages.mount", "dev-mqueue.mount", "modprobe@.service", "systemd-random-seed.service"),
)


class BuildError(Exception):
    """A layer is missing or cannot be made; the message says why, and what to do about it."""


class Unsuitable(BuildError):
    """It is not our fault: this machine, or its network, will not do. Exit code 69."""


def cache() -> Path:
    """Where the layers lie: $DOORLIGHT_VDOOR, or ~/.cache/doorlight/vdoor."""
    return Path(os.environ.get("DOORLIGHT_VDOOR") or Path.home() / ".cache/doorlight/vdoor").absolute()


@dataclass(frozen=True)
class Layer:
    """One layer: `key` tells all that goes into it, `make` fills an empty folder."""

    name: str
    key: str
    make: Callable[[Path], None]

    @property
    def folder(self) -> Path:
        return cache() / f"{self.name}-{self.key}"

    @property
    def there(self) -> bool:
        return self.folder.is_dir()


def _hash(*parts: str | bytes | Path) -> str:
    """A short hash of texts and of files, with their names; of folders all that git would take."""
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


def _source(make: Callable[[Path], None]) -> str:
    return inspect.getsource(make)


def _run(
    argv: Sequence[str | Path],
    log: Path,
    cwd: Path | None = None,
    error: type[BuildError] = BuildError,
    **env: str,
) -> None:
    """Run a program quietly; where it fails, its last lines are in the `error`."""
    with log.open("ab") as file:
        file.write(f"\n$ {' '.join(map(str, argv))}\n".encode())
        file.flush()
        code = subprocess.run(
            list(map(str, argv)), cwd=cwd, env={**os.environ, **env}, stdin=subprocess.DEVNULL, stdout=file, stderr=file
        ).returncode
    if code:
        last = "\n".join(log.read_text(errors="replace").splitlines()[-25:])
        raise error(f"{argv[0]} failed (exit code {code}):\n{last}")


def _package_version(package: str) -> str:
    found = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True)
    return found.stdout if not found.returncode else ""


def missing() -> list[str]:
    """Host packages that are not installed."""
    return [package for package in PACKAGES if not _package_version(package)]


def check_host() -> None:
    """Raises Unsuitable, naming the mend, where this machine cannot build a virtual door."""
    if platform.machine() != "x86_64" or sys.platform != "linux":
        raise Unsuitable(f"User-Mode Linux is for x86-64 Linux; this is {platform.machine()} {sys.platform}")
    if sys.version_info[:2] != (3, 11):
        raise Unsuitable(f"the guest's Python is 3.11; this one ({platform.python_version()}) would fetch other wheels")
    if shutil.which("apt-get") is None:
        raise Unsuitable("this needs Debian 12 (apt, its kernel sources, mmdebstrap)")
    if found := missing():
        raise Unsuitable(
            f"Debian packages are missing; get them with scripts/vdoor build --apt, or with:\n"
            f"  sudo apt-get install --no-install-recommends {' '.join(found)}"
        )
    if os.geteuid() != 0:
        raise Unsuitable("building needs root, for chroot and mounts: sudo scripts/vdoor build")
    free = shutil.disk_usage(_there(cache())).free >> 20
    if free < 6000:
        raise Unsuitable(f"{cache()}: {free} MB are free, about 6000 are needed; DOORLIGHT_VDOOR names another folder")


def install_missing(say: Callable[[str], None]) -> None:
    """Install the host packages that are missing. Raises Unsuitable where that cannot be done."""
    found = missing()
    if not found:
        return
    say(f"apt      installing {' '.join(found)} …")
    for argv in (["update"], ["install", "-y", "--no-install-recommends", *found]):
        try:
            done = subprocess.run(
                ["apt-get", "-q", *argv],
                env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
            )
        except OSError as error:
            raise Unsuitable(f"apt-get: {error}") from error
        if done.returncode:
            raise Unsuitable(f"apt-get {argv[0]} failed:\n{(done.stdout + done.stderr)[-2000:]}")


def _there(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


# ---- Kernel ----------------------------------------------------------------------------------------------------------


def kernel() -> Layer:
    files = [HERE / name for name in ("kernel.config", "kernel.patch", "door.dts")]
    return Layer("kernel", _hash(_package_version("linux-source-6.1"), *files, _source(_make_kernel)), _make_kernel)


def _make_kernel(folder: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="vdoor-kernel-") as scratch:
        log, work = folder / "build.log", Path(scratch)
        _run(["tar", "-xf", KERNEL_SOURCE, "-C", work], log)
        source = next(work.glob("linux-source-*"))
        make = ["make", "-C", source, "ARCH=um", f"-j{os.cpu_count()}"]
        _run(["patch", "-p1", "-i", HERE / "kernel.patch"], log, source)
        _run([*make, "allnoconfig"], log)
        _run(["scripts/kconfig/merge_config.sh", "-m", ".config", HERE / "kernel.config"], log, source, ARCH="um")
        _run([*make, "olddefconfig"], log)
        _check_config(source / ".config")
        _run([*make, "linux", "modules"], log)
        _run(["apt-get", "download", LOOPBACK], log, work, error=Unsuitable)
        _run(["dpkg-deb", "-x", next(work.glob(f"{LOOPBACK}_*.deb")), work / "loopback"], log)
        loopback = next((work / "loopback/usr/src").glob("v4l2loopback-*"))
        _run([*make, f"M={loopback}", "modules"], log)
        _run([source / "scripts/dtc/dtc", "-O", "dtb", "-o", folder / "door.dtb", HERE / "door.dts"], log)
        _run(["strip", "-o", folder / "linux", source / "linux"], log)
        for module in (loopback / "v4l2loopback.ko", source / "drivers/media/test-drivers/vivid/vivid.ko"):
            _run(["strip", "--strip-debug", "-o", folder / module.name, module], log)


def _check_config(made: Path) -> None:
    """The kernel's own tools drop silently what cannot be had."""
    lines = set(made.read_text().splitlines())
    wanted = [line for line in (HERE / "kernel.config").read_text().splitlines() if line.startswith("CONFIG_")]
    if lost := [line for line in wanted if line not in lines and not line.endswith("=n")]:
        raise BuildError(f"kernel.config: the kernel does not take {', '.join(lost)}")


# ---- Base ------------------------------------------------------------------------------------------------------------


def base() -> Layer:
    return Layer(
        "base", _hash(" ".join(GUEST_PACKAGES + UNUSED), LGPIO, BOOTSTRAP, UNIT, _source(_make_base)), _make_base
    )


def _make_base(folder: Path) -> None:
    log, root = folder / "build.log", folder / "root"
    _run(
        [
            *("mmdebstrap", "--variant=minbase", f"--include={','.join(GUEST_PACKAGES)}"),
            *("--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*"),
            *("--dpkgopt=path-exclude=/usr/share/locale/*", "bookworm", root, "http://deb.debian.org/debian"),
        ],
        log,
        error=Unsuitable,
    )
    # Where apt's python3-lgpio puts it on Raspberry Pi OS.
    target = root / "usr/lib/python3/dist-packages"
    _run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--only-binary=:all:", "--target", target, LGPIO],
        log,
        error=Unsuitable,
    )
    (root / "etc/hostname").write_text("door\n")
    (root / "etc/resolv.conf").unlink(missing_ok=True)
    (root / "root/vdoor").mkdir()
    script = root / "usr/local/sbin/vdoor"
    script.write_text(BOOTSTRAP)
    script.chmod(0o755)
    units = root / "etc/systemd/system"
    (units / "vdoor.service").write_text(UNIT)
    (units / "sysinit.target.wants").mkdir(exist_ok=True)
    (units / "sysinit.target.wants/vdoor.service").symlink_to("../vdoor.service")
    for unit in UNUSED:
        (units / unit).unlink(missing_ok=True)
        (units / unit).symlink_to("/dev/null")
    (units / "default.target").symlink_to("/lib/systemd/system/multi-user.target")
    (root / "etc/fstab").write_text("")
    # As after a first boot: users, caches and the rest of what is done once are done.
    for folder_ in ("etc", "var"):
        (root / folder_ / ".updated").write_text("")


# ---- Wheels, product -------------------------------------------------------------------------------------------------


def wheels() -> Layer:
    return Layer("wheels", _hash(CHECKOUT / "pyproject.toml", _source(_make_wheels)), _make_wheels)


def _make_wheels(folder: Path) -> None:
    log = folder / "build.log"
    _run([sys.executable, "-m", "pip", "wheel", "-q", "--wheel-dir", folder, CHECKOUT], log, error=Unsuitable)
    for own in folder.glob("doorlight-*.whl"):
        own.unlink()


def product() -> Layer:
    parts = [CHECKOUT / name for name in ("edge", "models_tflite", "systemd", "scripts/install.sh", "pyproject.toml")]
    return Layer("product", _hash(base().key, wheels().key, *parts, _source(_make_product)), _make_product)


def _make_product(folder: Path) -> None:
    """scripts/install.sh in a chroot, at the host's speed; a scenario upgrades the product in the running machine."""
    log, root = folder / "build.log", folder / "root"
    _run(["cp", "-a", base().folder / "root", root], log)
    source, packages = root / "root/source", root / "root/wheels"
    source.mkdir()
    for name in (
        "edge",
        "models_tflite",
        "systemd",
        "scripts/install.sh",
        "scripts/demo_data/still.jpg",
        "pyproject.toml",
    ):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        _run(["cp", "-a", CHECKOUT / name, source / name], log)
    shutil.copytree(wheels().folder, packages, ignore=shutil.ignore_patterns("*.log"))
    _run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--wheel-dir", packages, CHECKOUT], log)
    inside = "mount -t proc proc proc; mount --rbind /dev dev; exec chroot . /root/source/scripts/install.sh --without-start --camera /dev/video0 --wheels /root/wheels"
    _run(
        ["unshare", "--mount", "--net", "--propagation", "private", "sh", "-euc", inside],
        log,
        root,
        PATH="/usr/sbin:/usr/bin:/sbin:/bin",
        HOME="/root",
        LANG="C.UTF-8",
    )
    image = folder / "root.ext4"
    shutil.rmtree(source)
    shutil.rmtree(packages)
    _run(
        [
            "mke2fs",
            "-q",
            "-t",
            "ext4",
            "-E",
            "lazy_itable_init=0,lazy_journal_init=0",
            "-d",
            root,
            image,
            f"{IMAGE_MB}M",
        ],
        log,
    )
    shutil.rmtree(root)


# ---- Clips -----------------------------------------------------------------------------------------------------------


def clips() -> Layer:
    video = CHECKOUT / "scripts/demo_data/door.mp4"
    return Layer("clips", _hash(HERE / "clips.py", video), _make_clips)


def _make_clips(folder: Path) -> None:
    from . import clips as cut  # NumPy and OpenCV: not before they are needed

    cut.make(folder)


# ---- All of it -------------------------------------------------------------------------------------------------------


def layers() -> list[Layer]:
    """Every layer, in the order in which they are built."""
    return [kernel(), base(), wheels(), clips(), product()]


def newest(name: str) -> Path:
    """The folder of a layer as it was built last. Raises BuildError where it never was."""
    found = sorted(cache().glob(f"{name}-*"), key=lambda folder: folder.stat().st_mtime)
    if not found:
        raise BuildError(f"{cache()}: there is no {name} yet; make it with: scripts/vdoor build")
    return found[-1]


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Two builds at once would do the same work twice."""
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def build(say: Callable[[str], None]) -> dict[str, float]:
    """Build what is not there; seconds for each layer that was. Raises BuildError, and leaves nothing half-made."""
    took: dict[str, float] = {}
    with _alone():
        for layer in layers():
            if layer.there:
                say(f"{layer.name:8} there already: {layer.folder}")
                continue
            if not took:
                check_host()
            for left in cache().glob(".making-*"):
                shutil.rmtree(left)
            say(f"{layer.name:8} …")
            began = time.monotonic()
            making = Path(tempfile.mkdtemp(prefix=".making-", dir=cache()))
            making.chmod(0o755)
            try:
                layer.make(making)
                subprocess.run(["sync", "-f", making], check=True)
                making.rename(layer.folder)
            finally:
                shutil.rmtree(making, ignore_errors=True)
            took[layer.name] = time.monotonic() - began
            say(f"{layer.name:8} made in {took[layer.name]:.0f} s: {layer.folder}")
            for old in cache().glob(f"{layer.name}-*"):
                if old != layer.folder:
                    shutil.rmtree(old)
    return took


def probe() -> str:
    """Why User-Mode Linux cannot run programs on this machine; "" where it can. Takes a second.

    The kernel starts /bin/true in the place of init, and must panic because that has ended, and ended well. It needs
    ptrace, and memory in which programs may be run.
    """
    with tempfile.TemporaryDirectory(prefix="vdoor-probe-") as scratch:
        argv = [
            *(newest("kernel") / "linux", "mem=128M", f"ubd0={scratch}/cow,{newest('product') / 'root.ext4'}"),
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
            said, _ = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            said = "it does not end"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    if "Attempted to kill init! exitcode=0x00000000" in said:
        return ""
    return "User-Mode Linux does not run on this machine:\n" + "\n".join(said.splitlines()[-12:])
