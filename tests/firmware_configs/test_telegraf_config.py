"""Telegraf's configuration: only keys that its plugins document, and what its JSON parser makes of our payloads.

Neither Debian nor PyPI has Telegraf, so `point` below does what its documentation says of topic parsing and of
the JSON format: numbers become fields, strings only when they are named, nothing else does.
"""

from __future__ import annotations

import json
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from history_parts import HOUR_TS, event, phase, stats

from edge_runtime.publishing.flat import FlatPayload, encode
from edge_runtime.publishing.payloads import EmotionEvent, EpisodeEvent, Stats
from edge_runtime.publishing.topics import DELIVERY, Leaf, Topics, watch_pattern

DOCUMENTED = {
    "inputs.mqtt_consumer": {
        *("servers", "topics", "topic_tag", "qos", "connection_timeout", "max_undelivered_messages"),
        *("persistent_session", "client_id", "username", "password", "tls_ca", "tls_cert", "tls_key"),
        *("insecure_skip_verify", "data_format", "topic_parsing", "tag_keys", "json_string_fields"),
        *("json_name_key", "json_query", "json_strict", "json_time_key", "json_time_format", "json_timezone"),
    },
    "outputs.influxdb_v2": {"urls", "token", "organization", "bucket", "timeout", "tls_ca"},
    "topic_parsing": {"topic", "measurement", "tags", "fields", "types"},
}
TOPICS = Topics("north-school", "r12", "camera-1")


@pytest.fixture(scope="module")
def config(request: pytest.FixtureRequest) -> dict[str, Any]:
    repository: Path = request.getfixturevalue("repository")
    return tomllib.loads((repository / "firmware_configs" / "telegraf" / "telegraf.conf").read_text("utf-8"))


@pytest.fixture(scope="module")
def consumer(config: dict[str, Any]) -> dict[str, Any]:
    (found,) = config["inputs"]["mqtt_consumer"]
    return dict(found)


def point(
    consumer: dict[str, Any], topic: str, payload: bytes
) -> tuple[str, dict[str, str], float, dict[str, Any]]:
    """Measurement, tags, time and fields of a message, by Telegraf's documentation."""
    (parsing,) = consumer["topic_parsing"]
    levels = topic.split("/")
    pattern = parsing["topic"].split("/")
    assert len(pattern) == len(levels)
    assert all(wanted in ("+", level) for wanted, level in zip(pattern, levels, strict=True))
    names = dict(zip(parsing["tags"].split("/"), levels, strict=True))
    names.pop("_")
    measurement = dict(zip(parsing["measurement"].split("/"), levels, strict=True))["measurement"]
    document = json.loads(payload)
    fields = {}
    for key, value in document.items():
        is_named = any(fnmatchcase(key, pattern) for pattern in consumer["json_string_fields"])
        if key != consumer["json_time_key"] and (not isinstance(value, str | bool) or is_named):
            fields[key] = value
    return measurement, names, document[consumer["json_time_key"]], fields


def test_every_key_is_one_that_the_plugin_documents(config: dict[str, Any]) -> None:
    assert set(config) == {"inputs", "outputs"}
    for kind, plugins in config.items():
        for name, instances in plugins.items():
            for keys in instances:
                assert set(keys) <= DOCUMENTED[f"{kind}.{name}"]
                for parsing in keys.get("topic_parsing", ()):
                    assert set(parsing) <= DOCUMENTED["topic_parsing"]


def test_it_subscribes_to_topics_of_the_contract_and_loses_none_of_their_quality(
    consumer: dict[str, Any],
) -> None:
    leaves = (Leaf.EMOTION, Leaf.EPISODE, Leaf.STATS)
    assert consumer["topics"] == [watch_pattern(leaf) for leaf in leaves]
    assert consumer["qos"] == max(DELIVERY[leaf].qos for leaf in leaves)
    assert consumer["persistent_session"]
    assert consumer["client_id"]


def test_a_window_becomes_a_point_at_its_own_time(consumer: dict[str, Any]) -> None:
    window = event(
        ts=HOUR_TS + 60,
        positive_activity=0.3,
        negative_activity=0.0,
        classroom_activity=0.65,
        grade="excellent",
    )
    measurement, tags, time, fields = point(consumer, TOPICS.emotion, encode(window))
    assert (measurement, time) == ("emotion", HOUR_TS + 60)
    assert tags == {"site": "north-school", "room": "r12", "device": "camera-1"}
    assert (fields["share_happy"], fields["dominant"], fields["grade"]) == (0.3, "neutral", "excellent")
    assert fields["suppressed"] == 0


def test_health_and_episodes_keep_their_words(consumer: dict[str, Any]) -> None:
    assert point(consumer, TOPICS.stats, encode(stats()))[3]["health"] == "ok"
    told = point(consumer, TOPICS.episode, encode(phase(1, "new", first=1, ts=HOUR_TS, start_ts=HOUR_TS)))
    assert (told[0], told[3]["phase"], told[3]["kind"]) == ("episode", "new", "confusion")


def test_the_words_that_are_named_are_words_of_the_contract(consumer: dict[str, Any]) -> None:
    payloads: tuple[type[FlatPayload], ...] = (EmotionEvent, EpisodeEvent, Stats)
    strings = {
        key
        for payload in payloads
        for key, rule in payload.json_schema()["properties"].items()
        if rule.get("type") == "string" or "enum" in rule
    }
    assert set(consumer["json_string_fields"]) <= strings


def test_passwords_come_from_the_environment(config: dict[str, Any]) -> None:
    (consumer,), (output,) = config["inputs"]["mqtt_consumer"], config["outputs"]["influxdb_v2"]
    assert consumer["password"] == "${ROOMTONE_MQTT_PASSWORD}"
    assert output["token"] == "${INFLUX_TOKEN}"
