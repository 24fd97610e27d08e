"""A real PostgreSQL, of Debian's or whoever's, in a folder and on a port of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
from brokers import free_port, until


@dataclass
class Postgres:
    """A server; `stop`, `kill` and `start` keep the port and what is in it."""

    programs: Path
    folder: Path
    port: int
    user: str | None
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def url(self, database: str) -> str:
        return f"postgresql://roomtone@127.0.0.1:{self.port}/{database}"

    def make(self) -> None:
        self._run("initdb", "-D", str(self.folder / "data"), "-A", "trust", "-U", "roomtone", "--no-sync")

    def emptied(self) -> str:
        """The url of the server's own database, with nothing in it: much faster than a new one."""
        url = self.url("postgres")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")
        return url

    def start(self) -> None:
        arguments = ["-D", str(self.folder / "data"), "-p", str(self.port), "-k", str(self.folder)]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    self.programs / "postgres",
                    *arguments,
                    "-c",
                    "listen_addresses=127.0.0.1",
                    "-c",
                    "fsync=off",
                ],
                stdout=log,
                stderr=log,
                **self._as_user(),
            )
        assert until(self._is_ready, 30), (self.folder / "log").read_text()

    def stop(self, number: int = signal.SIGINT) -> None:
        """SIGINT: ends every session at once and closes down in order. SIGQUIT: a crash."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(20)
            self.process = None

    def _is_ready(self) -> bool:
        command = [self.programs / "pg_isready", "-h", "127.0.0.1", "-p", str(self.port), "-d", "postgres"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self.programs / program, *arguments], check=True, capture_output=True, **self._as_user()
        )

    def _as_user(self) -> dict[str, object]:
        """PostgreSQL does not run as root."""
        return {} if self.user is None else {"user": self.user, "group": self.user, "extra_groups": []}


def programs() -> Path | None:
    """Where initdb and postgres are; Debian keeps them off the path."""
    if (found := shutil.which("initdb")) is not None:
        return Path(found).resolve().parent
    versions = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3])
    )
    return versions[-1].parent if versions else None


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One server for all tests; each begins with it `emptied`."""
    found = programs()
    if found is None:
        pytest.skip("PostgreSQL is not installed; apt-get install postgresql")
    user = None
    if os.geteuid() == 0:
        names = {entry.pw_name for entry in pwd.getpwall()}
        user = next((name for name in ("postgres", "nobody") if name in names), None)
    folder = Path(tempfile.mkdtemp(prefix="roomtone-postgres-"))
    if user is not None:
        shutil.chown(folder, user)
    server = Postgres(found, folder, free_port(), user)
    try:
        server.make()
        server.start()
        yield server
    finally:
        server.stop(signal.SIGQUIT)  # at once; nothing of it is wanted any more
        shutil.rmtree(folder)
