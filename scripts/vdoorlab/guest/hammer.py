"""Writes events through the product's own event log, many more than a door has: run by the product's Python.

    hammer.py FILE FIRST

Every event has a number in `n`, from FIRST on. Before it is written, its time (seconds since power-on) and number go to
standard output, which lies on the host: a power cut in the guest takes nothing of it.
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

from edge.events import EventLog
from edge.records import Event

A_SECOND = 25
ROTATE_BYTES = 20_000  # every few seconds


def main() -> None:
    path, n = Path(sys.argv[1]), int(sys.argv[2])
    log = EventLog(path, ROTATE_BYTES, keep=1000)
    while True:
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        print(f"{now:.4f} {n}", flush=True)
        log.write(Event("hammered", now, {"n": n, "text": "x" * random.randrange(200)}))
        n += 1
        time.sleep(random.expovariate(A_SECOND))


if __name__ == "__main__":
    main()
