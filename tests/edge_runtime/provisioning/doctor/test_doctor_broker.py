"""The way to the broker, against real brokers that are right, wrong, guarded, misnamed and out of date."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from brokers import PASSWORD, Certificates, Listener, Mosquitto, free_port, until
from doctor_parts import config_for, days_from_now, examine_broker, statuses, told, write_dated_certificate

from edge_runtime.config import Config, MqttSection
from edge_runtime.provisioning.doctor.broker import BrokerExamination, command_topics, published_topics
from edge_runtime.provisioning.doctor.examination import Group, examine
from edge_runtime.publishing.board import LEAVES, RoomBoard
from edge_runtime.publishing.outbox import Outbox
from edge_runtime.publishing.topics import Topics

pytestmark = pytest.mark.broker

TOPICS = Topics("north", "r12", "camera-1")


def tls_section(broker: Mosquitto, ca: Path, host: str = "127.0.0.1") -> MqttSection:
    return MqttSection(url=f"mqtts://{host}:{broker.port}", ca_file=ca, connect_timeout_s=2)


def test_a_broker_that_is_right_and_has_a_listener_passes(mosquitto: Mosquitto, tmp_path: Path) -> None:
    with Listener(mosquitto):
        report = examine_broker(config_for(mosquitto.mqtt, tmp_path))
    assert set(statuses(report)) == {"ok", "skipped"}
    assert statuses(report, "publish", "subscribe", "listeners") == ["ok", "ok", "ok"]
    assert told(report, "dns").startswith("127.0.0.1 is an address")


@pytest.mark.parametrize("word", [b"offline", b"online"])
def test_looking_leaves_no_trace(mosquitto: Mosquitto, tmp_path: Path, word: bytes) -> None:
    board = RoomBoard()
    with Listener(mosquitto) as before:
        before.client.publish(TOPICS.info, b'{"kept": 1}', qos=1, retain=True).wait_for_publish(5)
        before.client.publish(TOPICS.availability, word, qos=1, retain=True).wait_for_publish(5)
        assert until(lambda: len(before.messages) == 2)
        report = examine_broker(config_for(mosquitto.mqtt, tmp_path))
        heard = before.messages[2:]
    assert statuses(report, "publish") == ["ok"]
    assert {message.topic for message in heard} == set(published_topics(TOPICS))
    assert not any(message.retain for message in heard)
    told = {message.topic: bytes(message.payload) for message in heard}
    assert told.pop(TOPICS.availability) == word  # empty would mean that the device is gone
    assert set(told.values()) == {b""}
    with Listener(mosquitto, pattern="#") as after:
        assert until(lambda: len(after.messages) == 2)
        kept = {message.topic: bytes(message.payload) for message in after.messages}
    assert kept == {TOPICS.info: b'{"kept": 1}', TOPICS.availability: word}

    board.take(TOPICS.availability, word)
    known = board.rows()
    for message in heard:
        if (address := Topics.parse(message.topic)) is not None and address.leaf in LEAVES:
            board.take(message.topic, bytes(message.payload))
    assert board.foreign == 0
    assert [row.is_online for row in board.rows()] == [row.is_online for row in known]


def test_every_topic_of_a_device_is_tried() -> None:
    published, commands = published_topics(TOPICS), command_topics(TOPICS)
    for topic in (
        TOPICS.availability,
        TOPICS.emotion,
        TOPICS.stats,
        TOPICS.status("infer"),
        TOPICS.enabled_state,
    ):
        assert topic in published
    assert TOPICS.enabled_set in commands
    assert not set(published) & set(commands)
    assert all(Topics.parse(topic) is not None for topic in [*published, *commands])


def test_refused_topics_are_named_one_by_one(guarded_mosquitto: Mosquitto, tmp_path: Path) -> None:
    config = config_for(guarded_mosquitto.mqtt, tmp_path)
    report = examine_broker(config, username="mute", password=PASSWORD)
    refused = {str(line.finding.facts["topic"]) for line in report.lines if line.check == "publish"}
    assert {TOPICS.emotion, TOPICS.stats, TOPICS.status("capture")} <= refused
    assert TOPICS.info not in refused
    assert "let user mute publish it in the broker's access list" in told(report, "publish")
    assert statuses(report, "listeners") == ["skipped"]
    report = examine_broker(config, username="camera", password=PASSWORD)
    assert statuses(report, "credentials", "mqtt", "publish") == ["ok", "ok", "ok"]
    assert PASSWORD not in str(report)


def test_a_wrong_password_stops_at_the_broker(guarded_mosquitto: Mosquitto, tmp_path: Path) -> None:
    report = examine_broker(config_for(guarded_mosquitto.mqtt, tmp_path), username="camera", password="wrong")
    assert statuses(report, "tcp", "mqtt", "publish", "listeners") == ["ok", "fail", "skipped", "skipped"]
    assert "refuses user camera" in told(report, "mqtt")
    assert "ROOMTONE_MQTT_PASSWORD" in told(report, "mqtt")


def test_nobody_listening_is_a_warning(mosquitto: Mosquitto, tmp_path: Path) -> None:
    report = examine_broker(config_for(mosquitto.mqtt, tmp_path))
    assert statuses(report, "listeners") == ["warn"]
    assert "throws them away" in told(report, "listeners")


def test_mqtt_3_1_1_cannot_tell_and_says_so(mosquitto: Mosquitto, tmp_path: Path) -> None:
    older = mosquitto.mqtt.model_copy(update={"protocol": "3.1.1"})
    report = examine_broker(config_for(older, tmp_path))
    assert statuses(report, "mqtt", "publish", "listeners") == ["ok", "skipped", "skipped"]


def test_home_assistant_is_seen_by_its_birth_message_or_by_its_ears(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    config = config_for(mosquitto.mqtt, tmp_path)
    assert statuses(examine_broker(config), "home_assistant") == ["skipped"]
    with Listener(mosquitto, pattern="homeassistant/+/+/config") as assistant:
        assert "listens to homeassistant" in told(examine_broker(config), "home_assistant")
        assistant.client.publish("homeassistant/status", b"online", qos=1, retain=True).wait_for_publish(5)
    assert "says online" in told(examine_broker(config), "home_assistant")


def test_a_second_device_of_this_name_is_seen_but_not_our_own(mosquitto: Mosquitto, tmp_path: Path) -> None:
    config = config_for(mosquitto.mqtt, tmp_path)
    with Listener(mosquitto) as other:
        other.client.publish(TOPICS.availability, b"online", qos=1, retain=True).wait_for_publish(5)
    assert statuses(examine_broker(config), "name_free") == ["warn"]
    with Outbox(config.outbox.path, max_bytes=10**6, max_age_s=3600):
        assert statuses(examine_broker(config), "name_free") == ["ok"]


def test_nobody_at_the_port_and_no_such_name(tmp_path: Path) -> None:
    closed = MqttSection(url=f"mqtt://127.0.0.1:{free_port()}", connect_timeout_s=1)
    report = examine_broker(config_for(closed, tmp_path))
    assert statuses(report, "tcp", "mqtt") == ["fail", "skipped"]
    assert "nothing listens on port" in told(report, "tcp")
    nowhere = MqttSection(url="mqtt://broker.invalid", connect_timeout_s=1)
    report = examine_broker(config_for(nowhere, tmp_path))
    assert statuses(report, "dns", "tcp") == ["fail", "skipped"]
    assert "the name broker.invalid is not known" in told(report, "dns")


def test_a_server_that_is_no_broker_is_told_from_one(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        mqtt = MqttSection(url=f"mqtt://127.0.0.1:{silent.getsockname()[1]}", connect_timeout_s=0.5)
        report = examine_broker(config_for(mqtt, tmp_path))
    assert statuses(report, "tcp", "mqtt") == ["ok", "fail"]
    assert "is this the port of an MQTT broker?" in told(report, "mqtt")


def test_tls_that_is_right_shows_until_when(
    tls_mosquitto: Callable[..., Mosquitto], certificates: Certificates, tmp_path: Path
) -> None:
    broker = tls_mosquitto()
    report = examine_broker(config_for(tls_section(broker, certificates / "ca.pem"), tmp_path))
    assert statuses(report, "tls", "mqtt", "publish") == ["warn", "ok", "ok"]  # made for two days
    assert "ends in 1 days: renew it" in told(report, "tls")


@pytest.mark.parametrize(
    ("server", "authority", "words"),
    [
        pytest.param(
            "misnamed", "ca.pem", "put the certificate's name into mqtt.url", id="hostname mismatch"
        ),
        pytest.param("server", "stranger.pem", "mqtt.ca_file must be", id="unknown authority"),
    ],
)
def test_tls_that_is_wrong_says_what_is(
    tls_mosquitto: Callable[..., Mosquitto],
    certificates: Certificates,
    tmp_path: Path,
    server: str,
    authority: str,
    words: str,
) -> None:
    broker = tls_mosquitto(server)
    report = examine_broker(config_for(tls_section(broker, certificates / authority), tmp_path))
    assert statuses(report, "tcp", "tls", "mqtt") == ["ok", "fail", "skipped"]
    assert words in told(report, "tls")


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        pytest.param(-9, -1, "if it is right, renew", id="expired"),
        pytest.param(2, 9, "if that is wrong, set it", id="not yet valid"),
    ],
)
def test_a_broker_s_certificate_out_of_its_dates_points_at_the_clock(
    tmp_path: Path, start: float, end: float, words: str
) -> None:
    authority = write_dated_certificate(tmp_path, "ca", days_from_now(-99), days_from_now(99))
    write_dated_certificate(tmp_path, "late", days_from_now(start), days_from_now(end), authority=authority)
    settings = f"allow_anonymous true\nuser root\ncertfile {tmp_path / 'late.pem'}\nkeyfile {tmp_path / 'late.key'}\n"
    broker = Mosquitto(tmp_path, free_port(), settings)
    broker.start()
    try:
        report = examine_broker(config_for(tls_section(broker, tmp_path / "ca.pem"), tmp_path))
    finally:
        broker.stop()
    assert statuses(report, "tls") == ["fail"]
    assert "this device's clock says" in told(report, "tls")
    assert words in told(report, "tls")


def test_a_broker_that_wants_a_certificate_gets_it_or_says_so(
    tls_mosquitto: Callable[..., Mosquitto], certificates: Certificates, tmp_path: Path
) -> None:
    broker = tls_mosquitto(wants_client_certificate=True)
    without = tls_section(broker, certificates / "ca.pem")
    assert "mqtt.client_cert" in told(examine_broker(config_for(without, tmp_path)), "mqtt")
    device = {"client_cert": certificates / "device.pem", "client_key": certificates / "device.key"}
    report = examine_broker(config_for(without.model_copy(update=device), tmp_path))
    assert statuses(report, "credentials", "mqtt") == ["ok", "ok"]


def test_without_a_broker_there_is_one_line() -> None:
    assert statuses(examine_broker(Config())) == ["skipped"]


def test_a_password_file_that_cannot_be_read_is_the_first_line(mosquitto: Mosquitto, tmp_path: Path) -> None:
    (tmp_path / "mqtt_username").write_bytes(b"\xff\xfe")
    config = config_for(mosquitto.mqtt, tmp_path)
    examination = BrokerExamination(config, {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    report = examine([Group("broker", examination.checks(), examination.close)])
    assert statuses(report, "credentials", "dns") == ["fail", "skipped"]
    assert "is not UTF-8 text" in told(report, "credentials")
