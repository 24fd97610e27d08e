"""The store: one object that the collector writes to, and pages read from.

    with open_store("sqlite:///history.sqlite3") as store:
        store.write(records)
        store.windows("north-school", "r12", start_ts, end_ts, max_points=400)

Thread-safe; every method is one transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

from sqlalchemy import Engine

from edge_runtime.errors import HistoryError
from edge_runtime.history import reading, upkeep, writing
from edge_runtime.history.database import mapped, open_database
from edge_runtime.history.points import (
    Completeness,
    Episode,
    RoomSummary,
    StatsPoint,
    WindowPoint,
    WordChange,
)
from edge_runtime.history.records import Record
from edge_runtime.history.upkeep import Retention
from edge_runtime.history.writing import WriteReport
from edge_runtime.state_directory import state_directory

__all__ = ["HistoryStore", "Retention", "WriteReport", "default_url", "open_store"]


def open_store(url: str, environ: Mapping[str, str] | None = None) -> HistoryStore:
    """Opens a store, and makes it when it is not there.

    Args:
        url: `sqlite:///relative.sqlite3`, `sqlite:////absolute.sqlite3`, or `postgresql://user@host[:port]/name`.
        environ: where the password is looked for (`ROOMTONE_STORE_PASSWORD`); the process's own when None.

    Raises:
        HistoryError: see `open_database`.
    """
    return HistoryStore(open_database(url, environ))


def default_url() -> str:
    """A SQLite file in the state directory."""
    return f"sqlite:///{state_directory() / 'history.sqlite3'}"


class HistoryStore:
    """See the module. Every method raises `HistoryError` when the database cannot do it.

    Attributes:
        url: of the database, without a password.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writer = engine.execution_options(writes=True)
        self._memory = writing.Memory()
        self.url = engine.url.render_as_string(hide_password=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends all connections."""
        self._engine.dispose()

    def write(self, records: Sequence[Record]) -> WriteReport:
        """Writes all of the records, or none of them; what the store has already is not written twice."""
        try:
            with mapped(self._engine), self._writer.begin() as connection:
                report, learnt = writing.write(connection, records, self._memory)
        except HistoryError:
            self._memory = writing.Memory()  # perhaps another process forgot a device
            raise
        self._memory.learn(learnt)
        return report

    def roll_up(self, now_ts: float) -> int:
        """Computes hourly means, of some hours that are over and got windows since; call until it returns 0.

        Args:
            now_ts: unix time, s.

        Returns:
            How many hours were computed.
        """
        with mapped(self._engine), self._writer.begin() as connection:
            return upkeep.roll_up(connection, now_ts)

    def forget(self, retention: Retention, now_ts: float) -> int:
        """Deletes what is older than it may be kept, and gives the room back to the disk.

        Args:
            retention: how long each kind is kept.
            now_ts: unix time, s.

        Returns:
            How many rows went.
        """
        with mapped(self._engine), self._writer.begin() as connection:
            gone = upkeep.forget(connection, retention, now_ts)
        if gone and self._engine.dialect.name == "sqlite":
            with mapped(self._engine), self._engine.connect() as connection:
                upkeep.give_back_room(connection)
        return gone

    def rooms(self) -> list[RoomSummary]:
        """All rooms with their devices, by name."""
        with mapped(self._engine), self._engine.connect() as connection:
            return reading.rooms(connection)

    def windows(
        self, site: str, room: str, start_ts: float, end_ts: float, *, max_points: int = 500
    ) -> list[WindowPoint]:
        """A room's windows over a time, by time; of all its devices together.

        Up to `reading.RAW_SPAN_S` single windows are read, for longer the hourly means, those of running hours
        computed on the way. More than `max_points` are merged with their neighbours.

        Args:
            site: of the room.
            room: which.
            start_ts: of the windows' ends, unix s.
            end_ts: likewise, exclusive.
            max_points: at least 1.
        """
        with mapped(self._engine), self._engine.connect() as connection:
            return reading.windows(connection, (site, room), start_ts, end_ts, max_points)

    def episodes(self, site: str, room: str, start_ts: float, end_ts: float) -> list[Episode]:
        """A room's episodes that touch a time, by their beginning; each as its latest event tells it."""
        with mapped(self._engine), self._engine.connect() as connection:
            return reading.episodes(connection, (site, room), start_ts, end_ts)

    def stats(
        self, site: str, room: str, device: str, start_ts: float, end_ts: float, *, max_points: int = 500
    ) -> list[StatsPoint]:
        """A device's health over a time, by time; of more than `max_points`, evenly picked ones."""
        with mapped(self._engine), self._engine.connect() as connection:
            return reading.stats(connection, (site, room, device), start_ts, end_ts, max_points)

    def changes(self, site: str, room: str, start_ts: float, end_ts: float) -> list[WordChange]:
        """What a room's devices said in plain words over a time (availability, shutter, context), by time."""
        with mapped(self._engine), self._engine.connect() as connection:
            return reading.changes(connection, (site, room), start_ts, end_ts)

    def completeness(self) -> list[Completeness]:
        """For each device, whether its numbered events are all here; by site, room and name."""
        with mapped(self._engine), self._engine.connect() as connection:
            return reading.completeness(connection)
