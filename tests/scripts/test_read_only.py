"""scripts/install.sh --read-only and --read-write, as far as they can be tested without changing this machine.

scripts/checks/read_only.sh boots with a read-only root.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest

from edge.people.store import Place
from support.paths import ROOT, SCRIPTS
from support.people import enrol, person

#: Debian 13 with Doorlight and overlayroot, and a stick with ext4: answers of programs.
PROGRAMS = {
    "findmnt": r"""
case "$*" in
"-n -o SOURCE /" | "-n -v -o SOURCE /") echo /dev/mmcblk0p2 ;;
"-n -o FSTYPE /") echo ext4 ;;
*) exit 1 ;;
esac""",
    "blkid": 'case "$*" in *TYPE*) [ "$3" = PTTYPE ] || echo ext4 ;; *UUID*) echo 12-34 ;; esac',
    "lsblk": 'case "$*" in *MOUNTPOINT*) echo "/dev/sda1 ext4 " ;; *) echo sda1 ;; esac',
    "findfs": 'case "$1" in UUID=12-34) echo /dev/sda1 ;; *) exit 1 ;; esac',
    "modprobe": "exit 1",
    "lsinitramfs": "echo scripts/init-bottom/overlayroot",
    "update-initramfs": "echo update-initramfs >&2; exit 99",
    "dpkg-query": "echo installed",
    "apt-cache": "exit 0",
    "apt-get": "exit 99",
    "systemctl": "echo systemctl >&2; exit 99",
    "mount": "echo mount >&2; exit 99",
    "df": 'printf "h\\n/dev/x 9999 1 9000 1%% /\\n"',
    "du": 'printf "300\\ttotal\\n"',
}
#: What the script finds where it looks for the system's files.
FILES = {
    "os-release": 'PRETTY_NAME="Debian GNU/Linux 13 (trixie)"\nID=debian\nVERSION_ID="13"\n',
    "cmdline": "console=tty1 root=PARTUUID=1-02 rootwait\n",
    "initramfs/here": "",
    "fstab": "UUID=9 / ext4 defaults 0 1\n",
    "opt/current/bin/doorlight": "",
    "etc/doorlight.toml": "",
}
#: Where `machinery` writes, so that it does not change this machine.
MACHINERY_PLACES = "RESTORE=$1/lib/restore UNITS_UNIT=$1/doorlight-units.service MOTD=$1/motd APT_HOOK=$1/apt REMOUNT=$1/remount.d/own.conf"
RUN = r"""
. "$1/functions"
. scripts/read_only.sh
OPT=$1/opt ETC=$1/etc STATE=$1/state LINK_STATE=$1/link DATA=$1/data LOWER=$1/lower FSTAB=$1/fstab OS_RELEASE=$1/os-release
RPI_ISSUE=$1/rpi-issue CMDLINE=$1/cmdline INITRAMFS=$1/initramfs OVERLAY_CONF=$1/overlayroot.conf BARE_ROOT=$1/root
PYTHON=python3 scratch=$1/scratch dry=$3 without_start=yes wheels="" data=$4 untested=$5
is_disk() { case "$1" in /dev/sda1 | /dev/mmcblk0*) ;; *) return 1 ;; esac; }
is_readable() { [ ! -e "${OPT%/*}/unreadable" ]; }
$2
"""
FSTAB_LINES = """\
# begin: folders of Doorlight on a disk of their own, see install.sh --read-only
UUID=12-34 {0}/data ext4 noatime,nofail,x-systemd.device-timeout=30s 0 2
{0}/data{0}/etc {0}/etc none bind,nofail,x-systemd.requires-mounts-for={0}/data 0 0
{0}/data{0}/opt {0}/opt none bind,nofail,x-systemd.requires-mounts-for={0}/data 0 0
# end: folders of Doorlight on a disk of their own
"""


class System:
    """A system in a folder: its files, and the programs that answer for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        text = (SCRIPTS / "install.sh").read_text(encoding="utf-8")
        (folder / "functions").write_text(text.partition('\ndry="" wheels=""')[0])
        (folder / "scratch").mkdir()
        for name, content in FILES.items():
            self.add(name, content)
        for name, script in PROGRAMS.items():
            self.replace(name, script)

    def add(self, name: str, text: str = "") -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def remove(self, name: str) -> None:
        path = self.folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    def replace(self, name: str, script: str) -> None:
        """Replace a program by a shell script."""
        self.add(f"bin/{name}", f"#!/bin/sh\n{script}\n")
        (self.folder / "bin" / name).chmod(0o755)

    def become_overlay(self, source: str = "overlayroot") -> None:
        """Let an overlay be the root."""
        answers = f'*"SOURCE /") echo {source} ;; *"FSTYPE /") echo overlay ;; *SOURCE*) echo /dev/sda1 ;; *) exit 1 ;;'
        self.replace("findmnt", f'case "$*" in {answers} esac')

    def run(
        self, step: str = "read_only", data: str = "/dev/sda1", untested: str = "", dry: str = "yes"
    ) -> subprocess.CompletedProcess[str]:
        """Run a step of the script; `dry` changes nothing."""
        return subprocess.run(
            ["sh", "-euc", RUN, "sh", str(self.folder), step, dry, data, untested],
            cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
            env={**os.environ, "PATH": f"{self.folder}/bin:{os.environ['PATH']}"},
        )  # fmt: skip

    def refuses(self, *words: str, code: int = 69, **options: str) -> None:
        """Check that the script refuses with one sentence that has these words, and a hint, and changes nothing."""
        before = {path: path.read_bytes() for path in self.folder.rglob("*") if path.is_file()}
        done = self.run(**{"dry": "", **options})
        assert done.returncode == code, done.stderr
        assert done.stderr.startswith("doorlight: ")
        for word in words:
            assert word in done.stderr
        assert before == {path: path.read_bytes() for path in self.folder.rglob("*") if path.is_file()}


@pytest.fixture
def system(tmp_path: Path) -> System:
    return System(tmp_path)


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


def test_enrolled_people_are_overwritten_before_they_are_deleted(system: System) -> None:
    """Otherwise the free blocks of the root have the old store together with its key."""
    names = ("people.db", "people.key", "people.passphrase")
    for name in (*names, "people.signers", "doorlight.toml"):
        system.add(f"lower/etc/{name}", "secret")
        os.link(system.folder / f"lower/etc/{name}", system.folder / f"still-{name}")
    done = system.run('eval root=$1/lower; ETC=; mkdir -p "$DATA/etc"; empty_on_root /etc', dry="")
    assert done.returncode == 0, done.stderr
    assert list((system.folder / "lower/etc").iterdir()) == []
    blocks = {name: (system.folder / f"still-{name}").read_bytes() for name in names}
    assert all(set(content) == {0} for content in blocks.values()), blocks
    assert (system.folder / "still-doorlight.toml").read_text() == "secret"


@pytest.mark.parametrize("name", ["staff.db", "a [b] *.db", "people.db"])
def test_people_under_the_configured_name_are_overwritten_too(system: System, name: str) -> None:
    system.add("etc/doorlight.toml", f'[people]\nfile = "/var/lib/doorlight/{name}"\n')
    names = (name, f"{name}.new", "people.key", "people.key.new", "people-sync/passphrase")
    for each in (*names, "b.db", "other"):
        system.add(f"lower/state/{each}", "secret")
    done = system.run('eval overwrite_people "$1/lower/state"', dry="")
    assert done.returncode == 0, done.stderr
    blocks = {each: (system.folder / "lower/state" / each).read_bytes() for each in names}
    assert all(set(content) == {0} for content in blocks.values()), blocks
    assert (system.folder / "lower/state/other").read_text() == "secret"
    assert (system.folder / "lower/state/b.db").read_text() == "secret", "the name is no pattern"


@pytest.mark.parametrize("text", ["", "no toml [", "[people]\nfile = 5\n", '[people]\nfile = ""\n'])
def test_settings_without_a_file_of_people(system: System, text: str) -> None:
    system.add("etc/doorlight.toml", text)
    system.add("lower/people.db", "secret")
    assert system.run('eval people_elsewhere; overwrite_people "$1/lower"', dry="").stdout == ""
    assert set((system.folder / "lower/people.db").read_bytes()) == {0}


@pytest.mark.parametrize(
    "path", ["srv/staff.db", "state/../srv/staff.db", "state/link/staff.db", "state/link/../srv/staff.db"]
)
def test_people_in_another_folder_are_deleted_with_what_lies_beside(system: System, path: str) -> None:
    """What `scripts/install.sh --uninstall` does after a yes."""
    system.add("etc/doorlight.toml", f'\ufeffpeople.file = "{system.folder / path}"\n')
    enrol(Place.of(system.folder / "srv/staff.db"), person("Ann"))
    (system.folder / "state").mkdir()
    (system.folder / "state/link").symlink_to(system.folder / "srv")
    for name in ("staff.db", "staff.db.new", "people.key", "people.lock", "cat.jpg"):
        if not (system.folder / "srv" / name).exists():
            system.add(f"srv/{name}", "secret")
        os.link(system.folder / "srv" / name, system.folder / f"still-{name}")
    done = system.run('eval store="$(people_elsewhere)"; delete_people "$store"', dry="")
    assert done.returncode == 0, done.stderr
    assert [each.name for each in (system.folder / "srv").iterdir()] == ["cat.jpg"]
    assert set((system.folder / "still-staff.db").read_bytes()) == {0}
    assert set((system.folder / "still-people.key").read_bytes()) == {0}


@pytest.mark.parametrize("path", ["state/staff.db", "srv/../state/staff.db", "etc/staff.db"])
def test_people_in_a_folder_of_doorlight_are_not_elsewhere(system: System, path: str) -> None:
    """What is done with the folder is done with them."""
    (system.folder / "srv").mkdir()
    (system.folder / "state").mkdir()
    system.add("etc/doorlight.toml", f'people.file = "{system.folder / path}"\n')
    enrol(Place.of(system.folder / path), person("Ann"))
    assert system.run("people_elsewhere", dry="").stdout == ""


@pytest.mark.parametrize("content", [None, "root:x:0:0", "SQLite format 3\0"])
def test_a_wrong_file_of_people_is_not_deleted(system: System, content: str | None) -> None:
    file = system.folder / "srv/passwd"
    system.add("etc/doorlight.toml", f'[people]\nfile = "{file}"\n')
    if content is not None:
        system.add("srv/passwd", content)
    assert system.run("people_elsewhere", dry="").stdout == ""


def test_a_database_of_another_program_is_not_deleted(system: System) -> None:
    file = system.folder / "photos.db"
    system.add("etc/doorlight.toml", f'[people]\nfile = "{file}"\n')
    with contextlib.closing(sqlite3.connect(file)) as database:
        database.execute("CREATE TABLE photos (name TEXT)")
    assert system.run("people_elsewhere", dry="").stdout == ""


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


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed (apt install shellcheck)")
def test_shellcheck() -> None:
    command = ["shellcheck", "-x", "systemd/restore-units.sh"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert (done.stdout, done.returncode) == ("", 0)


RESTORE_PROGRAMS = ("systemd-sysusers", "systemd-tmpfiles", "udevadm", "systemctl")


@pytest.fixture
def restored(tmp_path: Path) -> tuple[Path, Path]:
    """A folder with kept units, and systemd/restore-units.sh that restores them into another folder."""
    kept, root = tmp_path / "kept", tmp_path / "root"
    script = (ROOT / "systemd/restore-units.sh").read_text()
    assert script.count('file="${copy#"$kept"}"') == 1
    script = script.replace('file="${copy#"$kept"}"', f'file="{root}${{copy#"$kept"}}"')
    (tmp_path / "restore").write_text(script.replace("kept=/opt/doorlight/system", f"kept={kept}"))
    (tmp_path / "bin").mkdir()
    for name in RESTORE_PROGRAMS:
        (tmp_path / "bin" / name).write_text(f'#!/bin/sh\necho {name} "$@" >>{tmp_path}/called\n')
        (tmp_path / "bin" / name).chmod(0o755)
    for name in ("doorlight.service", "doorlight-new.timer", "doorlight-off.service"):
        (kept / "etc/systemd/system").mkdir(parents=True, exist_ok=True)
        (kept / "etc/systemd/system" / name).write_text(f"# new {name}\n")
    (kept / "enabled").write_text("doorlight.service\ndoorlight-new.timer\n")
    (root / "etc/systemd/system").mkdir(parents=True)
    (root / "etc/systemd/system/doorlight.service").write_text("# old\n")
    return kept, root


def restore(folder: Path) -> str:
    """Run systemd/restore-units.sh, and return the commands that it ran."""
    (folder / "called").write_text("")
    env = {**os.environ, "PATH": f"{folder}/bin:{os.environ['PATH']}"}
    subprocess.run(["sh", str(folder / "restore")], env=env, timeout=60, check=True)
    return (folder / "called").read_text()


def test_kept_units_are_restored(restored: tuple[Path, Path], tmp_path: Path) -> None:
    called = restore(tmp_path)
    for path in (restored[0] / "etc").rglob("*.*er"):
        assert (restored[1] / path.relative_to(restored[0])).read_text() == path.read_text()
    assert "systemctl daemon-reload\n" in called
    assert "enable --now doorlight-new.timer\n" in called
    assert "doorlight-off" not in called
    assert "enable --now doorlight.service" not in called, "the root's own links decide about units that it has"


@pytest.mark.parametrize("name", RESTORE_PROGRAMS[:3])
def test_a_tool_that_fails_does_not_keep_systemd_from_reading_the_units(
    restored: tuple[Path, Path], tmp_path: Path, name: str
) -> None:
    (tmp_path / "bin" / name).write_text("#!/bin/sh\nexit 1\n")
    assert "systemctl daemon-reload\n" in restore(tmp_path)


def test_units_that_are_right_cost_nothing(restored: tuple[Path, Path], tmp_path: Path) -> None:
    restore(tmp_path)
    assert restore(tmp_path) == ""
