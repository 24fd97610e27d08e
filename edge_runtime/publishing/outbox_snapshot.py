"""Looking into an outbox from outside, also while the runtime holds it; changes nothing."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.errors import OutboxError
from edge_runtime.publishing.outbox_file import Ledger, OutboxFile


@dataclass(frozen=True, slots=True)
class OutboxSnapshot:
    """An outbox as it was at one moment.

    Attributes:
        rows: events that wait.
        size_bytes: what they count for.
        ledger: the numbers that survive restarts; None in a new file.
    """

    rows: int
    size_bytes: int
    ledger: Ledger | None


def is_held(path: Path) -> bool:
    """Whether a process has the outbox open: whether the runtime of this device is at work."""
    if not os.path.isfile(path):  # False, too, where this user may not look
        return False
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=0)) as db:
            db.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.Error as exc:
        return getattr(exc, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    return False


def snapshot(path: Path) -> OutboxSnapshot:
    """Reads a copy: SQLite's own check sums leave out of the log what was being written meanwhile.

    Raises:
        OutboxError: there is none, or it cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="roomtone-outbox-") as folder:
        copy = Path(folder) / path.name
        try:
            shutil.copyfile(path, copy)
            with suppress(FileNotFoundError):
                shutil.copyfile(f"{path}-wal", f"{copy}-wal")
            with closing(OutboxFile(copy)) as file:
                rows, size, _ = file.totals()
                return OutboxSnapshot(rows, size, file.ledger())
        except OSError as exc:
            raise OutboxError(path, f"cannot be read: {exc.strerror}") from exc
        except sqlite3.Error as exc:
            raise OutboxError(path, f"cannot be read: {exc}") from exc
