"""Check `card`: how worn the SD card or eMMC is, how much is written to it, and how long it lasts at that rate."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..finding import Finding, Severity
from ..host import Host

#: Bytes of a sector in /sys/block, whatever the device's own sectors are.
SECTOR_BYTES = 512
#: Field of /sys/block/*/stat with the sectors written, see Documentation/block/stat.rst of the kernel.
SECTORS_WRITTEN = 6
#: A cell of a usual card bears about this many writes. A card for cameras ("endurance") bears several times as many.
CELL_WRITES = 1000
#: Bytes that a card writes inside for each byte of the small, synced writes of an event log.
WRITE_AMPLIFICATION = 10
#: A rate that was measured for a shorter time since boot is not one of a whole day.
MIN_UPTIME_S = 3600
DAY_S = 86400
#: A card that lasts less than this many years is worth a note.
MIN_YEARS = 2
#: life_time counts in steps of 10 %: 1 is up to 10 % of the life used, 10 up to all of it, 11 more.
WORN, EXCEEDED = 9, 11
#: States of the spare blocks in pre_eol_info.
SPARE: dict[int, tuple[Severity, str]] = {
    1: ("ok", "spare blocks OK"),
    2: ("note", "80 % of the spare blocks are used"),
    3: ("bad", "almost no spare blocks are left"),
}

REPLACE = 'copy the card to a new one, with at least 16 GB and the mark "endurance" or A2, before it fails'
WRITE_LESS = "see what writes: sudo apt install iotop && sudo iotop -ao; then use a larger card"


def check(host: Host) -> Iterator[Finding]:
    """Yield a finding for each card, or one that there is none."""
    cards = [path.name for path in host.glob("sys/block/mmcblk*") if re.fullmatch(r"mmcblk\d+", path.name)]
    for card in cards:
        yield _wear(host, card)
        yield _rate(host, card)
    if not cards:
        yield Finding("ok", "this machine has no SD card and no eMMC")


def _wear(host: Host, card: str) -> Finding:
    """Return what the card itself says about its wear. SD cards usually say nothing, eMMC does."""
    device = f"sys/block/{card}/device"
    name = f"{card} ({' '.join(filter(None, [host.read(f'{device}/type'), host.read(f'{device}/name')])) or 'card'})"
    # Two kinds of cells; the one that is worn more decides. 0 is "not known".
    steps = [step for text in host.read(f"{device}/life_time").split() if 0 < (step := _number(text)) <= EXCEEDED]
    spare = SPARE.get(_number(host.read(f"{device}/pre_eol_info")))
    if not steps and spare is None:
        return Finding("ok", f"{name}: does not tell its wear, as most SD cards")
    severity: Severity = "ok"
    parts = []
    if steps:
        step = max(steps)
        severity = "bad" if step >= EXCEEDED else "note" if step >= WORN else "ok"
        parts.append(
            "more than its whole life is used"
            if step >= EXCEEDED
            else f"{10 * step - 10} to {10 * step} % of its life is used"
        )
    if spare is not None:
        severity = max(severity, spare[0], key=("ok", "note", "bad").index)
        parts.append(spare[1])
    return Finding(severity, f"{name}: {', '.join(parts)}", "" if severity == "ok" else REPLACE)


def _rate(host: Host, card: str) -> Finding:
    """Return how much is written a day since boot, and how many years the card lasts at that rate."""
    fields = host.read(f"sys/block/{card}/stat").split()
    sectors = _number(fields[SECTORS_WRITTEN]) if len(fields) > SECTORS_WRITTEN else -1
    size_bytes = max(_number(host.read(f"sys/block/{card}/size")), 0) * SECTOR_BYTES
    try:
        uptime_s = float(host.read("proc/uptime").split()[0])
    except (ValueError, IndexError):
        uptime_s = 0.0
    if sectors < 0 or not uptime_s > 0:
        return Finding("ok", f"{card}: the kernel does not tell how much is written to it")
    written = sectors * SECTOR_BYTES
    since = f"{card}: {written / 1e6:,.0f} MB written in {_duration(uptime_s)} since boot"
    if uptime_s < MIN_UPTIME_S:
        return Finding("ok", f"{since}, too short a time for a rate")
    per_day = written / uptime_s * DAY_S
    message = f"{since}, {per_day / 1e6:,.0f} MB a day"
    if not size_bytes or not per_day:
        return Finding("ok", message)
    years = size_bytes * CELL_WRITES / WRITE_AMPLIFICATION / per_day / 365
    lasts = (
        "more than 50 years" if years > 50 else f"about {years:.1f} years" if years < 10 else f"about {years:.0f} years"
    )
    message = f"{message}; a usual card of {size_bytes / 1e9:.0f} GB lasts {lasts} at that rate"
    return Finding("note", message, WRITE_LESS) if years < MIN_YEARS else Finding("ok", message)


def _duration(seconds: float) -> str:
    if seconds < 2 * MIN_UPTIME_S:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 3 * DAY_S else f"{seconds / DAY_S:.0f} days"


def _number(text: str) -> int:
    """Return a whole number such as "0x0b" or "11"; -1 for anything else."""
    return int(text, 0) if re.fullmatch(r"0x[0-9a-fA-F]{1,16}|[1-9][0-9]{0,19}|0", text) else -1
