"""`doorlight metrics`: its text, its files, its answers to Prometheus, its sentences and exit codes."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from edge.cli import main
from fleet.servers import free_port
from support.command import start_doorlight
from support.paths import ROOT
from support.played_day import LogWriter, write_log
from support.wait import wait_until

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
LOG = Path("doorlight-events.jsonl")


@pytest.fixture(autouse=True)
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LogWriter:
    """The log of two visits and a blind minute, in the working folder."""
    monkeypatch.chdir(tmp_path)
    log = LogWriter(NOON)
    log.start()
    log.passage("masked", 3.5, 0.4)
    log.passage("unmasked", 12.0, 0.8)
    log.signal("FAULT")
    log.wait(60)
    log.signal("IDLE")
    log.stop()
    write_log(LOG, log.records)
    return log


def samples(text: str) -> dict[str, float]:
    """Return the samples by name and labels, as they stand in the text."""
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in text.splitlines() if line[0] != "#"}


def error(capfd: pytest.CaptureFixture[str], exit_code: int, *args: str) -> str:
    """Run the command and return the error. Checks that it is one line followed by a hint."""
    assert main(["metrics", *args]) == exit_code
    found = capfd.readouterr().err.splitlines()
    assert len(found) == 2, found
    assert found[1].strip()
    return found[0]


def test_the_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["metrics"]) == 0
    found = samples(capsys.readouterr().out)
    assert found['doorlight_people_total{verdict="masked"}'] == 1
    assert found['doorlight_signals_total{signal="FAULT"}'] == 1
    assert found["doorlight_fault_seconds_total"] == 60
    assert found['doorlight_decision_seconds_bucket{le="0.5"}'] == 1
    assert found['doorlight_decision_seconds_bucket{le="+Inf"}'] == found["doorlight_decision_seconds_count"] == 2
    assert found["doorlight_dwell_seconds_sum"] == 15.5
    assert found["doorlight_running"] == 0
    assert found["doorlight_last_event_timestamp_seconds"] == NOON.timestamp() + 75.5
    assert not any(name.startswith("doorlight_log_readable") for name in found)
    assert sorted(Path.cwd().iterdir()) == [LOG.absolute()], "what is printed keeps nothing"


def test_no_label_names_a_person(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["metrics"]) == 0
    labels = {label for name in samples(capsys.readouterr().out) for label in re.findall(r"(\w+)=", name)}
    assert labels == {"signal", "verdict", "le", "version"}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed: apt install prometheus")
def test_promtool_finds_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["metrics"]) == 0
    text = capsys.readouterr().out
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_file_for_node_exporter(log: LogWriter) -> None:
    assert main(["metrics", "--out", "door.prom"]) == 0
    assert samples(Path("door.prom").read_text())['doorlight_people_total{verdict="masked"}'] == 1
    assert sorted(path.name for path in Path.cwd().glob("*door.prom*")) == [".door.prom.totals", "door.prom"]
    # Only the new events are there now.
    log.start()
    log.passage("masked")
    write_log(LOG, log.records[-3:])
    assert main(["metrics", "--out", "door.prom"]) == 0
    assert samples(Path("door.prom").read_text())['doorlight_people_total{verdict="masked"}'] == 2


def test_totals_in_another_file() -> None:
    assert main(["metrics", "--out", "door.prom", "--state", "kept"]) == 0
    assert Path("kept").exists()
    assert not Path(".door.prom.totals").exists()


def get(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    assert list(text_string_to_metric_families(text))
    return samples(text)


def test_prometheus_asks(log: LogWriter) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    door = start_doorlight("metrics", "--listen", f"127.0.0.1:{port}", "--state", "kept", LOG)
    try:

        def answers() -> bool:
            with socket.socket() as client:
                return client.connect_ex(("127.0.0.1", port)) == 0

        wait_until(answers)
        found = get(port)
        assert found["doorlight_log_readable"] == 1
        assert sum(value for name, value in found.items() if name.startswith("doorlight_people")) == 2
        log.start()
        log.passage()
        write_log(LOG, log.records)
        assert get(port)['doorlight_people_total{verdict="masked"}'] == 2
        LOG.rename("elsewhere")
        found = get(port)
        assert found["doorlight_log_readable"] == 0
        assert "doorlight_running" not in found
        Path("elsewhere").rename(LOG)
        assert get(port)['doorlight_people_total{verdict="masked"}'] == 2
    finally:
        door.terminate()
        _, errors = door.communicate(timeout=60)
    assert (door.returncode, errors.count("there is no event log")) == (0, 1)
    assert json.loads(Path("kept").read_bytes())["reading"]["totals"]["last_seq"] == log.seq


def test_a_port_in_use(capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert "cannot be used: Address already in use" in error(capfd, 69, "--listen", address)


def test_no_place_for_the_totals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    listen = ("--listen", f"127.0.0.1:{free_port()}")
    assert "cannot be made: Not a directory" in error(capfd, 74, *listen)
    assert "cannot be written: Not a directory" in error(capfd, 74, *listen, "--state", "file/totals")


@pytest.mark.parametrize("address", ["0.0.0.0:9187", "192.168.1.5:9187", "[::]:9187"])
def test_others_in_the_network_are_kept_out(address: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert "others in the network" in error(capfd, 2, "--listen", address)


def test_refusals(capfd: pytest.CaptureFixture[str]) -> None:
    assert "is not an address and a port" in error(capfd, 2, "--listen", "9187")
    assert "keeps no totals" in error(capfd, 2, "--state", "kept")
    assert "standard input" in error(capfd, 2, "-")
    assert "is a file of the event log" in error(capfd, 2, "--out", str(LOG))
    assert "is a file of the event log" in error(capfd, 2, "--out", "x.prom", "--state", str(LOG))
    assert "there is no event log" in error(capfd, 66, "missing.jsonl")
    assert "cannot be written: No such file" in error(capfd, 74, "--out", "missing/x.prom")
    assert "is the file of --out" in error(capfd, 2, "--out", "x.prom", "--state", "./x.prom")
    os.mkfifo("pipe")
    Path("link").symlink_to("pipe")
    Path("dangling").symlink_to("nowhere")
    for name in (".", "pipe", "link", "dangling", "/dev/null", "/dev/stdout"):
        assert "is not a regular file" in error(capfd, 74, "--out", name)
    assert Path("/dev/stdout").is_symlink()
    Path("notes.txt").write_text("buy milk\n")
    assert "no event" in error(capfd, 66, "notes.txt")
    assert json.loads(LOG.read_bytes().splitlines()[0])["event"] == "started", "the log is as it was"


def test_the_dashboard_shows_metrics_that_exist(capsys: pytest.CaptureFixture[str]) -> None:
    main(["metrics"])
    exist = {re.split(r"[{]", name)[0] for name in samples(capsys.readouterr().out)}
    exist |= {"doorlight_log_readable", "doorlight_temperature_celsius"}
    dashboard = json.loads((ROOT / "scripts/fleet/dashboard.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    used = {name for query in queries for name in re.findall(r"doorlight_\w+", query)}
    assert len(used) >= 10
    assert used <= exist


def test_the_guide_lists_every_metric(capsys: pytest.CaptureFixture[str]) -> None:
    main(["metrics"])
    exist = {
        re.sub(r"_(bucket|sum|count)$", "", re.split(r"[{]", name)[0]) for name in samples(capsys.readouterr().out)
    }
    page = (ROOT / "scripts/fleet/README.md").read_text()
    assert [name for name in sorted(exist) if f"`{name}" not in page] == []
