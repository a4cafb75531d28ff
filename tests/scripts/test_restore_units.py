"""systemd/restore-units.sh: after an update, it brings kept units back to a read-only root."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from support.paths import ROOT


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
