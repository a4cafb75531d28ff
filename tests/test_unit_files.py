"""The files of the service agree with systemd's tools, with the code and with systemd/README.md."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import typing
from pathlib import Path

import msgspec
import pytest

from edge import cli, config, errors
from edge.commands import web
from edge.commands.events import SERVICE_LOG
from edge.link import secret_files, service, status
from edge.view import protocol
from support import installation
from support.paths import ROOT

FOLDER = ROOT / "systemd"
UNIT = FOLDER / "doorlight.service"
WEB_UNIT = FOLDER / "doorlight-web.service"
LINK_UNIT = FOLDER / "doorlight-link.service"
UNITS = {UNIT: 1.5, WEB_UNIT: 2.0, LINK_UNIT: 2.0}
PROGRAM = "/opt/doorlight/current/bin/doorlight"
#: Exit code of the script that install.sh puts before the program, if the system has another Python than it was installed for.
WRONG_PYTHON = 71
#: Keys that systemd 252 (Debian 12) does not know; they belong in the drop-in.
NEWER = {"RestartSteps", "RestartMaxDelaySec"}

needs_analyze = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


def settings(path: Path = UNIT) -> list[tuple[str, str]]:
    """Return (key, value) of every setting, in order; a key may occur more than once."""
    lines = [line.strip() for line in path.read_text().splitlines()]
    return [(k, v) for k, _, v in (line.partition("=") for line in lines if line and line[0] not in "#[")]


def values(key: str, unit: Path = UNIT) -> list[str]:
    return [value for name, value in settings(unit) if name == key]


def runnable(folder: Path, unit: Path = UNIT) -> Path:
    """Return a copy of the unit whose program exists: otherwise systemd-analyze would warn about it."""
    copy = folder / unit.name
    copy.write_text(unit.read_text().replace(PROGRAM, "/bin/true"))
    return copy


def analyze(*args: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *map(str, args)], capture_output=True, text=True, timeout=600, check=False
    )


@needs_analyze
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_verifies_the_unit(unit: Path, tmp_path: Path) -> None:
    done = analyze("verify", "--man=no", runnable(tmp_path, unit))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@needs_analyze
def test_systemd_reports_a_misspelt_key(tmp_path: Path) -> None:
    unit = runnable(tmp_path)
    unit.write_text(unit.read_text().replace("WatchdogSec", "WatchdogSecs"))
    assert "WatchdogSecs" in analyze("verify", "--man=no", unit).stderr, "the test above must be able to fail"


@needs_analyze
@pytest.mark.parametrize(("unit", "limit"), UNITS.items(), ids=lambda value: getattr(value, "name", None))
def test_security_exposure_is_low(unit: Path, limit: float, tmp_path: Path) -> None:
    done = analyze("security", "--offline=true", "--no-pager", runnable(tmp_path, unit))
    found = re.search(rf"Overall exposure level for {unit.name}: ([\d.]+)", done.stdout)
    assert found is not None, done.stderr
    assert float(found[1]) <= limit


def test_devices_of_the_door_and_none_of_the_page() -> None:
    assert set(values("DeviceAllow")) == {
        "char-81 rw", "char-media rw", "char-dma_heap rw", "char-gpiochip rw", "char-189 rw", "char-apex rw",
    }  # fmt: skip
    assert not values("DeviceAllow", WEB_UNIT)
    assert values("PrivateDevices", WEB_UNIT) == ["yes"]


def test_the_page_writes_nowhere_and_reaches_the_door_by_its_group_only() -> None:
    keys = {key for key, _ in settings(WEB_UNIT)}
    assert not keys & {"StateDirectory", "RuntimeDirectory", "ReadWritePaths", "SupplementaryGroups", "CacheDirectory"}
    assert values("ProtectSystem", WEB_UNIT) == ["strict"]
    assert values("User", WEB_UNIT) != values("User")
    assert values("Group", WEB_UNIT) == values("Group"), "see edge/view/peer.py"
    assert (values("User", WEB_UNIT)[0], values("Group", WEB_UNIT)[0]) == (web.WEB_USER, web.WEB_GROUP)
    assert Path("/run") / values("RuntimeDirectory")[0] == protocol.RUNTIME_FOLDER


def test_the_link_writes_its_own_folders_only_and_has_nothing_of_the_door() -> None:
    keys = {key for key, _ in settings(LINK_UNIT)}
    assert not keys & {"ReadWritePaths", "SupplementaryGroups", "CacheDirectory", "DeviceAllow", "Environment"}
    assert values("ProtectSystem", LINK_UNIT) == ["strict"]
    assert len({*values("User"), *values("User", WEB_UNIT), *values("User", LINK_UNIT)}) == 3
    assert values("Group", LINK_UNIT) == values("User", LINK_UNIT), "the door's socket is open to the door's group"
    assert Path("/var/lib") / values("StateDirectory", LINK_UNIT)[0] == status.STATE_FOLDER
    assert Path("/run") / values("RuntimeDirectory", LINK_UNIT)[0] == status.RUNTIME_FOLDER
    assert values("LoadCredential", LINK_UNIT) == [
        f"{secret_files.CREDENTIAL_PREFIX}:{secret_files.FOLDER}".replace("_:", ":")
    ]
    assert f"d {secret_files.FOLDER} 0700 root root -" in (FOLDER / "doorlight.tmpfiles").read_text().splitlines()
    assert int(values("WatchdogSec", LINK_UNIT)[0]) > 1.5 * service.MAX_SILENCE_S
    assert int(values("TimeoutStopSec", LINK_UNIT)[0]) > service.STOP_TIMEOUT_S


def explained_in(page: str) -> set[str]:
    """Return what stands in backticks in the first column of the tables of `page`."""
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


def test_readme_explains_every_setting() -> None:
    page = (FOLDER / "README.md").read_text()
    door, web_page, link = (
        page.partition(f"\n# {heading}")[2].partition("\n# ")[0]
        for heading in ("The unit", "The page's unit", "The link's unit")
    )
    named = explained_in(door)
    explained = {name for name in named if name[0].isupper()}
    there = {key for key, _ in settings() if key != "DeviceAllow"}
    there |= {f"DeviceAllow={value.split()[0]}" for value in values("DeviceAllow")}
    assert explained == there
    assert {path.name for path in FOLDER.iterdir()} - {"README.md"} == named - explained, (
        "each file needs a row in the README"
    )
    assert explained_in(web_page) == {key for key, _ in settings(WEB_UNIT)}
    assert explained_in(link) == {key for key, _ in settings(LINK_UNIT)}


@pytest.mark.parametrize("key", ["ExecStart", "ExecStopPost"])
def test_command_line_parses_the_unit_s_command(key: str) -> None:
    (command,) = values(key)
    program, *args = shlex.split(command.lstrip("-"))
    assert program == PROGRAM
    parsed = cli.build_parser().parse_args(args)
    assert parsed.config == Path("/etc/doorlight/doorlight.toml")
    if key == "ExecStart":
        assert parsed.events == SERVICE_LOG, "or `doorlight events` would not find it"
        assert parsed.events.parent == Path("/var/lib") / values("StateDirectory")[0]
    else:
        assert parsed.off
        assert command.startswith("-")


def test_command_line_parses_the_command_of_the_page() -> None:
    (command,) = values("ExecStart", WEB_UNIT)
    program, *args = shlex.split(command)
    assert program == PROGRAM
    parsed = cli.build_parser().parse_args(args)
    assert (parsed.config, parsed.events, parsed.for_s) == (Path("/etc/doorlight/doorlight.toml"), SERVICE_LOG, None)


def test_command_line_parses_the_command_of_the_link() -> None:
    (command,) = values("ExecStart", LINK_UNIT)
    program, *args = shlex.split(command)
    assert program == PROGRAM
    parsed = cli.build_parser().parse_args(args)
    assert (parsed.config, parsed.events, parsed.forget) == (Path("/etc/doorlight/doorlight.toml"), SERVICE_LOG, False)


def test_timeouts_fit_the_camera_timeout() -> None:
    hints = typing.get_type_hints(config.CameraSettings, include_extras=True)
    (limit,) = [meta.le for meta in hints["timeout_s"].__metadata__ if isinstance(meta, msgspec.Meta)]
    assert limit is not None
    assert int(values("WatchdogSec")[0]) >= 2 * limit, "a camera timeout must not trigger the watchdog"
    assert int(values("TimeoutStartSec")[0]) >= 2 * limit
    assert int(values("TimeoutStopSec")[0]) >= 2 * limit


def test_wrong_settings_and_usage_prevent_restarts() -> None:
    codes = {int(code) for code in values("RestartPreventExitStatus")[0].split()}
    assert codes == {errors.ConfigError.exit_code, errors.UsageError.exit_code, WRONG_PYTHON}
    assert f"exit {WRONG_PYTHON}\n" in installation.functions()
    for unit in (WEB_UNIT, LINK_UNIT):
        assert values("RestartPreventExitStatus", unit) == values("RestartPreventExitStatus")


def test_newer_keys_stay_out_of_the_unit() -> None:
    assert {key for key, _ in settings(FOLDER / "restart-backoff.conf")} - {"Wants"} == NEWER
    assert not NEWER & {key for key, _ in settings()}


def test_restarts_of_long_ago_do_not_lengthen_the_pause() -> None:
    """systemd 254 and later never forget them by themselves."""
    assert dict(settings(FOLDER / "restart-backoff.conf"))["Wants"] == "doorlight-steady.timer"
    timer, service = (dict(settings(FOLDER / f"doorlight-steady.{kind}")) for kind in ("timer", "service"))
    assert timer["PartOf"] == "doorlight.service", "each start of the door begins the ten minutes again"
    assert service["ExecCondition"].endswith("is-active doorlight.service"), "a failure must stay visible"
    assert service["ExecStart"].endswith("reset-failed doorlight.service")


def test_no_network_without_the_drop_in() -> None:
    assert values("RestrictAddressFamilies") == ["AF_UNIX AF_NETLINK"]
    assert values("IPAddressDeny") == ["any"]
    assert not [value for key in ("After", "Wants", "Requires") for value in values(key)], (
        "the unit must not wait for other units"
    )
    opened = dict(settings(FOLDER / "network.conf.example"))
    assert opened == {"RestrictAddressFamilies": "AF_INET AF_INET6", "IPAddressAllow": "any"}


def test_udev_rules_have_both_ids_of_the_coral() -> None:
    rules = [line for line in (FOLDER / "60-doorlight.rules").read_text().splitlines() if line and line[0] != "#"]
    term = re.compile(r'[A-Z]+(\{\w+\})?(==|!=|=)"[^"]*"')
    assert all(term.fullmatch(part) for rule in rules for part in rule.split(", "))
    usb = [rule for rule in rules if '"usb"' in rule]
    pairs = [re.findall(r'ATTR\{id(?:Vendor|Product)\}=="(\w+)"', rule) for rule in usb]
    assert pairs == [["1a6e", "089a"], ["18d1", "9302"]]
    assert all('GROUP="plugdev", MODE="0660"' in rule for rule in usb)


@pytest.mark.skipif(shutil.which("systemd-sysusers") is None, reason="systemd-sysusers is not installed")
def test_sysusers_creates_the_user(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    subprocess.run(
        ["systemd-sysusers", f"--root={tmp_path}", FOLDER / "doorlight.sysusers"],
        check=True, capture_output=True, timeout=600,
    )  # fmt: skip
    users = {row.partition(":")[0]: row for row in (tmp_path / "etc" / "passwd").read_text().splitlines()}
    assert set(users) == {"doorlight", "doorlight-web", "doorlight-link"}
    assert users["doorlight"].endswith(":Doorlight:/var/lib/doorlight:/usr/sbin/nologin")
    assert users["doorlight-web"].endswith(":Doorlight's page:/:/usr/sbin/nologin")
    rows = [line.split(":") for line in (tmp_path / "etc" / "group").read_text().splitlines()]
    assert {row[0]: row[3] for row in rows} == {
        "doorlight": "", "doorlight-web": "", "doorlight-link": "", "video": "doorlight", "gpio": "doorlight", "plugdev": "doorlight",
    }  # fmt: skip


UNDER_MDWE = """\
import ctypes, mmap, os, sys
# prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN), kernel 6.3: has the effect of MemoryDenyWriteExecute=yes.
if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0):
    sys.exit(100)
try:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    sys.exit(101)
except PermissionError:
    os.execv(sys.executable, [sys.executable, "-m", "edge", *sys.argv[1:]])
"""


def test_models_run_without_writable_and_executable_memory(tmp_path: Path) -> None:
    assert values("MemoryDenyWriteExecute") == ["yes"]
    still = ROOT / "scripts" / "assets" / "demo" / "still.jpg"
    command = [sys.executable, "-c", UNDER_MDWE, "annotate", still, tmp_path / "seen.jpg"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=ROOT, check=False)  # type: ignore[arg-type]
    if done.returncode == 100:
        pytest.skip("this kernel has no PR_SET_MDWE (6.3 or later)")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "seen.jpg").stat().st_size > 10_000
