"""The tables of the history store, for SQLite and PostgreSQL alike. `migrations/` brings a store to this form.

One row of `devices` per site, room and name: a device that moves is a device anew, and its past stays where it
was. A window is known by `(device_id, boot, seq)`, which is its `event_id` taken apart. What pages and Grafana
draw has a column; shares and readings are JSON objects, other keys of the contract are in `more`.

Times are unix seconds. `ts` is the device's clock, `received_ts` the collector's.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
)

# Names by rule, so that a later migration can drop a constraint on either database.
metadata: Final = MetaData(
    naming_convention={
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_RowId = BigInteger().with_variant(Integer(), "sqlite")  # SQLite counts up only in an INTEGER PRIMARY KEY


def _device_id(*, primary_key: bool = False) -> Column[int]:
    return Column("device_id", Integer, ForeignKey("devices.id"), primary_key=primary_key, nullable=False)


devices: Final = Table(
    "devices",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("site", String(64), nullable=False),
    Column("room", String(64), nullable=False),
    Column("device", String(64), nullable=False),
    Column("first_seen_ts", Float(53), nullable=False),
    Column("last_seen_ts", Float(53), nullable=False),
    Column("info_ts", Float(53)),
    Column("info", JSON),
    UniqueConstraint("site", "room", "device"),
    sqlite_autoincrement=True,  # a number is never given again: a collector remembers it
)

windows: Final = Table(
    "windows",
    metadata,
    _device_id(primary_key=True),
    Column("boot", BigInteger, primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("ts", Float(53), nullable=False),
    Column("received_ts", Float(53), nullable=False),
    Column("clock", String(6), nullable=False),
    Column("fingerprint", BigInteger, nullable=False),
    Column("window_s", Float(53), nullable=False),
    Column("suppressed", SmallInteger, nullable=False),
    Column("partial", SmallInteger, nullable=False),
    Column("seen_min", BigInteger, nullable=False),
    Column("seen_max", BigInteger, nullable=False),
    Column("readable_min", BigInteger, nullable=False),
    Column("readable_max", BigInteger, nullable=False),
    Column("min_group", BigInteger, nullable=False),
    Column("dominant", String(32)),
    Column("valence", Float(53)),
    Column("arousal", Float(53)),
    Column("confidence", Float(53)),
    Column("context", String(32)),
    Column("positive_activity", Float(53)),
    Column("negative_activity", Float(53)),
    Column("classroom_activity", Float(53)),
    Column("teacher_activity", Float(53)),
    Column("intensity", Float(53)),
    Column("dominance", Float(53)),
    Column("grade", String(32)),
    Column("shares", JSON, nullable=False),
    Column("readings", JSON, nullable=False),
    Column("more", JSON, nullable=False),
    Index("ix_windows_device_id_ts", "device_id", "ts"),
    sqlite_with_rowid=False,  # the rows of a device lie together, in order
)

hours: Final = Table(
    "hours",
    metadata,
    _device_id(primary_key=True),
    Column("start_ts", Float(53), primary_key=True),
    Column("windows", Integer, nullable=False),
    Column("suppressed", Integer, nullable=False),
    Column("seconds", Float(53), nullable=False),
    Column("seen_min", Float(53), nullable=False),
    Column("seen_max", Float(53), nullable=False),
    Column("readable_min", Float(53), nullable=False),
    Column("readable_max", Float(53), nullable=False),
    Column("dominant", String(32)),
    Column("valence", Float(53)),
    Column("arousal", Float(53)),
    Column("confidence", Float(53)),
    Column("context", String(32)),
    Column("positive_activity", Float(53)),
    Column("negative_activity", Float(53)),
    Column("classroom_activity", Float(53)),
    Column("teacher_activity", Float(53)),
    Column("intensity", Float(53)),
    Column("dominance", Float(53)),
    Column("grade", String(32)),
    Column("shares", JSON, nullable=False),
    Column("readings", JSON, nullable=False),
    sqlite_with_rowid=False,
)

# Hours that got windows since they were last rolled up; a row per write, so that two collectors do not wait for
# each other and none takes away another's mark.
stale_hours: Final = Table(
    "stale_hours",
    metadata,
    Column("id", _RowId, primary_key=True),
    _device_id(),
    Column("start_ts", Float(53), nullable=False),
)

episode_events: Final = Table(
    "episode_events",
    metadata,
    _device_id(primary_key=True),
    Column("boot", BigInteger, primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("ts", Float(53), nullable=False),
    Column("received_ts", Float(53), nullable=False),
    Column("clock", String(6), nullable=False),
    Column("fingerprint", BigInteger, nullable=False),
    Column("episode_id", String(200), nullable=False),
    Column("phase", String(16), nullable=False),
    Column("kind", String(64), nullable=False),
    Column("start_ts", Float(53), nullable=False),
    Column("duration_s", Float(53), nullable=False),
    Column("windows", BigInteger, nullable=False),
    Column("share", Float(53), nullable=False),
    Column("peak_share", Float(53), nullable=False),
    Column("threshold", Float(53), nullable=False),
    Column("more", JSON, nullable=False),
    Index("ix_episode_events_device_id_ts", "device_id", "ts"),
)

stats: Final = Table(
    "stats",
    metadata,
    _device_id(primary_key=True),
    Column("ts", Float(53), primary_key=True),
    Column("received_ts", Float(53), nullable=False),
    Column("health", String(32), nullable=False),
    Column("fps", Float(53), nullable=False),
    Column("dropped_frames", BigInteger, nullable=False),
    Column("outbox_rows", BigInteger, nullable=False),
    Column("outbox_dropped", BigInteger, nullable=False),
    Column("temperature_c", Float(53)),
    Column("rss_mb", Float(53)),
    Column("latencies_ms", JSON, nullable=False),
    Column("more", JSON, nullable=False),
    sqlite_with_rowid=False,
)

# What a device last said in a plain word: availability, status/capture, enabled/state, context/state, …
words: Final = Table(
    "words",
    metadata,
    _device_id(primary_key=True),
    Column("leaf", String(32), primary_key=True),
    Column("word", String(32), nullable=False),
)

word_changes: Final = Table(
    "word_changes",
    metadata,
    Column("id", _RowId, primary_key=True),
    _device_id(),
    Column("received_ts", Float(53), nullable=False),
    Column("leaf", String(32), nullable=False),
    Column("word", String(32), nullable=False),
    Column("retained", SmallInteger, nullable=False),
    Index("ix_word_changes_device_id_received_ts", "device_id", "received_ts"),
)

# Events whose id was taken by another event: two devices with one name. Kept whole, apart from the history.
conflicts: Final = Table(
    "conflicts",
    metadata,
    Column("id", _RowId, primary_key=True),
    _device_id(),
    Column("received_ts", Float(53), nullable=False),
    Column("event_id", String(200), nullable=False),
    Column("payload", Text, nullable=False),
)
