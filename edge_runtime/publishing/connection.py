"""One MQTT connection, from TCP to goodbye. A lost connection is not mended: the next one is a new object.

That keeps paho's state out of the way. Its client re-sends by itself what it has not seen acknowledged, and
queues what is published while offline; with the outbox behind it, both would send events twice. A new client
per connection has nothing to re-send. It also makes the attempt's own exception visible, which paho's
reconnecting loop swallows.

Threads: paho's network thread runs the callbacks here, which only note what came and call `wake`; every other
method is called by the one thread that owns the connection.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge_runtime.errors import BrokerError
from edge_runtime.publishing.endpoint import (
    NO_MATCHING_SUBSCRIBERS,
    UNSPECIFIED_ERROR,
    UNSUPPORTED_PROTOCOL_VERSION,
    Endpoint,
    connect_problem,
    refusal,
)

log = logging.getLogger(__name__)

Protocol = Literal["5", "3.1.1"]
GOODBYE_S = 2.0  # time for DISCONNECT to go out and the network thread to end, before the socket is cut

_PAHO_PROTOCOL = {"5": paho.MQTTv5, "3.1.1": paho.MQTTv311}


def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Message:
    """Something that came for a subscription.

    Attributes:
        topic, payload: as published.
        is_retained: the broker had it before we subscribed.
        qos: 0 or 1, as it came.
        acknowledge: tells the broker that it has arrived; does something only in a `Session`, on the
            connection that it came by, and may be called from any thread.
    """

    topic: str
    payload: bytes
    is_retained: bool
    qos: int = 0
    acknowledge: Callable[[], None] = field(default=_nothing, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Session:
    """A session that the broker keeps while its client is away (MQTT 5.0 §4.1), for whoever may lose nothing.

    Messages of QoS 1 are acknowledged by hand; those that were not come again on the next connection.

    Attributes:
        expiry_s: how long the broker keeps it (MQTT 3.1.1 brokers have their own rule).
        receive_maximum: unacknowledged messages that we take, at most; brokers may have a smaller limit.
    """

    expiry_s: int = 7 * 86_400
    receive_maximum: int = 200


@dataclass(frozen=True, slots=True)
class Answer:
    """The broker's answer to one publication (PUBACK) or one filter of a subscription (SUBACK)."""

    mid: int
    reason: int
    words: str

    @property
    def is_refusal(self) -> bool:
        """MQTT 5.0 §2.4: reason codes from 128 are failures."""
        return self.reason >= UNSPECIFIED_ERROR

    @property
    def nobody_listens(self) -> bool:
        """Accepted, although no subscription matched."""
        return self.reason == NO_MATCHING_SUBSCRIBERS


class Connection:
    """See the module.

    Args:
        endpoint: the broker.
        client_id: unique within the broker.
        protocol: one of the two; falling back is the owner's business.
        wake: called from the network thread whenever there is something to take; must not block.
        on_message: called from the network thread with each message; must not block.
        will: topic and payload of the last will, QoS 1 and retained.
        session: one that outlives the connection; None: it ends with it.

    Attributes:
        protocol_in_doubt: after a failed `open`: "refused" when the broker names the protocol as the reason,
            "unanswered" when it closed the connection without an answer or gave none, as some 3.1.1 brokers
            do.
        callback_errors: exceptions that were kept from killing the network thread.
        receive_maximum: how many unacknowledged publications the broker takes.
        is_resumed: the broker still had the session.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        client_id: str,
        protocol: Protocol,
        wake: Callable[[], None],
        on_message: Callable[[Message], None],
        will: tuple[str, bytes] | None = None,
        session: Session | None = None,
    ) -> None:
        self._endpoint, self._client_id, self.protocol = endpoint, client_id, protocol
        self._wake, self._deliver = wake, on_message
        self.protocol_in_doubt: Literal["no", "refused", "unanswered"] = "no"
        self.callback_errors = 0
        self.receive_maximum = 65_535
        self.is_resumed = False
        self._session = session
        self._answered = threading.Event()
        self._is_open = False
        self._problem: BrokerError | None = None
        self._socket_error = ""
        self._heard_s = time.monotonic()
        self._publish_answers: deque[Answer] = deque()
        self._subscribe_answers: deque[Answer] = deque()
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=_PAHO_PROTOCOL[protocol],
            reconnect_on_failure=False,
            clean_session=session is None if protocol == "3.1.1" else None,
            manual_ack=session is not None,
        )
        client.connect_timeout = endpoint.timeout_s
        if endpoint.tls is not None:
            client.tls_set_context(endpoint.tls)
        if endpoint.credentials.username is not None:
            client.username_pw_set(endpoint.credentials.username, endpoint.credentials.password)
        if will is not None:
            client.will_set(will[0], will[1], qos=1, retain=True)
        client.on_connect = self._guarded(self._on_connect)
        client.on_disconnect = self._guarded(self._on_disconnect)
        client.on_publish = self._guarded(self._on_publish)
        client.on_subscribe = self._guarded(self._on_subscribe)
        client.on_message = self._guarded(self._on_message)
        client.on_log = self._guarded(self._on_log)
        self._client: paho.Client | None = client

    def open(self) -> None:
        """Connects, and waits for the broker's answer; at most about twice the endpoint's time-out.

        Raises:
            BrokerUnreachableError: no TCP, no TLS, or no answer.
            BrokerRefusedError: the broker says no.
        """
        client = self._client
        if client is None:
            raise self._endpoint.unreachable("this connection is closed")
        try:
            client.connect(
                self._endpoint.host,
                self._endpoint.port,
                self._endpoint.keepalive_s,
                **self._session_options(),
            )
        except (OSError, ValueError) as exc:  # ValueError: host names that IDNA cannot encode
            self.close()
            raise connect_problem(self._endpoint, exc) from exc
        client.loop_start()
        if not self._answered.wait(self._endpoint.timeout_s):
            self.protocol_in_doubt = "unanswered"
            self._problem = self._endpoint.unreachable(
                f"accepts connections, but does not answer within {self._endpoint.timeout_s:g} s",
                "is this the port of an MQTT broker?",
            )
        if not self._is_open:
            problem = self.problem or self._endpoint.unreachable("did not answer")
            self.close()
            raise problem

    def _session_options(self) -> dict[str, Any]:
        if self._session is None or self.protocol != "5":
            return {}
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = self._session.expiry_s
        properties.ReceiveMaximum = self._session.receive_maximum
        return {"clean_start": False, "properties": properties}

    @property
    def is_open(self) -> bool:
        """Whether the broker accepted the connection and it has not ended since."""
        return self._is_open

    @property
    def problem(self) -> BrokerError | None:
        """Why the connection ended or did not begin; None while nothing is known against it."""
        return self._problem

    def is_silent(self, keepalives: float) -> bool:
        """Whether no packet came for so many keep-alives; after one without traffic paho sends a ping."""
        client = self._client
        # An MQTT 5 broker may have set another keep-alive than was asked for.
        keepalive_s = self._endpoint.keepalive_s if client is None else client.keepalive
        return time.monotonic() - self._heard_s > keepalives * keepalive_s

    def subscribe(self, topic: str, qos: Literal[0, 1] = 1) -> int:
        """Asks for messages; the answer comes with `take_subscribe_answers`."""
        if self._client is None:
            return 0
        _, mid = self._client.subscribe(topic, qos=qos)
        return mid or 0

    def unsubscribe(self, topic: str) -> None:
        """Gives a filter up; its answer is not waited for."""
        if self._client is not None:
            self._client.unsubscribe(topic)

    def publish(
        self, topic: str, payload: bytes, *, qos: Literal[0, 1], retain: bool, expiry_s: int | None = None
    ) -> int:
        """Sends a message; with QoS 1 the answer comes with `take_publish_answers`, under the id returned."""
        if self._client is None:
            return 0
        properties = None
        if expiry_s is not None and self.protocol == "5":
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.MessageExpiryInterval = expiry_s
        return self._client.publish(topic, payload, qos, retain, properties).mid

    def take_publish_answers(self) -> list[Answer]:
        """The PUBACKs since the last call, in the order in which they came."""
        return _take_all(self._publish_answers)

    def take_subscribe_answers(self) -> list[Answer]:
        """The SUBACKs since the last call."""
        return _take_all(self._subscribe_answers)

    def close(self) -> None:
        """Sends DISCONNECT, so that the last will is not published, and ends the network thread."""
        if self._client is not None and self._is_open:
            self._client.disconnect()
            deadline = time.monotonic() + GOODBYE_S
            while self._is_open and time.monotonic() < deadline:
                time.sleep(0.005)
        self.abort()

    def abort(self) -> None:
        """Cuts the connection without a goodbye: the broker publishes the last will."""
        client, self._client = self._client, None
        self._is_open = False
        if client is None:
            return
        sock = client.socket()
        if isinstance(sock, socket.socket):
            # The network thread may be reading through TLS: shut the socket below it, paho closes it.
            with suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
        with suppress(AttributeError):  # paho clears its thread attribute between its own check and join
            client.loop_stop()
        for name in ("on_connect", "on_disconnect", "on_publish", "on_subscribe", "on_message", "on_log"):
            setattr(client, name, None)  # no reference cycle: its sockets close here and now

    def _guarded(self, callback: Callable[..., None]) -> Callable[..., None]:
        """An exception in a callback would end paho's thread while it still calls itself connected."""

        def guarded(*args: Any) -> None:
            try:
                callback(*args)
            except Exception:
                self.callback_errors += 1
                log.exception("a callback of the connection to %s failed", self._endpoint.url)

        return guarded

    def _on_connect(self, _c: Any, _u: Any, flags: Any, reason: ReasonCode, properties: Any) -> None:
        if reason.is_failure:  # paho calls on_connect for refusals too
            if reason.value == UNSUPPORTED_PROTOCOL_VERSION:
                self.protocol_in_doubt = "refused"
            self._problem = refusal(self._endpoint, reason.value, str(reason), client_id=self._client_id)
        else:
            self.receive_maximum = getattr(properties, "ReceiveMaximum", self.receive_maximum)
            self.is_resumed = bool(flags.session_present)
            self._is_open = True
        self._answered.set()
        self._wake()

    def _on_disconnect(self, _c: Any, _u: Any, flags: Any, reason: ReasonCode, _p: Any) -> None:
        if self._problem is None and flags.is_disconnect_packet_from_server:
            self._problem = refusal(self._endpoint, reason.value, str(reason), client_id=self._client_id)
        elif self._problem is None and not self._answered.is_set():
            self.protocol_in_doubt = "unanswered"
            said = f": {self._socket_error}" if self._socket_error else ""
            self._problem = self._endpoint.unreachable(
                f"closed the connection without an answer{said}",
                "a TLS port wants mqtts://; it may also ask for a client certificate (mqtt.client_cert)",
            )
        elif self._problem is None and reason.is_failure:
            self._problem = self._endpoint.unreachable(
                "the connection broke",
                "roomtone connects again; if this repeats: is there a second device of this name?",
            )
        self._is_open = False
        self._answered.set()
        self._wake()

    def _on_publish(self, _c: Any, _u: Any, mid: int, reason: ReasonCode, _p: Any) -> None:
        self._publish_answers.append(Answer(mid, reason.value, str(reason)))
        self._wake()

    def _on_subscribe(self, _c: Any, _u: Any, mid: int, reasons: list[ReasonCode], _p: Any) -> None:
        self._subscribe_answers.extend(Answer(mid, reason.value, str(reason)) for reason in reasons)
        self._wake()

    def _on_message(self, _c: Any, _u: Any, message: paho.MQTTMessage) -> None:
        acknowledge = _nothing
        if self._session is not None and message.qos:
            acknowledge = partial(self._acknowledge, message.mid, message.qos)
        self._deliver(
            Message(message.topic, bytes(message.payload), message.retain, message.qos, acknowledge)
        )

    def _acknowledge(self, mid: int, qos: int) -> None:
        client = self._client
        if client is not None:
            client.ack(mid, qos)

    def _on_log(self, _c: Any, _u: Any, level: int, text: str) -> None:
        # paho has no callback for PINGRESP; its log has a line "Received …" for every packet.
        if text.startswith("Received "):
            self._heard_s = time.monotonic()
        elif level == paho.MQTT_LOG_ERR:
            self._socket_error = text.removeprefix("failed to receive on socket: ")


def _take_all(answers: deque[Answer]) -> list[Answer]:
    taken = []
    with suppress(IndexError):
        while True:
            taken.append(answers.popleft())
    return taken
