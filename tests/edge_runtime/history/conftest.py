"""Stores of both kinds: whatever holds for one must hold for the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_runtime.history.store import HistoryStore, open_store


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of its own."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/history.sqlite3"
    server = request.getfixturevalue("postgres")
    return str(server.emptied())


@pytest.fixture
def store(url: str) -> Iterator[HistoryStore]:
    with open_store(url) as store:
        yield store
