"""Bundles of several versions, a state directory, keys and an HTTPS server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from brokers import Certificates
from update_parts import FileServer, Keys, StartServer, Versions

from edge_runtime.bundle_signing import make_key
from edge_runtime.updates.slots import Slots


@pytest.fixture
def versions(tiny_original: Path, tmp_path: Path) -> Versions:
    """`versions("0.2.0")` is the folder of a tiny bundle of that version; other keys of its manifest can be given."""
    folder = tmp_path / "versions"
    folder.mkdir()
    return Versions(tiny_original, folder)


@pytest.fixture
def slots(tmp_path: Path) -> Slots:
    """Slots without any bundle."""
    return Slots(tmp_path / "state" / "bundles")


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """A school's key pair."""
    folder = tmp_path_factory.mktemp("keys")
    made = Keys(folder / "school.key.pem", folder / "school.pub.pem")
    make_key(made.private, made.public)
    return made


@pytest.fixture
def file_server(certificates: Certificates) -> Iterator[StartServer]:
    """Starts HTTPS servers whose certificate is signed by the school's authority."""
    servers: list[FileServer] = []

    def start(data: bytes = b"", *, certificate: str = "server", **settings: object) -> FileServer:
        server = FileServer(
            certificates / f"{certificate}.pem", certificates / f"{certificate}.key", data, **settings
        )  # type: ignore[arg-type]
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop()
