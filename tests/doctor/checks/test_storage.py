"""Check `storage`."""

from __future__ import annotations

from pathlib import Path

import pytest

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


def check(machine: FakeMachine, log: str, *mounts: str, cmdline: str = "") -> list[Finding]:
    machine.add_file("proc/self/mountinfo", "\n".join(mounts) + "\n")
    machine.add_file("proc/cmdline", f"console=tty1 root=PARTUUID=1-02 {cmdline} rootwait\n")
    return machine.check("storage", events=log)


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
