"""What a broker still keeps of a device that is gone, and how it is cleared.

A broker keeps retained messages for ever: a camera that was taken down, renamed or moved to another room goes
on being shown, in Home Assistant too. An empty retained message ends that.

    with BrokerMemory(endpoint, "auto") as memory:
        left = memory.of_device("r12/camera-1", prefix="homeassistant")
        memory.clear(left)
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Final, Literal, Self

from edge_runtime.errors import AmbiguousDeviceError, BrokerError, UnknownDeviceError
from edge_runtime.publishing.connection import Answer, Connection, Message
from edge_runtime.publishing.discovery import discovery_topic
from edge_runtime.publishing.endpoint import Endpoint, topic_refusal
from edge_runtime.publishing.fallback import ProtocolChoice, connect
from edge_runtime.publishing.topics import ALERT_LEVEL, ROOT, Topics

QUIET_S: Final = 0.5  # a broker sends what it retains at once; after so long without more it has sent all
ROUNDS: Final = 3  # a device that is online says some of it again


@dataclass(frozen=True, slots=True)
class Remains:
    """What is retained of one device.

    Attributes:
        device: whose it is.
        retained: topic → payload.
    """

    device: Topics
    retained: dict[str, bytes]

    @property
    def is_online(self) -> bool:
        """Whether it says so itself; a device that was cut off has its last will said for it."""
        return self.retained.get(self.device.availability) == b"online"


class BrokerMemory:
    """A connection that looks at retained messages; a context manager that opens and closes it.

    Args:
        endpoint: the broker; its user must be allowed to read and write all of the device's topics.
        protocol: as `mqtt.protocol` of the configuration.

    Raises (on entry):
        BrokerError: there is no connection.
    """

    def __init__(self, endpoint: Endpoint, protocol: Literal["auto", "5", "3.1.1"]) -> None:
        self._endpoint, self._choice = endpoint, ProtocolChoice(protocol)
        self._messages: deque[Message] = deque()
        self._wake = threading.Event()

    def __enter__(self) -> Self:
        self._connection: Connection = connect(
            self._endpoint,
            self._choice,
            client_id=f"roomtone-forget-{secrets.token_hex(4)}",
            wake=self._wake.set,
            on_message=self._on_message,
        )
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._connection.close()

    def of_device(self, name: str, *, prefix: str) -> Remains:
        """What is retained of a device, its description for Home Assistant and its alerts included.

        Args:
            name: `site/room/device`, or as much of its end as is clear without the rest.
            prefix: Home Assistant's discovery prefix.

        Raises:
            ValueError: not such a name.
            UnknownDeviceError: nothing is retained.
            AmbiguousDeviceError: several devices are called so.
            BrokerError: the broker refuses or goes away.
        """
        given = name.split("/")
        if len(given) > 3:
            raise ValueError(f"{name} is not site/room/device")
        Topics(*["x"] * (3 - len(given)), *given)  # checks each level
        levels = ["+"] * (3 - len(given)) + given
        found: dict[Topics, dict[str, bytes]] = {}
        for message in self._retained(f"{ROOT}/{'/'.join(levels)}/#"):
            place = message.topic.removeprefix(f"{ROOT}/").split("/")[:3]
            if place[0] != ALERT_LEVEL:
                found.setdefault(Topics(*place), {})[message.topic] = message.payload
        if len(found) > 1:
            raise AmbiguousDeviceError(
                self._endpoint.url, name, sorted(device.base.removeprefix(f"{ROOT}/") for device in found)
            )
        if not found and len(given) == 3:
            found[Topics(*given)] = {}  # only the description may be left
        for device, retained in found.items():
            alerts = f"{ROOT}/{ALERT_LEVEL}/{device.base.removeprefix(f'{ROOT}/')}/+"
            for pattern in (discovery_topic(device, prefix), alerts):
                retained |= {message.topic: message.payload for message in self._retained(pattern)}
            if retained:
                return Remains(device, retained)
        raise UnknownDeviceError(self._endpoint.url, name)

    def clear(self, remains: Remains) -> dict[str, bytes]:
        """Clears it, and looks whether it is gone.

        Returns:
            What is there all the same, since the device said it again meanwhile; mostly nothing.

        Raises:
            BrokerError: the broker refuses or goes away.
        """
        left = dict(remains.retained)
        for _ in range(ROUNDS):
            for topic in left:
                self._publish_nothing(topic)
            left = {
                message.topic: message.payload
                for topic in left
                for message in self._retained(topic, quiet_s=0.1)
            }
            if not left:
                break
        return left

    def _retained(self, pattern: str, quiet_s: float = QUIET_S) -> list[Message]:
        """Subscribes, and takes what the broker had kept for this filter."""
        self._messages.clear()
        self._answered("read", pattern, self._connection.subscribe(pattern))
        retained: dict[str, Message] = {}
        heard_s = time.monotonic()
        while time.monotonic() - heard_s < quiet_s:
            self._wake.wait(quiet_s)
            self._wake.clear()
            while self._messages:
                message = self._messages.popleft()
                heard_s = time.monotonic()
                if message.is_retained and message.payload:
                    retained[message.topic] = message
        return list(retained.values())

    def _publish_nothing(self, topic: str) -> None:
        self._answered("clear", topic, self._connection.publish(topic, b"", qos=1, retain=True))

    def _answered(self, verb: str, topic: str, mid: int) -> None:
        """Waits for the broker's answer to a publication or subscription.

        Raises:
            BrokerError: it says no, or nothing.
        """
        deadline_s = time.monotonic() + self._endpoint.timeout_s
        while time.monotonic() < deadline_s and self._connection.is_open:
            for answer in self._take_answers():
                if answer.mid == mid:
                    if answer.is_refusal:
                        raise topic_refusal(self._endpoint, verb, topic, answer.words)
                    return
            self._wake.wait(0.05)
            self._wake.clear()
        raise self._connection.problem or BrokerError(
            self._endpoint.url, f"gave no answer within {self._endpoint.timeout_s:g} s", hint="try again"
        )

    def _take_answers(self) -> list[Answer]:
        return [*self._connection.take_subscribe_answers(), *self._connection.take_publish_answers()]

    def _on_message(self, message: Message) -> None:
        self._messages.append(message)
        self._wake.set()
