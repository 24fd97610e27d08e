"""Home Assistant's discovery: held to its own schemas and templates, sent when it asks, never stale."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from brokers import Listener, Mosquitto, until
from home_assistant import judged
from publishing_parts import TOPICS, event, info, stats

from edge_runtime.bundle import Label
from edge_runtime.config import Config
from edge_runtime.errors import ConfigurationError
from edge_runtime.outlet import Outlet
from edge_runtime.publishing.discovery import Discovery, discovery_id
from edge_runtime.publishing.flat import encode
from edge_runtime.publishing.topics import Topics

LABELS = [
    Label(name="neutral", polarity=0, valence=0, arousal=0, reading="interest"),
    Label(name="happy", polarity=1, valence=0.8, arousal=0.5, reading="interest"),
    Label(name="sad", polarity=-1, valence=-0.7, arousal=-0.3, reading="anxiety"),
]
TOPIC = "homeassistant/device/roomtone_north-school_r12_camera-1/config"
# Home Assistant's documentation of device discovery: abbreviations, and what may stand at the top.
DEVICE_KEYS = {
    "ids": "identifiers",
    "cns": "connections",
    "mf": "manufacturer",
    "mdl": "model",
    "mdl_id": "model_id",
    "name": "name",
    "hw": "hw_version",
    "sn": "serial_number",
    "sw": "sw_version",
    "via_device": "via_device",
    "sa": "suggested_area",
    "cu": "configuration_url",
}
ORIGIN_KEYS = {"name": "name", "sw": "sw_version", "url": "support_url"}
TOP_KEYS = {
    "dev",
    "o",
    "cmps",
    "availability",
    "availability_mode",
    "state_topic",
    "command_topic",
    "qos",
    "encoding",
}


def described(**changes: Any) -> Discovery:
    return Discovery.describing(
        TOPICS, **({"prefix": "homeassistant", "labels": LABELS, "window_s": 60.0, "stats_s": 60.0} | changes)
    )


def document(**changes: Any) -> dict[str, Any]:
    return json.loads(described(**changes).payload)  # type: ignore[no-any-return]


def in_home_assistant(messages: dict[str, bytes]) -> dict[str, dict[str, Any]]:
    """Its verdict on each entity, and the states that these messages give them."""
    message = document()
    device = {DEVICE_KEYS[key]: value for key, value in message["dev"].items()}
    entities = {key: dict(entity) for key, entity in message["cmps"].items()}
    for entity in entities.values():
        if entity["p"] == "sensor":
            entity.pop("options", None)  # of a sensor: in Home Assistant since 2024.9
    return judged({"device": device, "availability": message["availability"]}, messages, entities)


def episode() -> bytes:
    return json.dumps(
        {"phase": "update", "kind": "sad", "share": 0.45, "duration_s": 180.0, "episode_id": "camera-1-7-1"}
    ).encode()


MESSAGES = {
    TOPICS.stats: encode(stats(load=0.85)),
    TOPICS.info: encode(info()),
    TOPICS.status("capture"): b"online",
    TOPICS.enabled_state: b"ON",
    TOPICS.context_state: b"exam",
    TOPICS.episode: episode(),
}


@pytest.fixture(scope="module")
def open_room() -> dict[str, dict[str, Any]]:
    """Home Assistant after a window that tells."""
    rated = {
        "positive_activity": 0.3,
        "negative_activity": 0.15,
        "classroom_activity": 0.4,
        "grade": "average",
    }
    state = json.dumps(json.loads(encode(event())) | rated).encode()
    return in_home_assistant(MESSAGES | {TOPICS.state: state})


@pytest.fixture(scope="module")
def private_room() -> dict[str, dict[str, Any]]:
    """Home Assistant after a suppressed window, the shutter closed since."""
    changed = {TOPICS.state: encode(event(suppressed=True)), TOPICS.status("capture"): b"disabled"}
    return in_home_assistant(MESSAGES | changed | {TOPICS.stats: encode(stats(health="camera_lost"))})


def test_the_message_is_built_as_home_assistant_documents_it() -> None:
    message = document()
    assert set(message) <= TOP_KEYS
    assert set(message["dev"]) <= set(DEVICE_KEYS)
    assert set(message["o"]) <= set(ORIGIN_KEYS)
    assert message["dev"]["ids"]
    assert message["o"]["name"] == "roomtone"
    assert described().topic == TOPIC
    assert described().status_topic == "homeassistant/status"
    for entity in message["cmps"].values():
        assert {"p", "unique_id", "name", "state_topic"} <= set(entity)


def test_home_assistants_own_schemas_take_every_entity(open_room: dict[str, dict[str, Any]]) -> None:
    assert {key: verdict["faults"] for key, verdict in open_room.items() if verdict["faults"]} == {}
    assert set(open_room) == set(document()["cmps"])


@pytest.mark.parametrize(
    ("key", "state"),
    [
        ("dominant", "neutral"),
        ("private", "OFF"),
        ("classroom_activity", "40"),
        ("grade", "average"),
        ("share_neutral", "55"),
        ("share_happy", "30"),
        ("reading_interest", "85"),
        ("people_readable", "15"),
        ("people_seen", "20"),
        ("valence", "0.15"),
        ("enabled", "ON"),
        ("context", "exam"),
        ("camera", "ON"),
        ("problem", "OFF"),
        ("health", "ok"),
        ("fps", "24.8"),
        ("temperature", "None"),
        ("load", "85"),
        ("outbox", "0"),
        ("network", "lip-resnet18 1.2.0 (onnxruntime int8)"),
    ],
)
def test_a_value_template_shows_what_the_device_sent(
    open_room: dict[str, dict[str, Any]], key: str, state: str
) -> None:
    assert open_room[key]["state"] == state


def test_a_room_that_is_not_rated_has_no_grade_rather_than_a_private_one() -> None:
    states = in_home_assistant({TOPICS.state: encode(event())})
    assert (states["grade"]["state"], states["classroom_activity"]["state"]) == ("not_rated", "None")


def test_an_episode_is_an_event_of_its_phase(open_room: dict[str, dict[str, Any]]) -> None:
    told = json.loads(open_room["episode"]["state"])
    assert told == {"event_type": "update", "kind": "sad", "share": 0.45, "duration_s": 180.0}


def test_a_suppressed_window_leaves_no_share_on_the_wall(private_room: dict[str, dict[str, Any]]) -> None:
    states = {key: verdict["state"] for key, verdict in private_room.items()}
    assert (states["dominant"], states["grade"], states["private"]) == ("private", "private", "ON")
    silent = {key for key in states if key.startswith(("share_", "reading_")) or key.endswith("_activity")}
    assert {states[key] for key in (*silent, "valence", "arousal")} == {"None"}  # shown as unknown


def test_a_lost_camera_is_a_problem_and_a_closed_one_is_not_connected(
    private_room: dict[str, dict[str, Any]],
) -> None:
    assert (private_room["problem"]["state"], private_room["camera"]["state"]) == ("ON", "OFF")


def test_every_state_that_an_enum_can_have_is_one_of_its_options() -> None:
    entities = document()["cmps"]
    assert entities["dominant"]["options"] == ["neutral", "happy", "sad", "private"]
    assert entities["grade"]["options"] == ["excellent", "good", "average", "not_rated", "private"]
    assert "camera_lost" in entities["health"]["options"]
    assert entities["context"]["options"][-1] == "auto"


def test_a_zone_shows_its_activities_and_is_unknown_while_it_is_suppressed() -> None:
    entities = {
        key: entity for key, entity in document(zones=["front", "back"])["cmps"].items() if key[:4] == "zone"
    }
    assert len(entities) == 4
    told = {
        "zone_front_positive_activity": 0.35,
        "zone_front_negative_activity": 0.1,
        "zone_back_suppressed": 1,
    }
    state = json.dumps(json.loads(encode(event())) | told).encode()
    device = {"device": {"identifiers": ["x"]}, "availability": []}
    verdicts = judged(device, {TOPICS.state: state}, entities)
    assert {key: (verdict["faults"], verdict["state"]) for key, verdict in verdicts.items()} == {
        "zone_front_positive_activity": ([], "35"),
        "zone_front_negative_activity": ([], "10"),
        "zone_back_positive_activity": ([], "None"),
        "zone_back_negative_activity": ([], "None"),
    }


def test_what_a_window_told_is_not_shown_for_longer_than_three_windows() -> None:
    entities = document(window_s=20.0, stats_s=30.0)["cmps"]
    of_windows = [entity for entity in entities.values() if entity["state_topic"] == TOPICS.state]
    assert of_windows
    assert {entity["expire_after"] for entity in of_windows} == {60}
    assert entities["fps"]["expire_after"] == 90


def test_behind_a_closed_shutter_or_without_the_device_nothing_of_the_room_is_available() -> None:
    demanded = document()["cmps"]["share_happy"]
    assert demanded["availability_mode"] == "all"
    assert [entry["topic"] for entry in demanded["availability"]] == [
        TOPICS.availability,
        TOPICS.enabled_state,
    ]


def test_unique_ids_are_unique_also_among_devices_whose_names_run_together() -> None:
    ids = [entity["unique_id"] for entity in document()["cmps"].values()]
    assert len(set(ids)) == len(ids)
    assert discovery_id(Topics("a", "b-c", "d")) != discovery_id(Topics("a-b", "c", "d"))


@pytest.mark.parametrize("prefix", ["", "a b", "home/+", "#", "/ha", "ha/"])
def test_a_prefix_that_is_no_topic_is_a_fault(prefix: str) -> None:
    from edge_runtime.config_file import parse_config

    with pytest.raises(ConfigurationError, match=r"discovery\.prefix"):
        parse_config(f'[discovery]\nprefix = "{prefix}"\n')


Make = Callable[..., Outlet]


@pytest.fixture
def make(mosquitto: Mosquitto, tmp_path: Path) -> Make:
    """An outlet at work, with discovery as asked for."""

    def outlet(**discovery: Any) -> Outlet:
        config = Config.model_validate(
            {
                "device": {"site": TOPICS.site, "room": TOPICS.room, "device": TOPICS.device},
                "mqtt": {"url": mosquitto.mqtt.url},
                "outbox": {"path": tmp_path / "outbox.sqlite3"},
                "discovery": discovery,
            }
        )
        nothing = {"on_enabled": lambda _: None, "on_context": lambda _: None}
        return Outlet(config, info=info, labels=LABELS, **nothing)

    return outlet


@pytest.mark.broker
def test_the_device_is_described_on_connection_and_whenever_home_assistant_starts(
    mosquitto: Mosquitto, make: Make
) -> None:
    with Listener(mosquitto, pattern="homeassistant/device/#") as listener:
        with make(enabled=True) as outlet:
            assert until(lambda: len(listener.payloads(TOPIC)) == 1)
            assert outlet.publisher is not None
            log = mosquitto.folder / "mosquitto.log"
            assert until(lambda: "homeassistant/status (QoS 1)" in log.read_text())
            for word in (b"offline", b"online"):
                listener.client.publish("homeassistant/status", word, qos=1)
            assert until(lambda: len(listener.payloads(TOPIC)) == 2)
        assert set(listener.payloads(TOPIC)) == {described().payload}
    with Listener(mosquitto, pattern="homeassistant/device/#") as late:
        assert until(lambda: late.payloads(TOPIC))
        assert all(message.retain for message in late.messages)


@pytest.mark.broker
def test_another_prefix_is_used_and_a_retained_birth_asks_for_nothing(
    mosquitto: Mosquitto, make: Make
) -> None:
    topic = TOPIC.replace("homeassistant", "school/ha")
    with Listener(mosquitto, pattern="school/ha/device/#") as listener:
        listener.client.publish("school/ha/status", b"online", qos=1, retain=True)
        with make(enabled=True, prefix="school/ha") as outlet:
            log = mosquitto.folder / "mosquitto.log"
            assert until(
                lambda: re.search(r"Sending PUBLISH to roomtone-.*school/ha/status", log.read_text())
            )
            outlet.set_status("capture", "online")
            assert until(lambda: "status/capture" in log.read_text())
        assert until(lambda: listener.payloads(topic))
        assert len(listener.payloads(topic)) == 1


@pytest.mark.broker
def test_home_assistant_is_told_nothing_unless_that_was_asked_for(mosquitto: Mosquitto, make: Make) -> None:
    with Listener(mosquitto, pattern="#") as listener:
        with make():
            assert until(lambda: listener.last(TOPICS.availability) == "online")
        assert until(lambda: listener.last(TOPICS.availability) == "offline")
    assert not [message for message in listener.messages if message.topic.startswith("homeassistant")]
