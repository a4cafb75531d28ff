"""The state of all doors, those in trouble first."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from ..events.record import parse_time
from ..link.door_state import OFF
from ..link.log_tail import MAX_SKIPPED
from ..records import Signal
from .database import Address, Database, check_version, connect, explain

#: A door sends its state every few minutes. One that is silent for this time is in trouble, whatever it said last.
SILENT_AFTER = timedelta(hours=1)
#: Numbers that come later than this are missing, not on their way.
_ON_THE_WAY = timedelta(minutes=10)
#: Missing events are counted for this many days.
DAYS = 7
#: Signals of a door that sees nothing: FAULT, and what the link says of a door that does not run.
BLIND = frozenset({Signal.FAULT.value, OFF})

_QUERY = """
WITH alarms AS (
    SELECT door, count(*) AS count FROM doorlight.events WHERE signal = 'ALARM' AND time >= %(today)s GROUP BY door
), numbered AS (
    SELECT door, seq, event, received, lag(seq) OVER (PARTITION BY door ORDER BY seq) AS before
    FROM doorlight.events WHERE time >= %(since)s
), ranges AS (
    -- A start after a crash skips numbers, but not more than a limit.
    SELECT door, int8range(before, seq, '()') AS numbers FROM numbered
    WHERE seq - before > 1 AND received < %(settled)s
        AND (event NOT IN ('started', 'log_repaired') OR seq - before - 1 > %(max_skipped)s)
    UNION ALL
    SELECT door, int8range(first_seq, least(last_seq, 9223372036854775806), '[]') FROM doorlight.gaps
    WHERE received >= %(since)s AND first_seq <= least(last_seq, 9223372036854775806)
), merged AS (
    SELECT door, unnest(range_agg(numbers)) AS numbers FROM ranges GROUP BY door
), counts AS (
    -- Events that are there in spite of it: of a time before the clock was set, or sent later.
    SELECT door, upper(numbers)::numeric - lower(numbers) - (
        SELECT count(DISTINCT seq) FROM doorlight.events AS found
        WHERE found.door = merged.door AND seq >= lower(numbers) AND seq < upper(numbers)
    ) AS missing FROM merged
    UNION ALL
    -- log_lost has the number of the last event that the door could not write.
    SELECT door, 1 FROM numbered WHERE event = 'log_lost' AND received < %(settled)s
), gaps AS (
    SELECT door, sum(missing) AS missing FROM counts GROUP BY door
)
SELECT doors.door, last_seen, doors.signal, signal_time, online, state,
    coalesce(alarms.count, 0), least(coalesce(gaps.missing, 0), 9223372036854775807)::bigint
FROM doorlight.doors LEFT JOIN alarms USING (door) LEFT JOIN gaps USING (door)
"""


class Trouble(enum.IntEnum):
    """What is wrong with a door, the worst first."""

    BLIND = 0
    OFFLINE = 1
    SILENT = 2
    PROBLEM = 3
    MISSING = 4
    NONE = 5


@dataclass(frozen=True)
class DoorSummary:
    """A row of the overview. `blind_since` is None for a door that sees; `missing` counts events that did not arrive."""

    name: str
    trouble: Trouble
    last_seen: datetime | None
    is_online: bool | None
    signal: str
    blind_since: datetime | None
    version: str
    newer_version: str
    alarms: int
    missing: int
    problem: str


def load(address: Address, days: int = DAYS, timeout_s: int | None = None) -> list[DoorSummary]:
    """Return all doors of a database, those in trouble first. Missing events of the last `days` are counted.

    `timeout_s` limits connecting and the query each. Raises DatabaseError, and UsageError if a value of the address is wrong.
    """
    now = datetime.now(UTC)
    today = now.astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
    with connect(address, timeout_s) as connection:
        check_version(connection, address)
        return read(connection, address, today, now - timedelta(days=days))


def read(database: Database, address: Address, today: datetime, since: datetime) -> list[DoorSummary]:
    """Return all doors, those in trouble first. Alarms count from `today` on, missing events from `since` on.

    Raises DatabaseError.
    """
    now = datetime.now(UTC)
    try:
        rows = database.execute(
            _QUERY,
            {"today": today, "since": since, "settled": now - _ON_THE_WAY, "max_skipped": MAX_SKIPPED},
        ).fetchall()
    except psycopg.Error as error:
        raise explain(address, error) from error
    doors = [_door(row, now) for row in rows]
    return sorted(doors, key=lambda door: (door.trouble, -door.missing, -door.alarms, door.name))


def _door(row: tuple[Any, ...], now: datetime) -> DoorSummary:
    name, last_seen, signal, signal_time, is_online, state, alarms, missing = row
    # The state is what the door says of itself, so it may contain anything.
    state = state if isinstance(state, dict) else {}
    shown = _text(state, "signal") or signal or ""
    since = parse_time(state.get("since")) if "signal" in state else signal_time
    problem = _text(state, "problem")
    if shown in BLIND:
        trouble = Trouble.BLIND
    elif is_online is False:
        trouble = Trouble.OFFLINE
    elif last_seen is None or now - last_seen > SILENT_AFTER:
        trouble = Trouble.SILENT
    else:
        trouble = Trouble.PROBLEM if problem else Trouble.MISSING if missing else Trouble.NONE
    version, newer = _text(state, "version"), _text(state, "latest_version")
    return DoorSummary(
        name,
        trouble,
        last_seen,
        is_online,
        shown,
        since if shown in BLIND else None,
        version,
        newer if newer != version else "",
        alarms,
        missing,
        problem,
    )


def _text(state: dict[str, object], key: str) -> str:
    value = state.get(key)
    return value if isinstance(value, str) else ""
