"""What an update does with the versions that there are, with people at the door, and at night."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
from pathlib import Path

import pytest

from edge.commands import update as command
from edge.errors import InputError, OutputError, UnavailableError
from edge.link.host_figures import HostFigures
from edge.system.files import is_locked
from edge.update import status
from edge.update.layout import Layout
from edge.update.updater import Installer
from releasing import bundle as releasing
from support.update import Box, add_bundle, needs_ssh_keygen
from support.wait import wait_until

pytestmark = needs_ssh_keygen


def run(box: Box, source: Path, *options: str) -> int:
    """Run the command with options on a box."""
    given = {name: f"--{name.replace('_', '-')}" in options for name in ("check", "nightly", "allow_downgrade")}
    return command.install(box.updater, str(source), argparse.Namespace(**given))


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return add_bundle(tmp_path / "bundle")


def test_check_installs_nothing(box: Box, bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(box, bundle, "--check") == 0
    assert capsys.readouterr().out == "version 0.2.0 can be installed; 0.1.0 is installed now\n"
    assert [path.name for path in box.layout.updates.iterdir()] == [box.layout.latest.name]


def test_the_latest_version_is_noted_for_the_link(box: Box, bundle: Path, tmp_path: Path) -> None:
    assert run(box, bundle, "--check") == 0
    assert box.layout.latest.read_text() == "0.2.0\n"
    run(box, add_bundle(tmp_path / "old", "0.0.9"), "--check")
    assert box.layout.latest.read_text() == "0.1.0\n", "the installed one is higher"
    assert run(box, bundle) == 0
    figures = HostFigures(tmp_path, box.layout.root).read(is_running=True)
    assert figures.latest_version == box.version == "0.2.0"


def test_a_version_that_cannot_be_noted_stops_no_update(
    box: Box, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidate = box.updater.choose(str(bundle))
    monkeypatch.setattr(box.disk, "write", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    box.updater.note_latest(candidate)
    assert not box.layout.latest.exists()


def test_the_same_version(box: Box, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(box, add_bundle(tmp_path / "b", "0.1.0")) == 0
    assert capsys.readouterr().out == "version 0.1.0 is installed already\n"
    assert box.door.starts == 0


def test_never_to_a_lower_version_unasked(box: Box, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = add_bundle(tmp_path / "b", "0.0.9")
    with pytest.raises(InputError, match=r"version 0\.0\.9 is not higher than the installed 0\.1\.0") as caught:
        run(box, old)
    assert "--allow-downgrade" in caught.value.hint
    assert run(box, old, "--nightly") == 0, "nothing to do is no failure at night"
    assert box.version == "0.1.0"
    assert run(box, old, "--allow-downgrade") == 0
    assert box.version == "0.0.9"


def test_at_night_a_version_that_failed_is_not_tried_again(
    box: Box, tmp_path: Path, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    box.door.broken.add("0.2.0")
    with pytest.raises(UnavailableError):
        run(box, bundle, "--nightly")
    starts = box.door.starts
    assert run(box, bundle, "--nightly") == 0
    assert "version 0.2.0 was tried and taken back" in capsys.readouterr().out
    assert box.door.starts == starts
    # Another bundle of that version is, and so is the same by hand.
    box.door.broken.clear()
    assert run(box, add_bundle(tmp_path / "mended", made=1.8e9), "--nightly") == 0
    assert box.version == "0.2.0"
    box.trials.rollback()
    assert run(box, bundle) == 0
    assert box.version == "0.2.0"


@pytest.mark.parametrize("light", ["PASS", "STOP", "ALARM"])
def test_somebody_at_the_door(box: Box, bundle: Path, light: str) -> None:
    box.door.status = f"{light}, 14.8 frames/s, CPU, all well"
    with pytest.raises(UnavailableError, match="a person was at the door for 1 minute; nothing was changed"):
        box.update(bundle, wait_s=60)
    assert sum(box.slept_s) == 60
    assert (box.version, box.door.starts) == ("0.1.0", 0)
    assert box.said.count("a person is at the door; waiting until nobody is …") == 1


def test_when_they_have_gone(box: Box, bundle: Path) -> None:
    box.door.status = "PASS, 14.8 frames/s"

    def sleep(seconds: float) -> None:
        box.slept_s.append(seconds)
        if len(box.slept_s) == 3:
            box.door.status = "IDLE, 14.8 frames/s"

    box.updater._sleep = sleep
    box.update(bundle)
    assert len(box.slept_s) == 3
    assert box.version == "0.2.0"


def test_a_door_that_somebody_stopped(box: Box, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = box.door.state()._replace(active="inactive")
    monkeypatch.setattr(box.door, "state", lambda: state)
    with pytest.raises(UnavailableError, match="the door is stopped"):
        box.update(bundle)
    assert box.door.starts == 0


def test_an_installed_version_that_cannot_be_compared(box: Box, bundle: Path) -> None:
    metadata = next(box.layout.releases.glob("*/lib/python3.11/site-packages/*.dist-info"))
    metadata.rename(metadata.with_name("doorlight-0.3.dev1+g1234.dist-info"))
    with pytest.raises(InputError, match=r"not higher than the installed 0\.3\.dev1"):
        run(box, bundle)


def test_a_disk_that_is_full_at_the_last_moment(box: Box, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(box.disk, "copy", full)
    with pytest.raises(OutputError, match="No space left"):
        box.update(bundle)
    assert (box.version, box.door.starts) == ("0.1.0", 0)
    assert not box.layout.trial.exists()


def test_an_orphaned_installer_keeps_the_lock(tmp_path: Path) -> None:
    """If doorlight update is killed, nobody goes back while install.sh still changes files."""
    (tmp_path / "scripts").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "scripts/install.sh").write_text("echo started; exec sleep 60\n")
    layout = Layout(tmp_path)
    pid = os.fork()
    if pid == 0:
        try:
            with command.locked(layout) as lock:
                Installer(lambda line: os.kill(os.getpid(), signal.SIGKILL), lock).switch(tmp_path, tmp_path)
        finally:
            os._exit(1)
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL
    with pytest.raises(UnavailableError, match="another installation"), command.locked(layout):
        pass
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            if os.readlink(link) == str(layout.lock):
                os.kill(int(link.parts[2]), signal.SIGKILL)
    wait_until(lambda: not is_locked(layout.lock))
    with command.locked(layout):
        pass


def test_an_event_a_moment_ago(box: Box) -> None:
    log = box.layout.root / "events.jsonl"
    assert not box.door.is_anybody_there()
    log.write_text("{}")
    written = log.stat().st_mtime
    assert box.door.is_anybody_there(written + 59)
    assert not box.door.is_anybody_there(written + 61)
    assert not box.door.is_anybody_there(written - 5), "the clock was set back: the age is not known"


@pytest.mark.parametrize("state", ["FAULT, 0.0 frames/s, camera: gone", ""])
def test_a_door_that_sees_nobody(box: Box, state: str) -> None:
    box.door.status = state
    assert not box.door.is_anybody_there()


def test_a_second_update_continues_what_the_first_copied(box: Box, bundle: Path) -> None:
    box.installer.problem = UnavailableError("killed")
    with pytest.raises(UnavailableError):
        box.update(bundle)
    staged = next(box.layout.staging.glob("*/wheels/numpy*"))
    os.utime(staged, (1, 1))
    box.installer.problem = None
    box.update(bundle)
    assert staged.stat().st_mtime == 1, "not copied again"


def test_a_bundle_that_another_one_replaces_is_removed(box: Box, tmp_path: Path, bundle: Path) -> None:
    box.installer.problem = UnavailableError("killed")
    for source in (bundle, add_bundle(tmp_path / "next", "0.3.0")):
        with pytest.raises(UnavailableError):
            box.update(source)
    assert len(list(box.layout.staging.iterdir())) == 1


def test_the_time_of_the_last_bundle_is_remembered(box: Box, tmp_path: Path) -> None:
    box.update(add_bundle(tmp_path / "b", made=1.8e9))
    assert box.updater._last_made() == 0
    box.watch(11)
    assert box.updater._last_made() == 1.8e9


def test_interrupted_by_ctrl_c_while_switching(box: Box, bundle: Path) -> None:
    def interrupted(staged: Path, release: Path) -> None:
        raise KeyboardInterrupt

    box.installer.switch = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        box.update(bundle)
    assert (box.version, box.door.running) == ("0.1.0", "0.1.0")
    assert not box.layout.trial.exists()


def test_not_installed(box: Box, bundle: Path) -> None:
    box.layout.current.unlink()
    with pytest.raises(UnavailableError, match="is not installed here"):
        run(box, bundle)
    assert status.describe(status.collect(box.layout, box.door)) == ["Doorlight is not installed here"]


def test_the_installer_runs_the_script_of_the_bundle(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    script = tmp_path / "scripts/install.sh"
    script.write_text('echo "$@"; echo "release: /r/1"; exit "${CODE:-0}"\n')
    said: list[str] = []
    installer = Installer(said.append)
    assert installer.prepare(tmp_path) == Path("/r/1")
    assert said[0] == f"--prepare --wheels {tmp_path}/wheels"
    installer.switch(tmp_path, Path("/r/1"))
    assert said[2] == f"--switch /r/1 --wheels {tmp_path}/wheels"
    script.write_text("exit 69\n")
    with pytest.raises(UnavailableError, match=r"exit code 69\); the old one stays"):
        installer.prepare(tmp_path)
    script.write_text("exit 78\n")
    with pytest.raises(Exception, match="your settings do not fit the new version"):
        installer.prepare(tmp_path)
    script.write_text("true\n")
    with pytest.raises(UnavailableError, match="named no folder"):
        installer.prepare(tmp_path)


def test_what_runs_may_differ_from_what_starts_next(box: Box, bundle: Path) -> None:
    restart = box.door.restart
    box.update(bundle)
    box.watch(11)
    box.door.running = "0.1.0"
    assert status.describe(status.collect(box.layout, box.door))[0] == (
        "version 0.1.0 runs; version 0.2.0 starts with the next restart"
    )
    box.door.running = ""
    assert (
        status.describe(status.collect(box.layout, box.door))[0] == "version 0.2.0 is installed; the door does not run"
    )
    restart()


def test_names_of_the_releasing_side_are_those_of_the_reading_side() -> None:
    from edge.update import manifest, signature

    assert (releasing.NAMESPACE, releasing.MANIFEST) == (signature.NAMESPACE, manifest.MANIFEST)
    assert (releasing.SIGNATURE, releasing.FORMAT) == (manifest.SIGNATURE, manifest.FORMAT)
