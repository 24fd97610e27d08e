"""What a store needs from time to time: hourly means of the windows, and an end to what was kept long enough."""

from __future__ import annotations

import sqlite3
from dataclasses import asdict, dataclass
from typing import Any, Final

from sqlalchemy import Connection, Table, delete, exists, or_, select, tuple_

from edge_runtime.history import reading, tables
from edge_runtime.history.points import WindowPoint, merge
from edge_runtime.history.writing import HOUR_GRACE_S, HOUR_S, upserting

DAY_S: Final = 86_400.0
HOURS_AT_ONCE: Final = 50  # in one transaction, so that no other writer is kept waiting
_NUMBERS_AT_ONCE: Final = 10_000  # bound parameters of one statement


@dataclass(frozen=True, slots=True)
class Retention:
    """How many days each kind is kept.

    Attributes:
        windows: single windows, episodes, plain words and conflicts.
        stats: devices' health.
        hours: the hourly means.
    """

    windows: float = 60.0
    stats: float = 14.0
    hours: float = 400.0

    def __post_init__(self) -> None:
        if not 0 < self.windows <= self.hours or self.stats <= 0:
            raise ValueError("every kind is kept for some time, and hourly means at least as long as windows")


def roll_up(connection: Connection, now_ts: float) -> int:
    """Computes some hours that are over and got windows since; see `HistoryStore.roll_up`."""
    marks = tables.stale_hours
    stale = (
        select(marks.c.device_id, marks.c.start_ts)
        .where(marks.c.start_ts <= now_ts - HOUR_S - HOUR_GRACE_S)
        .distinct()
        .limit(HOURS_AT_ONCE)
    )
    hours = sorted((row.device_id, row.start_ts) for row in connection.execute(stale))
    if not hours:
        return 0
    of_hours = tuple_(marks.c.device_id, marks.c.start_ts).in_(hours)
    # By number: another collector may mark the same hour meanwhile, and its mark must stay.
    seen = connection.execute(select(marks.c.id).where(of_hours)).scalars().all()
    rows = []
    for device, start in hours:
        if points := reading.single_windows(connection, {device: ""}, start, start + HOUR_S):
            rows.append(_hour_row(device, start, merge(points)))
    if rows:
        statement = upserting(connection, tables.hours)
        statement = statement.on_conflict_do_update(
            index_elements=[tables.hours.c.device_id, tables.hours.c.start_ts],
            set_={c.name: statement.excluded[c.name] for c in tables.hours.c if not c.primary_key},
            # Fewer than there were: retention took the others, and a straggler is no mean of the hour.
            where=tables.hours.c.windows <= statement.excluded.windows,
        )
        connection.execute(statement, rows)
    for first in range(0, len(seen), _NUMBERS_AT_ONCE):
        connection.execute(delete(marks).where(marks.c.id.in_(seen[first : first + _NUMBERS_AT_ONCE])))
    return len(hours)


def _hour_row(device: int, start: float, mean: WindowPoint) -> dict[str, Any]:
    values = asdict(mean)
    own = {column.name: values[column.name] for column in tables.hours.c if column.name in values}
    return own | {"device_id": device, "start_ts": start}


def forget(connection: Connection, retention: Retention, now_ts: float) -> int:
    """Deletes what is older than it may be kept; see `HistoryStore.forget`."""
    windows_end = now_ts - retention.windows * DAY_S
    ends = (
        (tables.windows.c.ts, windows_end),
        (tables.episode_events.c.ts, windows_end),
        (tables.word_changes.c.received_ts, windows_end),
        (tables.conflicts.c.received_ts, windows_end),
        (tables.stats.c.ts, now_ts - retention.stats * DAY_S),
        (tables.hours.c.start_ts, now_ts - retention.hours * DAY_S),
    )
    gone = sum(connection.execute(delete(column.table).where(column < end)).rowcount for column, end in ends)
    return gone + _forget_devices(connection, now_ts - retention.hours * DAY_S)


def _forget_devices(connection: Connection, end_ts: float) -> int:
    """Devices that were not heard of for as long as anything is kept, and have nothing left here."""
    devices = tables.devices
    holding: tuple[Table, ...] = (
        tables.windows,
        tables.hours,
        tables.stale_hours,
        tables.episode_events,
        tables.stats,
        tables.word_changes,
        tables.conflicts,
    )
    is_held = or_(*(exists().where(table.c.device_id == devices.c.id) for table in holding))
    gone = select(devices.c.id).where(devices.c.last_seen_ts < end_ts, ~is_held)
    numbers = connection.execute(gone).scalars().all()
    if not numbers:
        return 0
    connection.execute(delete(tables.words).where(tables.words.c.device_id.in_(numbers)))
    return connection.execute(delete(devices).where(devices.c.id.in_(numbers))).rowcount


def give_back_room(connection: Connection) -> None:
    """SQLite: shortens the file by its free pages; on a connection that has begun nothing."""
    driver = connection.connection.driver_connection
    if isinstance(driver, sqlite3.Connection):
        # `execute` takes one step of the statement, and each step frees one page; a script takes all of them.
        driver.executescript("PRAGMA incremental_vacuum").close()
