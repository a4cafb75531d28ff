"""Measure time and memory of a link with a large backlog.

python -m soak.backlog                        a million events, of two months
python -m soak.backlog --events 50000
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from edge.events.record import encode, utc_text
from soak.parts import Link, make_broker, peak_memory_mb

MAX_MEMORY_MB = 50.0
_FILE_EVENTS = 50_000


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "state").mkdir()
        write_log(folder / "events.jsonl", args.events)
        broker = make_broker(folder)
        link = Link(folder, "backlog", broker.port)
        link.start()
        time.sleep(10)
        away_mb = peak_memory_mb(link.pid)
        broker.start()
        began = time.monotonic()
        peak_mb = away_mb
        while _sent(folder) < args.events:
            time.sleep(0.5)
            peak_mb = peak_memory_mb(link.pid)
        seconds = time.monotonic() - began
        broker.kill()
        peak_mb = max(peak_mb, peak_memory_mb(link.pid))
        print(
            f"{args.events} events in {seconds:.0f} s ({args.events / seconds:.0f} a second); peak memory {peak_mb:.1f} MB "
            f"(limit {MAX_MEMORY_MB:g} MB), {away_mb:.1f} MB while the broker was away"
        )
        link.signal(signal.SIGKILL)
    return 0 if peak_mb <= MAX_MEMORY_MB else 1


def write_log(path: Path, events: int) -> None:
    """Write a log of two months that end now, in files of _FILE_EVENTS events."""
    begin_s, step_s = time.time() - 60 * 86400, 60 * 86400 / events
    numbers = range(1, events + 1)
    files = [numbers[k : k + _FILE_EVENTS] for k in range(0, events, _FILE_EVENTS)]
    for age, part in enumerate(reversed(files)):
        name = path if not age else path.with_name(f"{path.name}.{age}")
        with name.open("wb") as file:
            for seq in part:
                record = {
                    "seq": seq,
                    "time": utc_text(begin_s + seq * step_s),
                    "t": round(seq * step_s, 3),
                    "event": "cleared",
                    "person": seq,
                    "verdict": "masked",
                    "evidence": 2.31,
                    "dwell_s": 4.2,
                }
                file.write(encode(record))


def _sent(folder: Path) -> int:
    """Return the number of the last event that the broker has acknowledged."""
    try:
        return int(json.loads((folder / "state" / "broker.cursor").read_text())["seq"])
    except (OSError, ValueError):
        return 0


if __name__ == "__main__":
    sys.exit(main())
