"""`doorlight web`: options, refusals, link."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

pytest.importorskip("uvicorn", reason="the extra `web` is not installed")

from edge.cli import build_parser, main
from edge.commands import web
from edge.web import server, token
from support.paths import ROOT


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    path = tmp_path / "door.toml"
    path.write_text("[web]\nenabled = true\n")
    return path


def test_off_is_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["web"]) == 2
    assert "the page is off: [web] enabled is false" in capsys.readouterr().err


@pytest.mark.parametrize(
    "address", ["", " ", "8080", "localhost:8080", "127.0.0.1:", ":8080", "127.0.0.1:0", "$(id):1"]
)
def test_an_address_that_is_none(settings: Path, address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["web", "--config", str(settings), "--listen", address]) == 2
    error = capsys.readouterr().err
    assert "--listen " in error
    assert "for example 127.0.0.1:8080" in error


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90.0), ("30m", 1800.0), ("1h", 3600.0), ("24h", 86400.0)])
def test_times(text: str, seconds: float) -> None:
    assert build_parser().parse_args(["web", "--for", text]).for_s == seconds


@pytest.mark.parametrize("text", ["", "0m", "30", "m", "25h", "1d", "½h", "1e3s", "9999999s", "nanm"])
def test_wrong_times(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        build_parser().parse_args(["web", "--for", text])
    assert "is not a time up to a day" in capsys.readouterr().err


@pytest.mark.parametrize(
    "listen", ["localhost:80", "127.0.0.1", ":80", "127.0.0.1:0", "127.0.0.1:99999", "::1:80", "1.2.3:80"]
)
def test_wrong_addresses(listen: str, settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["web", "--config", str(settings), "--listen", listen]) == 2
    assert f"--listen {listen} " in capsys.readouterr().err


def test_port_in_use(settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with server.open_socket("127.0.0.1", 0) as busy:
        address = f"127.0.0.1:{busy.getsockname()[1]}"
        assert main(["web", "--config", str(settings), "--listen", address]) == 69
    assert f"doorlight: {address}: the port is in use by another program" in capsys.readouterr().err


def test_unreadable_certificate(settings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings.write_text(f'[web]\nenabled = true\ncertificate = "{tmp_path}/no.pem"\nkey = "{tmp_path}/no.key"\n')
    assert main(["web", "--config", str(settings)]) == 66
    assert "no.pem: cannot be read: No such file" in capsys.readouterr().err


def test_a_missing_library_is_named(
    settings: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "edge.web.server")
    monkeypatch.delattr(sys.modules["edge.web"], "server")
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main(["web", "--config", str(settings)]) == 69
    assert "uvicorn is not installed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("listen", "address"),
    [
        ("127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("[::1]:80", "http://[::1]:80"),
        ("0.0.0.0:8080", "http://door.local:8080"),
        ("[::]:8080", "http://door.local:8080"),
    ],
)
def test_a_new_link_is_printed_once_and_stored_as_a_hash(
    listen: str,
    address: str,
    settings: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(token, "SETTINGS_FOLDER", tmp_path / "none")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr("socket.gethostname", lambda: "door")
    assert main(["web", "--config", str(settings), "--new-link", "--listen", listen]) == 0
    output = capsys.readouterr().out
    found = re.search(rf"{re.escape(address)}/\?token=([\w-]{{32}})\n", output)
    assert found is not None, output
    stored = tmp_path / "doorlight" / token.FILE_NAME
    assert found[1] not in stored.read_text()
    assert token.TokenCheck(None, stored).is_valid(found[1])


def test_the_page_for_a_while(settings: Path, tmp_path: Path) -> None:
    """The whole command: its link opens the page, nothing else does, and SIGTERM ends it."""
    with server.open_socket("127.0.0.1", 0) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [sys.executable, "-m", "edge", "web", "--config", settings, "--for", "10m", "--listen", address]
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    with subprocess.Popen(
        [*map(str, command)], stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "The page is open for 10 min. Ctrl-C closes it.\n"
        link = process.stdout.readline().strip()
        assert link.startswith(f"http://{address}/?token=")
        with urllib.request.urlopen(link, timeout=60) as answer:
            assert answer.status == 200
            assert "doorlight-token=" in answer.headers["set-cookie"]
            assert "Max-Age=600;" in answer.headers["set-cookie"]
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"http://{address}/live", timeout=60)
        assert caught.value.code == 401
        caught.value.close()
        process.terminate()
        assert process.wait(60) == 0


def test_root_gives_up_its_rights(monkeypatch: pytest.MonkeyPatch) -> None:
    import grp
    import pwd
    from types import SimpleNamespace

    done: list[object] = []
    monkeypatch.setattr(web.os, "geteuid", lambda: 0)
    monkeypatch.setattr(pwd, "getpwnam", lambda name: SimpleNamespace(pw_uid=990))
    monkeypatch.setattr(grp, "getgrnam", lambda name: SimpleNamespace(gr_gid=991))
    monkeypatch.setattr("edge.view.request.request_view", lambda: done.append("asked the door"))
    for name in ("setgroups", "setgid", "setuid", "chdir"):
        monkeypatch.setattr(web.os, name, lambda value, name=name: done.append((name, value)))
    monkeypatch.setenv("HOME", "/root")
    web._become_web_user(requests_door=True)
    assert done == ["asked the door", ("setgroups", []), ("setgid", 991), ("setuid", 990), ("chdir", "/")]
