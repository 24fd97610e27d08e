"""Where each message goes: `roomtone/<site>/<room>/<device>/<leaf>`, with QoS and retain flag of every leaf.

topics = Topics("north-school", "r12", "camera-1")
topics.emotion                              # roomtone/north-school/r12/camera-1/emotion
Topics.parse(topics.status("infer"))        # Address(topics, Leaf.STATUS, "infer")
watch_pattern(Leaf.EMOTION)                 # roomtone/+/+/+/emotion
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Literal, get_args

ROOT = "roomtone"
ALERT_LEVEL = "alert"  # roomtone/alert/<site>/<room>/<device>/<rule>, from `edge_runtime.alerts`
Role = Literal["capture", "infer", "outbox"]
ROLES: tuple[Role, ...] = get_args(Role)
Command = Literal["health_check", "stats", "reload", "bundle/activate", "bundle/rollback"]
COMMANDS: tuple[Command, ...] = get_args(Command)

_IDENTIFIER = re.compile(r"[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?")


class Leaf(StrEnum):
    """What stands behind `<site>/<room>/<device>/`; a status has its role behind it, a request its command."""

    AVAILABILITY = "availability"
    INFO = "info"
    EMOTION = "emotion"
    EPISODE = "episode"
    STATE = "state"
    STATS = "stats"
    STATUS = "status"
    ENABLED_SET = "enabled/set"
    ENABLED_STATE = "enabled/state"
    CONTEXT_SET = "context/set"
    CONTEXT_STATE = "context/state"
    REQUEST = "request"
    RESPONSE = "response"


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a message travels: MQTT quality of service, and whether the broker keeps the last one."""

    qos: Literal[0, 1]
    retain: bool


DELIVERY = MappingProxyType(
    {
        Leaf.AVAILABILITY: Delivery(1, True),
        Leaf.INFO: Delivery(1, True),
        Leaf.EMOTION: Delivery(1, False),
        Leaf.EPISODE: Delivery(1, False),
        Leaf.STATE: Delivery(1, True),
        Leaf.STATS: Delivery(0, False),
        Leaf.STATUS: Delivery(1, True),
        Leaf.ENABLED_SET: Delivery(1, False),
        Leaf.ENABLED_STATE: Delivery(1, True),
        Leaf.CONTEXT_SET: Delivery(1, False),
        Leaf.CONTEXT_STATE: Delivery(1, True),
        Leaf.REQUEST: Delivery(1, False),
        Leaf.RESPONSE: Delivery(1, False),
    }
)


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one device.

    Attributes:
        site, room, device: identifiers, `[a-z0-9-]`, 1 to 64 characters.
        root: first level, or levels, of every topic.

    Raises:
        ValueError: an identifier holds something else (the configuration has checked them already).
    """

    site: str
    room: str
    device: str
    root: str = ROOT

    def __post_init__(self) -> None:
        for level in (self.site, self.room, self.device, *self.root.split("/")):
            if not _IDENTIFIER.fullmatch(level):
                raise ValueError(f"a topic level is 1 to 64 of a-z, 0-9 and inner '-', this is {level!r}")

    @property
    def base(self) -> str:
        """The levels that all of this device's topics share."""
        return f"{self.root}/{self.site}/{self.room}/{self.device}"

    @property
    def name(self) -> str:
        """site.room.device, as files, threads and log lines of this device are called."""
        return f"{self.site}.{self.room}.{self.device}"

    @property
    def availability(self) -> str:
        """`online` or `offline`; the last will speaks here."""
        return f"{self.base}/{Leaf.AVAILABILITY}"

    @property
    def info(self) -> str:
        """What runs here, and under which privacy policy."""
        return f"{self.base}/{Leaf.INFO}"

    @property
    def emotion(self) -> str:
        """Every window, through the outbox."""
        return f"{self.base}/{Leaf.EMOTION}"

    @property
    def episode(self) -> str:
        """Beginnings, changes and ends of episodes, through the outbox."""
        return f"{self.base}/{Leaf.EPISODE}"

    @property
    def state(self) -> str:
        """The latest window, retained."""
        return f"{self.base}/{Leaf.STATE}"

    @property
    def stats(self) -> str:
        """The device's own health."""
        return f"{self.base}/{Leaf.STATS}"

    @property
    def enabled_set(self) -> str:
        """Where `ON` and `OFF` for the privacy shutter come from."""
        return f"{self.base}/{Leaf.ENABLED_SET}"

    @property
    def enabled_state(self) -> str:
        """Whether the privacy shutter is open."""
        return f"{self.base}/{Leaf.ENABLED_STATE}"

    @property
    def context_set(self) -> str:
        """Where an activity, or `auto`, comes from."""
        return f"{self.base}/{Leaf.CONTEXT_SET}"

    @property
    def context_state(self) -> str:
        """The activity in force, or `none`."""
        return f"{self.base}/{Leaf.CONTEXT_STATE}"

    def status(self, role: Role) -> str:
        """`online`, `offline` or `disabled` of one part of the device."""
        return f"{self.base}/{Leaf.STATUS}/{role}"

    def request(self, command: Command) -> str:
        """Where a request for this device comes from."""
        return f"{self.base}/{Leaf.REQUEST}/{command}"

    def response(self, command: Command) -> str:
        """Where the answer to it goes."""
        return f"{self.base}/{Leaf.RESPONSE}/{command}"

    @classmethod
    def parse(cls, topic: str, root: str = ROOT) -> Address | None:
        """Says whose topic it is and which leaf, or None for a topic that is not roomtone's."""
        if not topic.startswith(f"{root}/"):
            return None
        levels = topic[len(root) + 1 :].split("/", 3)
        if len(levels) != 4 or not all(_IDENTIFIER.fullmatch(level) for level in levels[:3]):
            return None
        topics, tail = cls(levels[0], levels[1], levels[2], root), levels[3]
        leaf, _, behind = tail.partition("/")
        if leaf == Leaf.STATUS:
            role = next((known for known in ROLES if known == behind), None)
            return None if role is None else Address(topics, Leaf.STATUS, role=role)
        if leaf in (Leaf.REQUEST, Leaf.RESPONSE):
            command = next((known for known in COMMANDS if known == behind), None)
            return None if command is None else Address(topics, Leaf(leaf), command=command)
        return Address(topics, Leaf(tail)) if tail in set(Leaf) else None


@dataclass(frozen=True, slots=True)
class Address:
    """A topic taken apart; `role` is set for a status only, `command` for a request and its response."""

    topics: Topics
    leaf: Leaf
    role: Role | None = None
    command: Command | None = None


def watch_pattern(
    leaf: Leaf, *, root: str = ROOT, site: str = "+", room: str = "+", device: str = "+"
) -> str:
    """The MQTT filter for one leaf of many devices; of a status all its roles, of a request all its commands."""
    behind = {Leaf.STATUS: "/+", Leaf.REQUEST: "/#", Leaf.RESPONSE: "/#"}
    tail = f"{leaf}{behind.get(leaf, '')}"
    return f"{root}/{site}/{room}/{device}/{tail}"
