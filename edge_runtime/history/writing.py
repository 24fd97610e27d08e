"""Records → rows, in one transaction of the caller's.

An event's key is its id taken apart, `(device, boot, seq)`. The database itself decides whether it has the key
already: what it did not insert came twice when the fingerprints agree. When they do not, two devices speak under
one name; the later event is kept whole in `conflicts`, and the history stays that of the first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, Table, bindparam, insert, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite

from edge_runtime.history import tables
from edge_runtime.history.records import EventRecord, InfoRecord, Place, Record, StatsRecord, WordRecord
from edge_runtime.publishing.payloads import EmotionEvent, EpisodeEvent, Info, Stats, encode

HOUR_S: Final = 3600.0
HOUR_GRACE_S: Final = (
    120.0  # an hour is rolled up so long after its end; collectors' clocks agree better than that
)

# Keys of `EmotionEvent` and `Stats` that have a column of their own name; the rest goes to `more`.
_WINDOW_COLUMNS: Final = (
    "boot",
    "seq",
    "ts",
    "window_s",
    "suppressed",
    "partial",
    "seen_min",
    "seen_max",
    "readable_min",
    "readable_max",
    "min_group",
    "dominant",
    "valence",
    "arousal",
    "confidence",
    "context",
    "positive_activity",
    "negative_activity",
    "classroom_activity",
    "teacher_activity",
    "intensity",
    "dominance",
    "grade",
)
_EPISODE_COLUMNS: Final = (
    "boot",
    "seq",
    "ts",
    "episode_id",
    "phase",
    "kind",
    "start_ts",
    "duration_s",
    "windows",
    "share",
    "peak_share",
    "threshold",
)
_STATS_COLUMNS: Final = (
    "ts",
    "health",
    "fps",
    "dropped_frames",
    "outbox_rows",
    "outbox_dropped",
    "temperature_c",
    "rss_mb",
)
_KNOWN_OTHERWISE: Final = frozenset({"schema", "event_id", "site", "room", "device"})


@dataclass(frozen=True, slots=True)
class WriteReport:
    """What became of a batch.

    Attributes:
        windows, episodes, stats, infos, changes: rows that are new.
        duplicates: events that the store had already.
        conflicts: ids of events whose id belonged to another event, as `site/room/event_id`.
    """

    windows: int = 0
    episodes: int = 0
    stats: int = 0
    infos: int = 0
    changes: int = 0
    duplicates: int = 0
    conflicts: tuple[str, ...] = field(default=())


@dataclass(slots=True)
class Memory:
    """What a writer need not ask the database again.

    Attributes:
        numbers: of devices.
        marked: hours of devices that it marked as stale while they ran; nobody rolls them up before they end.
    """

    numbers: dict[Place, int] = field(default_factory=dict)
    marked: set[tuple[int, float]] = field(default_factory=set)

    def learn(self, new: Memory) -> None:
        """Takes over what a transaction brought, once it is committed."""
        self.numbers |= new.numbers
        latest = max((start for _, start in new.marked), default=0.0)
        self.marked = {hour for hour in self.marked | new.marked if hour[1] > latest - 2 * HOUR_S}


def write(connection: Connection, records: Sequence[Record], known: Memory) -> tuple[WriteReport, Memory]:
    """Writes a batch.

    Args:
        connection: in a transaction.
        records: in the order in which they came.
        known: from earlier batches.

    Returns:
        The report, and what was learnt; both hold when the transaction is committed.
    """
    seen: dict[Place, float] = {}
    for record in records:
        place = place_of(record)
        seen[place] = max(record.received_ts, seen.get(place, 0.0))
    numbers = _device_numbers(connection, seen, known.numbers)
    events = [record for record in records if isinstance(record, EventRecord)]
    windows = [record for record in events if isinstance(record.event, EmotionEvent)]
    phases = [record for record in events if isinstance(record.event, EpisodeEvent)]
    new_windows, twice, conflicts = _write_events(
        connection, tables.windows, windows, [_window_row(r, numbers) for r in windows]
    )
    new_phases, phases_twice, phase_conflicts = _write_events(
        connection, tables.episode_events, phases, [_episode_row(r, numbers) for r in phases]
    )
    marked = _mark_stale_hours(connection, new_windows, known.marked)
    if conflicts or phase_conflicts:
        connection.execute(
            insert(tables.conflicts), [_conflict_row(r, numbers) for r in (*conflicts, *phase_conflicts)]
        )
    report = WriteReport(
        windows=len(new_windows),
        episodes=len(new_phases),
        stats=_write_stats(connection, [r for r in records if isinstance(r, StatsRecord)], numbers),
        infos=_write_infos(connection, [r for r in records if isinstance(r, InfoRecord)], numbers),
        changes=_write_words(connection, [r for r in records if isinstance(r, WordRecord)], numbers),
        duplicates=twice + phases_twice,
        conflicts=tuple(
            f"{r.event.site}/{r.event.room}/{r.event.event_id}" for r in conflicts + phase_conflicts
        ),
    )
    return report, Memory(numbers, marked)


def place_of(record: Record) -> Place:
    """Whose record it is."""
    if isinstance(record, WordRecord):
        return record.place
    payload: EmotionEvent | EpisodeEvent | Stats | Info
    if isinstance(record, EventRecord):
        payload = record.event
    else:
        payload = record.stats if isinstance(record, StatsRecord) else record.info
    return Place(payload.site, payload.room, payload.device)


def upserting(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that can say ON CONFLICT, which is not standard SQL, but the same in both."""
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)


def _device_numbers(
    connection: Connection, seen: Mapping[Place, float], known: Mapping[Place, int]
) -> dict[Place, int]:
    """The number of each place; notes when it was last heard. Rows in one order, lest two collectors deadlock."""
    table = tables.devices
    found = {place: known[place] for place in seen if place in known}
    if new := sorted(place for place in seen if place not in found):
        rows = [p._asdict() | {"first_seen_ts": seen[p], "last_seen_ts": seen[p]} for p in new]
        connection.execute(upserting(connection, table).on_conflict_do_nothing(), rows)
        query = select(table.c.id, table.c.site, table.c.room, table.c.device)
        for number, *place in connection.execute(
            query.where(tuple_(table.c.site, table.c.room, table.c.device).in_(new))
        ):
            found[Place(*place)] = number
    connection.execute(
        update(table)
        .where(table.c.id == bindparam("number"), table.c.last_seen_ts < bindparam("seen_ts"))
        .values(last_seen_ts=bindparam("seen_ts")),
        [{"number": found[place], "seen_ts": seen[place]} for place in sorted(seen)],
    )
    return found


def _write_events(
    connection: Connection, table: Table, records: Sequence[EventRecord], rows: Sequence[dict[str, Any]]
) -> tuple[list[dict[str, Any]], int, list[EventRecord]]:
    """Inserts what is new.

    Returns:
        The rows that are new, how many events came twice, and those that only claim an id.
    """
    if not rows:
        return [], 0, []
    firsts: dict[tuple[int, int, int], dict[str, Any]] = {}
    for row in rows:
        firsts.setdefault(_key(row), row)
    keys = (table.c.device_id, table.c.boot, table.c.seq)
    statement = upserting(connection, table).on_conflict_do_nothing(index_elements=keys).returning(*keys)
    in_order = sorted(firsts.values(), key=_key)
    new = {tuple(key) for key in connection.execute(statement, in_order)}
    fingerprints = {key: row["fingerprint"] for key, row in firsts.items() if key in new}
    if old := [key for key in firsts if key not in new]:
        query = select(*keys, table.c.fingerprint).where(tuple_(*keys).in_(old))
        fingerprints |= {(d, boot, seq): print_ for d, boot, seq, print_ in connection.execute(query)}
    twice, conflicts = 0, []
    for record, row in zip(records, rows, strict=True):
        if row is firsts[_key(row)] and _key(row) in new:
            continue
        if row["fingerprint"] == fingerprints[_key(row)]:
            twice += 1
        else:
            conflicts.append(record)
    return [row for key, row in firsts.items() if key in new], twice, conflicts


def _key(row: Mapping[str, Any]) -> tuple[int, int, int]:
    return row["device_id"], row["boot"], row["seq"]


def _window_row(record: EventRecord, numbers: Mapping[Place, int]) -> dict[str, Any]:
    event = record.event
    assert isinstance(event, EmotionEvent)  # noqa: S101 - for the type checker; `write` sorted them
    wire = event.flat()
    row = {name: wire.pop(name, None) for name in _WINDOW_COLUMNS}
    in_families = {*_wire_keys(event, "shares"), *_wire_keys(event, "readings")}
    more = {key: v for key, v in wire.items() if key not in in_families and key not in _KNOWN_OTHERWISE}
    return row | _of_event(record, numbers, more) | {"shares": event.shares, "readings": event.readings}


def _episode_row(record: EventRecord, numbers: Mapping[Place, int]) -> dict[str, Any]:
    wire = record.event.flat()
    row = {name: wire.pop(name, None) for name in _EPISODE_COLUMNS}
    more = {key: value for key, value in wire.items() if key not in _KNOWN_OTHERWISE}
    return row | _of_event(record, numbers, more)


def _wire_keys(event: EmotionEvent, field: str) -> list[str]:
    prefix = event.FAMILIES[field].prefix
    return [prefix + name for name in getattr(event, field)]


def _of_event(record: EventRecord, numbers: Mapping[Place, int], more: dict[str, Any]) -> dict[str, Any]:
    digest = hashlib.blake2b(encode(record.event), digest_size=8).digest()
    return {
        "device_id": numbers[place_of(record)],
        "received_ts": record.received_ts,
        "clock": record.clock,
        "fingerprint": int.from_bytes(digest, "big", signed=True),
        "more": more,
    }


def _mark_stale_hours(
    connection: Connection, new: Sequence[dict[str, Any]], marked: Set[tuple[int, float]]
) -> set[tuple[int, float]]:
    """Marks the hours of new windows for the next roll-up, each running hour once.

    Returns:
        The running hours among them.
    """
    hours = {(row["device_id"], row["ts"] // HOUR_S * HOUR_S): row["received_ts"] for row in new}
    running = {hour for hour, received_ts in hours.items() if received_ts < hour[1] + HOUR_S}
    if stale := sorted(hours.keys() - (running & marked)):
        marks = [{"device_id": device, "start_ts": start} for device, start in stale]
        connection.execute(insert(tables.stale_hours), marks)
    return running


def _conflict_row(record: EventRecord, numbers: Mapping[Place, int]) -> dict[str, Any]:
    return {
        "device_id": numbers[place_of(record)],
        "received_ts": record.received_ts,
        "event_id": record.event.event_id,
        "payload": encode(record.event).decode(),
    }


def _write_stats(connection: Connection, records: Sequence[StatsRecord], numbers: Mapping[Place, int]) -> int:
    if not records:
        return 0
    rows = []
    for record in records:
        wire = record.stats.flat()
        row = {name: wire.pop(name, None) for name in _STATS_COLUMNS}
        more = {
            key: value
            for key, value in wire.items()
            if key not in _KNOWN_OTHERWISE and key not in record.stats.latencies_ms
        }
        row |= {"device_id": numbers[place_of(record)], "received_ts": record.received_ts}
        rows.append(row | {"latencies_ms": record.stats.latencies_ms, "more": more})
    statement = upserting(connection, tables.stats).on_conflict_do_nothing()
    rows.sort(key=lambda row: (row["device_id"], row["ts"]))
    return len(connection.execute(statement.returning(tables.stats.c.ts), rows).all())


def _write_infos(connection: Connection, records: Sequence[InfoRecord], numbers: Mapping[Place, int]) -> int:
    latest = {numbers[place_of(record)]: record for record in records}
    for number in sorted(latest):
        values = {"info": latest[number].info.flat(), "info_ts": latest[number].received_ts}
        connection.execute(update(tables.devices).where(tables.devices.c.id == number).values(values))
    return len(latest)


def _write_words(connection: Connection, records: Sequence[WordRecord], numbers: Mapping[Place, int]) -> int:
    """Notes a word where it differs from the last one; the database compares, so two collectors note it once."""
    table = tables.words
    statement = upserting(connection, table)
    statement = statement.on_conflict_do_update(
        index_elements=[table.c.device_id, table.c.leaf],
        set_={"word": statement.excluded.word},
        where=table.c.word != statement.excluded.word,
    )
    noted = []
    for record in sorted(records, key=lambda record: (numbers[record.place], record.leaf)):  # stable
        key = {"device_id": numbers[record.place], "leaf": record.leaf, "word": record.word}
        if connection.execute(statement.returning(table.c.device_id), key).first() is not None:
            noted.append(key | {"received_ts": record.received_ts, "retained": int(record.is_retained)})
    if noted:
        connection.execute(insert(tables.word_changes), noted)
    return len(noted)
