"""Thousands of MQTT connections in one thread: one selector over the sockets of many paho clients.

A thread for each device, as the real publisher has one, would cost a fleet of a thousand more than its messages.
So paho is used without its own loop: the selector says which socket has something to read or takes something to
write, and a round of `loop_misc` keeps the connections alive. A connection that is lost is made again after a
pause; meanwhile paho keeps what was published at QoS 1 and sends it afterwards, as an outbox does.
"""

from __future__ import annotations

import logging
import random
import resource
import selectors
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge_runtime.publishing.endpoint import Endpoint, connect_problem
from edge_runtime.simulated_fleet.device import Outgoing

log = logging.getLogger(__name__)

MISC_EVERY_S: Final = 2.0
RETRY_S: Final = 2.0
MOST_QUEUED: Final = 2000  # messages of one device while its broker is away
SPARE_FILES: Final = 64


class Link:
    """One device's connection.

    Args:
        fleet: that it belongs to.
        client_id: unique within the broker.
        will: last will.
        subscriptions: topics of commands.
        on_open: called on every connection.
        on_command: called with topic and payload.

    Attributes:
        is_open: the broker accepted it.
        unacknowledged: messages of QoS 1 that the broker has not answered.
        is_wanted: it is to be connected; a device that is to break off is not.
    """

    def __init__(
        self,
        fleet: FleetConnections,
        client_id: str,
        will: Outgoing,
        subscriptions: list[str],
        *,
        on_open: Callable[[], None],
        on_command: Callable[[str, bytes], None],
    ) -> None:
        self._fleet, self._subscriptions, self._on_open = fleet, subscriptions, on_open
        self.is_open = False
        self.is_wanted = True
        self.unacknowledged: set[int] = set()
        self._retry_at_s = 0.0
        endpoint = fleet.endpoint
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=paho.MQTTv5,
            reconnect_on_failure=False,
        )
        client.connect_timeout = endpoint.timeout_s
        client.max_queued_messages_set(MOST_QUEUED)
        client.max_inflight_messages_set(20)
        if endpoint.tls is not None:
            client.tls_set_context(endpoint.tls)
        if endpoint.credentials.username is not None:
            client.username_pw_set(endpoint.credentials.username, endpoint.credentials.password)
        client.will_set(will.topic, will.payload, will.qos, will.retain)
        client.on_connect = self._connected
        client.on_disconnect = self._disconnected
        client.on_publish = self._acknowledged
        # A retained command would be obeyed again on every connection.
        client.on_message = lambda _c, _u, m: None if m.retain else on_command(m.topic, bytes(m.payload))
        client.on_socket_open = lambda _c, _u, sock: fleet.watch(sock, self)
        client.on_socket_close = lambda _c, _u, sock: fleet.unwatch(sock)
        client.on_socket_register_write = lambda _c, _u, sock: fleet.watch(sock, self, writes=True)
        client.on_socket_unregister_write = lambda _c, _u, sock: fleet.watch(sock, self)
        self.client = client

    def publish(self, message: Outgoing) -> None:
        """Sends, or keeps until there is a connection what is of QoS 1."""
        if message.qos == 0 and not self.is_open:
            return
        properties = None
        if message.expiry_s is not None:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.MessageExpiryInterval = message.expiry_s
        sent = self.client.publish(message.topic, message.payload, message.qos, message.retain, properties)
        if message.qos and sent.rc != paho.MQTT_ERR_QUEUE_SIZE:
            self.unacknowledged.add(sent.mid)

    def look_after(self, now_s: float) -> None:
        """Connects when it is time to, and keeps the connection alive."""
        if self.client.socket() is not None:
            self.client.loop_misc()
        elif self.is_wanted and now_s >= self._retry_at_s:
            self._retry_at_s = now_s + RETRY_S * random.uniform(1, 2)  # noqa: S311 - no secret
            endpoint = self._fleet.endpoint
            try:
                self.client.connect(endpoint.host, endpoint.port, endpoint.keepalive_s, clean_start=True)
            except (OSError, ValueError) as exc:
                self._fleet.note(str(connect_problem(endpoint, exc)))

    def break_off(self) -> None:
        """Cuts the connection as a power cut does: the broker publishes the last will."""
        self.is_wanted = False
        sock = self.client.socket()
        if isinstance(sock, socket.socket):
            with suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)  # below TLS

    def leave(self) -> None:
        """Says DISCONNECT."""
        self.is_wanted = False
        if self.is_open:
            self.client.disconnect()

    def _connected(self, _c: Any, _u: Any, _flags: Any, reason: Any, _p: Any) -> None:
        if reason.is_failure:
            self._fleet.note(f"broker {self._fleet.endpoint.url} refuses a device: {str(reason).lower()}")
            return
        self.is_open = True
        if self._subscriptions:
            self.client.subscribe([(topic, 1) for topic in self._subscriptions])
        self._on_open()

    def _disconnected(self, *_: Any) -> None:
        self.is_open = False

    def _acknowledged(self, _c: Any, _u: Any, mid: int, _reason: Any, _p: Any) -> None:
        self.unacknowledged.discard(mid)


class FleetConnections:
    """All of them; a context manager that closes the sockets.

    Args:
        endpoint: the broker.
        connect_rate_hz: new connections a second, at most.

    Attributes:
        links: that were made.
        problem: the latest trouble with the broker, in a sentence; empty at first.
    """

    def __init__(self, endpoint: Endpoint, *, connect_rate_hz: float = 200.0) -> None:
        self.endpoint, self._connect_rate_hz = endpoint, connect_rate_hz
        self.links: list[Link] = []
        self.problem = ""
        self._selector = selectors.DefaultSelector()
        self._next = 0
        self._credit = 0.0
        self._last_s = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def add(self, *args: Any, **options: Any) -> Link:
        """Makes a `Link` of this fleet; it connects when `turn` comes to it."""
        link = Link(self, *args, **options)
        self.links.append(link)
        return link

    def turn(self, timeout_s: float) -> None:
        """Waits for sockets, serves those that are ready, and looks after some connections."""
        for key, events in self._selector.select(max(0.0, timeout_s)):
            link: Link = key.data
            if events & selectors.EVENT_READ:
                link.client.loop_read(16)
            if events & selectors.EVENT_WRITE:
                link.client.loop_write()
        now_s = time.monotonic()
        rate_hz = max(self._connect_rate_hz, len(self.links) / MISC_EVERY_S)
        self._credit = min(self._credit + (now_s - self._last_s) * rate_hz, rate_hz / 10 + 1)
        self._last_s = now_s
        while self._credit >= 1 and self.links:
            self._credit -= 1
            self._next = (self._next + 1) % len(self.links)
            self.links[self._next].look_after(now_s)

    def watch(self, sock: Any, link: Link, *, writes: bool = False) -> None:
        """A socket is open; `writes`: it has something to send."""
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if writes else 0)
        if sock in self._selector.get_map():
            self._selector.modify(sock, events, link)
        else:
            self._selector.register(sock, events, link)

    def unwatch(self, sock: Any) -> None:
        """A socket is closed."""
        with suppress(KeyError, ValueError):
            self._selector.unregister(sock)

    def note(self, problem: str) -> None:
        """Remembers trouble with the broker, and says it once."""
        if problem != self.problem:
            self.problem = problem
            log.warning("%s", problem)

    def close(self) -> None:
        """Closes what is still open."""
        for link in self.links:
            if (sock := link.client.socket()) is not None:
                link.client.loop_misc()
                self.unwatch(sock)
                sock.close()
        self._selector.close()


def allow_files(count: int) -> bool:
    """Raises this process's limit of open files, as far as it may.

    Returns:
        Whether so many connections are possible.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + SPARE_FILES
    if soft < wanted and soft < hard:
        soft = min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return soft >= wanted
