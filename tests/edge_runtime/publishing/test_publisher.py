"""The publisher against real brokers that come, go, refuse and restart."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from brokers import PASSWORD, Certificates, Listener, Mosquitto, free_port, until
from publishing_parts import TOPICS, episode, event, info, schema_faults, stats

from edge_runtime.config import MqttSection
from edge_runtime.errors import BrokerRefusedError, BrokerUnreachableError, ConfigurationError
from edge_runtime.publishing.client import Publisher
from edge_runtime.publishing.credentials import Credentials
from edge_runtime.publishing.outbox import Outbox
from edge_runtime.publishing.payloads import EmotionEvent, Info, Stats, encode
from edge_runtime.room.context import RoomContext

pytestmark = pytest.mark.broker
NOBODY = Credentials()

Make = Callable[..., Publisher]


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    with Outbox(tmp_path / "outbox.sqlite3", max_bytes=10_000_000, max_age_s=1e6) as outbox:
        yield outbox


@pytest.fixture
def make(outbox: Outbox) -> Iterator[Make]:
    """Starts a publisher with short pauses; closes it in the end."""
    made: list[Publisher] = []

    def start(mqtt: MqttSection, credentials: Credentials = NOBODY, **options: Any) -> Publisher:
        options = {
            "info": info,
            "on_enabled": lambda _: None,
            "on_context": lambda _: None,
            "drain_rate_hz": 2000.0,
        } | options
        options = {"reconnect_min_s": 0.05, "reconnect_max_s": 0.2} | options
        publisher = Publisher(mqtt, TOPICS, outbox, credentials, **options)
        publisher.start()
        made.append(publisher)
        return publisher

    yield start
    for publisher in made:
        publisher.close()


def submit(publisher: Publisher, outbox: Outbox, count: int) -> list[str]:
    ids = []
    for _ in range(count):
        number = outbox.next_event_number()
        made = event(number.seq, boot=number.boot, ts=1_760_000_000.0 + number.seq)
        publisher.submit(made)
        ids.append(made.event_id)
    return ids


def ids_of(listener: Listener) -> list[str]:
    return [json.loads(payload)["event_id"] for payload in listener.payloads(TOPICS.emotion)]


def without_repeats(ids: list[str]) -> list[str]:
    return list(dict.fromkeys(ids))


def test_everything_arrives_where_and_as_the_design_says(
    mosquitto: Mosquitto, outbox: Outbox, make: Make
) -> None:
    with Listener(mosquitto) as listener:
        publisher = make(mosquitto.mqtt)
        publisher.set_status("capture", "online")
        publisher.set_status("infer", "disabled")
        publisher.set_enabled_state(True)
        publisher.publish_stats(stats())
        ids = submit(publisher, outbox, 3)
        assert publisher.flush(5)
        assert until(lambda: len(listener.payloads(TOPICS.emotion)) == 3 and listener.payloads(TOPICS.stats))
        assert until(lambda: listener.payloads(TOPICS.enabled_state))
        assert (publisher.protocol, publisher.last_problem, publisher.is_healthy) == ("5", None, True)
    assert ids_of(listener) == ids
    assert listener.payloads(TOPICS.availability) == [b"online"]
    assert listener.payloads(TOPICS.status("capture")) == [b"online"]
    assert listener.payloads(TOPICS.status("infer")) == [b"disabled"]
    assert listener.payloads(TOPICS.enabled_state) == [b"ON"]
    for topic, payload_class in [
        (TOPICS.emotion, EmotionEvent),
        (TOPICS.state, EmotionEvent),
        (TOPICS.stats, Stats),
        (TOPICS.info, Info),
    ]:
        for payload in listener.payloads(topic):
            assert schema_faults(json.loads(payload), payload_class.json_schema()) == []
    qos = {message.topic: message.qos for message in listener.messages}
    assert [qos[topic] for topic in (TOPICS.emotion, TOPICS.state, TOPICS.info, TOPICS.stats)] == [1, 1, 1, 0]


def test_who_comes_later_finds_the_retained_values_and_the_state_with_its_expiry(
    mosquitto: Mosquitto, outbox: Outbox, make: Make
) -> None:
    publisher = make(mosquitto.mqtt)
    publisher.set_status("capture", "online")
    publisher.set_enabled_state(False)
    ids = submit(publisher, outbox, 2)
    assert publisher.flush(5)
    with Listener(mosquitto) as listener:
        assert until(lambda: listener.payloads(TOPICS.state))
        assert until(lambda: len(listener.messages) == 5)
    retained = {message.topic: message for message in listener.messages}
    assert all(message.retain for message in retained.values())
    assert set(retained) == {
        TOPICS.availability,
        TOPICS.info,
        TOPICS.status("capture"),
        TOPICS.enabled_state,
        TOPICS.state,
    }
    state = retained[TOPICS.state]
    assert json.loads(state.payload)["event_id"] == ids[-1]
    assert 170 <= state.properties.MessageExpiryInterval <= 180  # type: ignore[union-attr]


def test_without_a_subscriber_the_broker_says_so(mosquitto: Mosquitto, outbox: Outbox, make: Make) -> None:
    publisher = make(mosquitto.mqtt)
    submit(publisher, outbox, 2)
    assert publisher.flush(5)
    assert (publisher.counters.published, publisher.counters.nobody_listening) == (2, 2)


@pytest.mark.parametrize(
    ("payload", "expected"), [(b"OFF", [False]), (b"ON", [True]), (b"off", []), (b"", [])]
)
def test_the_privacy_shutter_obeys_on_and_off_only(
    mosquitto: Mosquitto, make: Make, payload: bytes, expected: list[bool]
) -> None:
    heard: list[bool] = []
    publisher = make(mosquitto.mqtt, on_enabled=heard.append)
    with Listener(mosquitto) as listener:
        assert until(lambda: publisher.connected and listener.payloads(TOPICS.info))
        listener.client.publish(TOPICS.enabled_set, payload, qos=1)
        assert until(lambda: heard or publisher.counters.ignored_commands)
    assert heard == expected
    assert publisher.counters.ignored_commands == (0 if expected else 1)


@pytest.mark.parametrize("payload", [b"siesta", b"", b"\xff", b"x" * 500])
def test_a_word_that_is_no_activity_is_counted_and_changes_nothing(
    mosquitto: Mosquitto, make: Make, payload: bytes
) -> None:
    context = RoomContext(())
    publisher = make(mosquitto.mqtt, on_context=context.set)
    with Listener(mosquitto) as listener:
        assert until(lambda: publisher.connected and listener.payloads(TOPICS.info))
        listener.client.publish(TOPICS.context_set, payload, qos=1)
        listener.client.publish(TOPICS.context_set, b"exam", qos=1)
        assert until(lambda: context.in_force(datetime(2026, 1, 1)) == "exam")
    assert publisher.counters.ignored_commands == 1
    assert publisher.counters.callback_errors == 0


def test_a_step_of_an_episode_arrives_on_its_own_leaf(
    mosquitto: Mosquitto, make: Make, outbox: Outbox
) -> None:
    publisher = make(mosquitto.mqtt)
    with Listener(mosquitto) as listener:
        assert publisher.submit_episode(episode())
        assert until(lambda: listener.payloads(TOPICS.episode) == [encode(episode())])
    assert publisher.flush(5)


def test_a_retained_off_is_obeyed_on_connecting(mosquitto: Mosquitto, make: Make) -> None:
    heard: list[bool] = []
    with Listener(mosquitto) as listener:
        listener.client.publish(TOPICS.enabled_set, b"OFF", qos=1, retain=True).wait_for_publish(5)
    make(mosquitto.mqtt, on_enabled=heard.append)
    assert until(lambda: heard == [False])


def test_a_callback_that_fails_costs_nothing_but_a_count(
    mosquitto: Mosquitto, outbox: Outbox, make: Make
) -> None:
    def broken(*_: object) -> Any:
        raise RuntimeError("no shutter")

    publisher = make(mosquitto.mqtt, on_enabled=broken, info=broken)
    with Listener(mosquitto) as listener:
        assert until(lambda: publisher.connected and listener.payloads(TOPICS.availability))
        listener.client.publish(TOPICS.enabled_set, b"OFF", qos=1)
        assert until(lambda: publisher.counters.callback_errors == 2)
    submit(publisher, outbox, 1)
    assert publisher.flush(5)
    assert publisher.counters.connections == 1


def test_a_broker_that_comes_later_gets_everything(
    stopped_mosquitto: Mosquitto, outbox: Outbox, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    publisher = make(stopped_mosquitto.mqtt)
    submit(publisher, outbox, 4)
    assert until(lambda: publisher.counters.failed_attempts >= 3)
    assert isinstance(publisher.last_problem, BrokerUnreachableError)
    assert "nothing listens" in str(publisher.last_problem)
    assert not publisher.flush(0.05)
    assert sum("nothing listens" in record.getMessage() for record in caplog.records) == 1
    stopped_mosquitto.start()
    assert publisher.flush(5)
    assert publisher.last_problem is None


def test_windows_of_a_long_outage_all_arrive_in_order(
    mosquitto: Mosquitto, outbox: Outbox, make: Make
) -> None:
    publisher = make(mosquitto.mqtt)
    ids = submit(publisher, outbox, 1)
    assert publisher.flush(5)
    mosquitto.stop()
    assert until(lambda: not publisher.connected)
    away = submit(publisher, outbox, 500)
    mosquitto.start()
    with Listener(mosquitto) as listener:
        assert publisher.flush(20)
        assert until(lambda: away[-1] in ids_of(listener))
    # The listener may have come after the first ones were sent: those are known to the broker, not to it.
    received = without_repeats(ids_of(listener))
    assert received == away[len(away) - len(received) :]
    assert publisher.counters.published >= 501
    assert len(set(ids + away)) == 501


def test_every_window_of_an_outage_reaches_a_listener_that_was_there_first(
    mosquitto: Mosquitto, outbox: Outbox, make: Make
) -> None:
    unreachable = MqttSection(url=f"mqtt://127.0.0.1:{free_port()}")
    away = submit(make(unreachable), outbox, 500)
    with Listener(mosquitto) as listener:
        assert make(mosquitto.mqtt).flush(20)
        assert until(lambda: len(ids_of(listener)) >= 500)
    assert ids_of(listener) == away


def test_a_broker_that_restarts_while_events_flow_loses_none(
    mosquitto: Mosquitto, outbox: Outbox, make: Make
) -> None:
    with Listener(mosquitto) as listener:
        publisher = make(mosquitto.mqtt, drain_rate_hz=300.0)
        ids = submit(publisher, outbox, 60)
        assert until(lambda: publisher.counters.published > 20)
        mosquitto.stop()
        ids += submit(publisher, outbox, 60)
        mosquitto.start()
        assert publisher.flush(10)
        assert publisher.counters.connections == 2
    assert set(ids_of(listener)) <= set(ids)
    assert without_repeats(ids_of(listener)) == sorted(without_repeats(ids_of(listener)), key=ids.index)
    assert len(outbox) == 0


def test_a_broker_that_stops_answering_is_given_up_and_gets_its_events_again(
    mosquitto: Mosquitto, outbox: Outbox, make: Make
) -> None:
    with Listener(mosquitto) as listener:
        publisher = make(mosquitto.mqtt, ack_timeout_s=0.5)
        assert until(lambda: publisher.connected and listener.payloads(TOPICS.info))
        assert mosquitto.process is not None
        mosquitto.process.send_signal(signal.SIGSTOP)
        try:
            ids = submit(publisher, outbox, 5)
            assert until(lambda: publisher.counters.unanswered == 1)
            assert not publisher.connected
        finally:
            mosquitto.process.send_signal(signal.SIGCONT)
        assert publisher.flush(10)
        assert until(lambda: set(ids_of(listener)) == set(ids))
    assert publisher.counters.resent == 5
    assert without_repeats(ids_of(listener)) == ids


def test_the_goodbye_is_a_retained_offline_without_a_last_will(mosquitto: Mosquitto, make: Make) -> None:
    publisher = make(mosquitto.mqtt)
    publisher.set_status("capture", "online")
    with Listener(mosquitto) as listener:
        assert until(lambda: listener.payloads(TOPICS.status("capture")))
        publisher.close()
        assert until(lambda: listener.payloads(TOPICS.availability)[-1] == b"offline")
        assert listener.payloads(TOPICS.availability).count(b"offline") == 1
        assert until(lambda: listener.payloads(TOPICS.status("capture"))[-1] == b"offline")
    log = (mosquitto.folder / "mosquitto.log").read_text()
    assert f"Received DISCONNECT from {TOPICS.base.replace('/', '-')}" in log
    publisher.close()


CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from publishing_parts import TOPICS, event, info
from edge_runtime.config import MqttSection
from edge_runtime.publishing.client import Publisher
from edge_runtime.publishing.credentials import Credentials
from edge_runtime.publishing.outbox import Outbox
outbox = Outbox(Path(sys.argv[1]), max_bytes=10_000_000, max_age_s=1e6)
mqtt = MqttSection(url=sys.argv[2])
publisher = Publisher(
    mqtt, TOPICS, outbox, Credentials(), info=info, on_enabled=print, on_context=print, drain_rate_hz=100.0
)
publisher.start()
while True:
    number = outbox.next_event_number()
    made = event(number.seq, boot=number.boot)
    assert publisher.submit(made)
    print(made.event_id, flush=True)
"""


def test_after_kill_9_the_will_speaks_and_the_next_run_delivers_what_was_closed(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    path = tmp_path / "child.sqlite3"
    with Listener(mosquitto) as listener:
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(path), mosquitto.mqtt.url or "", str(Path(__file__).parent)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdout is not None
        with child.stdout:
            told = []
            while len(told) < 150 or len(ids_of(listener)) < 20:
                told.append(child.stdout.readline().strip())
            os.kill(child.pid, signal.SIGKILL)
            told += [line.strip() for line in child.stdout if line.endswith("\n")]
        child.wait(10)
        assert until(lambda: listener.payloads(TOPICS.availability) == [b"online", b"offline"])
        options: dict[str, Any] = {
            "info": info,
            "on_enabled": lambda _: None,
            "on_context": lambda _: None,
            "drain_rate_hz": 2000.0,
        }
        with (
            Outbox(path, max_bytes=10_000_000, max_age_s=1e6) as outbox,
            Publisher(mosquitto.mqtt, TOPICS, outbox, NOBODY, **options) as publisher,
        ):
            assert 0 < len(outbox) < len(told) + 2
            assert publisher.flush(15)
        assert until(lambda: told[-1] in ids_of(listener))
    received = without_repeats(ids_of(listener))
    assert [event_id for event_id in received if event_id in set(told)] == told


def test_user_and_password_let_the_device_in(
    guarded_mosquitto: Mosquitto, outbox: Outbox, make: Make
) -> None:
    publisher = make(guarded_mosquitto.mqtt, Credentials("camera", PASSWORD))
    submit(publisher, outbox, 2)
    assert publisher.flush(5)
    assert publisher.last_problem is None


@pytest.mark.parametrize("protocol", ["auto", "3.1.1"])
@pytest.mark.parametrize(
    ("credentials", "named"),
    [
        pytest.param(Credentials("camera", PASSWORD.strip()), "user camera", id="wrong password"),
        pytest.param(Credentials("stranger", "x"), "user stranger", id="unknown user"),
        pytest.param(Credentials(), "a client without a user name", id="none"),
    ],
)
def test_a_refused_login_is_a_sentence_and_a_hint(
    guarded_mosquitto: Mosquitto, make: Make, protocol: str, credentials: Credentials, named: str
) -> None:
    publisher = make(guarded_mosquitto.mqtt.model_copy(update={"protocol": protocol}), credentials)
    assert until(lambda: publisher.last_problem)
    problem = publisher.last_problem
    assert isinstance(problem, BrokerRefusedError)
    assert named in str(problem)
    assert "ROOMTONE_MQTT_PASSWORD" in problem.hint
    assert not publisher.connected
    assert PASSWORD.strip() not in str(problem) + problem.hint


def test_a_refused_topic_is_named_and_its_events_stay_until_they_are_let_through(
    guarded_mosquitto: Mosquitto, outbox: Outbox, make: Make
) -> None:
    publisher = make(guarded_mosquitto.mqtt, Credentials("mute", PASSWORD), refused_retry_s=0.2)
    publisher.set_status("capture", "online")
    submit(publisher, outbox, 3)
    assert until(lambda: publisher.counters.refused > 3 and len(publisher._refused_topics) == 2)
    problem = publisher.last_problem
    assert isinstance(problem, BrokerRefusedError)
    assert TOPICS.emotion in publisher._refused_topics
    assert "does not let user mute publish" in str(problem)
    assert "access list" in problem.hint
    assert (len(outbox), publisher.counters.published, publisher.connected) == (3, 0, True)

    rights = guarded_mosquitto.folder / "rights"
    rights.write_text(rights.read_text().replace("user mute", "user mute\ntopic readwrite roomtone/#"))
    assert guarded_mosquitto.process is not None
    guarded_mosquitto.process.send_signal(signal.SIGHUP)
    assert publisher.flush(5)
    assert TOPICS.emotion not in publisher._refused_topics


def test_tls_with_the_authority_works(
    tls_mosquitto: Callable[..., Mosquitto], certificates: Certificates, outbox: Outbox, make: Make
) -> None:
    broker = tls_mosquitto()
    publisher = make(MqttSection(url=f"mqtts://127.0.0.1:{broker.port}", ca_file=certificates / "ca.pem"))
    submit(publisher, outbox, 30)
    assert publisher.flush(5)
    assert publisher.is_healthy


@pytest.mark.parametrize(
    ("server", "ca", "message", "hint"),
    [
        pytest.param("server", "stranger.pem", "not trusted", "mqtt.ca_file", id="wrong authority"),
        pytest.param("server", None, "not trusted", "mqtt.ca_file", id="no authority given"),
        pytest.param("misnamed", "ca.pem", "another name", "mqtt.url", id="wrong name"),
    ],
)
def test_a_certificate_that_does_not_hold_is_unreachable_with_a_hint(
    tls_mosquitto: Callable[..., Mosquitto],
    certificates: Certificates,
    make: Make,
    server: str,
    ca: str | None,
    message: str,
    hint: str,
) -> None:
    broker = tls_mosquitto(server)
    ca_file = certificates / ca if ca else None
    publisher = make(MqttSection(url=f"mqtts://127.0.0.1:{broker.port}", ca_file=ca_file))
    assert until(lambda: publisher.last_problem)
    assert isinstance(publisher.last_problem, BrokerUnreachableError)
    assert message in str(publisher.last_problem)
    assert hint in publisher.last_problem.hint
    publisher.close()


def test_a_client_certificate_lets_the_device_in_and_its_lack_is_guessed(
    tls_mosquitto: Callable[..., Mosquitto], certificates: Certificates, outbox: Outbox, make: Make
) -> None:
    broker = tls_mosquitto(wants_client_certificate=True)
    url = f"mqtts://127.0.0.1:{broker.port}"
    bare = make(MqttSection(url=url, ca_file=certificates / "ca.pem"))
    assert until(lambda: bare.last_problem)
    assert isinstance(bare.last_problem, BrokerUnreachableError)
    assert "mqtt.client_cert" in bare.last_problem.hint
    bare.close()
    shown = make(
        MqttSection(
            url=url,
            ca_file=certificates / "ca.pem",
            client_cert=certificates / "device.pem",
            client_key=certificates / "device.key",
        )
    )
    submit(shown, outbox, 1)
    assert shown.flush(5)


@pytest.mark.parametrize("scheme", ["mqtt", "mqtts"])
def test_tls_on_one_side_only_is_explained(
    tls_mosquitto: Callable[..., Mosquitto], mosquitto: Mosquitto | None, make: Make, scheme: str
) -> None:
    port = mosquitto.port if scheme == "mqtts" and mosquitto else 0
    publisher = make(MqttSection(url=f"{scheme}://127.0.0.1:{port or tls_mosquitto().port}"))
    assert until(lambda: publisher.last_problem)
    assert isinstance(publisher.last_problem, BrokerUnreachableError)
    assert "mqtts://" in publisher.last_problem.hint
    publisher.close()


@pytest.mark.parametrize(
    ("host", "message"),
    [("no-such-host.invalid", "not known"), ("a..b", "not known"), (f"{'x' * 70}.invalid", "not known")],
    ids=["unknown", "empty label", "long label"],
)
def test_a_name_that_cannot_be_looked_up_is_a_sentence(make: Make, host: str, message: str) -> None:
    publisher = make(MqttSection(url=f"mqtt://{host}"))
    assert until(lambda: publisher.last_problem)
    assert message in str(publisher.last_problem)


def test_a_server_that_never_answers_is_unreachable(make: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"mqtt://127.0.0.1:{silent.getsockname()[1]}"
        publisher = make(MqttSection(url=url, connect_timeout_s=0.5))
        assert until(lambda: publisher.last_problem)
        assert "does not answer within 0.5 s" in str(publisher.last_problem)
        publisher.close()


def test_two_devices_of_one_name_are_told_so(mosquitto: Mosquitto, make: Make) -> None:
    first = make(mosquitto.mqtt, reconnect_min_s=3.0, reconnect_max_s=3.0)
    assert until(lambda: first.connected)
    make(mosquitto.mqtt)
    assert until(lambda: first.last_problem)
    assert "second device" in first.last_problem.hint  # Mosquitto 2.0.11 gives no reason; MQTT 5 has code 142


@pytest.mark.parametrize(
    ("section", "key"),
    [
        pytest.param(MqttSection(), "mqtt.url", id="no url"),
        pytest.param(
            MqttSection(url="mqtts://h", ca_file=Path("missing.pem")), "mqtt.ca_file", id="no CA file"
        ),
        pytest.param(MqttSection(url="mqtts://h", ca_file=Path(__file__)), "mqtt.ca_file", id="no PEM"),
        pytest.param(
            MqttSection(url="mqtts://h", client_cert=Path("c.pem"), client_key=Path("c.key")),
            "mqtt.client_cert",
            id="no client certificate",
        ),
    ],
)
def test_a_section_that_cannot_work_is_refused_before_anything_starts(
    outbox: Outbox, section: MqttSection, key: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Publisher(
            section, TOPICS, outbox, NOBODY, info=info, on_enabled=lambda _: None, on_context=lambda _: None
        )
    assert [fault.key for fault in caught.value.faults] == [key]


def test_a_broker_that_speaks_3_1_1_only_is_spoken_to_in_3_1_1(outbox: Outbox, make: Make) -> None:
    pytest.importorskip("amqtt", reason="amqtt is not installed; pip install 'roomtone[demo]'")
    broker = Amqtt()
    try:
        # amqtt 0.12 does not answer a CONNECT of MQTT 5 with a will at all
        publisher = make(MqttSection(url=f"mqtt://127.0.0.1:{broker.port}", connect_timeout_s=0.5))
        publisher.set_enabled_state(True)
        submit(publisher, outbox, 20)
        assert publisher.flush(10)
        assert (publisher.protocol, publisher.last_problem) == ("3.1.1", None)
        publisher.close()
    finally:
        broker.stop()


def test_a_broker_that_hangs_up_on_mqtt_5_gets_3_1_1(
    mosquitto: Mosquitto, outbox: Outbox, make: Make
) -> None:
    with Doorman(mosquitto.port) as doorman:
        publisher = make(MqttSection(url=f"mqtt://127.0.0.1:{doorman.port}"))
        submit(publisher, outbox, 3)
        assert publisher.flush(5)
        assert publisher.protocol == "3.1.1"
        publisher.close()


class Amqtt(threading.Thread):
    """The pure-Python broker, which speaks MQTT 3.1.1 only, on a loop of its own."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.port = free_port()
        self._up, self._loop = threading.Event(), asyncio.new_event_loop()
        self._end = asyncio.Event()
        self.start()
        assert self._up.wait(10)

    def run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        from amqtt.broker import Broker

        anonymous = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
        listener = {"default": {"type": "tcp", "bind": f"127.0.0.1:{self.port}"}}
        broker = Broker({"listeners": listener, "plugins": anonymous})
        await broker.start()
        self._up.set()
        await self._end.wait()
        await broker.shutdown()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self.join(10)


class Doorman:
    """Passes MQTT 3.1.1 on to a broker, and hangs up without a word on anything else."""

    def __init__(self, behind: int) -> None:
        self._behind = behind
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                visitor, _ = self._server.accept()
            except OSError:
                return
            first = visitor.recv(4096)
            if first[8:9] != b"\x04":  # protocol level: fixed header 2, "MQTT" with its length 6
                visitor.close()
                continue
            broker = socket.create_connection(("127.0.0.1", self._behind))
            broker.sendall(first)
            for source, sink in ((visitor, broker), (broker, visitor)):
                self._threads.append(threading.Thread(target=self._pass_on, args=(source, sink), daemon=True))
                self._threads[-1].start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with source, contextlib.suppress(OSError):
            while data := source.recv(4096):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def __enter__(self) -> Doorman:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for thread in self._threads:
            thread.join(5)
