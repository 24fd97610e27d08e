"""Brokers on loopback ports: plain, with users and an access list, with TLS."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from brokers import PASSWORD, Certificates, Mosquitto, binary, free_port


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker that lets everybody in."""
    yield from _running(Mosquitto(_folder(tmp_path), free_port()))


@pytest.fixture
def stopped_mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker that has not been started."""
    binary()
    broker = Mosquitto(_folder(tmp_path), free_port())
    yield broker
    broker.stop()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """An authority, another one, a server for 127.0.0.1, a server for another name, and a device."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    made = Certificates(tmp_path_factory.mktemp("certificates"))
    made.make("ca", subject="school authority")
    made.make("stranger", subject="another authority")
    made.make("server", subject="broker", authority="ca", names="IP:127.0.0.1,DNS:localhost")
    made.make("misnamed", subject="broker", authority="ca", names="DNS:mqtt.example.org")
    made.make("device", subject="camera-1", authority="ca")
    return made


@pytest.fixture
def guarded_mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker with passwords and an access list: `camera` may do all, `mute` may not publish emotion."""
    folder = _folder(tmp_path)
    binary()
    users = folder / "users"
    for number, user in enumerate(("camera", "mute")):
        create = ["-c"] if number == 0 else []
        subprocess.run(
            ["mosquitto_passwd", "-b", *create, str(users), user, PASSWORD], check=True, capture_output=True
        )
    rights = folder / "rights"
    rights.write_text(
        "user camera\ntopic readwrite roomtone/#\n\n"
        "user mute\ntopic readwrite roomtone/+/+/+/availability\ntopic readwrite roomtone/+/+/+/info\n"
        "topic readwrite roomtone/+/+/+/state\ntopic readwrite roomtone/+/+/+/enabled/#\n"
    )
    folder.chmod(0o755)
    for file in (users, rights):
        file.chmod(0o644)
    settings = f"allow_anonymous false\npassword_file {users}\nacl_file {rights}\nuser root\n"
    yield from _running(Mosquitto(folder, free_port(), settings))


@pytest.fixture
def tls_mosquitto(tmp_path: Path, certificates: Certificates) -> Iterator[Callable[..., Mosquitto]]:
    """Starts a TLS broker with the server certificate asked for."""
    brokers: list[Mosquitto] = []

    def start(server: str = "server", *, wants_client_certificate: bool = False) -> Mosquitto:
        settings = (
            f"allow_anonymous true\nuser root\ncafile {certificates / 'ca.pem'}\n"
            f"certfile {certificates / f'{server}.pem'}\nkeyfile {certificates / f'{server}.key'}\n"
            f"require_certificate {str(wants_client_certificate).lower()}\n"
        )
        binary()
        broker = Mosquitto(_folder(tmp_path), free_port(), settings)
        brokers.append(broker)
        broker.start()
        return broker

    yield start
    for broker in brokers:
        broker.stop()


def _folder(tmp_path: Path) -> Path:
    folder = tmp_path / f"broker-{sum(1 for _ in tmp_path.iterdir())}"
    folder.mkdir()
    return folder


def _running(broker: Mosquitto) -> Iterator[Mosquitto]:
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()
