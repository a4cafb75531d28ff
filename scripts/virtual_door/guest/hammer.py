"""Write many events through the product's event log. Runs on the product's Python.

    hammer.py FILE FIRST

Each event has a number `n`; the first is FIRST. Before an event is written, its time (seconds since power-on) and
number are printed. Standard output is a file on the host, which survives a power cut.
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

from edge.events.writer import EventLog
from edge.records import Event

EVENTS_PER_SECOND = 25
ROTATE_BYTES = 20_000  # every few seconds


def main() -> None:
    path, n = Path(sys.argv[1]), int(sys.argv[2])
    log = EventLog(path, ROTATE_BYTES, keep_files=1000)
    while True:
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        print(f"{now:.4f} {n}", flush=True)
        log.write(Event("hammered", now, {"n": n, "text": "x" * random.randrange(200)}))
        n += 1
        time.sleep(random.expovariate(EVENTS_PER_SECOND))


if __name__ == "__main__":
    main()
