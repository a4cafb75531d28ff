"""The build steps of the virtual door:

  kernel    User-Mode Linux from Debian's kernel sources, v4l2loopback, a Raspberry Pi's device tree
  base      a Debian with the packages of Raspberry Pi OS and the agent's unit; a folder, and the kernel's initramfs
  wheels    the Python packages that Doorlight needs, chosen by the base's Python
  clips     what the camera shows, as raw frames
  product   the base with Doorlight installed by scripts/install.sh; an ext4 image

Kernel, Debian and Python are those of the chosen suite (suites.py), whose results have a folder of their own.
The key of each step covers its inputs and the source of its function, but not the functions that it calls.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from releasing.bundle import CHECKOUT_FILES

from .build import (
    CHECKOUT,
    HERE,
    BuildError,
    BuildStep,
    UnsupportedHostError,
    chosen_suite,
    hash_of,
    run_program,
    source_of,
)
from .debian import LGPIO, download, install_lgpio, mmdebstrap, prepare_network, run_inside

#: Packages of the guest beyond a minimal Debian. install.sh adds none: the guest has no network.
GUEST_PACKAGES = (
    *("systemd-sysv", "udev", "kmod", "dbus", "python3", "python3-venv", "e2fsprogs", "procps", "dmsetup"),
    "openssh-client",
    # For a read-only root; busybox makes the initramfs smaller.
    *("overlayroot", "initramfs-tools", "busybox"),
)
LOOPBACK = "v4l2loopback-dkms"
IMAGE_MB = 2500
#: What install.sh needs of the checkout to build the program, too.
INSTALLED_FILES = ("edge", "models_tflite", "pyproject.toml", *CHECKOUT_FILES)

AGENT_SCRIPT = """\
#!/bin/sh
# Mounts the folder that host and guest share (hostfs=… on the kernel's command line) and starts the agent in it.
mount -t hostfs none /root/vdoor
exec /usr/bin/python3 -I -S -B /root/vdoor/guest/agent.py
"""
AGENT_UNIT = """\
[Unit]
Description=Virtual door: agent of the test bench
DefaultDependencies=no
After=systemd-remount-fs.service systemd-udevd.service systemd-tmpfiles-setup-dev.service
Before=sysinit.target
ConditionKernelCommandLine=hostfs

[Service]
Type=notify
ExecStart=/usr/local/sbin/vdoor
OOMScoreAdjust=-1000
TimeoutStartSec=60
Restart=no

[Install]
WantedBy=sysinit.target
"""
FSTAB = "/dev/ubda / ext4 defaults 0 0\n"
#: Units that a door does not need, or that wait for a network or a terminal.
MASKED_UNITS = (
    *("proc-sys-fs-binfmt_misc.automount", "systemd-binfmt.service", "getty.target", "systemd-logind.service"),
    *("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer"),
    *("e2scrub_all.timer", "e2scrub_reap.service"),
    *("fstrim.timer", "systemd-update-utmp.service", "systemd-update-utmp-runlevel.service", "systemd-pstore.service"),
    *("systemd-user-sessions.service", "sys-kernel-tracing.mount", "sys-fs-fuse-connections.mount"),
    *("dev-hugepages.mount", "dev-mqueue.mount", "modprobe@.service", "systemd-random-seed.service"),
)


def all_steps() -> list[BuildStep]:
    """Return every step, in build order."""
    return [kernel(), base(), wheels(), clips(), product()]


def kernel() -> BuildStep:
    suite = chosen_suite()
    files = [HERE / name for name in ("kernel.config", "kernel.patch", f"kernel-{suite.kernel}.patch", "door.dts")]
    return BuildStep("kernel", hash_of(suite.kernel, *files, source_of(_make_kernel)), _make_kernel)


def _make_kernel(folder: Path) -> None:
    suite = chosen_suite()
    with tempfile.TemporaryDirectory(prefix="vdoor-kernel-") as scratch:
        log, work = folder / "build.log", Path(scratch)
        download(suite, (f"linux-source-{suite.kernel}", LOOPBACK), work / "packages", log)
        run_program(["tar", "-xf", work / f"packages/usr/src/linux-source-{suite.kernel}.tar.xz", "-C", work], log)
        source = next(work.glob("linux-source-*"))
        make = ["make", "-C", str(source), "ARCH=um", f"-j{os.cpu_count()}"]
        for patch in ("kernel.patch", f"kernel-{suite.kernel}.patch"):
            run_program(["patch", "-p1", "-i", HERE / patch], log, source)
        run_program([*make, "allnoconfig"], log)
        merge = ["scripts/kconfig/merge_config.sh", "-m", ".config", str(HERE / "kernel.config")]
        run_program(merge, log, source, ARCH="um")
        run_program([*make, "olddefconfig"], log)
        _check_kernel_config(source / ".config")
        run_program([*make, "linux", "modules"], log)
        loopback = next((work / "packages/usr/src").glob("v4l2loopback-*"))
        run_program([*make, f"M={loopback}", "modules"], log)
        run_program([source / "scripts/dtc/dtc", "-O", "dtb", "-o", folder / "door.dtb", HERE / "door.dts"], log)
        run_program(["strip", "-o", folder / "linux", source / "linux"], log)
        for module in (loopback / "v4l2loopback.ko", source / "drivers/media/test-drivers/vivid/vivid.ko"):
            run_program(["strip", "--strip-debug", "-o", folder / module.name, module], log)


def _check_kernel_config(made: Path) -> None:
    """Raise BuildError if an option is missing: olddefconfig drops options with unmet dependencies without a
    message."""
    lines = set(made.read_text().splitlines())
    wanted = [line for line in (HERE / "kernel.config").read_text().splitlines() if line.startswith("CONFIG_")]
    if dropped := [line for line in wanted if line not in lines and not line.endswith("=n")]:
        raise BuildError(f"kernel.config: the kernel build drops {', '.join(dropped)}")


def base() -> BuildStep:
    functions = (install_lgpio, _make_base, _make_initramfs)
    parts = (LGPIO, AGENT_SCRIPT, AGENT_UNIT, FSTAB, kernel().key, *(source_of(function) for function in functions))
    key = hash_of(chosen_suite().name, " ".join(GUEST_PACKAGES + MASKED_UNITS), *parts)
    return BuildStep("base", key, _make_base)


def _make_base(folder: Path) -> None:
    log, root = folder / "build.log", folder / "root"
    mmdebstrap(chosen_suite(), GUEST_PACKAGES, root, log)
    install_lgpio(chosen_suite(), root, log)
    (root / "etc/hostname").write_text("door\n")
    (root / "etc/resolv.conf").unlink(missing_ok=True)
    (root / "root/vdoor").mkdir()
    script = root / "usr/local/sbin/vdoor"
    script.write_text(AGENT_SCRIPT)
    script.chmod(0o755)
    units = root / "etc/systemd/system"
    (units / "vdoor.service").write_text(AGENT_UNIT)
    (units / "sysinit.target.wants").mkdir(exist_ok=True)
    (units / "sysinit.target.wants/vdoor.service").symlink_to("../vdoor.service")
    for unit in MASKED_UNITS:
        (units / unit).unlink(missing_ok=True)
        (units / unit).symlink_to("/dev/null")
    (units / "default.target").symlink_to("/lib/systemd/system/multi-user.target")
    (root / "etc/fstab").write_text(FSTAB)
    _make_initramfs(root, folder / "initramfs.img", log)
    # With these files systemd skips what it does at the first boot only (users, caches).
    for changed in ("etc", "var"):
        (root / changed / ".updated").write_text("")


def _make_initramfs(root: Path, image: Path, log: Path) -> None:
    """Make the initramfs as the package of a kernel does, without modules, and copy it to `image`."""
    version = subprocess.run(
        [kernel().folder / "linux", "--version"], check=True, capture_output=True, text=True
    ).stdout.strip()
    modules = root / "lib/modules" / version
    modules.mkdir(parents=True)
    for name in ("modules.order", "modules.builtin"):
        (modules / name).write_text("")
    run_inside(root, f"depmod {version}", log)
    run_inside(root, f"update-initramfs -c -k {version}", log)
    shutil.copy(root / f"boot/initrd.img-{version}", image)


def wheels() -> BuildStep:
    parts = (CHECKOUT / "pyproject.toml", source_of(_make_wheels))
    return BuildStep("wheels", hash_of(base().key, *parts), _make_wheels)


def _make_wheels(folder: Path) -> None:
    """Run scripts/install.sh --fetch-wheels in a chroot: only the guest's Python knows which packages it needs."""
    log, root = folder / "build.log", folder / "root"
    run_program(["cp", "-a", base().folder / "root", root], log)
    prepare_network(root)
    _copy_source(root, log, (*INSTALLED_FILES, "README.md", "LICENSE"))
    try:
        run_inside(root, "/root/source/scripts/install.sh --fetch-wheels /root/wheels", log, has_network=True)
    except BuildError as error:
        raise UnsupportedHostError(str(error)) from error
    for wheel in (root / "root/wheels").glob("*.whl"):
        if not wheel.name.startswith("doorlight-"):
            shutil.move(wheel, folder)
    shutil.rmtree(root)


def _copy_source(root: Path, log: Path, names: tuple[str, ...] = INSTALLED_FILES) -> None:
    """Copy files and folders of the checkout to /root/source."""
    source = root / "root/source"
    for name in names:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        run_program(["cp", "-a", CHECKOUT / name, source / name], log)


def clips() -> BuildStep:
    video = CHECKOUT / "scripts/assets/demo/door.mp4"
    return BuildStep("clips", hash_of(HERE / "clips.py", video), _make_clips)


def _make_clips(folder: Path) -> None:
    from .clips import write_all  # imports NumPy and OpenCV

    write_all(folder)


def product() -> BuildStep:
    parts = [CHECKOUT / name for name in INSTALLED_FILES]
    return BuildStep("product", hash_of(base().key, wheels().key, *parts, source_of(_make_product)), _make_product)


def _make_product(folder: Path) -> None:
    """Run scripts/install.sh in a chroot, at the host's speed. test_upgrade.py installs in the running machine."""
    log, root = folder / "build.log", folder / "root"
    run_program(["cp", "-a", base().folder / "root", root], log)
    source, packages = root / "root/source", root / "root/wheels"
    _copy_source(root, log)
    shutil.copytree(wheels().folder, packages, ignore=shutil.ignore_patterns("*.log"))
    run_program([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--wheel-dir", packages, CHECKOUT], log)
    answers = "--expressions yes --controller Lab --sign left"
    install = f"/root/source/scripts/install.sh --without-start --camera /dev/video0 {answers} --wheels /root/wheels"
    run_inside(root, install, log)
    shutil.rmtree(source)
    shutil.rmtree(packages)
    no_lazy_init = "lazy_itable_init=0,lazy_journal_init=0"
    image = folder / "root.ext4"
    run_program(["mke2fs", "-q", "-t", "ext4", "-E", no_lazy_init, "-d", root, image, f"{IMAGE_MB}M"], log)
    shutil.rmtree(root)
