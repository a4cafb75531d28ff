"""The file of the commands: what is read of it, whatever is there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge import remote_commands
from edge.remote_commands import BURST, EVERY_S, MAX_BYTES, Allowance, Commands, LampTest, Silence

COMMANDS = Commands(Silence(12.5, 10), LampTest(13.0))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "runtime" / "commands.json"
    remote_commands.write(path, COMMANDS)
    assert remote_commands.read(path) == COMMANDS
    assert len(path.read_bytes()) < MAX_BYTES
    assert path.stat().st_mode & 0o777 == 0o644 & ~_umask()
    assert [each.name for each in path.parent.iterdir()] == ["commands.json"]


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"\xff\xfe\x00",
        b'{"silence":{"at_s":1,"minutes":241}}',
        b'{"silence":{"at_s":1,"minutes":-1}}',
        b'{"silence":{"at_s":1,"minutes":1.5}}',
        b'{"silence":{"at_s":-1,"minutes":1}}',
        b'{"silence":{"at_s":"1","minutes":1}}',
        b'{"silence":{"at_s":NaN,"minutes":1}}',
        b'{"silence":{"minutes":1}}',
        b'{"lamp_test":{"at_s":1,"relay":true}}',
        b'{"open_door":{"at_s":1}}',
        b'{"lamp_test":{"at_s":1' + b"0" * MAX_BYTES + b"}}",
        b"[" * MAX_BYTES,
        b'{"a":' * 99,
    ],
)
def test_anything_else_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "commands.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"."):
        remote_commands.read(path)


def test_only_a_regular_file_is_read(tmp_path: Path) -> None:
    """None of these makes the door wait, or read what is not meant for it."""
    path = tmp_path / "commands.json"
    os.mkfifo(path)
    with pytest.raises(ValueError, match="regular"):
        remote_commands.read(path)
    path.unlink()
    secret = tmp_path / "secret"
    secret.write_bytes(b'{"lamp_test":{"at_s":1}}')
    path.symlink_to(secret)
    with pytest.raises(OSError, match="symbolic"):
        remote_commands.read(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(ValueError, match="regular"):
        remote_commands.read(path)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"RUNTIME_DIRECTORY": "/run/doorlight"}, "/run/doorlight-link/commands.json"),
        ({"RUNTIME_DIRECTORY": "/run/doorlight-link"}, "/run/doorlight-link/commands.json"),
        ({"XDG_RUNTIME_DIR": "/run/user/1000"}, "/run/user/1000/doorlight-link/commands.json"),
        ({"XDG_RUNTIME_DIR": "here"}, None),
        ({"HOME": "/home/pi"}, None),
    ],
)
def test_door_and_link_agree_on_the_place(environ: dict[str, str], expected: str | None) -> None:
    found = remote_commands.commands_file(environ)
    assert (None if found is None else str(found)) == expected


def test_a_few_commands_at_once_then_one_a_minute() -> None:
    allowance = Allowance()
    assert [allowance.take(100.0) for _ in range(BURST + 2)] == [True] * BURST + [False] * 2
    assert not allowance.take(100.0 + EVERY_S - 1)
    assert allowance.take(100.0 + EVERY_S)
    assert not allowance.take(100.0 + EVERY_S)
    assert not allowance.take(0.0), "a clock that goes back allows nothing"
