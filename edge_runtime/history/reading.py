"""Rows → points. Each function is one question of a page, asked in the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Table, func, literal, select

from edge_runtime.history import tables
from edge_runtime.history.points import (
    BANDS,
    MEANS,
    Completeness,
    DeviceSummary,
    Episode,
    RoomSummary,
    StatsPoint,
    WindowPoint,
    WordChange,
    merge,
    thin,
)

RAW_SPAN_S: Final = 36 * 3600.0  # longer times are read from the hourly means

_TOLD: Final = (*BANDS, *MEANS, "shares", "readings", "dominant", "context", "grade")
_OF_WINDOW: Final = (
    *("device_id", "boot", "seq", "ts", "window_s", "suppressed", "partial", "received_ts", "clock", "more"),
    *_TOLD,
)
_OF_HOUR: Final = ("device_id", "start_ts", "windows", "suppressed", "seconds", *_TOLD)
_HOUR_S: Final = 3600.0


def rooms(connection: Connection) -> list[RoomSummary]:
    """See `HistoryStore.rooms`."""
    devices, windows = tables.devices, tables.windows
    latest = select(func.max(windows.c.ts)).where(windows.c.device_id == devices.c.id).scalar_subquery()
    said: dict[int, dict[str, str]] = {}
    for row in connection.execute(select(tables.words)):
        said.setdefault(row.device_id, {})[row.leaf] = row.word
    found: dict[tuple[str, str], list[DeviceSummary]] = {}
    query = select(devices, latest.label("last_window_ts"))
    for row in connection.execute(query.order_by(devices.c.site, devices.c.room, devices.c.device)):
        summary = DeviceSummary(
            site=row.site,
            room=row.room,
            device=row.device,
            first_seen_ts=row.first_seen_ts,
            last_seen_ts=row.last_seen_ts,
            last_window_ts=row.last_window_ts,
            words=said.get(row.id, {}),
            info=row.info or {},
        )
        found.setdefault((row.site, row.room), []).append(summary)
    return [RoomSummary(*place, tuple(members)) for place, members in found.items()]


def windows(
    connection: Connection, place: tuple[str, str], start_ts: float, end_ts: float, max_points: int
) -> list[WindowPoint]:
    """See `HistoryStore.windows`."""
    if max_points < 1:
        raise ValueError(f"max_points is {max_points}, at least 1 is needed")
    names = _devices_of(connection, place)
    if not names:
        return []
    read = single_windows if end_ts - start_ts <= RAW_SPAN_S else hourly_means
    return thin(read(connection, names, start_ts, end_ts), max_points)


def single_windows(
    connection: Connection, names: Mapping[int, str], start_ts: float, end_ts: float
) -> list[WindowPoint]:
    """The windows that end in [start_ts, end_ts), by time.

    Args:
        connection: in a transaction.
        names: number of each device → its name.
        start_ts: unix s.
        end_ts: unix s.
    """
    table = tables.windows
    columns = (table.c[name] for name in _OF_WINDOW)
    query = select(*columns).where(*_between(table, names, start_ts, end_ts)).order_by(table.c.ts)
    return [_point_of_window(tuple(row), names[row.device_id]) for row in connection.execute(query)]


def _point_of_window(row: Sequence[Any], name: str) -> WindowPoint:
    _, boot, seq, ts, window_s, suppressed, partial, received_ts, clock, more, *told = row
    return WindowPoint(
        device=name,
        start_ts=ts - window_s,
        ts=ts,
        windows=1,
        suppressed=suppressed,
        seconds=0.0 if suppressed else window_s,
        partial=partial,
        received_ts=received_ts,
        clock=clock,
        event_id=f"{name}-{boot}-{seq}",
        more=more,
        **dict(zip(_TOLD, told, strict=True)),
    )


def hourly_means(
    connection: Connection, names: Mapping[int, str], start_ts: float, end_ts: float
) -> list[WindowPoint]:
    """The hours that share time with [start_ts, end_ts), by time; see `single_windows`."""
    table = tables.hours
    query = (
        select(*(table.c[name] for name in _OF_HOUR))
        .where(table.c.device_id.in_(names), table.c.start_ts > start_ts - _HOUR_S, table.c.start_ts < end_ts)
        .order_by(table.c.start_ts)
    )
    means = {
        (number, begin): WindowPoint(
            device=names[number],
            start_ts=begin,
            ts=begin + _HOUR_S,
            windows=count,
            suppressed=suppressed,
            seconds=seconds,
            **dict(zip(_TOLD, told, strict=True)),
        )
        for number, begin, count, suppressed, seconds, *told in connection.execute(query)
    }
    for number, begin in _stale_hours(connection, names, start_ts, end_ts):
        points = single_windows(connection, {number: names[number]}, begin, begin + _HOUR_S)
        known = means.get((number, begin))
        if points and (known is None or known.windows <= len(points)):  # else retention took the others
            means[number, begin] = merge(points)
    return sorted(means.values(), key=attrgetter("ts"))


def _stale_hours(
    connection: Connection, names: Mapping[int, str], start_ts: float, end_ts: float
) -> set[tuple[int, float]]:
    """Hours that are not rolled up, or not any more."""
    table = tables.stale_hours
    query = (
        select(table.c.device_id, table.c.start_ts)
        .where(table.c.device_id.in_(names), table.c.start_ts > start_ts - _HOUR_S, table.c.start_ts < end_ts)
        .distinct()
    )
    return {(row.device_id, row.start_ts) for row in connection.execute(query)}


def episodes(connection: Connection, place: tuple[str, str], start_ts: float, end_ts: float) -> list[Episode]:
    """See `HistoryStore.episodes`."""
    names = _devices_of(connection, place)
    table = tables.episode_events
    touching = (
        select(table.c.device_id, table.c.episode_id)
        .where(table.c.device_id.in_(names), table.c.ts >= start_ts, table.c.start_ts < end_ts)
        .distinct()
        .subquery()
    )
    query = (
        select(table)
        .join(
            touching,
            (touching.c.device_id == table.c.device_id) & (touching.c.episode_id == table.c.episode_id),
        )
        .order_by(table.c.device_id, table.c.boot, table.c.seq)
    )
    latest = {(row.device_id, row.episode_id): row for row in connection.execute(query)}
    found = [
        Episode(
            device=names[row.device_id],
            episode_id=row.episode_id,
            kind=row.kind,
            phase=row.phase,
            start_ts=row.start_ts,
            end_ts=row.start_ts + row.duration_s if row.phase == "end" else None,
            duration_s=row.duration_s,
            windows=row.windows,
            share=row.share,
            peak_share=row.peak_share,
            threshold=row.threshold,
        )
        for row in latest.values()
    ]
    return sorted(found, key=attrgetter("start_ts", "device", "episode_id"))


def stats(
    connection: Connection, place: tuple[str, str, str], start_ts: float, end_ts: float, max_points: int
) -> list[StatsPoint]:
    """See `HistoryStore.stats`."""
    if max_points < 1:
        raise ValueError(f"max_points is {max_points}, at least 1 is needed")
    names = {number: name for number, name in _devices_of(connection, place[:2]).items() if name == place[2]}
    table = tables.stats
    where = _between(table, names, start_ts, end_ts)
    count = connection.execute(select(func.count()).select_from(table).where(*where)).scalar_one()
    step = -(-count // max_points) or 1
    # Counted from the latest, so that it is there; by the key alone, so that only rows that are drawn are read.
    nth = func.row_number().over(order_by=table.c.ts.desc())
    numbered = select(table.c.device_id, table.c.ts, nth.label("nth")).where(*where).subquery()
    is_picked = (numbered.c.device_id == table.c.device_id) & (numbered.c.ts == table.c.ts)
    picked = select(table).join(numbered, is_picked).where((numbered.c.nth - 1) % literal(step) == 0)
    query = picked.order_by(table.c.ts)
    return [
        StatsPoint(
            device=names[row.device_id],
            ts=row.ts,
            received_ts=row.received_ts,
            health=row.health,
            fps=row.fps,
            dropped_frames=row.dropped_frames,
            outbox_rows=row.outbox_rows,
            outbox_dropped=row.outbox_dropped,
            temperature_c=row.temperature_c,
            rss_mb=row.rss_mb,
            latencies_ms=row.latencies_ms,
            more=row.more,
        )
        for row in connection.execute(query)
    ]


def changes(
    connection: Connection, place: tuple[str, str], start_ts: float, end_ts: float
) -> list[WordChange]:
    """See `HistoryStore.changes`."""
    names, table = _devices_of(connection, place), tables.word_changes
    query = select(table).where(
        table.c.device_id.in_(names), table.c.received_ts >= start_ts, table.c.received_ts < end_ts
    )
    return [
        WordChange(names[row.device_id], row.leaf, row.word, row.received_ts, bool(row.retained))
        for row in connection.execute(query.order_by(table.c.received_ts, table.c.id))
    ]


def completeness(connection: Connection) -> list[Completeness]:
    """See `HistoryStore.completeness`."""
    devices, conflicts = tables.devices, tables.conflicts
    spans: dict[int, tuple[int, int, int]] = {}
    for table in (tables.windows, tables.episode_events):
        query = select(
            table.c.device_id, func.count(), func.min(table.c.seq), func.max(table.c.seq)
        ).group_by(table.c.device_id)
        for number, count, first, last in connection.execute(query):
            before = spans.get(number, (0, first, last))
            spans[number] = before[0] + count, min(before[1], first), max(before[2], last)
    claimed = {
        row.device_id: row.claimed
        for row in connection.execute(
            select(conflicts.c.device_id, func.count().label("claimed")).group_by(conflicts.c.device_id)
        )
    }
    query = select(devices.c.id, devices.c.site, devices.c.room, devices.c.device)
    out = []
    for number, site, room, device in connection.execute(
        query.order_by(devices.c.site, devices.c.room, devices.c.device)
    ):
        events, first, last = spans.get(number, (0, 1, 0))
        missing = max(0, last - first + 1 - events)
        out.append(Completeness(site, room, device, events, missing, claimed.get(number, 0)))
    return out


def _devices_of(connection: Connection, place: tuple[str, ...]) -> dict[int, str]:
    table = tables.devices
    query = select(table.c.id, table.c.device).where(table.c.site == place[0], table.c.room == place[1])
    return {row.id: row.device for row in connection.execute(query)}


def _between(
    table: Table, devices: Collection[int], start_ts: float, end_ts: float
) -> tuple[ColumnElement[bool], ...]:
    return table.c.device_id.in_(devices), table.c.ts >= start_ts, table.c.ts < end_ts
