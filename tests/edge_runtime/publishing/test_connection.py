"""One connection: what it hears, and what ends it."""

from __future__ import annotations

import dataclasses
import signal
import threading
import time
from collections.abc import Callable

import pytest
from brokers import Listener, Mosquitto, until
from publishing_parts import TOPICS

from edge_runtime.errors import BrokerRefusedError, BrokerUnreachableError
from edge_runtime.publishing.connection import Connection, Message
from edge_runtime.publishing.credentials import Credentials
from edge_runtime.publishing.endpoint import Endpoint, refusal

WILL = (TOPICS.availability, b"offline")


def connected(
    broker: Mosquitto, on_message: Callable[[Message], None] = lambda _: None, *, keepalive_s: int = 30
) -> Connection:
    endpoint = Endpoint.from_section(broker.mqtt, Credentials())
    connection = Connection(
        dataclasses.replace(endpoint, keepalive_s=keepalive_s),
        client_id="tested",
        protocol="5",
        wake=threading.Event().set,
        on_message=on_message,
        will=WILL,
    )
    connection.open()
    return connection


@pytest.mark.broker
def test_pings_keep_an_idle_connection_heard_until_the_broker_stops(mosquitto: Mosquitto) -> None:
    connection = connected(mosquitto, keepalive_s=1)
    try:
        time.sleep(2.0)
        assert not connection.is_silent(1.5)
        assert mosquitto.process is not None
        mosquitto.process.send_signal(signal.SIGSTOP)
        assert until(lambda: connection.is_silent(1.5), 3)
        mosquitto.process.send_signal(signal.SIGCONT)
    finally:
        connection.abort()


@pytest.mark.broker
@pytest.mark.parametrize(("end", "wills"), [("close", 0), ("abort", 1)])
def test_only_a_connection_that_was_cut_leaves_its_will(mosquitto: Mosquitto, end: str, wills: int) -> None:
    with Listener(mosquitto) as listener:
        connection = connected(mosquitto)
        getattr(connection, end)()
        getattr(connection, end)()
        listener.client.publish("roomtone/last", b"", qos=1)
        assert until(lambda: listener.payloads("roomtone/last") and len(listener.messages) == 1 + wills)
        assert listener.payloads(TOPICS.availability) == [b"offline"] * wills
    assert not connection.is_open


@pytest.mark.broker
def test_an_exception_in_a_callback_leaves_the_network_thread_alive(mosquitto: Mosquitto) -> None:
    heard: list[Message] = []

    def stumble_once(message: Message) -> None:
        heard.append(message)
        if len(heard) == 1:
            raise RuntimeError("first")

    connection = connected(mosquitto, stumble_once)
    try:
        connection.subscribe("a")
        for payload in (b"1", b"2"):
            connection.publish("a", payload, qos=1, retain=False)
        assert until(lambda: [message.payload for message in heard] == [b"1", b"2"])
        assert connection.callback_errors == 1
        assert connection.is_open
    finally:
        connection.close()


@pytest.mark.broker
def test_a_connection_is_used_once(mosquitto: Mosquitto) -> None:
    connection = connected(mosquitto)
    connection.close()
    with pytest.raises(BrokerUnreachableError, match="is closed"):
        connection.open()
    assert connection.publish("a", b"", qos=1, retain=False) == 0


@pytest.mark.parametrize(
    ("reason", "error", "hint"),
    [
        pytest.param(134, BrokerRefusedError, "ROOMTONE_MQTT_PASSWORD", id="bad user name or password"),
        pytest.param(135, BrokerRefusedError, "ROOMTONE_MQTT_PASSWORD", id="not authorized"),
        pytest.param(138, BrokerRefusedError, "whoever runs the broker", id="banned"),
        pytest.param(142, BrokerRefusedError, "unique", id="session taken over"),
        pytest.param(136, BrokerUnreachableError, "keeps trying", id="server unavailable"),
        pytest.param(139, BrokerUnreachableError, "keeps trying", id="server shutting down"),
    ],
)
def test_a_reason_code_becomes_an_error_with_a_hint(reason: int, error: type[Exception], hint: str) -> None:
    endpoint = Endpoint("mqtt://h", "h", 1883, None, 30, 5.0, Credentials("camera", "s3cret"))
    problem = refusal(endpoint, reason, "Words", client_id="roomtone-a-b-c")
    assert type(problem) is error
    assert hint in problem.hint
    assert "s3cret" not in str(problem) + problem.hint + repr(endpoint)
