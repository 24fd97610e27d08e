"""Real brokers on loopback ports, and a listener that knows nothing of roomtone."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from edge_runtime.config import MqttSection
from edge_runtime.publishing.credentials import Credentials

PASSWORD = "seven bridges "  # ends with a space, as a password may


def until(condition: Callable[[], object], timeout_s: float = 10.0) -> bool:
    """Waits for something that other threads bring about."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def answers(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


@dataclass
class Mosquitto:
    """A broker of its own; `stop` and `start` keep the port."""

    folder: Path
    port: int
    settings: str = "allow_anonymous true\n"
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def mqtt(self) -> MqttSection:
        return MqttSection(url=f"mqtt://127.0.0.1:{self.port}", connect_timeout_s=2, keepalive_s=5)

    def start(self) -> None:
        config = self.folder / "mosquitto.conf"
        config.write_text(f"persistence false\nlistener {self.port} 127.0.0.1\n{self.settings}")
        with (self.folder / "mosquitto.log").open("ab") as log:
            self.process = subprocess.Popen([binary(), "-c", str(config), "-v"], stdout=log, stderr=log)
        assert until(lambda: answers(self.port)), (self.folder / "mosquitto.log").read_text()

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(10)
            self.process = None


def binary() -> str:
    found = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip("mosquitto is not installed; apt-get install mosquitto")
    return found


@dataclass(frozen=True)
class Certificates:
    folder: Path

    def make(self, name: str, *, subject: str, authority: str | None = None, names: str = "") -> None:
        key, cert = self.folder / f"{name}.key", self.folder / f"{name}.pem"
        base = [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
        ]
        base += ["-keyout", str(key), "-out", str(cert), "-days", "2", "-subj", f"/CN={subject}"]
        if authority is None:
            base += ["-addext", "keyUsage=critical,keyCertSign"]
            subprocess.run(base, check=True, capture_output=True)
            return
        request, extensions = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        new = [
            "openssl",
            "req",
            "-new",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
        ]
        new += ["-keyout", str(key), "-out", str(request), "-subj", f"/CN={subject}"]
        subprocess.run(new, check=True, capture_output=True)
        extensions.write_text(f"subjectAltName={names}\n" if names else "basicConstraints=CA:FALSE\n")
        sign = ["openssl", "x509", "-req", "-in", str(request), "-CA", str(self.folder / f"{authority}.pem")]
        sign += ["-CAkey", str(self.folder / f"{authority}.key"), "-CAcreateserial", "-days", "2"]
        sign += ["-extfile", str(extensions), "-out", str(cert)]
        subprocess.run(sign, check=True, capture_output=True)

    def __truediv__(self, name: str) -> Path:
        return self.folder / name


class Listener:
    """An MQTT client that knows nothing of roomtone and keeps all that it gets."""

    def __init__(
        self, broker: Mosquitto, credentials: Credentials | None = None, pattern: str = "roomtone/#"
    ) -> None:
        self.messages: list[paho.MQTTMessage] = []
        self._subscribed = False
        self.client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        if credentials is not None:
            self.client.username_pw_set(credentials.username, credentials.password)
        self.client.reconnect_delay_set(1, 1)
        self.client.on_connect = lambda client, *_: client.subscribe(pattern, qos=1)
        self.client.on_subscribe = lambda *_: setattr(self, "_subscribed", True)
        self.client.on_message = lambda _c, _u, message: self.messages.append(message)
        self.client.connect("127.0.0.1", broker.port, keepalive=5)
        self.client.loop_start()
        assert until(lambda: self._subscribed)

    def payloads(self, topic: str) -> list[bytes]:
        return [bytes(message.payload) for message in list(self.messages) if message.topic == topic]

    def last(self, topic: str) -> str | None:
        """The newest payload of a topic, as text."""
        return next((payload.decode() for payload in reversed(self.payloads(topic))), None)

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.client.disconnect()
        self.client.loop_stop()
