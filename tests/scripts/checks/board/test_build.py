"""What the SD card is built of: the initial file system, compiled modules, and a QEMU that has the board."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from checks.board import build_steps, initramfs
from checks.board.boards import BOARDS, check_machine
from virtual_door.build import UnsupportedHostError

DEPENDENCIES = """\
kernel/fs/ext4/ext4.ko.xz: kernel/lib/crc16.ko.xz kernel/fs/mbcache.ko.xz kernel/fs/jbd2/jbd2.ko.xz
kernel/fs/jbd2/jbd2.ko.xz: kernel/lib/crc16.ko.xz
kernel/fs/mbcache.ko.xz:
kernel/lib/crc16.ko.xz:
kernel/crypto/crc32c_generic.ko.xz:
kernel/drivers/mmc/host/bcm2835.ko.xz:
kernel/drivers/mmc/host/sdhci-iproc.ko.xz: kernel/drivers/mmc/host/sdhci.ko.xz
kernel/drivers/mmc/host/sdhci.ko.xz:
"""


def test_modules_come_after_what_they_need() -> None:
    order = [initramfs.name_of(path) for path in initramfs.in_order(initramfs.MODULES, DEPENDENCIES)]
    assert len(order) == len(set(order)) == 8
    for module, needed in (("ext4", "jbd2"), ("ext4", "mbcache"), ("jbd2", "crc16"), ("sdhci-iproc", "sdhci")):
        assert order.index(f"{needed}.ko.xz") < order.index(f"{module}.ko.xz")


def test_the_initial_file_system_is_what_the_kernel_reads(tmp_path: Path) -> None:
    """By the kernel's documentation of the format: headers of 110 bytes, names and contents at multiples of four."""
    modules = tmp_path / "usr/lib/modules/6.12"
    for line in DEPENDENCIES.splitlines():
        file = modules / line.partition(":")[0]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(f"module {file.name}".encode())
    (modules / "modules.dep").write_text(DEPENDENCIES)
    (tmp_path / "usr/bin").mkdir()
    (tmp_path / "usr/bin/busybox").write_bytes(b"busy" * 5 + b"!")
    initramfs.write(tmp_path, tmp_path / "initrd")
    files, rest = {}, (tmp_path / "initrd").read_bytes()
    while True:
        assert rest[:6] == b"070701"
        fields = [int(rest[6 + 8 * k : 14 + 8 * k], 16) for k in range(13)]
        size, name_size = fields[6], fields[11]
        name = rest[110 : 110 + name_size].rstrip(b"\0").decode()
        begin = (110 + name_size + 3) // 4 * 4
        files[name] = (oct(fields[1]), rest[begin : begin + size])
        rest = rest[(begin + size + 3) // 4 * 4 :]
        if name == "TRAILER!!!":
            break
    assert rest == b""
    assert files["bin/busybox"] == ("0o100755", b"busybusybusybusybusy!")
    assert files["init"][1].startswith(b"#!/bin/busybox sh")
    assert files["modules/ext4.ko.xz"][1] == b"module ext4.ko.xz"
    assert files["modules/order"][1].splitlines()[-1] == b"ext4.ko.xz"
    assert files["dev"][0] == "0o40755"


def test_a_qemu_without_the_board_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnsupportedHostError, match=r"no qemu-system-aarch64: sudo apt install .* qemu-system-arm$"):
        check_machine(BOARDS["raspi3b"])
    program = tmp_path / "qemu-system-aarch64"
    program.write_text("#!/bin/sh\necho 'raspi3b              Raspberry Pi 3B (revision 1.2)'\n")
    program.chmod(0o755)
    check_machine(BOARDS["raspi3b"])
    with pytest.raises(UnsupportedHostError, match="does not emulate raspi4b"):
        check_machine(BOARDS["raspi4b"])


@pytest.mark.skipif(shutil.which("dpkg-divert") is None, reason="dpkg-divert is Debian's")
def test_packages_find_files_that_do_nothing_until_they_are_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file in /usr/local did not hide the real one, and a build made an initial file system for a quarter of an hour."""
    guest = tmp_path / "guest"
    (guest / "var/lib/dpkg").mkdir(parents=True)
    chroot = tmp_path / "bin/chroot"
    chroot.parent.mkdir()
    chroot.write_text('#!/bin/sh\nroot=$1\nshift 2\nexec dpkg-divert --root="$root" "$@"\n')
    chroot.chmod(0o755)
    monkeypatch.setenv("PATH", f"{chroot.parent}:/usr/sbin:/usr/bin:/sbin:/bin")

    def hook(script: str) -> None:
        subprocess.run(["sh", "-c", script, "hook", guest], check=True)

    files = [guest / name.lstrip("/") for name in build_steps.SLOW_FILES]
    hook(build_steps.REPLACE_SLOW_FILES)
    for file in files:
        where = ["dpkg-divert", f"--root={guest}", "--truename", f"/{file.relative_to(guest)}"]
        assert subprocess.check_output(where, text=True) == f"/{file.relative_to(guest)}.real\n"
        run = [sys.executable, str(file), "/usr/lib/x.py"] if file.suffix == ".py" else [str(file), "-u"]
        assert subprocess.check_output(run, stdin=subprocess.DEVNULL) == b""
        file.with_name(f"{file.name}.real").write_text("the package's")
    hook(build_steps.RESTORE_SLOW_FILES)
    assert [file.read_text() for file in files] == ["the package's"] * len(files)
    assert not list(guest.rglob("*.real"))


def test_the_system_s_mounts_end_with_its_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A build that was killed left them in the cache, where the next one could not remove the folder."""
    commands: list[list[str]] = []

    def run(words: Sequence[str | Path], *_: object, **__: object) -> None:
        commands.append([str(word) for word in words])
        (tmp_path / "root/usr/lib/modules/6.12").mkdir(parents=True, exist_ok=True)

    monkeypatch.setattr(build_steps, "run_program", run)
    build_steps._make_root(tmp_path)
    making = next(words for words in commands if "mmdebstrap" in words)
    assert making[:2] == ["unshare", "--mount"]
    assert ["depmod", "-b", f"{tmp_path}/root", "6.12"] in commands


def test_a_compiler_without_a_c_library_is_named_before_the_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Debian's package of the compiler only recommends one, and the build failed after its longest step."""
    for program in build_steps.PROGRAMS:
        (tmp_path / program).write_text("#!/bin/sh\necho crt1.o\n")
        (tmp_path / program).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(UnsupportedHostError, match=r"--no-install-recommends libc6-dev-arm64-cross$"):
        build_steps.check_host()


@pytest.mark.parametrize(
    ("script", "native"),
    [("exit 0", True), ("echo 'pyenv: python3.13: command not found' >&2; exit 127", False), (None, False)],
    ids=["runs", "exists and does not run", "missing"],
)
def test_modules_are_compiled_by_this_machine_if_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, native: bool
) -> None:
    """An emulated Python would take longer for it than for the rest of the installation."""
    python = tmp_path / "python3.13"
    if script is not None:
        python.write_text(f"#!/bin/sh\n{script}\n")
        python.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/nonexistent")
    scripts: list[str] = []
    monkeypatch.setattr(build_steps, "_inside", lambda guest, text, log, *options: scripts.append(text))
    build_steps._compile(tmp_path, Path("opt/doorlight/releases/1/lib"), tmp_path / "log")
    # As the guest sees the path: it stands in tracebacks.
    by_native = f"{python} -m compileall -q -p / opt/doorlight/releases/1/lib || true"
    emulated = "chroot . /usr/bin/python3 -m compileall -q /opt/doorlight/releases/1/lib || true"
    assert scripts == [by_native if native else emulated]
