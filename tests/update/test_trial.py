"""A new version is kept after ten healthy minutes, and taken back otherwise."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edge.errors import ConfigError, DoorlightError, UnavailableError
from edge.update import managed_files, status
from support.update import Box, add_bundle, needs_ssh_keygen, unit_text

pytestmark = needs_ssh_keygen


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return add_bundle(tmp_path / "bundle")


def lines(box: Box) -> str:
    return "\n".join(status.describe(status.collect(box.layout, box.door)))


def test_ten_healthy_minutes(box: Box, bundle: Path) -> None:
    box.update(bundle)
    assert (box.version, box.door.running) == ("0.2.0", "0.2.0")
    assert "version 0.2.0 is on trial since" in lines(box)
    box.watch(9.5)
    assert box.layout.trial.exists()
    box.watch(1.5)
    assert not box.layout.trial.exists()
    assert (box.version, box.door.running, box.door.is_watched) == ("0.2.0", "0.2.0", False)
    assert "version 0.2.0 runs\nversion 0.1.0 can come back" in lines(box)
    assert "from 0.1.0 to 0.2.0: kept" in lines(box)
    assert not box.layout.staging.exists()
    # The units that look after a trial are replaced only now.
    assert (box.layout.root / "etc/systemd/system/doorlight-trial.service").read_text() == unit_text("0.2.0")


def test_the_units_of_the_trial_stay_those_of_the_version_before(box: Box, bundle: Path) -> None:
    box.update(bundle)
    assert (box.layout.root / "etc/systemd/system/doorlight-trial.service").read_text() == "# trial 0.1.0\n"


def test_with_a_read_only_root_the_units_of_the_version_before_are_kept_for_the_next_boot(
    box: Box, bundle: Path
) -> None:
    """install.sh keeps those of the new version there; these are of a version that is taken back."""
    root, kept = box.layout.root, box.layout.kept_units
    for name in ("doorlight.service", "doorlight-new.service"):
        path = kept / "etc/systemd/system" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(unit_text("0.2.0"))
    (kept / "enabled").write_text("doorlight.service\n")
    box.update(bundle)
    box.door.restarts = 1
    box.watch(0.5)
    found = {str(path.relative_to(kept)): path.read_bytes() for path in kept.rglob("*") if path.is_file()}
    units = ("etc/systemd/system/doorlight.service", "etc/systemd/system/doorlight-trial.service")
    assert found == {"enabled": b"doorlight.service\n"} | {name: (root / name).read_bytes() for name in units}
    assert found[units[0]] == unit_text("0.1.0").encode()


def read_only_box(box: Box) -> None:
    """Make the root of a box read-only: the disk has what is kept for the next boot, and the root is of version 0.0.9.

    Version 0.1.0 has come by an update, with a unit that 0.2.0 does not have.
    """
    units = box.layout.root / "etc/systemd/system"
    (units / "doorlight-retired.service").write_text(unit_text("0.1.0"))
    for unit in units.glob("doorlight*.service"):
        copy = box.layout.kept_units / unit.relative_to(box.layout.root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(unit.read_bytes())


def reboot(box: Box) -> None:
    """Cut the power of a box with a read-only root: units are those of the root again, and /run is empty."""
    units = box.layout.root / "etc/systemd/system"
    for unit in units.glob("doorlight*.service"):
        unit.unlink()
    (units / "doorlight.service").write_text(unit_text("0.0.9"))
    for path in (box.layout.root / "run").iterdir():
        path.unlink()


@pytest.mark.parametrize("cuts", [1, 2], ids=["one cut", "another cut while it comes back"])
def test_a_power_cut_loses_no_unit_with_a_read_only_root(
    box: Box, bundle: Path, cuts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also none that the new version does not have: nothing but `undo` has it then."""
    read_only_box(box)
    box.update(bundle)
    reboot(box)
    if cuts == 2:
        with monkeypatch.context() as patch:
            patch.setattr(managed_files, "keep_for_next_boot", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                box.trials.watch()
        reboot(box)
    box.trials.watch()
    assert box.version == "0.1.0"
    names = {"doorlight.service", "doorlight-trial.service", "doorlight-retired.service"}
    for folder in (box.layout.root, box.layout.kept_units):
        found = {path.name: path.read_text() for path in (folder / "etc/systemd/system").glob("*.service")}
        assert found.keys() == names
        assert found["doorlight-retired.service"] == unit_text("0.1.0")


def test_a_unit_that_the_user_removes_during_a_trial_stays_removed(box: Box, bundle: Path) -> None:
    """With a writable root: what is missing there was removed by somebody."""
    retired = box.layout.root / "etc/systemd/system/doorlight-retired.service"
    retired.write_text("# of the user\n")
    box.update(bundle)
    retired.unlink()
    box.door.restarts = 1
    box.watch(0.5)
    assert box.version == "0.1.0"
    assert not retired.exists()


def test_with_a_writable_root_no_units_are_kept(box: Box, bundle: Path) -> None:
    box.update(bundle)
    box.trials.rollback()
    assert not box.layout.kept_units.exists()


def test_a_version_that_does_not_start(box: Box, bundle: Path) -> None:
    box.door.broken.add("0.2.0")
    with pytest.raises(UnavailableError, match=r"0\.2\.0 could not be started: .*; version 0\.1\.0 runs again"):
        box.update(bundle)
    assert (box.version, box.door.running) == ("0.1.0", "0.1.0")
    assert "taken back to 0.1.0" in lines(box)
    assert not (box.layout.root / "etc/systemd/system/doorlight-new.service").exists()
    assert (box.layout.root / "etc/systemd/system/doorlight.service.d/override.conf").exists(), "of the user"
    assert [path.name for path in box.layout.releases.iterdir()] == ["r0.1.0"], "the broken one is removed"


@pytest.mark.parametrize("after_minutes", [1, 9])
def test_a_version_that_ends_by_itself(box: Box, bundle: Path, after_minutes: float) -> None:
    box.update(bundle)
    box.watch(after_minutes)
    box.door.restarts = 1
    box.watch(0.5)
    assert (box.version, box.door.running) == ("0.1.0", "0.1.0")
    assert "because: version 0.2.0 ended by itself" in lines(box)


def test_a_restart_by_hand_begins_the_ten_minutes_again(box: Box, bundle: Path) -> None:
    box.update(bundle)
    box.watch(8)
    box.door.restart()
    box.watch(8)
    assert box.layout.trial.exists()
    box.watch(4)
    assert not box.layout.trial.exists()
    assert box.version == "0.2.0"


def test_fault_is_not_healthy(box: Box, bundle: Path) -> None:
    box.update(bundle)
    box.watch(5)
    box.door.status = "FAULT, 0.0 frames/s, CPU, camera: no such camera"
    box.watch(3)
    box.door.status = "IDLE, 14.8 frames/s, CPU, all well"
    box.watch(9)
    assert box.layout.trial.exists()
    box.door.status = "FAULT, 0.0 frames/s, CPU, camera: no such camera"
    box.watch(20)
    assert box.version == "0.1.0"
    assert "not healthy for long enough within 30 minutes: FAULT" in lines(box)


def test_a_fault_of_before_does_not_count(box: Box, bundle: Path) -> None:
    box.door.status = "FAULT, 0.0 frames/s, CPU, camera: no such camera"
    box.update(bundle)
    box.watch(11)
    assert box.version == "0.2.0"
    assert not box.layout.trial.exists()


def test_a_reboot_takes_it_back(box: Box, bundle: Path) -> None:
    box.update(bundle)
    box.watch(9)
    shutil.rmtree(box.layout.root / "run")
    (box.layout.root / "run").mkdir()
    box.trials.watch()
    assert (box.version, box.door.running) == ("0.1.0", "0.1.0")
    assert "because: the box was restarted before 10 healthy minutes" in lines(box)


def test_rollback(box: Box, bundle: Path) -> None:
    box.update(bundle)
    assert box.trials.rollback() == "0.1.0", "during the trial"
    assert box.version == "0.1.0"
    box.update(bundle)
    box.watch(11)
    assert box.trials.rollback() == "0.1.0", "after it"
    assert (box.version, box.door.running) == ("0.1.0", "0.1.0")
    assert "because: by hand" in lines(box)
    with pytest.raises(UnavailableError, match="no version to go back to"):
        box.trials.rollback()


def test_units_of_the_user_stay(box: Box, bundle: Path) -> None:
    """A name like ours, and other content than before."""
    units = box.layout.root / "etc/systemd/system"
    (units / "doorlight-backup.service").write_text("# one")
    box.update(bundle)
    box.watch(11)
    (units / "doorlight-backup.service").write_text("# two")
    (units / "doorlight-mail.timer").write_text("# new")
    box.trials.rollback()
    assert box.version == "0.1.0"
    assert (units / "doorlight-backup.service").read_text() == "# two"
    assert (units / "doorlight-mail.timer").exists()
    assert not (units / "doorlight-new.service").exists()


def test_neither_version_starts(box: Box, bundle: Path) -> None:
    """As with a camera that was unplugged: this is said, and the old one is restarted by systemd."""
    box.door.broken |= {"0.1.0", "0.2.0"}
    with pytest.raises(UnavailableError, match=r"version 0\.1\.0 is back, but does not start either"):
        box.update(bundle)
    assert box.version == "0.1.0"
    assert not box.layout.trial.exists()


def test_a_rollback_that_does_not_start(box: Box, bundle: Path) -> None:
    box.update(bundle)
    box.door.broken.add("0.1.0")
    with pytest.raises(UnavailableError, match=r"is back, but does not start: doorlight\.service: failed"):
        box.trials.rollback()
    assert box.version == "0.1.0"


def test_without_an_update_there_is_nothing_to_roll_back(box: Box) -> None:
    with pytest.raises(UnavailableError, match="no version to go back to"):
        box.trials.rollback()
    assert lines(box) == "version 0.1.0 runs"


@pytest.mark.parametrize("problem", [UnavailableError("no"), ConfigError("no")])
def test_a_version_that_cannot_be_built_changes_nothing(box: Box, bundle: Path, problem: DoorlightError) -> None:
    box.installer.problem = problem
    with pytest.raises(type(problem)):
        box.update(bundle)
    assert not box.layout.trial.exists()
    assert (box.version, box.door.starts) == ("0.1.0", 0)


def test_a_damaged_file_of_the_trial_is_named(box: Box) -> None:
    box.layout.updates.mkdir()
    box.layout.trial.write_bytes(b"\0" * 100)
    with pytest.raises(UnavailableError, match=r"trial\.json: is damaged"):
        box.trials.watch()
    assert box.version == "0.1.0"


def test_a_version_that_somebody_removed_is_not_gone_back_to(box: Box, bundle: Path) -> None:
    box.update(bundle)
    (box.layout.releases / "r0.1.0/.complete").unlink()
    box.door.restarts = 1
    box.watch(0.5)
    assert box.version == "0.2.0"
    assert any("is gone; version 0.2.0 stays" in line for line in box.said)


def test_older_versions_are_removed_when_the_next_one_is_kept(box: Box, tmp_path: Path, bundle: Path) -> None:
    box.update(bundle)
    box.watch(11)
    box.update(add_bundle(tmp_path / "next", "0.3.0"))
    box.watch(11)
    assert box.version == "0.3.0"
    assert len(list(box.layout.releases.iterdir())) == 2
    assert box.trials.rollback() == "0.2.0"
