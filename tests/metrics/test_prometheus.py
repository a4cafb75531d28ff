"""A real Prometheus scrapes `doorlight metrics --listen`."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fleet.servers import free_port, listens
from support.command import start_doorlight
from support.paths import SCRIPTS
from support.played_day import LogWriter, write_log
from support.wait import wait_until

pytestmark = [
    pytest.mark.prometheus,
    pytest.mark.skipif(
        shutil.which("prometheus") is None, reason="Prometheus is not installed: apt install prometheus"
    ),
]


def query(port: int, expression: str) -> list[float]:
    """Return the values of an expression."""
    address = f"http://127.0.0.1:{port}/api/v1/query?query={urllib.parse.quote(expression)}"
    try:
        with urllib.request.urlopen(address, timeout=30) as answer:
            found = json.load(answer)
    except urllib.error.HTTPError:  # it is starting
        return []
    assert found["status"] == "success"
    return [float(each["value"][1]) for each in found["data"]["result"]]


def test_prometheus_scrapes(tmp_path: Path) -> None:
    log = LogWriter(datetime(2026, 11, 20, 12, tzinfo=UTC))
    log.start()
    log.passage("masked", 3.5, 0.4)
    log.passage("unmasked", 12.0, 0.8)
    path = write_log(tmp_path / "events.jsonl", log.records)
    door_port, port = free_port(), free_port()
    settings = {
        "global": {"scrape_interval": "1s"},
        "scrape_configs": [{"job_name": "doorlight", "static_configs": [{"targets": [f"127.0.0.1:{door_port}"]}]}],
    }
    (tmp_path / "prometheus.yml").write_text(json.dumps(settings))  # JSON is YAML
    door = start_doorlight("metrics", "--listen", f"127.0.0.1:{door_port}", "--state", tmp_path / "totals", path)
    prometheus = subprocess.Popen(
        ["prometheus", "--config.file=prometheus.yml", f"--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.path=data"],
        cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_until(lambda: listens(port))
        wait_until(lambda: query(port, 'up{job="doorlight"}') == [1])
        assert query(port, "sum(doorlight_people_total)") == [2]
        assert query(port, "doorlight_dwell_seconds_count") == [2]
        assert query(port, "histogram_quantile(1, doorlight_decision_seconds_bucket)") == [1]
        # Grafana sends its queries with the chosen doors.
        dashboard = json.loads((SCRIPTS / "fleet/dashboard.json").read_text())
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                query(port, target["expr"].replace("$door", ".*"))
        log.passage("masked", 3.0, 0.4)
        write_log(path, log.records)
        wait_until(lambda: query(port, "sum(doorlight_people_total)") == [3])
    finally:
        for process in (door, prometheus):
            process.terminate()
            process.communicate(timeout=60)
