"""The devices of a broker: who is there, what they run, and their answers."""

from __future__ import annotations

import fnmatch
import time
from dataclasses import dataclass
from typing import Final, Self

from edge_runtime.config import MqttSection
from edge_runtime.publishing.credentials import Credentials
from edge_runtime.publishing.endpoint import Endpoint
from edge_runtime.publishing.flat import encode
from edge_runtime.publishing.payloads import Info, Request, Response
from edge_runtime.publishing.subscription import Subscription
from edge_runtime.publishing.topics import Command, Leaf, Topics, watch_pattern

MAX_DEVICES: Final = 10_000  # a stranger may invent devices
_LEAVES: Final = (Leaf.AVAILABILITY, Leaf.INFO, Leaf.RESPONSE)


@dataclass(slots=True)
class Presence:
    """What is known of one device.

    Attributes:
        topics: its own.
        is_online: by its availability.
        bundle: NAME@VERSION that its `info` names; empty before it came.
    """

    topics: Topics
    is_online: bool = False
    bundle: str = ""


class FleetLink:
    """A connection to the broker. Context manager: entering connects.

    Args:
        mqtt: the broker.
        credentials: user and password.
        devices: shell pattern of `<site>/<room>/<device>`; others are not seen.

    Raises (on entry):
        BrokerError: there is no connection.
    """

    def __init__(self, mqtt: MqttSection, credentials: Credentials, devices: str = "*") -> None:
        self.devices: dict[str, Presence] = {}
        self._pattern = devices
        endpoint = Endpoint.from_section(mqtt, credentials)
        patterns = [watch_pattern(leaf) for leaf in _LEAVES]
        self._subscription = Subscription(endpoint, mqtt.protocol, patterns, name="roomtone-fleet")

    def __enter__(self) -> Self:
        self._subscription.connect()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._subscription.close()

    @property
    def problem(self) -> str:
        """What is wrong with the broker; empty while all is well."""
        return str(self._subscription.problem or "")

    def discover(self, seconds: float) -> None:
        """Listens so long for who is there; what is retained comes at once."""
        deadline_s = time.monotonic() + seconds
        while (left_s := deadline_s - time.monotonic()) > 0:
            self.responses(left_s)

    def ask(self, device: str, command: Command, request: Request) -> bool:
        """Sends a request; False without a connection."""
        topics = self.devices[device].topics if device in self.devices else Topics(*device.split("/"))
        return self._subscription.publish(topics.request(command), encode(request), retain=False)

    def responses(self, timeout_s: float) -> list[tuple[str, Response]]:
        """Takes what came, or waits for something; answers with the names of their devices."""
        answers: list[tuple[str, Response]] = []
        for message in self._subscription.next_messages(timeout_s):
            address = Topics.parse(message.topic)
            if address is None:
                continue
            topics = address.topics
            name = f"{topics.site}/{topics.room}/{topics.device}"
            if not fnmatch.fnmatchcase(name, self._pattern):
                continue
            if name not in self.devices and len(self.devices) >= MAX_DEVICES:
                continue
            try:
                if address.leaf is Leaf.RESPONSE:
                    response = Response.decode(message.payload, allow_new_keys=True)
                    if (response.site, response.room, response.device) == (
                        topics.site,
                        topics.room,
                        topics.device,
                    ):
                        answers.append((name, response))
                else:
                    self._note(name, topics, address.leaf, message.payload)
            except ValueError:
                continue  # a stranger's message under our topics
        return answers

    def _note(self, name: str, topics: Topics, leaf: Leaf, payload: bytes) -> None:
        if not payload:  # cleared: the device was taken away
            self.devices.pop(name, None)
            return
        presence = self.devices.setdefault(name, Presence(topics))
        if leaf is Leaf.AVAILABILITY:
            presence.is_online = payload == b"online"
        else:
            info = Info.decode(payload, allow_new_keys=True)
            presence.bundle = f"{info.bundle_name}@{info.bundle_version}"
