"""The cursor: durable, replaced as a whole, and never taken for the beginning if it is damaged."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from edge.errors import OutputError
from edge.link import cursor
from edge.link.cursor import Cursor, CursorFile

PLACE = Cursor(12, 1, 2, 300)


def test_a_new_target_has_no_cursor(tmp_path: Path) -> None:
    assert CursorFile(tmp_path / "mqtt.json").load() is None


def test_a_cursor_comes_back(tmp_path: Path) -> None:
    CursorFile(tmp_path / "mqtt.json").store(PLACE)
    assert CursorFile(tmp_path / "mqtt.json").load() == PLACE
    assert [path.name for path in tmp_path.iterdir()] == ["mqtt.json"]


def test_everything_is_synced_before_the_name_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    fsync, rename = os.fsync, Path.rename

    def note_fsync(file: int) -> None:
        done.append("fsync")
        fsync(file)

    def note_rename(path: Path, to: Path) -> Path:
        done.append("rename")
        return rename(path, to)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(Path, "rename", note_rename)
    CursorFile(tmp_path / "mqtt.json").store(PLACE)
    assert done == ["fsync", "rename", "fsync"]


def test_a_power_cut_while_it_is_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = CursorFile(tmp_path / "mqtt.json")
    file.store(PLACE)
    monkeypatch.setattr(Path, "rename", lambda *_: (_ for _ in ()).throw(OSError(5, "Input/output error")))
    with pytest.raises(OutputError, match=r"mqtt.json: cannot be written: Input/output error"):
        file.store(Cursor(13), now=True)
    assert CursorFile(tmp_path / "mqtt.json").load() == PLACE


def test_a_cursor_that_moves_all_the_time_spares_the_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    written: list[bytes] = []
    replace = cursor.replace_file

    def note(path: Path, data: bytes) -> None:
        written.append(data)
        replace(path, data)

    monkeypatch.setattr(cursor, "replace_file", note)
    file = CursorFile(tmp_path / "mqtt.json")
    for seq in range(1, 101):
        now += 0.1
        file.store(Cursor(seq))
    assert len(written) <= 11
    file.store(Cursor(100), now=True)
    file.store(Cursor(100), now=True)
    loaded = CursorFile(tmp_path / "mqtt.json").load()
    assert loaded is not None
    assert loaded.seq == 100


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "3", '{"seq": -1}', '{"seq": 1.5}', '{"seq": true}', '{"seq": "3"}', '{"seq": 3, "x": 1}',
        '{"seq": 99999999999999999999999}', "\0" * 100, "x" * 5000,
    ],
)  # fmt: skip
def test_a_damaged_cursor_is_an_error(text: str, tmp_path: Path) -> None:
    (tmp_path / "mqtt.json").write_text(text)
    with pytest.raises(OutputError, match=r"mqtt.json: (is damaged|cannot be read)"):
        CursorFile(tmp_path / "mqtt.json").load()


def test_what_the_hint_for_a_damaged_cursor_says_works(tmp_path: Path) -> None:
    path = tmp_path / "webhook a.cursor"
    path.write_text("{")
    with pytest.raises(OutputError) as caught:
        CursorFile(path).load()
    command = caught.value.hint.partition(": ")[2].replace("sudo ", "")
    subprocess.run(["sh", "-c", command], check=True, capture_output=True)
    assert CursorFile(path).load() == Cursor(0)
