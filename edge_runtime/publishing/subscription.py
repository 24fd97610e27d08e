"""What others publish: a subscription that is made again whenever its connection is lost.

    with Subscription(endpoint, "auto", patterns, name="roomtone-watch") as subscription:
        subscription.connect()  # raises when there is no broker to begin with; or leave it to `next_messages`
        while True:
            for message in subscription.next_messages(timeout_s=0.5):
                ...

One thread calls these methods; paho's network thread only leaves messages and wakes it.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Final, Literal, Self

from edge_runtime.errors import BrokerError
from edge_runtime.publishing.connection import Answer, Connection, Message, Session
from edge_runtime.publishing.endpoint import Endpoint, topic_refusal
from edge_runtime.publishing.fallback import ProtocolChoice, connect
from edge_runtime.publishing.pacing import Backoff

RECONNECT_MIN_S: Final = 1.0
RECONNECT_MAX_S: Final = 30.0
GLANCE_S: Final = 5.0
MAX_WAITING: Final = 50_000  # messages that nobody has taken yet; a flood beyond it is dropped and counted


class Subscription:
    """See the module; a context manager that closes its connection.

    Args:
        endpoint: the broker.
        protocol: as `mqtt.protocol` of the configuration.
        patterns: filters, subscribed to on every connection.
        name: what the client id begins with; of a session, the whole of it.
        reconnect_max_s: longest pause between attempts to connect.
        session: one that outlives the connection; None: it ends with it.
        qos: 1 for who must not miss an event. 0 for who looks at the present: a broker queues QoS 1 up to a limit
            (Mosquitto: 1000), and of the retained values of more than a hundred devices it would drop the rest.
        glances: filters that are subscribed to for a moment after each connection, for what is retained there.

    Attributes:
        problem: what is wrong with the broker; None while all is well.
        dropped: messages that came faster than they were taken.
        connections: how many there were.
        is_resumed: the latest of them went on with the session of the one before.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        protocol: Literal["auto", "5", "3.1.1"],
        patterns: Sequence[str],
        *,
        name: str,
        reconnect_max_s: float = RECONNECT_MAX_S,
        session: Session | None = None,
        qos: Literal[0, 1] = 1,
        glances: Sequence[str] = (),
    ) -> None:
        self.problem: BrokerError | None = None
        self.dropped = self.connections = 0
        self.is_resumed = False
        self._endpoint, self._choice, self._patterns = endpoint, ProtocolChoice(protocol), tuple(patterns)
        self._client_id = name if session is not None else f"{name}-{secrets.token_hex(4)}"
        self._session, self._qos = session, qos
        self._glances, self._glance_until_s = tuple(glances), float("inf")
        self._messages: deque[Message] = deque()
        self._wake = threading.Event()
        self._backoff = Backoff(RECONNECT_MIN_S, reconnect_max_s)
        self._retry_at_s = 0.0
        self._connection: Connection | None = None
        self._filters: dict[int, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @property
    def is_connected(self) -> bool:
        """Whether the broker is there, as far as is known."""
        return self._connection is not None and self._connection.is_open

    def connect(self) -> None:
        """Makes a connection, in the other protocol if need be.

        Raises:
            BrokerError: there is none.
        """
        connection = connect(
            self._endpoint,
            self._choice,
            client_id=self._client_id,
            wake=self._wake.set,
            on_message=self._on_message,
            session=self._session,
        )
        self._connection, self.problem = connection, None
        self.connections, self.is_resumed = self.connections + 1, connection.is_resumed
        patterns = self._patterns + self._glances
        self._filters = {connection.subscribe(pattern, self._qos): pattern for pattern in patterns}
        self._glance_until_s = time.monotonic() + GLANCE_S

    def next_messages(self, timeout_s: float) -> list[Message]:
        """Waits for something to come, takes all of it, and looks after the connection."""
        self._wake.wait(timeout_s)
        self._wake.clear()
        taken = []
        while self._messages:
            taken.append(self._messages.popleft())
        self._look_after_connection()
        return taken

    def publish(self, topic: str, payload: bytes, *, retain: bool, expiry_s: int | None = None) -> bool:
        """Sends a message at QoS 1, and does not wait for its acknowledgement.

        Returns:
            False without a connection.
        """
        connection = self._connection
        if connection is None or not connection.is_open:
            return False
        connection.publish(topic, payload, qos=1, retain=retain, expiry_s=expiry_s)
        return True

    def reconnect(self) -> None:
        """Ends the connection and makes another with the next `next_messages`.

        In a session the broker then sends again what was not acknowledged.
        """
        self.close()
        self._messages.clear()
        self._retry_at_s = 0.0

    def wake(self) -> None:
        """Ends a wait in `next_messages`; for other threads."""
        self._wake.set()

    def close(self) -> None:
        """Ends the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _look_after_connection(self) -> None:
        connection = self._connection
        if connection is not None:
            for answer in connection.take_subscribe_answers():
                self._judge(answer)
            if time.monotonic() >= self._glance_until_s:
                self._glance_until_s = float("inf")
                for pattern in self._glances:
                    connection.unsubscribe(pattern)
            if not connection.is_open:
                self.problem = connection.problem or self._endpoint.unreachable("the connection is lost")
                self.close()
                self._retry_at_s = time.monotonic() + self._backoff.pause_s()
        elif time.monotonic() >= self._retry_at_s:
            try:
                self.connect()
            except BrokerError as problem:
                self.problem = problem
                self._retry_at_s = time.monotonic() + self._backoff.pause_s()
            else:
                self._backoff.connection_lasted(float("inf"))

    def _on_message(self, message: Message) -> None:
        if len(self._messages) >= MAX_WAITING:
            self.dropped += 1
            return
        self._messages.append(message)
        self._wake.set()

    def _judge(self, answer: Answer) -> None:
        if answer.is_refusal and answer.mid in self._filters:
            self.problem = topic_refusal(self._endpoint, "read", self._filters[answer.mid], answer.words)
