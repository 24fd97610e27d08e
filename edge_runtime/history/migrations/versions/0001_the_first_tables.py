"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Brings a store forward; there is no way back."""
    op.create_table(
        "devices",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("site", sa.String(length=64), nullable=False),
        sa.Column("room", sa.String(length=64), nullable=False),
        sa.Column("device", sa.String(length=64), nullable=False),
        sa.Column("first_seen_ts", sa.Float(precision=53), nullable=False),
        sa.Column("last_seen_ts", sa.Float(precision=53), nullable=False),
        sa.Column("info_ts", sa.Float(precision=53), nullable=True),
        sa.Column("info", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_devices"),
        sa.UniqueConstraint("site", "room", "device", name="uq_devices_site_room_device"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "conflicts",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("device_id", sa.Integer(), nullable=False),
        sa.Column("received_ts", sa.Float(precision=53), nullable=False),
        sa.Column("event_id", sa.String(length=200), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name="fk_conflicts_device_id"),
        sa.PrimaryKeyConstraint("id", name="pk_conflicts"),
    )
    op.create_table(
        "episode_events",
        sa.Column("device_id", sa.Integer(), nullable=False),
        sa.Column("boot", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("ts", sa.Float(precision=53), nullable=False),
        sa.Column("received_ts", sa.Float(precision=53), nullable=False),
        sa.Column("clock", sa.String(length=6), nullable=False),
        sa.Column("fingerprint", sa.BigInteger(), nullable=False),
        sa.Column("episode_id", sa.String(length=200), nullable=False),
        sa.Column("phase", sa.String(length=16), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("start_ts", sa.Float(precision=53), nullable=False),
        sa.Column("duration_s", sa.Float(precision=53), nullable=False),
        sa.Column("windows", sa.Integer(), nullable=False),
        sa.Column("share", sa.Float(precision=53), nullable=False),
        sa.Column("peak_share", sa.Float(precision=53), nullable=False),
        sa.Column("threshold", sa.Float(precision=53), nullable=False),
        sa.Column("more", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name="fk_episode_events_device_id"),
        sa.PrimaryKeyConstraint("device_id", "boot", "seq", name="pk_episode_events"),
    )
    op.create_index("ix_episode_events_device_id_ts", "episode_events", ["device_id", "ts"])
    op.create_table(
        "hours",
        sa.Column("device_id", sa.Integer(), nullable=False),
        sa.Column("start_ts", sa.Float(precision=53), nullable=False),
        sa.Column("windows", sa.Integer(), nullable=False),
        sa.Column("suppressed", sa.Integer(), nullable=False),
        sa.Column("seconds", sa.Float(precision=53), nullable=False),
        sa.Column("seen_min", sa.Float(precision=53), nullable=False),
        sa.Column("seen_max", sa.Float(precision=53), nullable=False),
        sa.Column("readable_min", sa.Float(precision=53), nullable=False),
        sa.Column("readable_max", sa.Float(precision=53), nullable=False),
        sa.Column("dominant", sa.String(length=32), nullable=True),
        sa.Column("valence", sa.Float(precision=53), nullable=True),
        sa.Column("arousal", sa.Float(precision=53), nullable=True),
        sa.Column("confidence", sa.Float(precision=53), nullable=True),
        sa.Column("context", sa.String(length=32), nullable=True),
        sa.Column("positive_activity", sa.Float(precision=53), nullable=True),
        sa.Column("negative_activity", sa.Float(precision=53), nullable=True),
        sa.Column("classroom_activity", sa.Float(precision=53), nullable=True),
        sa.Column("grade", sa.String(length=32), nullable=True),
        sa.Column("shares", sa.JSON(), nullable=False),
        sa.Column("readings", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name="fk_hours_device_id"),
        sa.PrimaryKeyConstraint("device_id", "start_ts", name="pk_hours"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "stale_hours",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("device_id", sa.Integer(), nullable=False),
        sa.Column("start_ts", sa.Float(precision=53), nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name="fk_stale_hours_device_id"),
        sa.PrimaryKeyConstraint("id", name="pk_stale_hours"),
    )
    op.create_table(
        "stats",
        sa.Column("device_id", sa.Integer(), nullable=False),
        sa.Column("ts", sa.Float(precision=53), nullable=False),
        sa.Column("received_ts", sa.Float(precision=53), nullable=False),
        sa.Column("health", sa.String(length=32), nullable=False),
        sa.Column("fps", sa.Float(precision=53), nullable=False),
        sa.Column("dropped_frames", sa.BigInteger(), nullable=False),
        sa.Column("outbox_rows", sa.BigInteger(), nullable=False),
        sa.Column("outbox_dropped", sa.BigInteger(), nullable=False),
        sa.Column("temperature_c", sa.Float(precision=53), nullable=True),
        sa.Column("rss_mb", sa.Float(precision=53), nullable=True),
        sa.Column("latencies_ms", sa.JSON(), nullable=False),
        sa.Column("more", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name="fk_stats_device_id"),
        sa.PrimaryKeyConstraint("device_id", "ts", name="pk_stats"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "windows",
        sa.Column("device_id", sa.Integer(), nullable=False),
        sa.Column("boot", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("ts", sa.Float(precision=53), nullable=False),
        sa.Column("received_ts", sa.Float(precision=53), nullable=False),
        sa.Column("clock", sa.String(length=6), nullable=False),
        sa.Column("fingerprint", sa.BigInteger(), nullable=False),
        sa.Column("window_s", sa.Float(precision=53), nullable=False),
        sa.Column("suppressed", sa.SmallInteger(), nullable=False),
        sa.Column("partial", sa.SmallInteger(), nullable=False),
        sa.Column("seen_min", sa.Integer(), nullable=False),
        sa.Column("seen_max", sa.Integer(), nullable=False),
        sa.Column("readable_min", sa.Integer(), nullable=False),
        sa.Column("readable_max", sa.Integer(), nullable=False),
        sa.Column("min_group", sa.Integer(), nullable=False),
        sa.Column("dominant", sa.String(length=32), nullable=True),
        sa.Column("valence", sa.Float(precision=53), nullable=True),
        sa.Column("arousal", sa.Float(precision=53), nullable=True),
        sa.Column("confidence", sa.Float(precision=53), nullable=True),
        sa.Column("context", sa.String(length=32), nullable=True),
        sa.Column("positive_activity", sa.Float(precision=53), nullable=True),
        sa.Column("negative_activity", sa.Float(precision=53), nullable=True),
        sa.Column("classroom_activity", sa.Float(precision=53), nullable=True),
        sa.Column("grade", sa.String(length=32), nullable=True),
        sa.Column("shares", sa.JSON(), nullable=False),
        sa.Column("readings", sa.JSON(), nullable=False),
        sa.Column("more", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name="fk_windows_device_id"),
        sa.PrimaryKeyConstraint("device_id", "boot", "seq", name="pk_windows"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_windows_device_id_ts", "windows", ["device_id", "ts"])
    op.create_table(
        "word_changes",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("device_id", sa.Integer(), nullable=False),
        sa.Column("received_ts", sa.Float(precision=53), nullable=False),
        sa.Column("leaf", sa.String(length=32), nullable=False),
        sa.Column("word", sa.String(length=32), nullable=False),
        sa.Column("retained", sa.SmallInteger(), nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name="fk_word_changes_device_id"),
        sa.PrimaryKeyConstraint("id", name="pk_word_changes"),
    )
    op.create_index("ix_word_changes_device_id_received_ts", "word_changes", ["device_id", "received_ts"])
    op.create_table(
        "words",
        sa.Column("device_id", sa.Integer(), nullable=False),
        sa.Column("leaf", sa.String(length=32), nullable=False),
        sa.Column("word", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name="fk_words_device_id"),
        sa.PrimaryKeyConstraint("device_id", "leaf", name="pk_words"),
    )
