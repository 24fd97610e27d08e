"""Opening a database: what is made, what is migrated, what is refused and in which words."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from history_parts import HOUR_TS, event, record
from postgres_fixtures import Postgres
from sqlalchemy import text

from edge_runtime.errors import HistoryError
from edge_runtime.history import tables
from edge_runtime.history.database import open_database
from edge_runtime.history.store import Retention, open_store


def test_the_migrations_lead_to_the_tables_that_the_code_uses(url: str) -> None:
    engine = open_database(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, tables.metadata) == []
    engine.dispose()


def test_opening_again_changes_nothing(url: str) -> None:
    with open_store(url) as store:
        store.write([record(event())])
    with open_store(url) as store:
        assert len(store.windows("north-school", "r12", 0, 4e9)) == 1


def test_a_store_of_a_newer_roomtone_is_left_alone(url: str) -> None:
    engine = open_database(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(HistoryError, match="newer roomtone") as caught:
        open_store(url)
    assert "update roomtone" in caught.value.hint
    assert caught.value.exit_code == 17


def test_sqlite_survives_a_power_cut_and_lets_pages_read_meanwhile(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path}/a/b/history.sqlite3")  # the folder is made
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
    engine.dispose()


def test_what_is_forgotten_makes_the_file_shorter(tmp_path: Path) -> None:
    file = tmp_path / "history.sqlite3"
    with open_store(f"sqlite:///{file}") as store:
        store.write([record(event(n, ts=HOUR_TS + n)) for n in range(3000)])
    full = file.stat().st_size
    with open_store(f"sqlite:///{file}") as store:
        assert store.forget(Retention(), HOUR_TS + 61 * 86_400) == 3000
    assert file.stat().st_size < full / 2


@pytest.mark.parametrize(
    ("url", "words"),
    [
        pytest.param("history.db", "can be read", id="a path"),
        pytest.param("mysql://host/db", "neither of", id="another kind"),
        pytest.param("sqlite://", "names no file", id="in memory"),
        pytest.param("postgresql://admin:hunter2@host/db", "holds a password", id="password"),
    ],
)
def test_a_url_that_is_none_of_ours_is_refused_in_words(url: str, words: str) -> None:
    with pytest.raises(HistoryError, match=words) as caught:
        open_store(url)
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"
    assert caught.value.hint or "neither" in words


def test_a_file_that_is_no_database_is_not_touched(tmp_path: Path) -> None:
    file = tmp_path / "letters.txt"
    file.write_text("Dear head teacher, " * 100)
    with pytest.raises(HistoryError, match="no SQLite database"):
        open_store(f"sqlite:///{file}")
    assert file.read_text().startswith("Dear head teacher")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HistoryError, match="folder cannot be made"):
        open_store(f"sqlite:///{tmp_path}/file/history.sqlite3")


def test_a_database_that_another_process_holds_is_said_to_be_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_runtime.history.database.BUSY_TIMEOUT_S", 0.1)
    with open_store(f"sqlite:///{tmp_path}/history.sqlite3") as store:
        other = sqlite3.connect(tmp_path / "history.sqlite3", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(HistoryError, match="held by another process"):
            store.write([record(event())])
        other.execute("ROLLBACK")
        other.close()
        assert store.write([record(event())]).windows == 1


def test_a_postgresql_that_does_not_answer_or_has_no_such_database_is_said_so(postgres: Postgres) -> None:
    with pytest.raises(HistoryError, match="is not there") as caught:
        open_store(postgres.url("nowhere"))
    assert "createdb" in caught.value.hint
    with pytest.raises(HistoryError, match="does not answer"):
        open_store("postgresql://roomtone@127.0.0.1:1/history")


def test_the_password_comes_from_the_environment_or_a_credentials_file(tmp_path: Path) -> None:
    from edge_runtime.history.database import _address

    url = "postgresql://roomtone@host/history"
    (tmp_path / "store_password").write_text("seven bridges \n")
    assert _address(url, {"ROOMTONE_STORE_PASSWORD": "a b"}).password == "a b"
    assert _address(url, {"CREDENTIALS_DIRECTORY": str(tmp_path)}).password == "seven bridges "
    assert _address(url, {}).password is None
