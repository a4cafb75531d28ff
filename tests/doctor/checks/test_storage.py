"""Check `storage`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge import config
from edge.doctor.checks import storage
from edge.doctor.finding import Finding
from support.doctor import FakeMachine

CARD = "21 1 179:2 / / rw,noatime shared:1 - ext4 /dev/mmcblk0p2 rw"
#: As overlayroot=tmpfs:recurse=0 leaves it on Debian 13.
OVERLAYROOT = """\
24 27 0:22 / /run rw,nosuid,nodev,noexec,relatime shared:10 - tmpfs tmpfs rw,size=200000k
27 1 0:26 / / rw,relatime shared:1 - overlay overlayroot rw,lowerdir=/media/root-ro,upperdir=/media/root-rw/overlay,workdir=/media/root-rw/overlay-workdir/_
28 27 254:1 / /media/root-ro ro,relatime shared:2 - ext4 /dev/mmcblk0p2 ro
29 27 0:25 / /media/root-rw rw,relatime shared:3 - tmpfs tmpfs-root rw"""
DATA = "33 27 179:3 / {} rw,noatime shared:9 - ext4 /dev/mmcblk0p3 rw"
#: An older raspi-config: its tmpfs cannot be seen.
RASPI_CONFIG = (
    "27 1 0:26 / / rw,noatime shared:1 - overlay overlay rw,lowerdir=/lower,upperdir=/upper/data,workdir=/upper/work"
)
DOCKER = "500 400 0:90 / / rw,relatime - overlay overlay rw,lowerdir=/var/lib/docker/l/A,upperdir=/var/lib/docker/b/diff,workdir=/var/lib/docker/b/work"


def check(machine: FakeMachine, log: str, *mounts: str, cmdline: str = "", **options: str) -> list[Finding]:
    machine.add_file("proc/self/mountinfo", "\n".join(mounts) + "\n")
    machine.add_file("proc/cmdline", f"console=tty1 root=PARTUUID=1-02 {cmdline} rootwait\n")
    return machine.check("storage", events=log, **options)


def test_a_card_that_is_written_to(machine: FakeMachine) -> None:
    (finding,) = check(machine, "/var/lib/doorlight/e.jsonl", CARD)
    assert finding == Finding("ok", "the root is on /dev/mmcblk0p2 (ext4); the log is on /dev/mmcblk0p2 (ext4)")


@pytest.mark.parametrize(
    ("mounts", "cmdline"),
    [
        (OVERLAYROOT, ""),
        (RASPI_CONFIG, "boot=overlay"),
        (RASPI_CONFIG, "overlayroot=tmpfs:recurse=0"),
        (RASPI_CONFIG, "boot=live"),
    ],
)
def test_a_log_on_an_overlay_in_memory_is_bad(machine: FakeMachine, mounts: str, cmdline: str) -> None:
    log, root = check(machine, "/var/lib/doorlight/e.jsonl", mounts, cmdline=cmdline)
    assert log.severity == "bad"
    assert log.message == "/var/lib/doorlight: is in memory only: every event is lost at power-off"
    assert "recurse=0" in log.fix
    assert root.message.startswith("the root is read-only")


def test_a_log_on_a_partition_of_its_own_is_ok(machine: FakeMachine) -> None:
    root, log = check(machine, "/var/lib/doorlight/e.jsonl", OVERLAYROOT, DATA.format("/var/lib/doorlight"))
    assert (root.severity, log.severity) == ("ok", "ok")
    assert log.message == "the log survives power-off: /var/lib/doorlight is on /dev/mmcblk0p3 (ext4)"


def test_a_partition_that_was_swallowed_by_recurse_is_bad(machine: FakeMachine) -> None:
    """Without recurse=0, overlayroot lays an overlay over each partition of /etc/fstab."""
    swallowed = "34 27 0:40 / /var/lib/doorlight rw,relatime shared:11 - overlay overlay rw,lowerdir=/media/root-ro/var/lib/doorlight,upperdir=/media/root-rw/overlay/var/lib/doorlight,workdir=/media/root-rw/overlay-workdir/w"
    below = DATA.format("/media/root-ro/var/lib/doorlight")
    assert check(machine, "/var/lib/doorlight/e.jsonl", OVERLAYROOT, below, swallowed)[0].severity == "bad"


def test_settings_and_program_that_lose_changes_are_named(machine: FakeMachine) -> None:
    machine.add_file("etc/doorlight/doorlight.toml")
    machine.add_file("opt/doorlight/current")
    mounts = (OVERLAYROOT, DATA.format("/var/lib/doorlight"))
    root, _ = check(machine, "/var/lib/doorlight/e.jsonl", *mounts)
    assert root.severity == "note"
    assert root.message.endswith("So are changes of /etc/doorlight and /opt/doorlight")
    root, _ = check(
        machine, "/var/lib/doorlight/e.jsonl", *mounts, DATA.format("/etc/doorlight"), DATA.format("/opt/doorlight")
    )
    assert root.severity == "ok"


def test_a_log_in_a_folder_in_memory_is_bad(machine: FakeMachine) -> None:
    tmpfs = "40 21 0:50 / /var/lib/doorlight rw shared:12 - tmpfs tmpfs rw"
    (log,) = check(machine, "/var/lib/doorlight/e.jsonl", CARD, tmpfs)
    assert (log.severity, log.fix) == ("bad", "name a file on a disk in [events] file")


def test_the_last_mount_at_a_point_counts(machine: FakeMachine) -> None:
    tmpfs = "40 21 0:50 / /var/lib/doorlight rw shared:12 - tmpfs tmpfs rw"
    (finding,) = check(machine, "/var/lib/doorlight/e.jsonl", CARD, tmpfs, DATA.format("/var/lib/doorlight"))
    assert finding.severity == "ok"


def test_a_link_to_a_folder_in_memory_is_followed(machine: FakeMachine, tmp_path: Path) -> None:
    (tmp_path / "log").symlink_to("/dev/shm")
    tmpfs = "40 21 0:50 / /dev/shm rw shared:12 - tmpfs tmpfs rw"
    assert check(machine, str(tmp_path / "log" / "e.jsonl"), CARD, tmpfs)[0].severity == "bad"


def test_a_space_in_the_path_of_a_mount(machine: FakeMachine) -> None:
    stick = DATA.format("/media/my\\040stick")
    (finding,) = check(machine, "/media/my stick/e.jsonl", CARD, stick)
    assert "the log is on /dev/mmcblk0p3" in finding.message


@pytest.mark.parametrize("rows", [(DOCKER,), ("",), ("nonsense",), ("a b c - d",)])
def test_a_container_and_an_unreadable_list_are_ok(machine: FakeMachine, rows: tuple[str, ...]) -> None:
    assert {finding.severity for finding in check(machine, "/var/lib/doorlight/e.jsonl", *rows)} == {"ok"}


#: As scripts/install.sh --read-only leaves it, and as overlayroot copies it into the root that is seen.
FSTAB = """\
# begin: folders of Doorlight on a disk of their own, see install.sh --read-only
UUID=1-2 /media/doorlight ext4 noatime,nofail,x-systemd.device-timeout=30s 0 2
/media/doorlight/etc/doorlight /etc/doorlight none bind,nofail,x-systemd.requires-mounts-for=/media/doorlight 0 0
/media/doorlight/opt/doorlight /opt/doorlight none bind,nofail,x-systemd.requires-mounts-for=/media/doorlight 0 0
/media/doorlight/var/lib/doorlight /var/lib/doorlight none bind,nofail,x-systemd.requires-mounts-for=/media/doorlight 0 0
# end: folders of Doorlight on a disk of their own
"""
MOVED = ("/media/doorlight", "/etc/doorlight", "/opt/doorlight", "/var/lib/doorlight")
LOG = "/var/lib/doorlight/events.jsonl"


@pytest.fixture
def read_only(machine: FakeMachine) -> FakeMachine:
    """A machine after scripts/install.sh --read-only."""
    machine.add_file("etc/fstab", FSTAB)
    return machine


def test_a_read_only_root_names_the_disk_of_the_data(read_only: FakeMachine) -> None:
    (finding,) = check(read_only, LOG, OVERLAYROOT, *map(DATA.format, MOVED))
    assert finding == Finding(
        "ok", "the root is read-only, nothing is written to it; log, settings and program are on /dev/mmcblk0p3 (ext4)"
    )


def test_a_missing_disk_of_the_data_is_bad(read_only: FakeMachine) -> None:
    (finding,) = check(read_only, LOG, OVERLAYROOT, DATA.format("/media/doorlight"), DATA.format("/etc/doorlight"))
    assert finding.severity == "bad"
    assert "/opt/doorlight, /var/lib/doorlight (UUID=1-2) is not mounted" in finding.message


def test_a_log_outside_of_the_disk_of_the_data_is_bad(read_only: FakeMachine) -> None:
    log, root = check(read_only, "/srv/events.jsonl", OVERLAYROOT, *map(DATA.format, MOVED))
    assert (log.severity, root.severity) == ("bad", "ok")
    assert "/srv: is in memory only" in log.message


SETTINGS = """\
[people]
enabled = true
file = "/srv/people.db"
[models]
directory = "/home/models"
[web]
certificate = "/etc/letsencrypt/live/door/cert.pem"
key = "/etc/doorlight/key.pem"
[link]
broker = "mqtts://broker.example.org"
ca = "/etc/ssl/ca.pem"
certificate = "/media/doorlight/door.pem"
key = "/var/lib/doorlight-link/door.key"
username = "door"
password = "broker"
[[link.webhook]]
name = "chat"
url = "secret:/srv/chat/url"
events = ["*"]
secret = "/srv/chat/secret"
token = "chat-token"
"""
NOTES = (
    "/home/models, [models] directory",
    "/etc/letsencrypt/live/door/cert.pem, [web] certificate",
    "/etc/ssl/ca.pem, [link] ca",
    "/srv/chat/secret, [link] webhook[0].secret",
    "/srv/chat/url, [link] webhook[0].url",
)


def test_named_files_outside_of_the_disk_of_the_data_are_named(read_only: FakeMachine, tmp_path: Path) -> None:
    (tmp_path / "door.toml").write_text(SETTINGS)
    mounts = (OVERLAYROOT, *map(DATA.format, (*MOVED, "/var/lib/doorlight-link")))
    people, *notes, root = check(read_only, LOG, *mounts, config=str(tmp_path / "door.toml"))
    assert (people.severity, root.severity) == ("bad", "ok")
    assert people.message.startswith("/srv/people.db, [people] file: is in memory only")
    assert people.fix.startswith("move it to a folder on /dev/mmcblk0p3 (ext4), and name it there: ")
    assert [finding.severity for finding in notes] == ["note"] * len(NOTES)
    for finding, expected in zip(notes, NOTES, strict=True):
        assert finding.message == f"{expected}: if it is renewed, the old one is back after power-off"
        assert finding.fix == people.fix


def test_named_files_on_a_root_that_keeps_changes_are_ok(machine: FakeMachine, tmp_path: Path) -> None:
    (tmp_path / "door.toml").write_text(SETTINGS)
    (finding,) = check(machine, LOG, CARD, config=str(tmp_path / "door.toml"))
    assert finding.severity == "ok"


@pytest.mark.parametrize("is_kept", [False, True])
def test_people_on_an_overlay_of_somebody_else(machine: FakeMachine, is_kept: bool) -> None:
    """Without a path, they are in the service's folder, wherever the log is."""
    machine.install_service()
    mounts = (RASPI_CONFIG, DATA.format("/media/log"), *([DATA.format("/var/lib/doorlight")] if is_kept else []))
    machine.add_file("proc/self/mountinfo", "\n".join(mounts) + "\n")
    machine.add_file("proc/cmdline", "boot=overlay\n")
    host = machine.host(events="/media/log/e.jsonl")
    host.__dict__["settings"] = config.replaced(config.load(), "people", enabled=True)
    found = [finding for finding in storage.check(host) if "people.db" in finding.message]
    assert [finding.severity for finding in found] == ([] if is_kept else ["bad"])
    assert all("disable_overlayfs" in finding.fix for finding in found)


@pytest.mark.parametrize(("is_complete", "fix"), [(True, "sudo reboot"), (False, "--read-only --data UUID=1-2")])
def test_a_root_that_is_not_yet_read_only(read_only: FakeMachine, is_complete: bool, fix: str) -> None:
    if is_complete:
        read_only.add_file("etc/overlayroot.local.conf", 'overlayroot="tmpfs:recurse=0"\n')
    (finding,) = check(read_only, LOG, CARD, *map(DATA.format, MOVED))
    assert finding.severity == "note"
    assert finding.message.startswith("the root is still writable")
    assert finding.fix.endswith(fix)


def test_units_that_are_enabled_until_the_next_boot_only(read_only: FakeMachine) -> None:
    wants = "etc/systemd/system/multi-user.target.wants"
    for name in ("doorlight.service", "doorlight-web.service", "doorlight-new.service"):
        read_only.add_file(f"{wants}/{name}")
    read_only.add_file(f"media/root-ro/{wants}/doorlight.service")
    for name in ("doorlight.service", "doorlight-web.service"):
        read_only.add_file(f"media/root-ro/etc/systemd/system/{name}")
    read_only.add_file(
        "opt/doorlight/system/enabled", "doorlight-new.service\ndoorlight-web.service\ndoorlight.service\n"
    )
    _, finding = check(read_only, LOG, OVERLAYROOT, *map(DATA.format, MOVED))
    assert finding.severity == "note"
    assert finding.message.startswith("doorlight-web.service: enabled until the next boot only")
    assert finding.fix == "sudo overlayroot-chroot systemctl enable doorlight-web.service"


def test_a_full_memory_for_changes_of_the_root(read_only: FakeMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    full = os.statvfs_result((4096, 4096, 1000, 100, 100, 0, 0, 0, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda path: full)
    _, finding = check(read_only, LOG, OVERLAYROOT, *map(DATA.format, MOVED))
    assert finding.message == "the memory for changes of the root is 90% full"
