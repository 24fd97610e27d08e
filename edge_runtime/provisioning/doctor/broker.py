"""The way to the broker, step by step: name, connection, TLS, password, rights, and whether anybody listens.

It leaves no trace. What is published to try the rights is not retained and expires after a second, so nothing that is
kept changes; and it is empty, which every reader takes for nothing, but for `availability`, where nothing would mean
that the device is gone: there it repeats what is known. The client has a name of its own, so that a running roomtone
keeps its session.
"""

from __future__ import annotations

import ipaddress
import secrets
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

from edge_runtime.config import Config
from edge_runtime.outlet import device_name, outbox_path
from edge_runtime.provisioning.doctor.check import Check, Finding, fail, ok, skipped, warn
from edge_runtime.publishing.client import OFFLINE, ONLINE
from edge_runtime.publishing.connection import Answer, Connection, Message
from edge_runtime.publishing.credentials import load_credentials
from edge_runtime.publishing.endpoint import Endpoint, connect_problem, topic_refusal
from edge_runtime.publishing.fallback import ProtocolChoice, connect
from edge_runtime.publishing.outbox_snapshot import is_held
from edge_runtime.publishing.topics import COMMANDS, ROLES, Leaf, Topics

_ANSWER_S: Final = 5.0  # for a PUBACK or SUBACK
_RETAINED_S: Final = 0.5  # retained messages follow the SUBACK at once
_RENEW_WITHIN_DAYS: Final = 14


class BrokerExamination:
    """The checks of one broker; they share its endpoint and connection, and are done in order.

    Args:
        config: names the broker and the device's topics.
        environ: where user and password are looked for; the process's own environment when None.
    """

    def __init__(self, config: Config, environ: Mapping[str, str] | None = None) -> None:
        self._config, self._environ = config, environ
        self._topics = Topics(config.device.site, config.device.room, config.device.device)
        self._endpoint_: Endpoint | None = None
        self._connection_: Connection | None = None
        self._wake = threading.Event()
        self._messages: list[Message] = []
        self._is_online = is_held(outbox_path(config))

    def checks(self) -> list[Check]:
        """All of them; one that is skipped where no broker is configured."""
        if self._config.mqtt.url is None:
            return [
                Check("broker", "broker", lambda: skipped("none configured", "set mqtt.url, or --broker URL"))
            ]
        wait_s = 4 * self._config.mqtt.connect_timeout_s  # TCP and answer, in both versions of the protocol
        return [
            Check("credentials", "credentials", self.credentials),
            Check("dns", "name", self.name, needs=("credentials",)),
            Check("tcp", "connection", self.tcp, needs=("dns",), limit_s=wait_s + 5),
            Check("tls", "TLS", self.tls, needs=("tcp",), limit_s=wait_s + 5),
            Check("mqtt", "broker", self.mqtt, needs=("tcp", "tls"), limit_s=wait_s + 5),
            Check("name_free", "device name", self.name_free, needs=("mqtt",)),
            Check("publish", "rights to publish", lambda: list(self.publish()), needs=("mqtt",)),
            Check("subscribe", "rights to subscribe", lambda: list(self.subscribe()), needs=("mqtt",)),
            Check("listeners", "listeners", self.listeners, needs=("mqtt", "publish")),
            Check("home_assistant", "Home Assistant", self.home_assistant, needs=("mqtt",)),
        ]

    def close(self) -> None:
        """Says goodbye."""
        if self._connection_ is not None:
            self._connection_.close()

    @property
    def _endpoint(self) -> Endpoint:
        if self._endpoint_ is None:
            login = load_credentials(self._environ, device=device_name(self._config.device))
            self._endpoint_ = Endpoint.from_section(self._config.mqtt, login)
        return self._endpoint_

    @property
    def _connection(self) -> Connection:
        if self._connection_ is None:
            raise RuntimeError("there is no connection yet")
        return self._connection_

    def credentials(self) -> Finding:
        """Whether user, password and certificate files can be read; raises what is wrong with them."""
        given = self._endpoint.credentials
        parts = [f"user {given.username}" if given.username else "no user name"]
        parts += ["with a password"] if given.password else []
        parts += ["a certificate of this device"] if self._config.mqtt.client_cert is not None else []
        return ok(", ".join(parts))

    def name(self) -> Finding:
        """Looks up the broker's name."""
        host = self._endpoint.host
        try:
            ipaddress.ip_address(host)
        except ValueError:
            began_s = time.monotonic()
            try:
                found = socket.getaddrinfo(host, self._endpoint.port, type=socket.SOCK_STREAM)
            except (OSError, UnicodeError) as exc:
                raise connect_problem(self._endpoint, exc) from exc
            addresses = sorted({str(item[4][0]) for item in found})
            took_ms = round((time.monotonic() - began_s) * 1e3)
            return ok(f"{host} is {', '.join(addresses)} ({took_ms} ms)", addresses=" ".join(addresses))
        return ok(f"{host} is an address, no name to look up", addresses=host)

    def tcp(self) -> Finding:
        """Connects, and hangs up."""
        began_s = time.monotonic()
        with self._connected():
            took_ms = round((time.monotonic() - began_s) * 1e3)
        where = f"{self._endpoint.host}:{self._endpoint.port}"
        return ok(f"{where} accepts connections ({took_ms} ms)", connect_ms=took_ms)

    def _connected(self) -> socket.socket:
        end = self._endpoint
        try:
            return socket.create_connection((end.host, end.port), timeout=end.timeout_s)
        except OSError as exc:
            raise connect_problem(end, exc) from exc

    def tls(self) -> Finding:
        """Shakes hands, and looks at the broker's certificate."""
        context, host = self._endpoint.tls, self._endpoint.host
        if context is None:
            hint = "" if _is_loopback(host) else "mqtts:// keeps passwords and readings from others' eyes"
            return skipped("not used: mqtt://", hint)
        plain = self._connected()
        try:
            with context.wrap_socket(plain, server_hostname=host) as secured:
                version, certificate = secured.version() or "TLS", secured.getpeercert() or {}
        except (OSError, ssl.SSLError) as exc:
            raise connect_problem(self._endpoint, exc) from exc
        finally:
            plain.close()
        ends = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate["notAfter"])), UTC)
        days = (ends - datetime.now(UTC)).days
        what = f"{version}; the broker's certificate is for {host} and counts until {ends:%Y-%m-%d}"
        if days < _RENEW_WITHIN_DAYS:
            return warn(
                what, f"the broker's certificate ends in {days} days: renew it", tls=version, days_left=days
            )
        return ok(what, tls=version, days_left=days)

    def mqtt(self) -> Finding:
        """Connects with user and password; falls back to MQTT 3.1.1 as the runtime does."""
        began_s = time.monotonic()
        self._connection_ = connect(
            self._endpoint,
            ProtocolChoice(self._config.mqtt.protocol),
            client_id=f"roomtone-doctor-{secrets.token_hex(4)}",
            wake=self._wake.set,
            on_message=self._messages.append,
        )
        took_ms = round((time.monotonic() - began_s) * 1e3)
        protocol = self._connection.protocol
        poorer = "" if protocol == "5" else "; refused topics and missing listeners stay unseen with it"
        return ok(f"lets this device in, MQTT {protocol} ({took_ms} ms){poorer}", protocol=protocol)

    def publish(self) -> Iterator[Finding]:
        """Tries every topic that this device publishes to."""
        topics = published_topics(self._topics)
        if self._connection.protocol != "5":
            yield skipped("MQTT 3.1.1 does not tell whether a message was refused")
            return
        answers = self._ask_to_publish(topics)
        refused = [(topic, answer) for topic, answer in answers.items() if answer.is_refusal]
        silent = [topic for topic in topics if topic not in answers]
        for topic, answer in refused:
            error = topic_refusal(self._endpoint, "publish", topic, answer.words)
            yield fail(error.problem, error.hint, topic=topic, reason=answer.reason)
        if silent:
            yield fail(f"no answer for {', '.join(silent)}", "is the broker overloaded? Try again")
        if not refused and not silent:
            yield ok(f"all {len(topics)} topics under {self._topics.base}", topics=len(topics))

    def subscribe(self) -> Iterator[Finding]:
        """Tries every topic that this device takes commands from."""
        topics = command_topics(self._topics)
        answers = self._ask_to_subscribe(topics)
        refused = [(topic, answer) for topic, answer in answers.items() if answer.is_refusal]
        for topic, answer in refused:
            error = topic_refusal(self._endpoint, "subscribe to", topic, answer.words)
            yield fail(error.problem, error.hint, topic=topic, reason=answer.reason)
        silent = [topic for topic in topics if topic not in answers]
        if silent:
            yield fail(f"no answer for {', '.join(silent)}", "is the broker overloaded? Try again")
        if not refused and not silent:
            yield ok(", ".join(topic.removeprefix(f"{self._topics.base}/") for topic in topics))

    def listeners(self) -> Finding:
        """Whether anybody has subscribed to the events (MQTT 5.0 §3.4.2.1, reason code 16)."""
        if self._connection.protocol != "5":
            return skipped("MQTT 3.1.1 does not tell")
        topic = self._topics.emotion
        answer = self._ask_to_publish([topic]).get(topic)
        if answer is None:
            return fail("the broker gave no answer", "is the broker overloaded? Try again")
        if answer.nobody_listens:
            return warn(
                f"nobody subscribes to {topic}: the broker takes the events and throws them away",
                "start the dashboard or the collector, or look at its topic filter and its rights",
            )
        return ok("somebody subscribes to the events")

    def name_free(self) -> Finding:
        """Whether another device publishes under this one's name: two of them throw each other out."""
        topic = self._topics.availability
        if (answer := self._ask_to_subscribe([topic]).get(topic)) is None or answer.is_refusal:
            return skipped(f"this device may not read {topic}")
        word = self._retained(topic)
        self._is_online = word == "online" or is_held(outbox_path(self._config))
        if is_held(outbox_path(self._config)):
            return ok("used by the roomtone that runs here", availability=word or "unknown")
        if word == "online":
            return warn(
                f"somebody is online as {self._topics.base}, and no roomtone runs here",
                "give each device a name of its own ([device] site, room, device); "
                "a device that lost its power is taken for online until the broker notices",
                availability=word,
            )
        return ok(f"{self._topics.base} is free", availability=word or "unknown")

    def home_assistant(self) -> Finding:
        """Looks for Home Assistant's birth message, or for somebody who listens to discovery."""
        discovery = self._config.discovery
        status = f"{discovery.prefix}/status"
        answer = self._ask_to_subscribe([status]).get(status)
        word = None if answer is None or answer.is_refusal else self._retained(status)
        if word is not None:
            return ok(f"seen: {status} says {word}", status=word)
        if self._connection.protocol == "5":
            # A device that does not exist, so that an empty configuration takes nothing away.
            probe = f"{discovery.prefix}/device/roomtone-doctor-{secrets.token_hex(4)}/config"
            heard = self._ask_to_publish([probe]).get(probe)
            if heard is not None and not heard.is_refusal and not heard.nobody_listens:
                return ok(f"somebody listens to {discovery.prefix}/…/config", status="listens")
        what = "no sign of it on this broker (its birth message is not retained unless it is told to)"
        if discovery.enabled:
            return warn(what, f"does Home Assistant use this broker, and the prefix {discovery.prefix}?")
        return skipped(what, "only needed where Home Assistant shows the rooms: [discovery] enabled = true")

    def _retained(self, topic: str) -> str | None:
        """The retained value that follows a subscription, None when there is none or it is no text."""
        deadline_s = time.monotonic() + _RETAINED_S
        while time.monotonic() < deadline_s:
            for message in list(self._messages):
                if message.topic == topic:
                    return message.payload.decode("utf-8", "replace")[:40] or None
            time.sleep(0.02)
        return None

    def _ask_to_publish(self, topics: list[str]) -> dict[str, Answer]:
        asked = {
            self._connection.publish(topic, self._harmless(topic), qos=1, retain=False, expiry_s=1): topic
            for topic in topics
        }
        return self._collect(asked, self._connection.take_publish_answers)

    def _harmless(self, topic: str) -> bytes:
        """What changes nothing for whoever reads the topic."""
        if topic != self._topics.availability:
            return b""
        return ONLINE if self._is_online else OFFLINE

    def _ask_to_subscribe(self, topics: list[str]) -> dict[str, Answer]:
        asked = {self._connection.subscribe(topic): topic for topic in topics}
        return self._collect(asked, self._connection.take_subscribe_answers)

    def _collect(self, asked: dict[int, str], take: Callable[[], list[Answer]]) -> dict[str, Answer]:
        """The answers by topic, as far as they come in time."""
        answers: dict[str, Answer] = {}
        deadline_s = time.monotonic() + _ANSWER_S
        while len(answers) < len(asked) and self._connection.is_open:
            self._wake.clear()
            answers |= {asked[answer.mid]: answer for answer in take() if answer.mid in asked}
            if len(answers) < len(asked) and not self._wake.wait(max(0.0, deadline_s - time.monotonic())):
                break
        return answers


def published_topics(topics: Topics) -> list[str]:
    """Every topic that a device publishes to."""
    found = []
    for leaf in Leaf:
        if leaf is Leaf.STATUS:
            found += [topics.status(role) for role in ROLES]
        elif leaf is Leaf.RESPONSE:
            found += [topics.response(command) for command in COMMANDS]
        elif not _is_command(leaf):
            found.append(f"{topics.base}/{leaf}")
    return found


def command_topics(topics: Topics) -> list[str]:
    """Every topic that a device subscribes to."""
    found = [f"{topics.base}/{leaf}" for leaf in Leaf if _is_command(leaf) and leaf is not Leaf.REQUEST]
    return [*found, *(topics.request(command) for command in COMMANDS)]


def _is_command(leaf: Leaf) -> bool:
    return leaf is Leaf.REQUEST or leaf.endswith("/set")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
