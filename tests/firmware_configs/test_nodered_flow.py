"""The Node-RED flow in a real Node-RED, fed by a real broker with payloads of ours."""

from __future__ import annotations

import html
import json
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from brokers import Listener, Mosquitto, answers, binary, free_port, until
from npm_tools import npm_tool

from edge_runtime.publishing.topics import Topics

pytestmark = pytest.mark.broker

VERSION = "4.1.15"  # the last that runs on Node 18 and 20
ROOM, OTHER = Topics("north", "r12", "camera-1"), Topics("north", "r13", "camera-1")
SETTINGS = """
module.exports = {
  flowFile: 'flow.json',
  uiHost: '127.0.0.1',
  telemetry: { enabled: false, updateNotification: false },
  diagnostics: { enabled: false },
  logging: { console: { level: 'info', metrics: false, audit: false } },
};
"""


def window(topics: Topics, seq: int, *, age_s: float = 0.0, **told: object) -> bytes:
    """A window as devices send it, with as much of it as the flow looks at."""
    document = {
        "schema": "roomtone-emotion/1",
        "ts": time.time() - age_s,
        "site": topics.site,
        "room": topics.room,
        "device": topics.device,
        "event_id": f"{topics.device}-1-{seq}",
        "window_s": 60.0,
        "suppressed": 0,
        "min_group": 10,
        "readable_min": 15,
        "readable_max": 19,
    }
    return json.dumps(document | told).encode()


class NodeRed:
    """A Node-RED of its own with our flow in it."""

    def __init__(self, folder: Path, modules: Path, flow: Path, broker: Mosquitto) -> None:
        self.port = free_port()
        nodes = json.loads(flow.read_text("utf-8"))
        (node,) = (node for node in nodes if node["type"] == "mqtt-broker")
        node["broker"], node["port"] = "127.0.0.1", str(broker.port)
        (folder / "flow.json").write_text(json.dumps(nodes))
        (folder / "settings.js").write_text(SETTINGS)
        self.log = folder / "log"
        command = [
            "node",
            str(modules / "node-red" / "red.js"),
            "--userDir",
            str(folder),
            "--port",
            str(self.port),
        ]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)

    def page(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/roomtone", timeout=5) as answer:
            return str(answer.read().decode())

    def words(self) -> str:
        """The page as a reader sees it."""
        return html.unescape(self.page())

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    binary()
    started = Mosquitto(tmp_path_factory.mktemp("nodered-broker"), free_port())
    started.start()
    yield started
    started.stop()


@pytest.fixture(scope="module")
def node_red(
    broker: Mosquitto, repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NodeRed]:
    flow = repository / "firmware_configs" / "nodered" / "flow.json"
    started = NodeRed(tmp_path_factory.mktemp("nodered"), npm_tool("node-red", VERSION), flow, broker)
    try:
        assert until(lambda: "Connected to broker" in started.log.read_text("utf-8"), 40), (
            started.log.read_text()
        )
        assert until(lambda: answers(started.port))
        yield started
    finally:
        started.stop()


def test_the_page_shows_every_room_and_an_offline_one_without_its_mood(
    broker: Mosquitto, node_red: NodeRed
) -> None:
    with Listener(broker) as client:
        client.client.publish(ROOM.availability, b"online", qos=1, retain=True)
        told = {"dominant": "happy", "share_happy": 0.55, "grade": "good"}
        client.client.publish(ROOM.state, window(ROOM, 1, **told), qos=1, retain=True)
        client.client.publish(OTHER.availability, b"offline", qos=1, retain=True)
        client.client.publish(
            OTHER.state, window(OTHER, 1, dominant="sad", share_sad=0.9), qos=1, retain=True
        )
        assert until(lambda: "happy 55 %" in node_red.page())
    page = node_red.words()
    for words in ("north/r12", "camera-1", "online", "good", "15 to 19", "north/r13", "offline"):
        assert words in page
    assert "sad" not in page


def test_a_suppressed_window_is_private_and_an_old_one_is_no_news(
    broker: Mosquitto, node_red: NodeRed
) -> None:
    with Listener(broker) as client:
        client.client.publish(ROOM.availability, b"online", qos=1)
        client.client.publish(ROOM.state, window(ROOM, 2, suppressed=1), qos=1)
        assert until(lambda: "private (fewer than 10 people)" in node_red.page())
        client.client.publish(
            ROOM.state, window(ROOM, 3, age_s=600, dominant="happy", share_happy=0.5), qos=1
        )
        assert until(lambda: "no news" in node_red.page())


def test_an_alert_comes_after_three_windows_once_and_never_from_a_suppressed_one(
    broker: Mosquitto, node_red: NodeRed
) -> None:
    with Listener(broker, pattern="alerts/#") as listener:

        def publish(seq: int, negative: float, suppressed: int = 0) -> None:
            payload = window(ROOM, seq, negative_activity=negative, suppressed=suppressed)
            listener.client.publish(ROOM.state, payload, qos=1)

        publish(11, 0.5)
        publish(11, 0.5)  # sent twice
        publish(12, 0.5)
        publish(13, 0.9, suppressed=1)
        publish(14, 0.5)
        publish(15, 0.45)
        publish(16, 0.6)
        publish(17, 0.6)
        publish(18, 0.35)
        publish(19, 0.2)
        for seq in (20, 21, 22):
            publish(seq, 0.4)
        assert until(lambda: len(listener.messages) >= 2)
        alerts = [json.loads(payload) for payload in listener.payloads("alerts/north/r12")]
        assert [(alert["alert"], alert["value"]) for alert in alerts] == [
            ("negative_activity", 0.6),
            ("negative_activity", 0.4),
        ]


@pytest.mark.parametrize(
    "payload",
    [b"", b"hello", b"{}", b"[]", b"null", b'{"schema":"roomtone-emotion/9"}', b"\xff\xfe"],
    ids=["empty", "text", "no schema", "a list", "null", "a later version", "bytes"],
)
def test_what_is_no_window_changes_nothing(broker: Mosquitto, node_red: NodeRed, payload: bytes) -> None:
    with Listener(broker) as client:
        client.client.publish(ROOM.state, window(ROOM, 30, dominant="calm", share_calm=1.0), qos=1)
        client.client.publish(ROOM.state, payload, qos=1)
        client.client.publish(OTHER.availability, b"online", qos=1)
        assert until(lambda: "calm 100 %" in node_red.page())
    assert "error" not in node_red.log.read_text("utf-8").lower()


def test_markup_in_a_rooms_name_is_shown_and_not_obeyed(broker: Mosquitto, node_red: NodeRed) -> None:
    with Listener(broker) as client:
        client.client.publish("roomtone/north/<script>/x/availability", b"online", qos=1)
        assert until(lambda: "north/<script>" in node_red.words())
        assert "<script>" not in node_red.page()
        client.client.publish("roomtone/north/<script>/x/availability", b"", qos=1)  # forgotten
        assert until(lambda: "north/<script>" not in node_red.words())
