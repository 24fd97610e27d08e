"""Opens the database behind a store, and brings it up to date.

SQLite runs with a write-ahead log, so that pages read while the collector writes, and with `synchronous=FULL`:
a message is acknowledged only when a power cut cannot take it back. PostgreSQL is asked for the same by its own
default (`synchronous_commit = on`).

Passwords do not stand in urls: `ROOMTONE_STORE_PASSWORD`, the file `store_password` of `$CREDENTIALS_DIRECTORY`,
or what PostgreSQL's own client library knows (`PGPASSFILE`).
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.util.exc import CommandError
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, SQLAlchemyError

from edge_runtime.errors import HistoryError

ROWS_AT_ONCE: Final = (
    32  # of one INSERT; SQLite keeps a compiled statement for every number of rows that it met
)
BUSY_TIMEOUT_S: Final = 10.0  # how long a write waits for another process's
CONNECT_TIMEOUT_S: Final = 5
STATEMENT_TIMEOUT_S: Final = 30
_MIGRATION_LOCK: Final = 0x726F6F6D  # any number that other programs of the same database do not use
_KINDS: Final = ("sqlite", "postgresql")


def open_database(url: str, environ: Mapping[str, str] | None = None) -> Engine:
    """Connects, creates what is not there, and migrates what is old.

    Args:
        url: `sqlite:///relative.db`, `sqlite:////absolute.db` or `postgresql://user@host[:port]/name`.
        environ: where the password is looked for; the process's own when None.

    Raises:
        HistoryError: no such database, no access, or one that a newer roomtone made.
    """
    address = _address(url, os.environ if environ is None else environ)
    shown = address.render_as_string(hide_password=True)
    if address.get_backend_name() == "sqlite":
        engine = _sqlite(address)
    else:
        engine = create_engine(
            address,
            json_serializer=_to_json,
            pool_pre_ping=True,
            connect_args={
                "connect_timeout": CONNECT_TIMEOUT_S,
                "options": f"-c statement_timeout={STATEMENT_TIMEOUT_S * 1000} -c timezone=UTC",
            },
        )
    try:
        _migrate(engine)
    except CommandError as exc:
        engine.dispose()
        raise HistoryError(
            shown,
            f"is of a newer roomtone: {exc}",
            hint="update roomtone here, or give it another store",
        ) from exc
    except (SQLAlchemyError, sqlite3.Error, OSError) as exc:
        engine.dispose()
        raise database_problem(shown, exc) from exc
    return engine


def _address(url: str, environ: Mapping[str, str]) -> URL:
    try:
        address = make_url(url)
        backend = address.get_backend_name()
    except (ArgumentError, ValueError) as exc:
        raise HistoryError(
            "url", "is none that can be read", hint="sqlite:///history.sqlite3 or postgresql://user@host/name"
        ) from exc
    shown = address.render_as_string(hide_password=True)
    if backend not in _KINDS:
        raise HistoryError(shown, f"{backend} is neither of {', '.join(_KINDS)}")
    if address.password is not None:
        raise HistoryError(
            shown,
            "its url holds a password, which every process list shows",
            hint="put it into ROOMTONE_STORE_PASSWORD or the file store_password of $CREDENTIALS_DIRECTORY",
        )
    if backend == "sqlite":
        return address
    return address.set(drivername="postgresql+psycopg", password=_password(shown, environ))


def _password(shown: str, environ: Mapping[str, str]) -> str | None:
    if given := environ.get("ROOMTONE_STORE_PASSWORD"):
        return given
    folder = environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        return None
    try:
        return (Path(folder) / "store_password").read_text(encoding="utf-8").rstrip("\r\n") or None
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as exc:
        raise HistoryError(shown, f"store_password cannot be read: {exc}") from exc


def _sqlite(address: URL) -> Engine:
    if not address.database or address.database == ":memory:":
        raise HistoryError(str(address), "names no file", hint="sqlite:///history.sqlite3")
    path = Path(address.database).expanduser()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise HistoryError(str(address), f"its folder cannot be made: {exc.strerror}") from exc
    engine = create_engine(
        address.set(database=str(path)),
        json_serializer=_to_json,
        insertmanyvalues_page_size=ROWS_AT_ONCE,
        connect_args={"timeout": BUSY_TIMEOUT_S},
    )

    @event.listens_for(engine, "connect")
    def _settings(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None  # sqlite3's own transactions begin too late; see `_begin`
        for pragma in (
            "auto_vacuum=INCREMENTAL",  # heeded only before the first table
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "cache_size=-16000",
        ):
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A transaction that reads first and writes later would fail when another process wrote in between.
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _migrate(engine: Engine) -> None:
    config = AlembicConfig()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        if engine.dialect.name == "postgresql":  # two collectors may be started at once
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


@contextmanager
def mapped(engine: Engine) -> Iterator[None]:
    """Turns what the database says into a `HistoryError`; a transaction stands inside of it."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error, OSError, OverflowError) as exc:
        raise database_problem(engine.url.render_as_string(hide_password=True), exc) from exc


def database_problem(shown: str, exc: Exception) -> HistoryError:
    """What went wrong, in a sentence, with what to do next; the database's own words lose their SQL."""
    cause = exc.orig if isinstance(exc, DBAPIError) and exc.orig is not None else exc
    words = " ".join(str(cause).split())[:300]
    for sign, problem, hint in _SIGNS:
        if sign in words.lower():
            return HistoryError(shown, f"{problem} ({words})", hint=hint)
    is_about_data = isinstance(exc, DataError | IntegrityError | OverflowError)
    return HistoryError(shown, words or type(cause).__name__, is_about_data=is_about_data)


_SIGNS: Final = (
    ("database or disk is full", "its disk is full", "make room, or keep less: --keep-days"),
    ("no space left", "its disk is full", "make room, or keep less: --keep-days"),
    ("disk i/o error", "its disk fails", "is the disk full, or the card worn out? see dmesg"),
    ("not a database", "is a file, but no SQLite database", "give another path; nothing was changed"),
    (
        "malformed",
        "is damaged",
        "move the file away; a new one is made, `sqlite3 FILE .recover` reads the old",
    ),
    ("unable to open database", "cannot be opened", "does the folder exist, and may this user write there?"),
    ("readonly database", "cannot be written", "may this user write the file and its folder?"),
    ("database is locked", "is held by another process", "who else writes it? PostgreSQL serves several"),
    ("password authentication failed", "refuses this user", "set ROOMTONE_STORE_PASSWORD or PGPASSFILE"),
    ("no password supplied", "wants a password", "set ROOMTONE_STORE_PASSWORD or PGPASSFILE"),
    ("does not exist", "is not there", "createdb makes the database; roomtone makes the tables"),
    ("connection refused", "does not answer", "is PostgreSQL running, and are host and port right?"),
)


def _to_json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
