"""The contract as an AsyncAPI 3 document, from which other people's tools make clients, mocks and pages.

An AsyncAPI document describes one application: what it sends and what it receives. There are two of them
here, `view="device"` and `view="admin"`, with the same channels and messages and with each operation turned
round.

    document("admin")["operations"]["receiveEmotion"]["bindings"]["mqtt"]  # {"qos": 1, "retain": False, …}

Source: AsyncAPI Specification 3.0.0; MQTT bindings 0.2.0.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from edge_runtime import __version__
from edge_runtime.publishing.contract import TRAFFIC, Party, Words
from edge_runtime.publishing.flat import FlatPayload
from edge_runtime.publishing.payloads import PAYLOADS
from edge_runtime.publishing.topics import DELIVERY, ROOT, Delivery, Leaf

ASYNCAPI_VERSION: Final = "3.0.0"
MQTT_BINDING_VERSION: Final = "0.2.0"

_TITLES: Final[dict[Party, str]] = {
    "device": "roomtone device: a room's emotional tone over MQTT",
    "admin": "roomtone, seen by dashboards and admins",
}
_DESCRIPTION: Final = (
    "Payloads are flat JSON with stable types: flags are 0 or 1, times are unix seconds, a key that has "
    "nothing to say is absent, never null. Keys may be added; a changed meaning is a new schema id. A window "
    "with fewer readable people than `min_group` is suppressed and tells its counts only. An event that is "
    "sent twice has the same `event_id`."
)
_CORRELATION: Final = "transaction"  # key by which a response belongs to its request
_LEVELS: Final = {
    "site": "school or building",
    "room": "room",
    "device": "device, unique within its room",
}
_PARAMETERS: Final = {
    **{name: {"description": text} for name, text in _LEVELS.items()},
    "prefix": {"description": "Home Assistant's discovery prefix", "default": "homeassistant"},
}


@dataclass(frozen=True, slots=True)
class _Foreign:
    """A payload in somebody else's format: its name, and the JSON Schema of as much of it as matters here."""

    name: str
    schema: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Channel:
    name: str
    address: str
    parameters: dict[str, Any]
    content: type[FlatPayload] | Words | _Foreign
    sender: Party
    summary: str
    delivery: Delivery
    answered_on: str | None = None

    @property
    def message(self) -> str:
        return self.content.__name__ if isinstance(self.content, type) else self.content.name


_DISCOVERY: Final = _Foreign(
    "HomeAssistantDevice",
    {
        "type": "object",
        "description": "Home Assistant's device discovery; its documentation has every key.",
        "required": ["dev", "o", "cmps"],
        "properties": {
            "dev": {"type": "object", "required": ["ids"]},
            "o": {"type": "object", "required": ["name"]},
            "cmps": {
                "type": "object",
                "additionalProperties": {"type": "object", "required": ["p", "unique_id"]},
            },
        },
    },
)
_BIRTH: Final = Words("HomeAssistantStatus", ("online", "offline"))


def document(view: Party) -> dict[str, Any]:
    """The AsyncAPI document of the device, or of whoever listens to it and commands it.

    Args:
        view: whose application the document describes.
    """
    channels = _channels()
    return {
        "asyncapi": ASYNCAPI_VERSION,
        "id": f"urn:roomtone:{view}",
        "info": {
            "title": _TITLES[view],
            "version": __version__,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": _servers(),
        "channels": {channel.name: _channel(channel) for channel in channels},
        "operations": dict(_operation(channel, view) for channel in channels),
        "components": {
            "parameters": _PARAMETERS,
            "messages": {channel.message: _message(channel) for channel in channels},
            "schemas": {payload.__name__: _embedded(payload) for payload in PAYLOADS},
        },
    }


def _servers() -> dict[str, Any]:
    host = {"host": {"default": "localhost", "description": "the school's broker"}}
    return {
        "plain": {"host": "{host}:1883", "protocol": "mqtt", "variables": host},
        "tls": {"host": "{host}:8883", "protocol": "secure-mqtt", "variables": host},
    }


def _channels() -> list[_Channel]:
    """Every leaf of a device, then Home Assistant's own two topics."""
    base = "/".join((ROOT, *(f"{{{level}}}" for level in _LEVELS)))
    levels = {name: {"$ref": f"#/components/parameters/{name}"} for name in _LEVELS}
    channels = []
    for leaf, traffic in TRAFFIC.items():
        address, parameters = f"{base}/{leaf}", dict[str, Any](levels)
        if (behind := traffic.parameter) is not None:
            address += f"/{{{behind.name}}}"
            parameters[behind.name] = {"description": behind.description, "enum": list(behind.values)}
        channels.append(
            _Channel(
                _camel(leaf),
                address,
                parameters,
                traffic.content,
                traffic.sender,
                traffic.summary,
                DELIVERY[leaf],
                None if traffic.answered_on is None else _camel(traffic.answered_on),
            )
        )
    prefix = {"prefix": {"$ref": "#/components/parameters/prefix"}}
    identity = {"id": {"description": "roomtone_<site>_<room>_<device>"}}
    return [
        *channels,
        _Channel(
            "discovery",
            "{prefix}/device/{id}/config",
            prefix | identity,
            _DISCOVERY,
            "device",
            "The device and its entities, for Home Assistant; when enabled.",
            Delivery(1, True),
        ),
        _Channel(
            "discoveryStatus",
            "{prefix}/status",
            prefix,
            _BIRTH,
            "admin",
            "Home Assistant's start, which asks for the description again.",
            Delivery(1, False),
        ),
    ]


def _channel(channel: _Channel) -> dict[str, Any]:
    name = channel.message
    return {
        "address": channel.address,
        "summary": channel.summary,
        "parameters": channel.parameters,
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
    }


def _operation(channel: _Channel, view: Party) -> tuple[str, dict[str, Any]]:
    name = channel.name
    action = "send" if channel.sender == view else "receive"
    operation: dict[str, Any] = {
        "action": action,
        "channel": {"$ref": f"#/channels/{name}"},
        "summary": channel.summary,
        "messages": [{"$ref": f"#/channels/{name}/messages/{channel.message}"}],
        "bindings": {
            "mqtt": {
                "qos": channel.delivery.qos,
                "retain": channel.delivery.retain,
                "bindingVersion": MQTT_BINDING_VERSION,
            }
        },
    }
    if channel.answered_on is not None:
        operation["reply"] = {"channel": {"$ref": f"#/channels/{channel.answered_on}"}}
    return f"{action}{name[0].upper()}{name[1:]}", operation


def _message(channel: _Channel) -> dict[str, Any]:
    content, name = channel.content, channel.message
    if isinstance(content, Words):
        payload = {"type": "string", "enum": list(content.words)}
        return {"name": name, "contentType": "text/plain", "payload": payload}
    if isinstance(content, _Foreign):
        return {"name": name, "payload": dict(content.schema)}
    message = {
        "name": name,
        "title": content.SCHEMA_ID,
        "summary": content.json_schema()["description"],
        "payload": {"$ref": f"#/components/schemas/{name}"},
    }
    if _CORRELATION in content.model_fields:
        message["correlationId"] = {"location": f"$message.payload#/{_CORRELATION}"}
    return message


def _embedded(payload: type[FlatPayload]) -> dict[str, Any]:
    """The JSON Schema as AsyncAPI's own dialect, draft 07, takes it; we use no keyword that only 2020-12 has."""
    return {key: rule for key, rule in payload.json_schema().items() if key not in ("$schema", "$id")}


def _camel(leaf: Leaf) -> str:
    first, *rest = re.split("[/-]", leaf)
    return first + "".join(word.capitalize() for word in rest)
