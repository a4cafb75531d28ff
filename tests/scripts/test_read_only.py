"""Options and refusals of scripts/install.sh --read-only and --read-write, which change nothing.

scripts/checks/read_only.sh boots with a read-only root.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from support.paths import SCRIPTS
from support.read_only import FSTAB_LINES, System


def install_sh(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(SCRIPTS / "install.sh"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--read-only", "--read-write"),
        ("--read-only", "--data"),
        ("--read-only", "--data", "--without-start"),
        ("--camera", "--without-start"),
        ("--data", "/dev/sda1"),
        ("--read-write", "--data", "/dev/sda1"),
        ("--untested",),
        ("--read-only", "--uninstall"),
        ("--read-write", "--camera", "picamera"),
    ],
)
def test_options_that_do_not_go_together(arguments: tuple[str, ...]) -> None:
    done = install_sh("--dry-run", *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("doorlight: ")


@pytest.mark.parametrize("option", ["--read-only", "--read-write"])
def test_they_need_root(option: str, tmp_path: Path) -> None:
    (tmp_path / "id").write_text("#!/bin/sh\necho 1000\n")
    (tmp_path / "id").chmod(0o755)
    done = subprocess.run(
        [str(SCRIPTS / "install.sh"), option], capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
    )  # fmt: skip
    assert done.returncode == 77


def test_a_dry_run_names_the_folders_and_files(system: System) -> None:
    done = system.run()
    assert done.returncode == 0, done.stderr
    assert f"{system.folder}/etc\n{system.folder}/opt\n" in done.stdout
    assert f"{system.folder}/fstab" in done.stdout


@pytest.mark.parametrize("data", ["/dev/sda1", "UUID=12-34"])
def test_names_of_a_disk(system: System, data: str) -> None:
    assert "The data on /dev/sda1" in system.run(data=data).stdout


def test_without_a_disk_it_says_how_to_get_one(system: System) -> None:
    system.refuses("--data DEVICE", "ext4: /dev/sda1", "systemd/README.md", code=2, data="")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("os-release", 'PRETTY_NAME="Ubuntu 26.04"\nID=ubuntu\nVERSION_ID="26.04"\n', "(Ubuntu 26.04)"),
        ("os-release", 'PRETTY_NAME="Debian 12"\nID=debian\nVERSION_ID="12"\n', "(Debian 12)"),
        ("rpi-issue", "", "(Raspberry Pi OS)"),
    ],
)
def test_a_system_that_it_was_not_shown_on(system: System, name: str, text: str, words: str) -> None:
    system.add(name, text)
    system.refuses("Debian 13 only", words, "--untested")
    assert system.run(untested="yes").returncode == 0


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("opt/update/trial.json", "{}", "on trial"),
        ("cmdline", "root=/dev/sda2 rw quiet\n", "has rw"),
        ("cmdline", "root=/dev/sda2 overlayroot=disabled\n", "overlayroot="),
        ("cmdline", "overlayroot=disabled ro\n", "overlayroot="),
    ],
)
def test_a_system_that_cannot_be_changed_now(system: System, name: str, text: str, words: str) -> None:
    system.add(name, text)
    system.refuses(words)


@pytest.mark.parametrize(
    ("name", "words"), [("opt/current/bin/doorlight", "not installed"), ("initramfs", "without an initramfs")]
)
def test_something_that_is_missing(system: System, name: str, words: str) -> None:
    system.remove(name)
    system.refuses(words)


def test_words_of_the_command_line_are_compared_whole(system: System) -> None:
    system.add("cmdline", "root=/dev/mmcblk0p2 rootflags=rw,x rwx ro quiet\n")
    assert system.run().returncode == 0


@pytest.mark.parametrize(
    ("data", "programs", "words"),
    [
        ("/dev/sdb1", {}, "there is no such disk"),
        ("UUID=no", {}, "there is no such disk"),
        ("/dev/mmcblk0p2", {}, "is the root itself"),
        ("/dev/sda1", {"blkid": '[ "$3" != TYPE ] || echo vfat'}, "has vfat; it needs ext4"),
        ("/dev/sda1", {"blkid": "exit 2"}, "has no file system; it needs ext4"),
        ("/dev/mmcblk0", {"lsblk": 'printf "mmcblk0\\nmmcblk0p1\\n"'}, "a whole disk with partitions"),
        ("/dev/mmcblk0", {"blkid": "echo gpt"}, "a whole disk with partitions"),
        (
            "/dev/sda1",
            {"findmnt": 'case "$*" in *TARGET*) echo /media/usb ;; *FSTYPE*) echo ext4 ;; *) echo /dev/x ;; esac'},
            "in use at /media/usb",
        ),
    ],
)
def test_a_disk_that_cannot_be_used(system: System, data: str, programs: dict[str, str], words: str) -> None:
    for name, script in programs.items():
        system.replace(name, script)
    system.refuses(words, data=data)


@pytest.mark.parametrize("place", ["/var/lib/postgresql", "/var/lib/docker", "/srv"])
def test_a_disk_with_the_data_of_another_program(system: System, place: str) -> None:
    system.replace("findmnt", f'case "$*" in *TARGET*) echo {place} ;; *FSTYPE*) echo ext4 ;; *) echo /dev/x ;; esac')
    system.refuses(f"in use at {place}")


def test_a_disk_that_was_mounted_by_an_interrupted_change(system: System) -> None:
    folders = (
        f"{system.folder}/data\\n{system.folder}/state\\n{system.folder}/state-link\\n/var/lib/systemd/timesync\\n"
    )
    system.replace(
        "findmnt", f'case "$*" in *TARGET*) printf "{folders}" ;; *FSTYPE*) echo ext4 ;; *) echo /dev/x ;; esac'
    )
    assert system.run().returncode == 0


def test_a_disk_that_cannot_be_read_is_not_called_empty(system: System) -> None:
    """Without root, blkid finds no file system on any disk, and mkfs would be the wrong advice."""
    system.add("unreadable")
    system.replace("blkid", "exit 2")
    system.refuses("by root only", code=77)
    assert "mkfs" not in system.run().stderr


def test_no_command_that_deletes_the_whole_card_is_proposed(system: System) -> None:
    system.replace("lsblk", 'printf "mmcblk0\\nmmcblk0p1\\n"')
    system.replace("blkid", "exit 2")
    assert "mkfs" not in system.run(data="/dev/mmcblk0").stderr


def test_a_file_is_no_disk(system: System, tmp_path: Path) -> None:
    (tmp_path / "data.img").write_bytes(b"")
    system.refuses("is a file", data=str(tmp_path / "data.img"))


def test_the_package_is_not_in_apt(system: System) -> None:
    system.replace("dpkg-query", "exit 1")
    system.replace("apt-cache", "exit 1")
    system.refuses("no package overlayroot")


def test_the_package_cannot_be_installed(system: System) -> None:
    system.replace("dpkg-query", "exit 1")
    system.refuses("could not install the Debian package overlayroot")


def test_an_initramfs_without_overlayroot(system: System) -> None:
    system.replace("lsinitramfs", "echo init")
    system.replace("update-initramfs", "exit 0")
    system.refuses("has no overlayroot")


def test_too_little_space(system: System) -> None:
    system.replace("mount", "exit 0")
    system.replace("umount", "exit 0")
    system.replace("df", 'printf "h\\n/dev/x 9999 1 800 1%% /\\n"')
    done = system.run(dry="")
    assert done.returncode == 69
    assert "800 MB are free; the program, its next update and the log need 1200 MB" in done.stderr


def test_the_disk_of_another_door(system: System) -> None:
    system.replace("mount", "exit 0")
    system.replace("umount", "exit 0")
    system.add(f"data{system.folder}/etc/doorlight.toml")
    done = system.run(dry="")
    assert done.returncode == 69
    assert "has files of a door already" in done.stderr


def test_read_only_already(system: System) -> None:
    system.become_overlay()
    system.add("fstab", FSTAB_LINES.format(system.folder))
    done = system.run(dry="")
    assert (done.returncode, done.stdout) == (0, "the root is read-only already; the data is on /dev/sda1\n")


@pytest.mark.parametrize("step", ["read_only", "read_write"])
@pytest.mark.parametrize("source", ["overlayroot", "overlay"])
def test_an_overlay_of_somebody_else(system: System, step: str, source: str) -> None:
    system.become_overlay(source)
    if (step, source) == ("read_write", "overlay"):
        assert system.run(step, dry="").stdout == "the root is writable already\n", "a container"
        return
    system.refuses("not by this script", "raspi-config", step=step)


def test_an_interrupted_change_to_another_disk(system: System) -> None:
    system.add("fstab", FSTAB_LINES.format(system.folder).replace("12-34", "56-78"))
    system.refuses("an interrupted change to another disk")


def test_read_write_of_a_writable_root(system: System) -> None:
    done = system.run("read_write", dry="")
    assert (done.returncode, done.stdout) == (0, "the root is writable already\n")


def test_read_write_without_the_disk(system: System) -> None:
    system.become_overlay()
    system.add("fstab", FSTAB_LINES.format(system.folder))
    system.refuses("its disk is missing", "plug the disk in", step="read_write")


def test_read_write_during_a_trial(system: System) -> None:
    system.become_overlay()
    system.add("fstab", FSTAB_LINES.format(system.folder))
    system.add("opt/update/trial.json")
    system.refuses("on trial", step="read_write")


def test_apt_is_refused_with_a_read_only_root(system: System) -> None:
    system.become_overlay()
    system.replace("dpkg-query", "exit 1")
    system.refuses("Debian packages are missing", "lost at the next boot", "--read-write", step="apt_packages")


def test_nothing_is_refused_if_no_package_is_missing(system: System) -> None:
    system.become_overlay()
    assert system.run("apt_packages").returncode == 0


def test_a_container_is_no_read_only_root(system: System) -> None:
    system.become_overlay("overlay")
    system.replace("dpkg-query", "exit 1")
    assert "would: apt-get install" in system.run("apt_packages").stdout


def test_uninstall_is_refused_with_a_read_only_root(system: System) -> None:
    system.add("fstab", FSTAB_LINES.format(system.folder))
    system.refuses("--read-write", step="uninstall")
