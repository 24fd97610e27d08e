"""The outbox's SQLite file: rows and a ledger, always changed together in one durable transaction.

This module knows SQLite and no policy; `edge_runtime.publishing.outbox` decides what is kept. WAL mode with
`synchronous=FULL`: a committed transaction survives a power cut (hundreds a second were measured, and a
window closes once a minute). `locking_mode=EXCLUSIVE` keeps a second process out and needs no `-shm` file.

On a full disk even a deletion needs room, for SQLite's log. So a small reserve file stands beside the
database; it is given up when the disk is full, and until it can be made again the database does not grow:
growth would be accepted into the log and then block the log for ever.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from edge_runtime.errors import OutboxError

FORMAT = 1  # PRAGMA user_version
ROW_OVERHEAD = 64  # bytes of a row beside its texts: id, clocks, record header; measured, rounded up
CHECKPOINT_PAGES = 32  # keeps the -wal file near 128 KiB; SQLite's own 1000 pages are 4 MiB
RESERVE_BYTES = 192 * 1024  # room for the log at its longest

_TABLES = (
    """CREATE TABLE IF NOT EXISTS events (
        row_id INTEGER PRIMARY KEY, event_id TEXT NOT NULL, topic TEXT NOT NULL, payload BLOB NOT NULL,
        created_s REAL NOT NULL, clock_s REAL NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS ledger (
        one INTEGER PRIMARY KEY CHECK (one = 1), boot INTEGER NOT NULL, seq INTEGER NOT NULL,
        dropped INTEGER NOT NULL, recovered INTEGER NOT NULL, clock_s REAL NOT NULL, wall_s REAL NOT NULL)""",
)
_MANY_PAGES = 4_294_967_294  # SQLite's own limit
_SIZE = f"length(event_id) + length(topic) + length(payload) + {ROW_OVERHEAD}"


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """One event that waits.

    Attributes:
        row_id: place in the queue, ascending; means nothing outside this file.
        event_id, topic, payload: what is published.
        created_s: unix time of the window's end, as the device's clock had it.
        clock_s: the outbox's own clock when the event came (see `Outbox`).
    """

    row_id: int
    event_id: str
    topic: str
    payload: bytes
    created_s: float
    clock_s: float

    @property
    def size(self) -> int:
        """Bytes that the row counts for against the limit."""
        return len(self.event_id) + len(self.topic) + len(self.payload) + ROW_OVERHEAD


@dataclass(frozen=True, slots=True)
class Ledger:
    """The numbers that must survive a restart.

    Attributes:
        boot: unix time of the run's start, or one more than the last run's where the clock stands behind; so
            neither a lost file nor one that could not be written leads to a number being given twice.
        seq: number of the last event.
        dropped: events lost so far.
        recovered: corrupt files set aside so far.
        clock_s, wall_s: the outbox's own clock and the wall clock at the last transaction.
    """

    boot: int
    seq: int = 0
    dropped: int = 0
    recovered: int = 0
    clock_s: float = 0.0
    wall_s: float = 0.0


_LEDGER_COLUMNS = ", ".join(field.name for field in fields(Ledger))
_ROW_COLUMNS = ", ".join(field.name for field in fields(OutboxRow))


class OutboxFile:
    """An open outbox file; not thread-safe, `Outbox` holds the lock.

    Raises:
        OutboxError: another process has the file, or it cannot be opened or made.
        sqlite3.DatabaseError: the file is corrupt (`is_corrupt` says so).
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reserve = path.with_name(f"{path.name}.reserve")
        self.has_reserve = False
        try:
            # check_same_thread: the pipeline writes and the network thread reads, under the owner's lock.
            self._db = sqlite3.connect(path, isolation_level=None, timeout=0, check_same_thread=False)
        except sqlite3.Error as exc:
            raise _unusable(path, exc) from exc
        try:
            self._prepare()
        except BaseException as exc:
            self._db.close()
            if isinstance(exc, sqlite3.Error) and not is_corrupt(exc):
                raise _unusable(path, exc) from exc
            raise

    def _prepare(self) -> None:
        db = self._db
        db.execute("PRAGMA locking_mode=EXCLUSIVE")
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        db.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
        (found,) = db.execute("PRAGMA user_version").fetchone()
        if found not in (0, FORMAT):
            raise OutboxError(
                self._path,
                f"is written in format {found}, this version reads format {FORMAT}",
                hint="let the version that wrote it publish the rest, or give [outbox] path another name",
            )
        (verdict,) = db.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(f"database disk image is malformed: {verdict}")
        if found == 0:  # an old file is not touched, so that it opens on a full disk too
            with self._transaction():
                for statement in _TABLES:
                    db.execute(statement)
                db.execute(f"PRAGMA user_version={FORMAT}")

        self.keep_reserve()

    def keep_reserve(self) -> None:
        """Makes the reserve file where there is room for it, and lets the database grow if there is."""
        try:
            with self._reserve.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, RESERVE_BYTES)
            self.has_reserve = True
        except OSError:
            self.give_up_reserve()
        else:
            self._db.execute(f"PRAGMA max_page_count={_MANY_PAGES}")

    def give_up_reserve(self) -> None:
        """Frees the reserve for the log; from now on the database uses only the pages that it has."""
        with suppress(OSError):
            self._reserve.unlink(missing_ok=True)
        self.has_reserve = False
        self.checkpoint()
        self._db.execute("PRAGMA max_page_count=1")  # SQLite takes the present size for the smallest

    def ledger(self) -> Ledger | None:
        """The numbers of the last transaction; None in a file just made."""
        row = self._db.execute(f"SELECT {_LEDGER_COLUMNS} FROM ledger").fetchone()  # noqa: S608 - own column names
        return None if row is None else Ledger(*row)

    def totals(self) -> tuple[int, int, int]:
        """Rows, their bytes, and the largest row id (0 in an empty queue)."""
        query = f"SELECT count(*), coalesce(sum({_SIZE}), 0), coalesce(max(row_id), 0) FROM events"  # noqa: S608
        rows, size, last = self._db.execute(query).fetchone()
        return int(rows), int(size), int(last)

    def read(self, after: int, limit: int) -> list[OutboxRow]:
        """The oldest rows behind row `after`, at most `limit`."""
        query = f"SELECT {_ROW_COLUMNS} FROM events WHERE row_id > ? ORDER BY row_id LIMIT ?"  # noqa: S608
        return [OutboxRow(*row) for row in self._db.execute(query, (after, limit))]

    def sizes(self, row_ids: Iterable[int]) -> dict[int, int]:
        """Bytes of those of the rows that exist."""
        query = f"SELECT {_SIZE} FROM events WHERE row_id = ?"  # noqa: S608 - own column names
        found = {row_id: self._db.execute(query, (row_id,)).fetchone() for row_id in row_ids}
        return {row_id: size[0] for row_id, size in found.items() if size is not None}

    def oldest(self) -> Iterator[tuple[int, int, float]]:
        """Row id, bytes and clock of every row, oldest first; read only as far as it is consumed."""
        query = f"SELECT row_id, {_SIZE}, clock_s FROM events ORDER BY row_id"  # noqa: S608 - own column names
        with closing(self._db.execute(query)) as cursor:
            yield from cursor

    def write(self, *, ledger: Ledger, insert: Sequence[OutboxRow] = (), delete: Iterable[int] = ()) -> None:
        """Inserts, deletes and notes the ledger; all of it or nothing, and durable on return.

        Raises:
            sqlite3.Error: nothing was changed.
        """
        with self._transaction():
            self._db.executemany("DELETE FROM events WHERE row_id = ?", ((row_id,) for row_id in delete))
            self._db.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)", map(astuple, insert))
            self._db.execute("INSERT OR REPLACE INTO ledger VALUES (1, ?, ?, ?, ?, ?, ?)", astuple(ledger))

    def checkpoint(self) -> None:
        """Moves the write-ahead log into the file, so that the log's space is used again from its start."""
        with suppress(sqlite3.Error):
            self._db.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()

    def close(self) -> None:
        """Closes the file and frees its lock."""
        self._db.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # SQLite itself rolls back on a full disk
                with suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
            raise


def is_corrupt(exc: sqlite3.Error) -> bool:
    """Whether the file's content is at fault, and not the disk, the lock or the permissions."""
    code = getattr(exc, "sqlite_errorcode", None)
    if code is None:
        return "malformed" in str(exc)
    return code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def is_full(exc: sqlite3.Error) -> bool:
    """Whether the disk is full."""
    return getattr(exc, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL


def set_aside(path: Path) -> tuple[Path, Ledger | None, int]:
    """Renames a corrupt file, its log too, to the first free `<name>.corrupt-<n>`.

    Returns:
        The new name; the ledger and the number of rows that can still be read from it (None and 0 where not).

    Raises:
        OutboxError: the file cannot be renamed.
    """
    ledger, rows = _salvage(path)
    number = 1
    while (aside := path.with_name(f"{path.name}.corrupt-{number}")).exists():
        number += 1
    try:
        path.rename(aside)
        for suffix in ("-wal", "-shm"):  # left behind, they would be taken for the new file's
            with suppress(FileNotFoundError):
                path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    except OSError as exc:
        raise OutboxError(
            path,
            f"is corrupt and cannot be set aside: {exc.strerror}",
            hint="check the folder's permissions and the disk",
        ) from exc
    return aside, ledger, rows


def _salvage(path: Path) -> tuple[Ledger | None, int]:
    ledger, rows = None, 0
    address = f"{path.absolute().as_uri()}?mode=ro"
    with suppress(sqlite3.Error), closing(sqlite3.connect(address, uri=True)) as db:
        row = db.execute(f"SELECT {_LEDGER_COLUMNS} FROM ledger").fetchone()  # noqa: S608 - own column names
        if row is not None and all(isinstance(value, int | float) for value in row):
            ledger = Ledger(*row)
        (rows,) = db.execute("SELECT count(*) FROM events").fetchone()
    return ledger, rows


def _unusable(path: Path, exc: sqlite3.Error) -> OutboxError:
    code = getattr(exc, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return OutboxError(
            path,
            "is in use by another process",
            hint="is roomtone running already? Stop it, or give [outbox] path another file",
        )
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return OutboxError(
            path,
            f"cannot be opened for writing: {exc}",
            hint="make the folder, and let roomtone's user write there",
        )
    if code == sqlite3.SQLITE_FULL:
        return OutboxError(path, "cannot be made: the disk is full", hint="free space on that disk")
    return OutboxError(path, f"cannot be used: {exc}", hint="check the disk and the kernel's log")
