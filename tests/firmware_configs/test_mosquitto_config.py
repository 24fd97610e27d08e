"""The broker's configuration, access list and bridge, each with real Mosquittos that read the very files."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from brokers import Certificates, answers, binary, free_port, until
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge_runtime.config import Config
from edge_runtime.outlet import Outlet
from edge_runtime.publishing.topics import Topics

pytestmark = pytest.mark.broker

CAMERA, NEIGHBOUR = Topics("north", "r12", "camera-1"), Topics("north", "r13", "camera-1")
USERS = ("north/r12/camera-1", "north/r13/camera-1", "admin", "homeassistant", "viewer", "north")
NOT_AUTHORIZED = 135  # MQTT 5.0 §2.4
BURST = 5000


def password_of(user: str) -> str:
    return f"secret of {user}"


@dataclass
class ConfiguredBroker:
    """A Mosquitto whose configuration is ours, moved from /etc and /var to a folder of the test."""

    folder: Path
    certificates: Path
    source: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def install(self) -> None:
        for place in ("certs", "conf.d", "state"):
            (self.folder / place).mkdir(parents=True)
        for name in ("ca.pem", "server.pem", "server.key"):
            shutil.copy(self.certificates / name, self.folder / "certs")
        shutil.copy(self.source / "acl", self.folder / "acl")
        for number, user in enumerate(USERS):
            create = ["-c"] if number == 0 else []
            command = [
                "mosquitto_passwd",
                "-b",
                *create,
                str(self.folder / "passwords"),
                user,
                password_of(user),
            ]
            subprocess.run(command, check=True, capture_output=True)
        (self.folder / "mosquitto.conf").write_text(self.moved("mosquitto.conf") + "user root\n")

    def moved(self, name: str) -> str:
        """A file of ours, its paths and its port in this test's place."""
        text = (self.source / name).read_text("utf-8")
        text = text.replace("/etc/mosquitto", str(self.folder)).replace(
            "/var/lib/mosquitto", f"{self.folder}/state"
        )
        text = text.replace("log_dest syslog", "log_dest stderr")
        return re.sub("^listener 8883$", f"listener {self.port} 127.0.0.1", text, flags=re.MULTILINE)

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            command = [binary(), "-c", str(self.folder / "mosquitto.conf"), "-v"]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        assert until(lambda: answers(self.port)), (self.folder / "log").read_text()

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(10)
            self.process = None


class Client:
    """A user of the broker, over TLS; knows nothing of roomtone."""

    def __init__(self, broker: ConfiguredBroker, user: str | None, *patterns: str, session: str = "") -> None:
        self.messages: list[tuple[str, bytes]] = []
        self.answers: dict[int, int] = {}
        self._granted: list[int] = []
        self.client = paho.Client(CallbackAPIVersion.VERSION2, client_id=session, protocol=paho.MQTTv5)
        self.client.tls_set(str(broker.folder / "certs" / "ca.pem"))
        if user is not None:
            self.client.username_pw_set(user, password_of(user))
        self.reason: int | None = None
        self.client.on_connect = lambda _c, _u, _f, reason, _p: setattr(self, "reason", reason.value)
        self.client.on_publish = lambda _c, _u, mid, reason, _p: self.answers.update({mid: reason.value})
        self.client.on_message = lambda _c, _u, m: self.messages.append((m.topic, bytes(m.payload)))
        self.client.on_subscribe = lambda _c, _u, mid, *_: self._granted.append(mid)
        keeping = Properties(PacketTypes.CONNECT)
        keeping.SessionExpiryInterval = 3600 if session else 0
        self.client.connect("127.0.0.1", broker.port, clean_start=not session, properties=keeping)
        self.client.loop_start()
        assert until(lambda: self.reason is not None)
        for pattern in patterns:
            _, mid = self.client.subscribe(pattern, qos=1)
            assert until(lambda mid=mid: mid in self._granted)

    def publish(self, topic: str, payload: bytes = b"1", *, retain: bool = False) -> int:
        """Sends with QoS 1 and returns the broker's reason code."""
        mid = self.client.publish(topic, payload, qos=1, retain=retain).mid
        assert until(lambda: mid in self.answers)
        return self.answers[mid]

    def topics(self) -> set[str]:
        return {topic for topic, _ in self.messages}

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@contextmanager
def running(broker: ConfiguredBroker) -> Iterator[ConfiguredBroker]:
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


Make = Callable[[str], ConfiguredBroker]


@pytest.fixture
def make(tmp_path: Path, certificates: Certificates, repository: Path) -> Make:
    """Installs a broker into a folder of its own."""
    binary()

    def installed(name: str) -> ConfiguredBroker:
        source = repository / "firmware_configs" / "mosquitto"
        broker = ConfiguredBroker(tmp_path / name, certificates.folder, source)
        broker.install()
        return broker

    return installed


@pytest.fixture
def school(make: Make) -> Iterator[ConfiguredBroker]:
    with running(make("school")) as broker:
        yield broker


def test_a_device_reaches_the_broker_over_tls_with_its_own_name_and_is_seen_by_the_admin(
    school: ConfiguredBroker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ROOMTONE_MQTT_USERNAME", "north/r12/camera-1")
    monkeypatch.setenv("ROOMTONE_MQTT_PASSWORD", password_of("north/r12/camera-1"))
    config = Config.model_validate(
        {
            "device": {"site": "north", "room": "r12", "device": "camera-1"},
            "mqtt": {
                "url": f"mqtts://127.0.0.1:{school.port}",
                "ca_file": school.folder / "certs" / "ca.pem",
            },
            "outbox": {"path": tmp_path / "outbox.sqlite3"},
        }
    )
    with (
        Client(school, "admin", "roomtone/#") as admin,
        Outlet(config, info=_no_info, on_enabled=print, on_context=print) as device,
    ):
        device.set_enabled(True)
        assert until(lambda: (CAMERA.enabled_state, b"ON") in admin.messages)
        assert device.publisher is not None
        assert admin.publish(CAMERA.enabled_set, b"ON") == 0
        assert device.publisher.last_problem is None


def _no_info() -> None:
    raise LookupError("not of interest here")


def test_nobody_comes_in_without_a_password(school: ConfiguredBroker) -> None:
    with Client(school, None) as stranger:
        assert stranger.reason == NOT_AUTHORIZED


def test_a_device_cannot_write_or_read_anothers_branch(school: ConfiguredBroker) -> None:
    with (
        Client(school, "admin", "#") as admin,
        Client(school, "north/r12/camera-1", "roomtone/#") as device,
        Client(school, "north/r13/camera-1") as neighbour,
    ):
        assert device.publish(CAMERA.emotion) == 0
        assert neighbour.publish(NEIGHBOUR.emotion) == 0
        refused = [
            NEIGHBOUR.emotion,
            "roomtone/north/r12/camera-2/emotion",
            "roomtone/south/r12/camera-1/emotion",
        ]
        refused += [NEIGHBOUR.enabled_set, "homeassistant/device/roomtone_north_r13_camera-1/config", "other"]
        assert [device.publish(topic) for topic in refused] == [NOT_AUTHORIZED] * len(refused)
        assert admin.publish(CAMERA.enabled_set, b"OFF") == 0
        assert until(lambda: CAMERA.enabled_set in device.topics())
        assert admin.topics() == {CAMERA.emotion, NEIGHBOUR.emotion, CAMERA.enabled_set}
        assert device.topics() == {CAMERA.emotion, CAMERA.enabled_set}


def test_a_user_called_like_a_wildcard_gets_no_branch(school: ConfiguredBroker) -> None:
    passwords = school.folder / "passwords"
    command = ["mosquitto_passwd", "-b", str(passwords), "north/+/camera-1", password_of("north/+/camera-1")]
    subprocess.run(command, check=True, capture_output=True)
    school.stop()
    school.start()
    with Client(school, "north/+/camera-1") as device:
        assert device.publish(CAMERA.emotion) == NOT_AUTHORIZED


@pytest.mark.parametrize(
    ("user", "allowed", "refused"),
    [
        ("homeassistant", [CAMERA.enabled_set, CAMERA.context_set], [CAMERA.emotion, CAMERA.enabled_state]),
        ("viewer", ["alerts/r12"], [CAMERA.enabled_set, CAMERA.emotion, "homeassistant/status"]),
    ],
)
def test_those_who_look_on_may_do_only_what_they_need(
    school: ConfiguredBroker, user: str, allowed: list[str], refused: list[str]
) -> None:
    with Client(school, user, "roomtone/#") as client, Client(school, "north/r12/camera-1") as device:
        assert [client.publish(topic) in (0, 16) for topic in allowed] == [True] * len(allowed)
        assert [client.publish(topic) for topic in refused] == [NOT_AUTHORIZED] * len(refused)
        device.publish(CAMERA.state)
        assert until(lambda: CAMERA.state in client.topics())


def test_a_device_that_is_let_describe_itself_can_describe_no_other(school: ConfiguredBroker) -> None:
    acl = school.folder / "acl"
    lines = [line.removeprefix("#").strip() for line in acl.read_text("utf-8").splitlines()]
    own = [
        line
        for line in lines
        if line == "user north/r12/camera-1" or line.startswith("topic write homeassistant/device/")
    ]
    assert len(own) == 2  # the two lines that the file shows
    acl.write_text(acl.read_text("utf-8") + "\n".join(["", *own, ""]))
    school.stop()
    school.start()
    with Client(school, "north/r12/camera-1") as device:
        assert device.publish("homeassistant/device/roomtone_north_r12_camera-1/config") in (0, 16)
        assert device.publish("homeassistant/device/roomtone_north_r13_camera-1/config") == NOT_AUTHORIZED
        assert device.publish(CAMERA.emotion) in (0, 16)


def test_a_burst_waits_whole_for_a_collector_that_is_away(school: ConfiguredBroker) -> None:
    with Client(school, "viewer", "roomtone/+/+/+/emotion", session="collector"):
        pass
    with Client(school, "north/r12/camera-1") as device:
        sent = [device.client.publish(CAMERA.emotion, str(number).encode(), qos=1) for number in range(BURST)]
        assert until(lambda: all(message.is_published() for message in sent), 30)
    with Client(school, "viewer", session="collector") as returned:
        assert until(lambda: len(returned.messages) >= BURST, 30)
        assert [int(payload) for _, payload in returned.messages] == list(range(BURST))


def test_what_is_retained_outlives_a_restart(school: ConfiguredBroker) -> None:
    with Client(school, "north/r12/camera-1") as device:
        device.publish(CAMERA.info, b"{}", retain=True)
    school.stop()
    school.start()
    with Client(school, "viewer", "roomtone/#") as late:
        assert until(lambda: (CAMERA.info, b"{}") in late.messages)


def test_a_bridge_carries_a_schools_rooms_to_the_district_and_nothing_back(make: Make) -> None:
    school, district = make("school"), make("district")
    bridge = school.moved("bridge.conf").replace("mqtt.district.example:8883", f"127.0.0.1:{district.port}")
    bridge = bridge.replace("change-me", password_of("north")).replace(
        "restart_timeout 5 60", "restart_timeout 1 1"
    )
    (school.folder / "conf.d" / "bridge.conf").write_text(bridge)
    shutil.copy(school.folder / "certs" / "ca.pem", school.folder / "certs" / "district-ca.pem")
    with (
        running(district),
        running(school),
        Client(school, "north/r12/camera-1", f"{CAMERA.base}/#") as device,
    ):
        with Client(district, "viewer", "roomtone/#") as viewer, Client(district, "admin") as admin:
            assert until(lambda: "roomtone-bridge-north" in (district.folder / "log").read_text())
            device.publish(CAMERA.availability, b"online", retain=True)
            device.publish(CAMERA.emotion, b"first")
            assert until(lambda: (CAMERA.emotion, b"first") in viewer.messages)
            assert (CAMERA.availability, b"online") in viewer.messages
            assert admin.publish(CAMERA.enabled_set, b"OFF") in (0, 16)
        district.stop()
        device.publish(CAMERA.emotion, b"while the district was away")
        district.start()
        with Client(district, "viewer", "roomtone/#") as viewer:
            assert until(lambda: (CAMERA.emotion, b"while the district was away") in viewer.messages, 20)
        assert CAMERA.enabled_set not in device.topics()
