"""The published contract: current, valid by other people's validators, and kept by what really travels."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from brokers import Mosquitto, until
from jsonschema import Draft7Validator, Draft202012Validator
from npm_tools import npm_tool
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.subscribeoptions import SubscribeOptions

from edge_runtime.agent import Agent
from edge_runtime.config import Config
from edge_runtime.publishing.asyncapi import document
from edge_runtime.publishing.contract import TRAFFIC, VIEWS, Party, find_schema, json_schemas
from edge_runtime.publishing.contract_files import contract_files, schema_folder, write_contract
from edge_runtime.publishing.payloads import PAYLOADS
from edge_runtime.publishing.topics import DELIVERY, Leaf, Topics

PARSER = "3.6.6"  # of AsyncAPI, the specification's own
PARSE = """
import { Parser } from '@asyncapi/parser';
import { readFileSync } from 'node:fs';
const findings = [];
for (const file of process.argv.slice(2)) {
  const { document, diagnostics } = await new Parser().parse(readFileSync(file, 'utf8'));
  findings.push({ parsed: document !== undefined, faults: diagnostics.filter((d) => d.severity < 2) });
}
console.log(JSON.stringify(findings));
"""


def test_the_files_that_ship_are_those_that_the_payload_classes_make() -> None:
    shipped = {path.name: path.read_text("utf-8") for path in schema_folder().iterdir()}
    assert shipped == contract_files(), "run: roomtone mqtt schema --out edge_runtime/schemas"


def test_every_leaf_says_what_travels_on_it() -> None:
    assert set(TRAFFIC) == set(Leaf) == set(DELIVERY)


def test_every_payload_class_travels_somewhere() -> None:
    travelling = {traffic.content for traffic in TRAFFIC.values() if isinstance(traffic.content, type)}
    assert travelling == set(PAYLOADS)


@pytest.mark.parametrize("schema", [pytest.param(s, id=i) for i, s in json_schemas().items()])
def test_a_schema_is_one_by_its_own_specification(schema: dict[str, Any]) -> None:
    Draft202012Validator.check_schema(schema)
    Draft7Validator.check_schema({**schema, "$schema": "http://json-schema.org/draft-07/schema#"})


def test_a_schema_is_found_by_its_short_name_and_by_its_id() -> None:
    assert find_schema("emotion") == find_schema("roomtone-emotion/1") == json_schemas()["roomtone-emotion/1"]
    with pytest.raises(KeyError, match=r"no payload is called mood; there are emotion, "):
        find_schema("mood")


def test_writing_the_contract_makes_the_folder_and_replaces_what_is_there(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "contract"
    assert write_contract(folder) == write_contract(folder)
    assert {path.name for path in folder.iterdir()} == set(contract_files())


def test_the_documents_pass_the_parser_of_the_specification(tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(npm_tool("@asyncapi/parser", PARSER))
    (tmp_path / "parse.mjs").write_text(PARSE)
    broken = document("device")
    broken["operations"]["sendInfo"]["action"] = "shout"
    (tmp_path / "broken.json").write_text(json.dumps(broken))
    files = [schema_folder() / f"asyncapi.{view}.json" for view in VIEWS]
    done = subprocess.run(
        ["node", "parse.mjs", *files, "broken.json"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    device, admin, wrong = json.loads(done.stdout)
    assert device == admin == {"parsed": True, "faults": []}
    assert not wrong["parsed"]


def test_what_the_device_sends_the_admin_receives() -> None:
    device, admin = document("device"), document("admin")
    assert device["channels"] == admin["channels"]

    def actions(view: dict[str, Any]) -> dict[str, str]:
        return {entry["channel"]["$ref"]: entry["action"] for entry in view["operations"].values()}

    turned = {"send": "receive", "receive": "send"}
    assert {channel: turned[action] for channel, action in actions(device).items()} == actions(admin)
    assert actions(device)["#/channels/emotion"] == actions(admin)["#/channels/enabledSet"] == "send"


def test_a_request_names_where_it_is_answered_and_by_which_key_the_answer_is_known() -> None:
    described = document("admin")
    assert described["operations"]["sendRequest"]["reply"] == {"channel": {"$ref": "#/channels/response"}}
    for name in ("Request", "Response"):
        correlation = described["components"]["messages"][name]["correlationId"]
        assert correlation == {"location": "$message.payload#/transaction"}
        assert "transaction" in described["components"]["schemas"][name]["properties"]


def test_topics_and_document_agree_on_every_address() -> None:
    topics = Topics("north-school", "r12", "camera-1")
    addresses = {name: channel["address"] for name, channel in document("device")["channels"].items()}
    place = {"site": topics.site, "room": topics.room, "device": topics.device}
    assert addresses["emotion"].format(**place) == topics.emotion
    assert addresses["enabledSet"].format(**place) == topics.enabled_set
    assert addresses["status"].format(**place, role="infer") == topics.status("infer")


class Contract:
    """An AsyncAPI document as a judge of messages; knows nothing of roomtone's code."""

    def __init__(self, view: Party) -> None:
        self.document = json.loads((schema_folder() / f"asyncapi.{view}.json").read_text("utf-8"))
        self.seen: set[str] = set()

    def received(self) -> set[str]:
        operations = self.document["operations"].values()
        return {entry["channel"]["$ref"] for entry in operations if entry["action"] == "receive"}

    def faults(self, message: paho.MQTTMessage) -> list[str]:
        """What is wrong with a message: topic, QoS, retain flag or payload."""
        found = next(
            (entry for entry in self.document["operations"].values() if self._is_at(entry, message.topic)),
            None,
        )
        if found is None:
            return [f"{message.topic}: no channel of the contract"]
        self.seen.add(found["channel"]["$ref"])
        binding = found["bindings"]["mqtt"]
        if (message.qos, message.retain) != (binding["qos"], binding["retain"]):
            return [f"{message.topic}: QoS {message.qos}, retained {message.retain}, expected {binding}"]
        (reference,) = found["messages"]
        kind = self._at(self._at(reference["$ref"])["$ref"])
        text = message.payload.decode()
        value = text if kind.get("contentType") == "text/plain" else json.loads(text)
        schema = kind["payload"] | {"components": self.document["components"]}
        return [
            f"{message.topic}: {error.json_path} {error.message}"
            for error in Draft7Validator(schema).iter_errors(value)
        ]

    def _is_at(self, operation: dict[str, Any], topic: str) -> bool:
        channel = self._at(operation["channel"]["$ref"])

        def level(match: re.Match[str]) -> str:
            return "|".join(channel["parameters"][match[1]].get("enum", ["[^/]+"]))

        return (
            re.fullmatch(re.sub(r"\{(\w+)\}", lambda m: f"({level(m)})", channel["address"]), topic)
            is not None
        )

    def _at(self, reference: str) -> Any:
        value = self.document
        for step in reference.removeprefix("#/").split("/"):
            value = value[step]
        return value


@pytest.mark.broker
def test_every_message_that_the_runtime_sends_keeps_the_published_contract(
    mosquitto: Mosquitto, tiny_bundle: Path, tmp_path: Path
) -> None:
    config = Config.model_validate(
        {
            "camera": {"source": "simulated://students=8,seed=3,width=960,height=540", "realtime": True},
            "inference": {"bundle": tiny_bundle},
            "room": {"window_s": 1.0, "min_group": 1, "min_track_s": 0.0},
            "episodes": {"thresholds": {"positive_activity": 0.05, "negative_activity": 0.05}, "windows": 1},
            "stats": {"interval_s": 1.0},
            "mqtt": {"url": mosquitto.mqtt.url},
            "discovery": {"enabled": True},
            "outbox": {"path": tmp_path / "outbox.sqlite3"},
        }
    )
    contract, messages = Contract("admin"), []
    listener = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    as_published = SubscribeOptions(qos=1, retainAsPublished=True)
    listener.on_connect = lambda client, *_: client.subscribe("#", options=as_published)
    listener.on_message = lambda _c, _u, message: messages.append(message)
    listener.connect("127.0.0.1", mosquitto.port)
    listener.loop_start()
    base = Topics("trial", "room", "camera-1").base
    try:
        with Agent(config) as agent:
            thread = threading.Thread(target=agent.run)
            thread.start()
            assert until(lambda: sum(m.topic == f"{base}/emotion" for m in messages) >= 2)
            listener.publish(f"{base}/request/health_check", '{"transaction":"1"}', qos=1)
            assert until(lambda: any(m.topic == f"{base}/response/health_check" for m in messages))
            listener.publish(f"{base}/enabled/set", "OFF", qos=1)
            assert until(lambda: any(m.payload == b"OFF" and m.topic.endswith("state") for m in messages))
            agent.stop()
            thread.join(20)
        assert until(lambda: messages[-1].payload == b"offline")
    finally:
        listener.disconnect()
        listener.loop_stop()
    sent = [m for m in messages if not m.topic.endswith("/set") and "/request/" not in m.topic]
    assert [fault for message in sent for fault in contract.faults(message)] == []
    assert contract.seen == contract.received()


@pytest.mark.parametrize(
    ("topic", "payload", "qos", "retain", "fault"),
    [
        pytest.param("roomtone/a/b/c/mood", b"{}", 1, False, "no channel", id="an unknown leaf"),
        pytest.param("roomtone/a/b/c/status/gpu", b"online", 1, True, "no channel", id="an unknown role"),
        pytest.param("roomtone/a/b/c/availability", b"maybe", 1, True, "not one of", id="another word"),
        pytest.param("roomtone/a/b/c/availability", b"online", 1, False, "retained False", id="not retained"),
        pytest.param("roomtone/a/b/c/emotion", b"{}", 1, False, "required", id="an empty object"),
        pytest.param("roomtone/a/b/c/emotion", b"{}", 0, False, "QoS 0", id="the wrong quality of service"),
    ],
)
def test_the_judge_of_messages_can_say_no(
    topic: str, payload: bytes, qos: int, retain: bool, fault: str
) -> None:
    message = paho.MQTTMessage(topic=topic.encode())
    message.payload, message.qos, message.retain = payload, qos, retain
    assert any(fault in text for text in Contract("admin").faults(message))
