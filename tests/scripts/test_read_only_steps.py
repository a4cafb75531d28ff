"""The steps of --read-only and --read-write that change a system, and what a power cut between them leaves."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

from support.paths import ROOT
from support.read_only import FILES, FSTAB_LINES, System

#: Where `machinery` writes, so that it does not change this machine.
MACHINERY_PLACES = "RESTORE=$1/lib/restore UNITS_UNIT=$1/doorlight-units.service MOTD=$1/motd APT_HOOK=$1/apt REMOUNT=$1/remount.d/own.conf"


def test_the_folders_are_found_as_overlayroot_copies_fstab(system: System) -> None:
    lines = FSTAB_LINES.format(system.folder)
    # It joins the words with single blanks, and puts its own lines before.
    system.add("fstab", "#\n#  This fstab is for overlayroot.\n" + lines.replace("\n", " \n"))
    done = system.run('eval moved_folders "$FSTAB"')
    assert done.stdout.split() == [f"{system.folder}/etc", f"{system.folder}/opt"]


def test_the_units_of_an_update_are_kept(system: System) -> None:
    """Only with a read-only root, which has the folder."""
    system.add("file")
    step = "eval managed_files() { echo ${1#/}; }; managed_files() { echo ${FSTAB#/}; }; keep_units"
    assert system.run(step, dry="").returncode == 0
    assert not (system.folder / "opt/system").exists()
    (system.folder / "opt/system").mkdir()
    system.add(f"opt/system/etc/gone{system.folder}")
    assert system.run(step, dry="").returncode == 0
    kept = Path(f"{system.folder}/opt/system{system.folder}/fstab")
    assert kept.read_text() == FILES["fstab"]
    assert not (system.folder / f"opt/system/etc/gone{system.folder}").exists(), "a unit that the version does not have"
    assert (system.folder / "opt/system/enabled").exists()


def test_folders_are_copied_and_fstab_names_them(system: System) -> None:
    """An editor may have left the last line of fstab without an end."""
    (system.folder / "data").mkdir()
    system.replace("sync", "exit 0")
    system.add("fstab", FILES["fstab"].rstrip())
    step = "eval folders() { echo $ETC; echo $OPT; }; uuid=12-34; copy_folders"
    assert system.run(step, dry="").returncode == 0
    data = Path(f"{system.folder}/data{system.folder}")
    assert (data / "opt/current/bin/doorlight").exists()
    assert (data / "opt/system").is_dir()
    assert (system.folder / "fstab").read_text() == FILES["fstab"] + FSTAB_LINES.format(system.folder)
    assert (system.folder / "data/moving").exists(), "until the change is complete"


def test_a_copy_that_fails_leaves_fstab_as_it_was(system: System) -> None:
    (system.folder / "data").mkdir()
    system.replace("sync", "exit 0")
    system.replace("cp", "exit 1")
    step = "eval folders() { echo $ETC; echo $OPT; }; uuid=12-34; ! copy_folders"
    assert system.run(step, dry="").returncode == 0
    assert (system.folder / "fstab").read_text() == FILES["fstab"]


def test_what_systemd_and_a_login_run_is_executable(system: System) -> None:
    for name in ("sync", "systemctl"):
        system.replace(name, "exit 0")
    (system.folder / "data").mkdir()
    done = system.run(f"eval {MACHINERY_PLACES}; machinery", dry="")
    assert done.returncode == 0, done.stderr
    for name in ("lib/restore", "motd"):
        assert os.access(system.folder / name, os.X_OK), name
    assert (system.folder / "overlayroot.conf").read_text() == 'overlayroot="tmpfs:recurse=0"\n'
    assert (system.folder / "doorlight-units.service").read_text() == (
        ROOT / "systemd/doorlight-units.service"
    ).read_text()


def test_the_overlay_becomes_writable(system: System) -> None:
    """With ro on the kernel's command line it is not, and systemd cannot remount it by overlayroot's line in /etc/fstab."""
    for name in ("sync", "systemctl"):
        system.replace(name, "exit 0")
    (system.folder / "data").mkdir()
    assert system.run(f"eval {MACHINERY_PLACES}; machinery", dry="").returncode == 0
    lines = (system.folder / "remount.d/own.conf").read_text().splitlines()
    reset, command = (line.removeprefix("ExecStart=") for line in lines if line.startswith("ExecStart="))
    assert reset == "", "systemd would run both commands"
    system.replace("findmnt", '[ "$*" = "-n -t overlay /" ]')
    system.replace("mount", 'echo "mount $*"')
    done = subprocess.run(
        shlex.split(command), capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "PATH": f"{system.folder}/bin:{os.environ['PATH']}"},
    )  # fmt: skip
    # With a source, mount ignores /etc/fstab.
    assert done.stdout == "mount -o remount,rw overlayroot /\n", done.stderr


def test_what_is_mounted_at_a_folder_is_never_removed(system: System) -> None:
    """A bind mount of the root may show what is mounted on it: the copies on the disk."""
    done = system.run('eval root=""; empty_on_root "$ETC"', dry="")
    assert done.returncode == 69
    assert "nothing is removed" in done.stderr
    assert (system.folder / "etc/doorlight.toml").exists()


def moved_back(system: System) -> Path:
    """Let the power be cut after the folders were moved back, before the disk's copies are deleted; return the disk's."""
    for name in ("sync", "mount", "umount", "systemd-sysusers"):
        system.replace(name, "exit 0")
    system.add("lower/fstab", FILES["fstab"] + FSTAB_LINES.format(system.folder) + "UUID=8 /x ext4 defaults 0 1\n")
    data = Path(f"{system.folder}/data{system.folder}")
    for name in ("etc/people.db", "etc/people.key", "opt/program"):
        system.add(f"data{system.folder}/{name}", "secret")
    places = "UNITS_UNIT=$1/unit MOTD=$1/motd APT_HOOK=$1/hook RESTORE=$1/lib/restore"
    step = f'eval {places}; moved="$ETC $OPT"; root="$1/lower"; FSTAB=/fstab; empty_on_root() {{ :; }}; managed_files() {{ :; }}; '
    done = system.run(step + "move_back", dry="")
    assert done.returncode == 0, done.stderr
    return data


def test_a_power_cut_after_the_way_back_leaves_the_line_of_the_disk(system: System) -> None:
    """Otherwise nothing mounts it again, and its copies of people.db and people.key stay for ever."""
    moved_back(system)
    assert (system.folder / "lower/fstab").read_text() == (
        f"{FILES['fstab']}# left on a disk of Doorlight, see install.sh --read-write: {system.folder}/etc {system.folder}/opt \n"
        f"UUID=12-34 {system.folder}/data ext4 noatime,nofail,x-systemd.device-timeout=30s 0 2\nUUID=8 /x ext4 defaults 0 1\n"
    )


def test_the_next_run_deletes_what_a_power_cut_has_left(system: System) -> None:
    data = moved_back(system)
    system.add("fstab", (system.folder / "lower/fstab").read_text())
    os.link(data / "etc/people.key", system.folder / "still-people.key")
    assert "would delete what is left" in system.run("read_write").stdout
    assert (data / "etc/people.key").exists()
    for step, words in (("read_only", "an interrupted --read-write"), ("uninstall", "a disk has data of this door")):
        system.refuses(words, "--read-write", step=step)
    done = system.run("read_write", dry="")
    assert (done.returncode, done.stderr) == (0, "")
    assert "is deleted" in done.stdout
    assert set((system.folder / "still-people.key").read_bytes()) == {0}
    assert list((system.folder / "data").iterdir()) == []
    assert (system.folder / "fstab").read_text() == FILES["fstab"] + "UUID=8 /x ext4 defaults 0 1\n"
    assert (system.folder / "etc/doorlight.toml").exists(), "the root's own"
    assert system.run("read_write", dry="").stdout == "the root is writable already\n"


def test_the_disk_of_an_interrupted_way_back_is_missing(system: System) -> None:
    moved_back(system)
    system.add("fstab", (system.folder / "lower/fstab").read_text())
    system.replace("mount", "exit 1")
    system.refuses("cannot be mounted", "plug it in", step="read_write")


def test_a_lost_disk_whose_line_was_removed_is_forgotten(system: System) -> None:
    """The line after it is another disk's."""
    moved_back(system)
    lines = (system.folder / "lower/fstab").read_text().splitlines(keepends=True)
    system.add("fstab", "".join(line for line in lines if " ext4 noatime" not in line))
    done = system.run("read_write", dry="")
    assert done.returncode == 0, done.stderr
    assert (system.folder / "fstab").read_text() == FILES["fstab"] + "UUID=8 /x ext4 defaults 0 1\n"
