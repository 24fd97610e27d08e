"""Home Assistant finds the device by itself: one retained message that describes it and all its entities.

    found = Discovery.describing(topics, prefix="homeassistant", labels=..., window_s=60.0, stats_s=60.0)
    found.topic         # homeassistant/device/roomtone_north_r12_camera-1/config
    found.status_topic  # homeassistant/status; `online` there asks for the message again

A window that is suppressed makes shares *unknown* and the dominant state `private`; a closed shutter, a lost
device, or three windows without news make them *unavailable*. No entity goes on showing an old share.

Source: Home Assistant, MQTT integration, device discovery (since 2024.11).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self, get_args

from edge_runtime import __version__
from edge_runtime.bundle import Label
from edge_runtime.publishing.contract import ACTIVITY_OR_AUTO
from edge_runtime.publishing.episode import EpisodePhase
from edge_runtime.publishing.payloads import HEALTH_WORDS
from edge_runtime.publishing.topics import Topics
from edge_runtime.room.index import GRADES

SILENT_AFTER: Final = 3  # windows, or stats, that did not come: the value is not shown any more
BIRTH: Final = b"online"

Entity = dict[str, Any]

_PRIVATE: Final = "private"
_NOT_RATED: Final = "not_rated"
_DIAGNOSTIC: Final[Entity] = {"entity_category": "diagnostic"}
_MEASURED: Final[Entity] = {"state_class": "measurement"}


@dataclass(frozen=True, slots=True)
class Discovery:
    """What Home Assistant is told.

    Attributes:
        topic: where, retained.
        payload: the device and its entities, JSON.
        status_topic: where Home Assistant says that it has started.
    """

    topic: str
    payload: bytes
    status_topic: str

    @classmethod
    def describing(
        cls,
        topics: Topics,
        *,
        prefix: str,
        labels: Sequence[Label],
        window_s: float,
        stats_s: float,
        zones: Sequence[str] = (),
    ) -> Self:
        """The device as it is configured.

        Args:
            topics: of the device.
            prefix: Home Assistant's discovery prefix.
            labels: of the bundle that runs; each has a share.
            window_s: length of a window.
            stats_s: interval of `stats`.
            zones: names of the zones of students; each has its activities, unknown while it is suppressed.
        """
        entities = {
            **_room(topics, labels, round(SILENT_AFTER * window_s)),
            **_zones(topics, zones, round(SILENT_AFTER * window_s)),
            **_controls(topics),
            **_episodes(topics),
            **_diagnostics(topics, round(SILENT_AFTER * stats_s)),
        }
        name = discovery_id(topics)
        document = {
            "dev": {
                "ids": [name],
                "name": f"{topics.room} {topics.device}",
                "mf": "roomtone",
                "mdl": "room-level emotional tone",
                "sw": __version__,
                "sa": topics.room,
            },
            "o": {"name": "roomtone", "sw": __version__},
            "availability": [{"topic": topics.availability}],
            "cmps": {
                key: {**entity, "unique_id": f"{name}_{key}", "qos": 1} for key, entity in entities.items()
            },
        }
        payload = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
        return cls(discovery_topic(topics, prefix), payload, f"{prefix}/status")


def discovery_id(topics: Topics) -> str:
    """The device in Home Assistant; no two devices of a broker share it, since ids have no underscore."""
    return f"roomtone_{topics.site}_{topics.room}_{topics.device}"


def discovery_topic(topics: Topics, prefix: str) -> str:
    """Where the device is described."""
    return f"{prefix}/device/{discovery_id(topics)}/config"


def _room(topics: Topics, labels: Sequence[Label], expire_s: int) -> dict[str, Entity]:
    """What `state` tells: of the room, never of a person."""
    readings = list(dict.fromkeys(label.reading for label in labels))
    shown: dict[str, Entity] = {
        "dominant": _enum(
            "Dominant state",
            [*(label.name for label in labels), _PRIVATE],
            f"{{{{ '{_PRIVATE}' if value_json.suppressed else value_json.dominant }}}}",
            icon="mdi:emoticon-outline",
        ),
        "classroom_activity": _percent("Classroom activity", "classroom_activity"),
        "grade": _enum(
            "Grade",
            [*GRADES, _NOT_RATED, _PRIVATE],
            f"{{{{ '{_PRIVATE}' if value_json.suppressed else value_json.grade | default('{_NOT_RATED}') }}}}",
            icon="mdi:school-outline",
        ),
        "positive_activity": _percent("Positive activity", "positive_activity"),
        "negative_activity": _percent("Negative activity", "negative_activity"),
        "private": {
            "p": "binary_sensor",
            "name": "Too few people to tell",
            "icon": "mdi:incognito",
            "value_template": "{{ 'ON' if value_json.suppressed else 'OFF' }}",
        },
        "people_readable": _number("People readable, at least", "readable_min", unit="people"),
        "people_seen": _number("People seen, at least", "seen_min", unit="people"),
        "valence": _number("Valence", "valence", digits=2),
        "arousal": _number("Arousal", "arousal", digits=2),
        **{
            f"share_{label.name}": _percent(label.name.capitalize(), f"share_{label.name}")
            for label in labels
        },
        **{
            f"reading_{name}": _percent(f"Reading: {name}", f"reading_{name}") | {"enabled_by_default": False}
            for name in readings
        },
    }
    return {key: entity | _of_windows(topics, expire_s) for key, entity in shown.items()}


def _zones(topics: Topics, zones: Sequence[str], expire_s: int) -> dict[str, Entity]:
    return {
        f"zone_{zone}_{side}_activity": _percent(
            f"Zone {zone}: {side} activity", f"zone_{zone}_{side}_activity"
        )
        | _of_windows(topics, expire_s)
        for zone in zones
        for side in ("positive", "negative")
    }


def _of_windows(topics: Topics, expire_s: int) -> Entity:
    """Where a window's entities come from; unavailable without the device, or behind a closed shutter."""
    return {
        "state_topic": topics.state,
        "expire_after": expire_s,
        "availability_mode": "all",
        "availability": [
            {"topic": topics.availability},
            {"topic": topics.enabled_state, "payload_available": "ON", "payload_not_available": "OFF"},
        ],
    }


def _controls(topics: Topics) -> dict[str, Entity]:
    return {
        "enabled": {
            "p": "switch",
            "name": "Camera allowed",
            "icon": "mdi:camera-iris",
            "state_topic": topics.enabled_state,
            "command_topic": topics.enabled_set,
        },
        # `none`, no activity in force, is a state that cannot be set; Home Assistant shows it as unknown.
        "context": {
            "p": "select",
            "name": "Activity",
            "icon": "mdi:timetable",
            "options": list(ACTIVITY_OR_AUTO.words),
            "state_topic": topics.context_state,
            "command_topic": topics.context_set,
        },
    }


def _episodes(topics: Topics) -> dict[str, Entity]:
    return {
        "episode": {
            "p": "event",
            "name": "Episode",
            "icon": "mdi:alert-circle-outline",
            "event_types": list(get_args(EpisodePhase)),
            "state_topic": topics.episode,
            "value_template": "{{ {'event_type': value_json.phase, 'kind': value_json.kind, "
            "'share': value_json.share, 'duration_s': value_json.duration_s} | tojson }}",
        }
    }


def _diagnostics(topics: Topics, expire_s: int) -> dict[str, Entity]:
    """The device's own health, from `stats`, `status/capture` and `info`."""
    of_stats: dict[str, Entity] = {
        "problem": {
            "p": "binary_sensor",
            "name": "Health",
            "device_class": "problem",
            "value_template": "{{ 'OFF' if value_json.health in ('ok', 'disabled') else 'ON' }}",
        },
        "health": _enum("Health word", list(HEALTH_WORDS), "{{ value_json.health }}"),
        "fps": _number("Frame rate", "fps", unit="fps", digits=1),
        "temperature": _number("Processor temperature", "temperature_c", unit="°C", digits=0)
        | {"device_class": "temperature"},
        "load": _percent("Load", "load"),
        "outbox": _number("Events waiting", "outbox_rows", unit="events"),
        "lost": _number("Events lost", "outbox_dropped", unit="events") | {"state_class": "total_increasing"},
    }
    return {
        **{
            key: entity | _DIAGNOSTIC | {"state_topic": topics.stats, "expire_after": expire_s}
            for key, entity in of_stats.items()
        },
        "camera": {
            "p": "binary_sensor",
            "name": "Camera",
            "device_class": "connectivity",
            "state_topic": topics.status("capture"),
            "value_template": "{{ 'ON' if value == 'online' else 'OFF' }}",
            **_DIAGNOSTIC,
        },
        "network": {
            "p": "sensor",
            "name": "Network",
            "icon": "mdi:brain",
            "state_topic": topics.info,
            "value_template": "{{ value_json.bundle_name }} {{ value_json.bundle_version }} "
            "({{ value_json.engine_backend }} {{ value_json.engine_precision }})",
            **_DIAGNOSTIC,
        },
    }


def _number(name: str, key: str, *, unit: str = "", digits: int = 0) -> Entity:
    """A number of the payload; unknown where the key is absent, as in a suppressed window."""
    return {
        "p": "sensor",
        "name": name,
        "value_template": f"{{{{ value_json['{key}'] | default(none) }}}}",
        "suggested_display_precision": digits,
        **({"unit_of_measurement": unit} if unit else {}),
        **_MEASURED,
    }


def _percent(name: str, key: str) -> Entity:
    """A share, as a percentage."""
    value = f"value_json['{key}']"
    return _number(name, key, unit="%") | {
        "value_template": f"{{{{ (100 * {value}) | round | int if {value} is defined else none }}}}"
    }


def _enum(name: str, options: list[str], template: str, **more: Any) -> Entity:
    return {
        "p": "sensor",
        "name": name,
        "device_class": "enum",
        "options": options,
        "value_template": template,
        **more,
    }
