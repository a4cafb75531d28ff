"""The numbers of a door's events over several logs, and of played files."""

from __future__ import annotations

import json
import signal
from functools import partial
from pathlib import Path

import pytest

from edge.cli import main
from edge.events.counter import Counter
from support.command import start_doorlight, write_settings
from support.paths import CLIP
from support.wait import wait_until


def numbers(log: Path) -> list[int]:
    return [json.loads(line)["seq"] for line in log.read_text().splitlines()]


def has_events(log: Path) -> bool:
    return log.exists() and b"\n" in log.read_bytes()


def test_a_camera_continues_its_numbers_on_another_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    config = write_settings("[camera]\nwait = true\ntimeout_s = 0.2")
    seen: list[int] = []
    for card in ("a", "b"):
        log = tmp_path / card / "events.jsonl"
        log.parent.mkdir()
        with start_doorlight(
            "run", "--simulate", "--config", config, "--source", "/dev/video97", "--events", log
        ) as door:
            wait_until(partial(has_events, log))
            door.send_signal(signal.SIGTERM)
            door.communicate(timeout=60)
        seen += numbers(log)
    assert seen == list(range(1, len(seen) + 1))
    assert Counter(tmp_path / "state/doorlight/sequence").read() == seen[-1]


def test_a_played_file_has_the_same_numbers_in_every_new_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for log in ("a.jsonl", "b.jsonl"):
        assert main(["run", "--simulate", "--source", str(CLIP.with_name("still.jpg")), "--events", log]) == 0
        assert numbers(Path(log))[0] == 1
    assert not (tmp_path / "state").exists()
