"""Fixtures that every part of the tests shares."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

pytest_plugins = ["broker_fixtures", "camera_fixtures", "postgres_fixtures"]

# A shell's background jobs ignore Ctrl+C, and so would the programs that tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of photographs and films; `ROOMTONE_SHARED_DATA` overrides its place beside the checkout."""
    folder = Path(os.environ.get("ROOMTONE_SHARED_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no photographs and films at {folder}; set ROOMTONE_SHARED_DATA to run this test")
    return folder
