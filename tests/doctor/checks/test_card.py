"""Check `card`."""

from __future__ import annotations

import pytest

from edge.doctor.finding import Finding
from support.doctor import FakeMachine, only

#: 16 GB in sectors, and the fields of `stat` with a place for the sectors written.
SIZE = "31116288\n"
STAT = "   58316  9837  5064914  41210  {written}  5214  100  74212  0  61232  115422  0 0 0 0\n"
DAY_S = 86400


def add_card(machine: FakeMachine, card: str = "mmcblk0", **files: str) -> None:
    for key, text in files.items():
        folder = "" if key in ("stat", "size") else "device/"
        machine.add_file(f"sys/block/{card}/{folder}{key}", text)
    if not files:
        machine.add_file(f"sys/block/{card}/size", SIZE)


def written(machine: FakeMachine, bytes_written: float, uptime_s: float, size: str = SIZE) -> Finding:
    add_card(machine, size=size, stat=STAT.replace("  {written}  5214", f"  1200  5214  {int(bytes_written) // 512}"))
    machine.add_file("proc/uptime", f"{uptime_s:.2f} 1.00\n")
    return machine.check("card")[1]


def test_a_machine_without_a_card(machine: FakeMachine) -> None:
    for other in ("mmcblk0boot0", "mmcblk0rpmb", "nvme0n1", "sda"):
        machine.add_file(f"sys/block/{other}/size", SIZE)
    assert only(machine.check("card")) == Finding("ok", "this machine has no SD card and no eMMC")


@pytest.mark.parametrize(
    ("life_time", "severity", "says"),
    [
        ("0x01 0x01", "ok", "0 to 10 % of its life"),
        ("0x02 0x05", "ok", "40 to 50 %"),
        ("0x09 0x00", "note", "80 to 90 %"),
        ("0x0a 0x01", "note", "90 to 100 %"),
        ("0x00 0x0b", "bad", "more than its whole life"),
        ("0x00 0x00", "ok", "does not tell its wear"),
        ("", "ok", "does not tell its wear"),
        ("0xff zz\n-1 0x", "ok", "does not tell its wear"),
    ],
)
def test_the_more_worn_cells_count(machine: FakeMachine, life_time: str, severity: str, says: str) -> None:
    add_card(machine, life_time=life_time, type="MMC\n", name="DG4032\n")
    finding = machine.check("card")[0]
    assert finding.severity == severity
    assert finding.message.startswith("mmcblk0 (MMC DG4032): ")
    assert says in finding.message
    assert bool(finding.fix) == (severity != "ok")


@pytest.mark.parametrize(
    ("spare", "severity"), [("0x01", "ok"), ("0x02", "note"), ("0x03", "bad"), ("0x00", "ok"), ("0x77", "ok")]
)
def test_the_worse_of_wear_and_spare_blocks_counts(machine: FakeMachine, spare: str, severity: str) -> None:
    add_card(machine, life_time="0x02 0x02", pre_eol_info=spare)
    assert machine.check("card")[0].severity == severity


def test_years_at_the_rate_since_boot(machine: FakeMachine) -> None:
    finding = written(machine, 3 * 500e6, 3 * DAY_S)
    # 15.9 GB x 100 / 500 MB a day = 3186 days.
    assert finding == Finding(
        "ok",
        "mmcblk0: 1,500 MB written in 3 days since boot, 500 MB a day; a usual card of 16 GB lasts about 8.7 years at that rate",
    )


def test_a_card_that_does_not_last(machine: FakeMachine) -> None:
    finding = written(machine, 3e9, DAY_S)
    assert finding.severity == "note"
    assert "about 1.5 years" in finding.message
    assert "iotop" in finding.fix


def test_a_quiet_door(machine: FakeMachine) -> None:
    assert "lasts more than 50 years" in written(machine, 20e6, DAY_S).message
    assert written(machine, 0, DAY_S).message.endswith("0 MB a day")


def test_minutes_after_boot_there_is_no_rate(machine: FakeMachine) -> None:
    finding = written(machine, 300e6, 600)
    assert finding == Finding("ok", "mmcblk0: 300 MB written in 10 min since boot, too short a time for a rate")


@pytest.mark.parametrize(
    ("stat", "uptime"),
    [("", "100000 1"), ("1 2 3", "100000 1"), ("1 2 3 4 5 6 x", "100000 1"), (STAT, ""), (STAT, "zz")],
)
def test_a_kernel_that_tells_nothing(machine: FakeMachine, stat: str, uptime: str) -> None:
    add_card(machine, size=SIZE, stat=stat.replace("{written}", "7"))
    machine.add_file("proc/uptime", uptime)
    assert machine.check("card")[1].message == "mmcblk0: the kernel does not tell how much is written to it"


def test_without_a_size_there_are_no_years(machine: FakeMachine) -> None:
    for size in ("", "-5", "many"):
        assert written(machine, 500e6, DAY_S, size).message.endswith("500 MB a day")


def test_each_card_counts(machine: FakeMachine) -> None:
    add_card(machine)
    add_card(machine, "mmcblk1")
    assert [finding.message.partition(" ")[0].rstrip(":") for finding in machine.check("card")] == ["mmcblk0"] * 2 + [
        "mmcblk1"
    ] * 2
