"""Measure that the link costs the door nothing: the same door without a link, with one, and with one that takes commands.

    python -m speed.link                              # 3 rounds of 40 s, needs Mosquitto
    python -m speed.link --seconds 20 --rounds 5

Each round runs the three kinds in turn. The door runs on the demo video as a camera with 30 frames/s; its main thread has
realtime priority if that is allowed, because a busy machine is no property of the door. Processor time is that of the door's
process, in per cent of a core. The link sends the door's log to a Mosquitto; with commands, the buzzer is silenced.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from fleet.servers import Mosquitto
from speed.compare import CLIP

ROOT = Path(__file__).resolve().parents[2]
KINDS = ("without", "link", "commands")
#: What is shown: the wait from frame to light, processor time.
FIGURES = ("p50_ms", "p99_ms", "max_ms", "cpu_percent")
#: Targets: more than this between the medians is not noise.
MAX_MORE_MS, MAX_MORE_PERCENT = 1.0, 1.0


def measure(kind: str, seconds: float) -> dict[str, Any]:
    """Run a door of one kind; return its figures, and the number of lines that its link has sent."""
    with tempfile.TemporaryDirectory(prefix="speed-link-") as name:
        folder = Path(name)
        broker = Mosquitto(folder)
        broker.start()
        settings, log = folder / "door.toml", folder / "door.toml.log"
        commands = "true" if kind == "commands" else "false"
        settings.write_text(f'[link]\ndoor = "d"\nbroker = "mqtt://127.0.0.1:{broker.port}"\ncommands = {commands}\n')
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "scripts")]),
            "XDG_RUNTIME_DIR": str(folder),
            "XDG_STATE_HOME": str(folder / "state"),
        }
        link: subprocess.Popen[bytes] | None = None
        try:
            if kind != "without":
                words = [sys.executable, "-m", "edge", "link", "--config", settings, "--events", log]
                link = subprocess.Popen([str(word) for word in words], env=environment, stdout=subprocess.DEVNULL)
            words = [sys.executable, ROOT / "scripts/speed/watched_door.py", CLIP, settings, seconds]
            with subprocess.Popen(
                [str(word) for word in words], env=environment, stdout=subprocess.PIPE, text=True, cwd=folder
            ) as door:
                while kind == "commands" and door.poll() is None:
                    time.sleep(2)  # the first may come before the door or its link listens
                    _silence(broker.port)
                out, _ = door.communicate()
        finally:
            if link is not None:
                link.terminate()
                link.wait(60)
            broker.stop()
        found: dict[str, Any] = json.loads(out.splitlines()[-1])
        return {**found, "silenced": b'"buzzer_silenced"' in log.read_bytes()}


def _silence(port: int) -> None:
    """Silence the buzzer for a minute."""
    command = {"command": "silence_buzzer", "minutes": 1, "time": time.time()}
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.connect("127.0.0.1", port)
    client.loop_start()
    client.publish("doorlight/d/command", json.dumps(command), qos=1).wait_for_publish(10)
    client.disconnect()
    client.loop_stop()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return 1 if a target is not met."""
    parser = argparse.ArgumentParser(prog="speed.link", description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=40.0, help="length of each run (default: 40)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each kind, in turn (default: 3)")
    args = parser.parse_args(argv)
    results: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}
    for _ in range(args.rounds):
        for kind in KINDS:
            results[kind].append(result := measure(kind, args.seconds))
            print(f"{kind:9} {json.dumps({key: result[key] for key in FIGURES})}", file=sys.stderr, flush=True)
    medians = {kind: {key: _median(results[kind], key) for key in FIGURES} for kind in KINDS}
    for kind in KINDS:
        spread = [f"{key} {medians[kind][key]:.2f} ({_range(results[kind], key)})" for key in FIGURES]
        print(f"{kind:9} " + "  ".join(spread), flush=True)
    print(f"load {os.getloadavg()[1]:.1f}; silenced in {sum(each['silenced'] for each in results['commands'])} runs")
    base = medians["without"]
    is_met = all(
        medians[kind]["p50_ms"] - base["p50_ms"] <= MAX_MORE_MS
        and medians[kind]["cpu_percent"] - base["cpu_percent"] <= MAX_MORE_PERCENT
        for kind in KINDS
    )
    print("met" if is_met else "NOT met")
    return int(not is_met)


def _median(results: Sequence[dict[str, Any]], key: str) -> float:
    return float(sorted(result[key] for result in results)[len(results) // 2])


def _range(results: Sequence[dict[str, Any]], key: str) -> str:
    values = [float(result[key]) for result in results]
    return f"{min(values):.2f} to {max(values):.2f}"


if __name__ == "__main__":
    sys.exit(main())
