"""The published contract: what travels on each leaf, who sends it, and the JSON Schemas of the payloads.

Topics, QoS and retain flags are in `topics.py`, keys and ranges in `payloads.py`; this module says which
of them go together. `asyncapi.py` writes the same down for other people's tools, `contract_files.py` puts
both into files.

    TRAFFIC[Leaf.STATE].content             # EmotionEvent
    json_schemas()["roomtone-emotion/1"]    # {"$schema": …, "properties": …}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Literal, get_args

from edge_runtime.publishing.flat import FlatPayload
from edge_runtime.publishing.payloads import (
    PAYLOADS,
    EmotionEvent,
    EpisodeEvent,
    Info,
    Request,
    Response,
    Stats,
)
from edge_runtime.publishing.topics import COMMANDS, ROLES, Leaf
from edge_runtime.timetable import ACTIVITIES

Party = Literal["device", "admin"]
VIEWS: Final[tuple[Party, ...]] = get_args(Party)


@dataclass(frozen=True, slots=True)
class Words:
    """A payload that is one plain word of a list.

    Attributes:
        name: of the message, a noun.
        words: all that may be sent.
    """

    name: str
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A topic level behind the leaf: its name and its values."""

    name: str
    description: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Traffic:
    """What travels on one leaf.

    Attributes:
        content: the payload class, or the plain words.
        sender: who publishes it; the other one reads.
        summary: one sentence.
        parameter: the level behind the leaf, where there is one.
        answered_on: where the reader answers, under the same `transaction`.
    """

    content: type[FlatPayload] | Words
    sender: Party
    summary: str
    parameter: Parameter | None = None
    answered_on: Leaf | None = None


_PRESENCE: Final = Words("Presence", ("online", "offline"))
_PART: Final = Words("Part", ("online", "offline", "disabled"))
_SHUTTER: Final = Words("Shutter", ("ON", "OFF"))
_ACTIVITY: Final = Words("Activity", (*ACTIVITIES, "none"))
ACTIVITY_OR_AUTO: Final = Words("ActivityOrAuto", (*ACTIVITIES, "auto"))
_COMMAND: Final = Parameter("command", "what is asked", COMMANDS)

TRAFFIC: Final[Mapping[Leaf, Traffic]] = MappingProxyType(
    {
        Leaf.AVAILABILITY: Traffic(
            _PRESENCE, "device", "Whether the device is there; `offline` is also its last will."
        ),
        Leaf.INFO: Traffic(Info, "device", "What runs on the device, why, and under which privacy policy."),
        Leaf.EMOTION: Traffic(EmotionEvent, "device", "Every window, through the outbox, oldest first."),
        Leaf.EPISODE: Traffic(
            EpisodeEvent, "device", "Beginning, changes and end of what lasts, through the outbox."
        ),
        Leaf.STATE: Traffic(
            EmotionEvent, "device", "The latest window; expires after three windows (MQTT 5)."
        ),
        Leaf.STATS: Traffic(Stats, "device", "The device's own health, once a minute by default."),
        Leaf.STATUS: Traffic(
            _PART,
            "device",
            "How one part of the device is.",
            Parameter("role", "part of the device", ROLES),
        ),
        Leaf.ENABLED_SET: Traffic(_SHUTTER, "admin", "Opens (`ON`) or closes (`OFF`) the privacy shutter."),
        Leaf.ENABLED_STATE: Traffic(_SHUTTER, "device", "Whether the privacy shutter is open."),
        Leaf.CONTEXT_SET: Traffic(
            ACTIVITY_OR_AUTO, "admin", "What the room does now; `auto` goes back to the timetable."
        ),
        Leaf.CONTEXT_STATE: Traffic(_ACTIVITY, "device", "The activity in force, or `none`."),
        Leaf.REQUEST: Traffic(Request, "admin", "Asks something of the device.", _COMMAND, Leaf.RESPONSE),
        Leaf.RESPONSE: Traffic(Response, "device", "What the device answers to a request.", _COMMAND),
    }
)


def schema_name(payload: type[FlatPayload]) -> str:
    """The short name of a payload: `emotion` of `roomtone-emotion/1`."""
    return payload.SCHEMA_ID.removeprefix("roomtone-").partition("/")[0]


def json_schemas() -> dict[str, dict[str, Any]]:
    """Schema id → JSON Schema (2020-12) of the wire form, for each payload class."""
    return {payload.SCHEMA_ID: payload.json_schema() for payload in PAYLOADS}


def find_schema(name: str) -> dict[str, Any]:
    """The JSON Schema of one payload.

    Args:
        name: short (`emotion`) or the schema id (`roomtone-emotion/1`).

    Raises:
        KeyError: there is none of this name; the message lists those that there are.
    """
    for payload in PAYLOADS:
        if name in (schema_name(payload), payload.SCHEMA_ID):
            return payload.json_schema()
    raise KeyError(f"no payload is called {name}; there are {', '.join(map(schema_name, PAYLOADS))}")
