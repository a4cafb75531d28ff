"""The metrics as a part of the link: `[link] metrics_listen`."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import pytest

from edge import config
from edge.errors import ConfigError
from edge.link import service
from edge.link.service import Place
from edge.link.status import LinkStatus, read_status
from edge.metrics import link_part
from fleet.servers import free_port
from support.command import command_line, environment
from support.link import write_log
from support.wait import wait_until


def settings(folder: Path, *lines: str) -> Path:
    file = folder / "door.toml"
    file.write_text("\n".join(["[link]", *lines]) + "\n")
    return file


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the link prints. It waits for nothing longer than needed."""
    monkeypatch.setattr(link_part, "TICK_S", 0.02)
    monkeypatch.setattr(link_part, "RETRY_S", 0.1)
    monkeypatch.setattr(service, "TICK_S", 0.05)
    return []


def run_link(folder: Path, port: int, lines: list[str]) -> tuple[threading.Event, threading.Thread]:
    link = config.load(settings(folder, f'metrics_listen = "127.0.0.1:{port}"')).link
    place = Place(folder / "events.jsonl", folder, folder)
    stop = threading.Event()
    thread = threading.Thread(target=service.run, args=(link, place, stop, lines.append, [link_part.metrics_part]))
    thread.start()
    return stop, thread


def metrics(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
        return str(answer.read(), "utf-8")


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_the_link_answers_a_prometheus(tmp_path: Path, lines: list[str]) -> None:
    write_log(tmp_path / "events.jsonl", range(1, 4), n2="camera_lost")
    port = free_port()
    stop, thread = run_link(tmp_path, port, lines)
    wait_until(lambda: answers(port))
    assert "doorlight_log_readable 1.0" in metrics(port)
    wait_until(lambda: [each.name for each in read_status(tmp_path / "status.json")] == ["metrics"])
    assert read_status(tmp_path / "status.json")[0].seq is None
    stop.set()
    thread.join(60)
    assert not answers(port)
    assert (tmp_path / "metrics.json").exists(), "the counters go on growing at the next start"


def test_a_port_in_use_is_said_and_tried_again(tmp_path: Path, lines: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        stop, thread = run_link(tmp_path, port, lines)
        wait_until(lambda: any("cannot be used: Address already in use" in line for line in lines))
        assert thread.is_alive(), "the other targets go on"
    wait_until(lambda: answers(port))
    assert "doorlight_log_readable" in metrics(port)
    stop.set()
    thread.join(60)


def test_the_line_of_systemd_names_no_event_that_it_has_received() -> None:
    status = LinkStatus(print)
    status.add("metrics", "127.0.0.1:9187", is_connected=True, takes_events=False)
    assert status.describe() == "metrics: OK"


@pytest.mark.parametrize(
    "listen", ["0.0.0.0:9187", "[::]:9187", "192.168.1.5:9187", "127.0.0.1", "9187", "127.0.0.1:0", "localhost:9187"]
)
def test_only_this_machine_may_ask(listen: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"link\.metrics_listen"):
        config.load(settings(tmp_path, f'metrics_listen = "{listen}"'))


def test_without_the_library_the_link_says_so(tmp_path: Path) -> None:
    file = settings(tmp_path, 'metrics_listen = "127.0.0.1:9187"')
    hide = (
        "import sys; sys.modules['prometheus_client'] = None; from edge.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", hide, "link", "--config", str(file), "--events", str(tmp_path / "events.jsonl")],
        capture_output=True, text=True, check=False, timeout=60, env={**environment(), "STATE_DIRECTORY": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 69, done.stderr
    assert "link.metrics_listen: the library for Prometheus is missing" in done.stderr


def test_without_the_setting_nothing_of_it_is_loaded(tmp_path: Path) -> None:
    file = settings(tmp_path)
    assert config.load(file).link.metrics_listen == ""
    done = subprocess.run(
        [*command_line("link", "--config", str(file))], capture_output=True, text=True, check=False, timeout=60, env=environment()
    )  # fmt: skip
    assert done.returncode == 2
    assert "no metrics_listen" in done.stderr
