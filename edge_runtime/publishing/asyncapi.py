"""The contract as an AsyncAPI 3 document, from which other people's tools make clients, mocks and pages.

An AsyncAPI document describes one application: what it sends and what it receives. There are two of them
here, `view="device"` and `view="admin"`, with the same channels and messages and with each operation turned
round.

    document("admin")["operations"]["receiveEmotion"]["bindings"]["mqtt"]  # {"qos": 1, "retain": False, …}

Source: AsyncAPI Specification 3.0.0; MQTT bindings 0.2.0.
"""

from __future__ import annotations

import re
from typing import Any, Final

from edge_runtime import __version__
from edge_runtime.publishing.contract import TRAFFIC, Party, Words
from edge_runtime.publishing.flat import FlatPayload
from edge_runtime.publishing.payloads import PAYLOADS
from edge_runtime.publishing.topics import DELIVERY, ROOT, Leaf

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
_LEVELS: Final = {
    "site": "school or building",
    "room": "room",
    "device": "device, unique within its room",
}


def document(view: Party) -> dict[str, Any]:
    """The AsyncAPI document of the device, or of whoever listens to it and commands it.

    Args:
        view: whose application the document describes.
    """
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
        "channels": {_camel(leaf): _channel(leaf) for leaf in Leaf},
        "operations": dict(_operation(leaf, view) for leaf in Leaf),
        "components": {
            "parameters": {name: {"description": text} for name, text in _LEVELS.items()},
            "messages": _messages(),
            "schemas": {payload.__name__: _embedded(payload) for payload in PAYLOADS},
        },
    }


def _servers() -> dict[str, Any]:
    host = {"host": {"default": "localhost", "description": "the school's broker"}}
    return {
        "plain": {"host": "{host}:1883", "protocol": "mqtt", "variables": host},
        "tls": {"host": "{host}:8883", "protocol": "secure-mqtt", "variables": host},
    }


def _channel(leaf: Leaf) -> dict[str, Any]:
    traffic = TRAFFIC[leaf]
    levels = "".join(f"/{{{level}}}" for level in _LEVELS)
    parameters: dict[str, Any] = {name: {"$ref": f"#/components/parameters/{name}"} for name in _LEVELS}
    behind = ""
    if (parameter := traffic.parameter) is not None:
        behind = f"/{{{parameter.name}}}"
        parameters[parameter.name] = {
            "description": parameter.description,
            "enum": list(parameter.values),
        }
    name = _message_name(traffic.content)
    return {
        "address": f"{ROOT}{levels}/{leaf}{behind}",
        "summary": traffic.summary,
        "parameters": parameters,
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
    }


def _operation(leaf: Leaf, view: Party) -> tuple[str, dict[str, Any]]:
    traffic, delivery, channel = TRAFFIC[leaf], DELIVERY[leaf], _camel(leaf)
    action = "send" if traffic.sender == view else "receive"
    operation = {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": traffic.summary,
        "messages": [{"$ref": f"#/channels/{channel}/messages/{_message_name(traffic.content)}"}],
        "bindings": {
            "mqtt": {
                "qos": delivery.qos,
                "retain": delivery.retain,
                "bindingVersion": MQTT_BINDING_VERSION,
            }
        },
    }
    return f"{action}{channel[0].upper()}{channel[1:]}", operation


def _messages() -> dict[str, Any]:
    messages: dict[str, Any] = {}
    for traffic in TRAFFIC.values():
        content, name = traffic.content, _message_name(traffic.content)
        if isinstance(content, Words):
            messages[name] = {
                "name": name,
                "contentType": "text/plain",
                "payload": {"type": "string", "enum": list(content.words)},
            }
        else:
            messages[name] = {
                "name": name,
                "title": content.SCHEMA_ID,
                "summary": content.json_schema()["description"],
                "payload": {"$ref": f"#/components/schemas/{name}"},
            }
    return messages


def _message_name(content: type[FlatPayload] | Words) -> str:
    return content.name if isinstance(content, Words) else content.__name__


def _embedded(payload: type[FlatPayload]) -> dict[str, Any]:
    """The JSON Schema as AsyncAPI's own dialect, draft 07, takes it; we use no keyword that only 2020-12 has."""
    return {key: rule for key, rule in payload.json_schema().items() if key not in ("$schema", "$id")}


def _camel(leaf: Leaf) -> str:
    first, *rest = re.split("[/-]", leaf)
    return first + "".join(word.capitalize() for word in rest)
