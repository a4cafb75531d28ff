"""Write the phase of an update into the log of a dm-log-writes device whenever it changes.

update_marks.py NAME
"""

from __future__ import annotations

import json
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from marks import mark

UPDATES = "/opt/doorlight/update"


def phase() -> str:
    """Return preparing, the phase in trial.json, or kept."""
    try:
        with open(f"{UPDATES}/trial.json") as file:
            return str(json.load(file)["phase"])
    except FileNotFoundError:
        return "kept" if os.path.exists(f"{UPDATES}/result.json") else "preparing"


def main() -> None:
    control = os.open("/dev/mapper/control", os.O_RDWR)
    seen = ""
    while True:
        now = phase()
        if now != seen:
            mark(control, sys.argv[1], now)
            seen = now
        time.sleep(0.01)


if __name__ == "__main__":
    main()
