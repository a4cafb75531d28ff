"""`doorlight update`, as far as it goes without an installation."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge.cli import main
from edge.commands import update
from edge.errors import UnavailableError
from edge.update.layout import Layout


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty machine on which this user is root."""
    (tmp_path / "run").mkdir()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/systemctl").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "bin/systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "nice", lambda by: 0)
    monkeypatch.setattr(os, "umask", lambda mask: 0o022)
    monkeypatch.setattr("edge.update.layout.Layout.__init__", lambda self: object.__setattr__(self, "root", tmp_path))
    return tmp_path


def test_status_without_an_installation(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["update", "--status"]) == 0
    assert capsys.readouterr().out == "Doorlight is not installed here\n"


@pytest.mark.parametrize("arguments", [["/media/usb"], ["--rollback"], ["--watch"], ["--check", "x"]])
def test_only_root_updates(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert main(["update", *arguments]) == 69
    assert "put sudo before the command" in capsys.readouterr().err


@pytest.mark.parametrize("what", ["--status", "--rollback", "--watch"])
@pytest.mark.parametrize("ignored", ["/media/usb", "--nightly", "--allow-downgrade"])
def test_what_would_be_ignored_is_refused(
    root: Path, capsys: pytest.CaptureFixture[str], what: str, ignored: str
) -> None:
    assert main(["update", what, ignored]) == 2
    name = ignored if ignored.startswith("--") else "SOURCE"
    assert f"{what}: does not go with {name}" in capsys.readouterr().err


def test_a_source_is_needed(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = root / "empty.toml"
    empty.write_text("")
    assert main(["update", "--config", str(empty)]) == 2
    assert "set [update] source" in capsys.readouterr().err
    assert main(["update", str(root), "--config", str(empty)]) == 69
    assert "is not installed here" in capsys.readouterr().err


def test_nothing_to_watch_and_nothing_to_roll_back(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["update", "--watch"]) == 0
    assert main(["update", "--rollback"]) == 69
    assert "there is no version to go back to" in capsys.readouterr().err


def test_one_installation_at_a_time(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with update.locked(Layout()):
        assert main(["update", "--rollback"]) == 69
        assert "another installation or update is running" in capsys.readouterr().err
        assert main(["update", "--watch"]) == 0, "the timer comes again"
    with update.locked(Layout()), pytest.raises(UnavailableError), update.locked(Layout()):
        pass


def test_during_a_trial_there_is_no_other_update(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    layout = Layout()
    layout.updates.mkdir(parents=True)
    layout.trial.write_text(
        '{"phase":"trying","version":"0.2.0","release":"b","previous_version":"0.1.0","previous_release":"a",'
        '"bundle":"","boot":"x","began":"now","began_s":1}'
    )
    assert main(["update", str(root)]) == 69
    assert "version 0.2.0 is on trial" in capsys.readouterr().err
