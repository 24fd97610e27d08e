"""A device of ours in a real Home Assistant: found, shown, commanded, lost and forgotten."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest
from brokers import Listener, Mosquitto, until
from home_assistant import HomeAssistant
from publishing_parts import TOPICS, info, stats, window

from edge_runtime.bundle import Label
from edge_runtime.config import Config
from edge_runtime.outlet import Outlet
from edge_runtime.publishing.credentials import Credentials
from edge_runtime.publishing.endpoint import Endpoint
from edge_runtime.publishing.forgetting import BrokerMemory

pytestmark = pytest.mark.broker

LABELS = [
    Label(name=name, polarity=0, valence=0, arousal=0, reading="interest")
    for name in ("neutral", "happy", "sad", "angry")
]


def test_a_device_is_found_shown_commanded_lost_and_forgotten(mosquitto: Mosquitto, tmp_path: Path) -> None:
    commands: list[object] = []
    config = Config.model_validate(
        {
            "device": {"site": TOPICS.site, "room": TOPICS.room, "device": TOPICS.device},
            "mqtt": {"url": mosquitto.mqtt.url},
            "outbox": {"path": tmp_path / "outbox.sqlite3"},
            "discovery": {"enabled": True},
        }
    )
    device = Outlet(config, info=info, on_enabled=commands.append, on_context=commands.append, labels=LABELS)
    with Listener(mosquitto, pattern="homeassistant/#") as listener, ExitStack() as at_work:
        at_work.enter_context(device)
        assert until(lambda: listener.messages)
        with HomeAssistant(mosquitto.port, tmp_path / "homeassistant") as home:

            def shows(**expected: str) -> bool:
                states = home.states()
                of_device = {key.partition(".r12_camera_1_")[2]: state for key, state in states.items()}
                return expected.items() <= of_device.items()

            def shares() -> set[str]:
                states = home.states()
                return {states[f"sensor.r12_camera_1_{label.name}"] for label in LABELS}

            device.set_enabled(True)
            device.set_status("capture", "online")
            device.publish_stats(stats())
            device.emit(window(), 1_760_000_060.0)
            assert until(lambda: shows(dominant_state="neutral", happy="30", camera="on"), 30), home.states()
            assert shows(
                neutral="55", sad="15", valence="0.15", people_readable_at_least="15", grade="not_rated"
            )
            assert shows(network="lip-resnet18 1.2.0 (onnxruntime int8)", camera_allowed="on")
            assert until(lambda: listener.last("homeassistant/status") == "online")
            assert until(lambda: len(listener.messages) == 3)  # the description, the start, the description

            device.publish_stats(stats(health="camera_lost"))
            device.emit(window(suppressed=True), 1_760_000_120.0)
            assert until(lambda: shows(dominant_state="private", too_few_people_to_tell="on", health="on"))
            assert shares() == {"unknown"}

            home.call("select.select_option", "select.r12_camera_1_activity", option="exam")
            home.call("switch.turn_off", "switch.r12_camera_1_camera_allowed")
            assert until(lambda: commands == ["exam", False])
            device.set_enabled(False)
            assert until(lambda: shares() == {"unavailable"})
            assert shows(camera_allowed="off", health_word="camera_lost")

            at_work.close()
            assert until(lambda: set(home.states().values()) == {"unavailable"})
            with BrokerMemory(Endpoint.from_section(mosquitto.mqtt, Credentials()), "auto") as memory:
                memory.clear(memory.of_device("r12/camera-1", prefix="homeassistant"))
            assert until(lambda: home.states() == {})
