"""Check the log of guest/hammer.py after a power cut; run with the product's Python.

    check_log.py LOG HAMMERED FOUND CUT

LOG is the log that the next start finds, HAMMERED has the time and number of each event that was written since the cut before, CUT is
the time of this cut. No line may be damaged, no number may be there twice, and no event that was older than a second may be missing.
What was in the log after the cuts before is in the file FOUND, and must still be there.
"""

from __future__ import annotations

import sys
from pathlib import Path

from edge.events.appender import Appender
from edge.events.reader import read

MAX_LOST_S = 1.0


def main() -> int:
    log, hammered, found_before, cut_at = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), float(sys.argv[4])
    written = {}
    for line in hammered.read_text().split("\n")[:-1]:
        t, number = line.split()
        written[int(number)] = float(t)
    # The start of a door restores what only the write-ahead file has.
    appender = Appender(log, 20_000, 1000)
    appender.open()
    appender.close()
    reader = read(log)
    found = list(reader)
    numbers = [record["n"] for record in found if record["event"] == "hammered"]
    seqs = [record["seq"] for record in found]
    expected = {number for number, t in written.items() if t < cut_at - MAX_LOST_S}
    lost = sorted((expected | {int(number) for number in found_before.read_text().split()}) - set(numbers))
    found_before.write_text(" ".join(map(str, numbers)))
    faults = []
    if reader.damaged:
        faults.append(f"{reader.damaged} damaged lines")
    if len(set(numbers)) != len(numbers) or sorted(set(seqs)) != seqs:
        faults.append("a number is there twice, or seq does not increase")
    if lost:
        faults.append(f"{len(lost)} of {len(written)} events are missing: {lost[:3]}")
    print(f"{len(numbers)} events are in the log; {'; '.join(faults) or 'none is missing'}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
