"""The publisher: what the pipeline hands over here reaches the broker, whenever there is one.

    with Publisher(config.mqtt, topics, outbox, load_credentials(), info=..., on_enabled=...) as publisher:
        publisher.set_status("capture", "online")
        publisher.submit(event)  # on disk when it returns; never waits for the network
        publisher.publish_stats(stats)

One thread of its own connects, sends and waits; the pipeline's calls only leave something for it and wake
it. What it sends is of four kinds. *Events* come from the outbox, in order, and leave it on their PUBACK
(see `drain`). *Retained values* (availability, info, status, enabled/state, context/state, state, discovery) are sent
on every new connection (see `retained`). *Stats* go out once, the latest only. *Responses* answer requests. What the
device is told comes the other way (see `inbox`).

The runtime goes on without a broker: what is wrong with it is in `last_problem`, and logged once per change.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Self

from edge_runtime.config import MqttSection
from edge_runtime.errors import BrokerError, BrokerRefusedError
from edge_runtime.publishing.connection import Answer, Connection, Message, Protocol
from edge_runtime.publishing.credentials import Credentials
from edge_runtime.publishing.discovery import Discovery
from edge_runtime.publishing.drain import Drain
from edge_runtime.publishing.endpoint import Endpoint, topic_refusal
from edge_runtime.publishing.fallback import ProtocolChoice
from edge_runtime.publishing.inbox import Inbox
from edge_runtime.publishing.outbox import Outbox
from edge_runtime.publishing.pacing import Backoff
from edge_runtime.publishing.payloads import EmotionEvent, EpisodeEvent, Info, Response, Stats, encode
from edge_runtime.publishing.retained import RetainedValues
from edge_runtime.publishing.topics import DELIVERY, Command, Leaf, Role, Topics

log = logging.getLogger(__name__)

MAX_IN_FLIGHT = 20  # unacknowledged publications; Mosquitto's own limit for one client
STATE_LIFETIME_WINDOWS = 3
MAX_RESPONSES = 64  # that wait for a broker; whoever asked has long given up on older ones
TICK_S = 1.0  # longest time between two looks at the connection's health
HEALTHY_KEEPALIVES = 1.5  # the broker is heard each keep-alive at the latest
LOST_KEEPALIVES = 2.5  # paho itself gives up after two; this is for the case that its thread died

ONLINE, OFFLINE = b"online", b"offline"
StatusWord = Literal["online", "offline", "disabled"]


@dataclass(frozen=True, slots=True)
class PublisherCounters:
    """Totals since the publisher was made.

    Attributes:
        connections: that the broker accepted.
        failed_attempts: to connect.
        published: events that the broker acknowledged.
        nobody_listening: those of them that had no subscriber (MQTT 5 only).
        refused: refusals of events, one for each attempt (MQTT 5 only).
        resent: events sent again because a connection broke before their PUBACK.
        unanswered: connections given up because a PUBACK or a ping stayed unanswered.
        ignored_commands: messages on `enabled/set` and `context/set` that were none of their words, and requests
            that were retained.
        callback_errors: exceptions that were kept from ending a thread.
    """

    connections: int
    failed_attempts: int
    published: int
    nobody_listening: int
    refused: int
    resent: int
    unanswered: int
    ignored_commands: int
    callback_errors: int


class Publisher:
    """See the module; a context manager that starts and closes it.

    Args:
        mqtt: the configuration's section.
        topics: of this device.
        outbox: where events wait; opened and closed by the caller.
        credentials: user and password.
        info: asked for the device's `Info` on every connection, from the publisher's thread.
        on_enabled: called with each ON or OFF of `enabled/set`, from the publisher's thread; should be quick.
        on_context: called with each word of `context/set`, likewise; raises ValueError for one that it does not
            know.
        on_request: called with each request, likewise; None: requests are not listened to.
        discovery: what Home Assistant is told, on every connection and whenever it starts; None: nothing.
        drain_rate_hz: events per second while catching up.
        reconnect_min_s: first pause between attempts to connect.
        reconnect_max_s: longest pause.
        ack_timeout_s: a PUBACK that takes longer ends the connection; what it left open is sent again on the
            next (MQTT 5.0 §4.4 allows re-sending on a new connection only).
        refused_retry_s: pause after the broker refused an event.

    Raises:
        ConfigurationError: the section names no broker, or a certificate file cannot be used.
    """

    def __init__(
        self,
        mqtt: MqttSection,
        topics: Topics,
        outbox: Outbox,
        credentials: Credentials,
        *,
        info: Callable[[], Info],
        on_enabled: Callable[[bool], None],
        on_context: Callable[[str], None],
        on_request: Callable[[Command, bytes], None] | None = None,
        discovery: Discovery | None = None,
        drain_rate_hz: float = 50.0,
        reconnect_min_s: float = 1.0,
        reconnect_max_s: float = 60.0,
        ack_timeout_s: float = 20.0,
        refused_retry_s: float = 60.0,
    ) -> None:
        self._endpoint = Endpoint.from_section(mqtt, credentials)
        self._topics, self._outbox, self._info, self._discovery = topics, outbox, info, discovery
        self._inbox = Inbox(topics, on_enabled=on_enabled, on_context=on_context, on_request=on_request)
        if discovery is not None:
            self._inbox.listen_for_birth(discovery.status_topic, self._publish_discovery)
        self._ack_timeout_s = ack_timeout_s
        self._choice = ProtocolChoice(mqtt.protocol)
        self._backoff = Backoff(reconnect_min_s, reconnect_max_s)
        self._drain = Drain(outbox, rate_hz=drain_rate_hz, refused_retry_s=refused_retry_s)
        self._retained = RetainedValues()
        self._stats: deque[bytes] = deque(maxlen=1)
        self._responses: deque[Response] = deque(maxlen=MAX_RESPONSES)
        self._info_changed = threading.Event()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._progress = threading.Condition()
        self._thread = threading.Thread(target=self._run, name=f"publisher {topics.name}", daemon=True)

        self._connection: Connection | None = None
        self._in_flight: dict[int, tuple[str, float]] = {}  # mid → topic and when; events and retained values
        self._problem: BrokerError | None = None
        self._refused_topics: dict[str, BrokerRefusedError] = {}
        self._connections = self._failed_attempts = self._unanswered = 0
        self._callback_errors = 0

    def start(self) -> None:
        """Begins to connect, in the background."""
        self._thread.start()

    def submit(self, event: EmotionEvent) -> bool:
        """Takes a window: durable in the outbox, then on its way; also the new `state`.

        Returns:
            Whether it is on disk; see `Outbox.append`.
        """
        payload = encode(event)
        is_durable = self._outbox.append(event.event_id, self._topics.emotion, payload, event.ts)
        self._retained.put(self._topics.state, payload, STATE_LIFETIME_WINDOWS * event.window_s)
        self._wake.set()
        return is_durable

    def submit_episode(self, event: EpisodeEvent) -> bool:
        """Takes a step of an episode, as `submit` takes a window."""
        is_durable = self._outbox.append(event.event_id, self._topics.episode, encode(event), event.ts)
        self._wake.set()
        return is_durable

    def publish_stats(self, stats: Stats) -> None:
        """Sends the device's health; without a broker the latest waits for one."""
        self._stats.append(encode(stats))
        self._wake.set()

    def respond(self, response: Response) -> None:
        """Sends the answer to a request."""
        self._responses.append(response)
        self._wake.set()

    def tell_info(self, discovery: Discovery | None = None) -> None:
        """Asks for the device's `Info` again and sends it: another bundle runs.

        Args:
            discovery: what Home Assistant is told from now on; None: the same as before.
        """
        self._discovery = discovery or self._discovery
        self._info_changed.set()
        self._wake.set()

    def set_status(self, role: Role, word: StatusWord) -> None:
        """Says how one part of the device is."""
        self._retained.put(self._topics.status(role), word.encode())
        self._wake.set()

    def set_enabled_state(self, is_enabled: bool) -> None:
        """Says whether the privacy shutter is open."""
        self._retained.put(self._topics.enabled_state, b"ON" if is_enabled else b"OFF")
        self._wake.set()

    def set_context_state(self, word: str) -> None:
        """Says which activity is in force."""
        self._retained.put(self._topics.context_state, word.encode())
        self._wake.set()

    def flush(self, timeout_s: float) -> bool:
        """Waits until the broker has every event.

        Returns:
            False when some are left after the time.
        """
        with self._progress:
            return self._progress.wait_for(lambda: len(self._outbox) == 0, timeout_s)

    def close(self) -> None:
        """Says goodbye: `offline` published and acknowledged, then DISCONNECT; may be called twice.

        Events that have no PUBACK yet stay in the outbox; `flush` first to wait for them.
        """
        self._closing.set()
        self._wake.set()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @property
    def connected(self) -> bool:
        """Whether the broker has accepted this device and the connection stands."""
        connection = self._connection
        return connection is not None and connection.is_open

    @property
    def is_healthy(self) -> bool:
        """Connected, and the broker was heard of late: a network thread that died still looks connected."""
        connection = self._connection
        return connection is not None and connection.is_open and not connection.is_silent(HEALTHY_KEEPALIVES)

    @property
    def protocol(self) -> Protocol | None:
        """MQTT version of the present connection; None without one."""
        connection = self._connection
        return connection.protocol if connection is not None and connection.is_open else None

    @property
    def last_problem(self) -> BrokerError | None:
        """What is wrong with the broker at present: the connection first, then refused topics."""
        return self._problem or next(iter(tuple(self._refused_topics.values())), None)

    @property
    def counters(self) -> PublisherCounters:
        """Totals so far."""
        connection = self._connection
        return PublisherCounters(
            connections=self._connections,
            failed_attempts=self._failed_attempts,
            published=self._drain.published,
            nobody_listening=self._drain.nobody_listening,
            refused=self._drain.refused,
            resent=self._drain.resent,
            unanswered=self._unanswered,
            ignored_commands=self._inbox.ignored,
            callback_errors=self._callback_errors
            + self._inbox.stumbles
            + (connection.callback_errors if connection else 0),
        )

    def _run(self) -> None:
        while not self._closing.is_set():
            connection = Connection(
                self._endpoint,
                client_id=self._topics.base.replace("/", "-"),
                protocol=self._choice.protocol,
                wake=self._wake.set,
                on_message=self._on_message,
                will=(self._topics.availability, OFFLINE),
            )
            try:
                connection.open()
            except BrokerError as problem:
                self._failed_attempts += 1
                try_other_at_once = self._choice.failed(connection.protocol_in_doubt)
                if try_other_at_once:
                    continue
                self._note(problem)
            else:
                self._use(connection)
            self._closing.wait(self._backoff.pause_s())

    def _use(self, connection: Connection) -> None:
        """One connection, from the broker's acceptance to its end."""
        began_s = time.monotonic()
        self._choice.connected()
        self._connections += 1
        self._note(None)
        log.info("connected to %s with MQTT %s", self._endpoint.url, connection.protocol)
        self._connection = connection
        try:
            self._serve(connection)
        except Exception:
            self._callback_errors += 1
            log.exception("publishing stumbled and begins again with a new connection")
        finally:
            self._connection = None
            connection.close()
            self._callback_errors += connection.callback_errors
            self._backoff.connection_lasted(time.monotonic() - began_s)

    def _serve(self, connection: Connection) -> None:
        self._in_flight.clear()
        self._refused_topics.clear()
        self._drain.begin()
        self._retained.begin()
        asked = {connection.subscribe(topic): topic for topic in self._inbox.topics}
        self._retained.put(self._topics.availability, ONLINE)
        self._publish_info()
        self._publish_discovery()
        while connection.is_open and not self._closing.is_set():
            self._wake.clear()  # before looking, so that what comes meanwhile wakes the wait below
            self._take_answers(connection)
            self._take_subscribe_answers(connection, asked)
            self._inbox.obey()
            if self._info_changed.is_set():
                self._info_changed.clear()
                self._publish_info()
                self._publish_discovery()
            self._send(connection)
            if self._is_unanswered(connection):
                self._unanswered += 1
                self._note(
                    self._endpoint.unreachable("does not answer any more", "is the broker overloaded?")
                )
                connection.abort()
                return
            has_room = len(self._in_flight) < self._most_in_flight(connection)
            self._wake.wait(min(TICK_S, self._drain.wait_s) if has_room else TICK_S)
        if connection.is_open:
            self._say_goodbye(connection)
        else:
            self._take_answers(connection)
            self._note(connection.problem)

    def _publish_info(self) -> None:
        try:
            self._retained.put(self._topics.info, encode(self._info()))
        except Exception:
            self._callback_errors += 1
            log.exception("info cannot be published")

    def _publish_discovery(self) -> None:
        if self._discovery is not None:
            self._retained.put(self._discovery.topic, self._discovery.payload)

    def _most_in_flight(self, connection: Connection) -> int:
        return min(MAX_IN_FLIGHT, connection.receive_maximum)

    def _send(self, connection: Connection) -> None:
        """Sends what is due, as far as the broker takes unacknowledged publications."""
        room = self._most_in_flight(connection) - len(self._in_flight)
        room -= self._send_retained(connection, room)
        self._send_stats(connection)
        self._send_responses(connection)
        delivery = DELIVERY[Leaf.EMOTION]
        for row in self._drain.due(room):
            mid = connection.publish(row.topic, row.payload, qos=delivery.qos, retain=delivery.retain)
            self._in_flight[mid] = row.topic, time.monotonic()
            self._drain.sent(mid, row)

    def _send_retained(self, connection: Connection, limit: int) -> int:
        """Sends values that the broker does not have yet; returns how many."""
        values = self._retained.take(limit)
        for value in values:
            mid = connection.publish(value.topic, value.payload, qos=1, retain=True, expiry_s=value.expiry_s)
            self._in_flight[mid] = value.topic, time.monotonic()
        return len(values)

    def _send_stats(self, connection: Connection) -> None:
        while self._stats:
            connection.publish(self._topics.stats, self._stats.popleft(), qos=0, retain=False)

    def _send_responses(self, connection: Connection) -> None:
        delivery = DELIVERY[Leaf.RESPONSE]
        while self._responses:
            response = self._responses.popleft()
            topic = self._topics.response(response.command)
            mid = connection.publish(topic, encode(response), qos=delivery.qos, retain=delivery.retain)
            self._in_flight[mid] = topic, time.monotonic()

    def _take_answers(self, connection: Connection) -> None:
        of_events: list[Answer] = []
        for answer in connection.take_publish_answers():
            topic, _ = self._in_flight.pop(answer.mid, ("", 0.0))
            if not topic:
                continue  # a QoS 0 message that left
            if self._drain.is_waiting_for(answer.mid):
                of_events.append(answer)
            self._judge("publish", topic, answer)
        self._drain.answered(of_events)
        with self._progress:
            self._progress.notify_all()

    def _take_subscribe_answers(self, connection: Connection, asked: Mapping[int, str]) -> None:
        for answer in connection.take_subscribe_answers():
            if answer.mid in asked:
                self._judge("subscribe to", asked[answer.mid], answer)

    def _judge(self, verb: str, topic: str, answer: Answer) -> None:
        """Remembers which topics the access list refuses; says so once for each."""
        if not answer.is_refusal:
            if self._refused_topics.pop(topic, None) is not None:
                log.info("broker %s accepts %s again", self._endpoint.url, topic)
        elif topic not in self._refused_topics:
            problem = topic_refusal(self._endpoint, verb, topic, answer.words)
            self._refused_topics[topic] = problem
            log.error("%s (%s)", problem, problem.hint)

    def _on_message(self, message: Message) -> None:
        self._inbox.take(message)
        self._wake.set()

    def _is_unanswered(self, connection: Connection) -> bool:
        first = next(iter(self._in_flight.values()), None)
        is_overdue = first is not None and time.monotonic() - first[1] > self._ack_timeout_s
        return is_overdue or connection.is_silent(LOST_KEEPALIVES)

    def _say_goodbye(self, connection: Connection) -> None:
        """Tells the broker that nothing is online here any more, and waits for its acknowledgement."""
        self._send_stats(connection)
        self._send_responses(connection)
        self._retained.replace_all(ONLINE, OFFLINE)
        deadline_s = time.monotonic() + self._endpoint.timeout_s
        has_sent = False
        while connection.is_open and time.monotonic() < deadline_s and not (has_sent and not self._in_flight):
            self._wake.clear()
            self._take_answers(connection)
            room = self._most_in_flight(connection) - len(self._in_flight)
            has_sent = self._send_retained(connection, room) < room
            if self._in_flight:
                self._wake.wait(0.1)

    def _note(self, problem: BrokerError | None) -> None:
        """Remembers how it stands with the broker; a change is logged once."""
        before, self._problem = self._problem, problem
        if problem is not None and str(problem) != str(before):
            log.warning("%s (%s)", problem, problem.hint)
