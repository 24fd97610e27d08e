"""The demo: the real runtime as a process of its own, an embedded broker, and the table that `roomtone watch` shows.

The simulated lesson has a teacher, zones, and a panel that says what the class is doing (see `demo_lesson`).
"""

from __future__ import annotations

import tempfile
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Final

from edge_runtime.child_agent import last_words, running_agent
from edge_runtime.config import Config, MqttSection, trial_config
from edge_runtime.config_file import to_toml
from edge_runtime.config_layers import is_relative_path
from edge_runtime.demo_broker import DemoBroker
from edge_runtime.demo_lesson import DEMO_ZONES, LessonPanel
from edge_runtime.errors import SourceUnavailableError
from edge_runtime.frames.simulation.address import SCHEME, parse_address
from edge_runtime.frames.simulation.lesson import LESSON_S
from edge_runtime.publishing.credentials import Credentials
from edge_runtime.publishing.endpoint import Endpoint
from edge_runtime.publishing.topics import Topics
from edge_runtime.publishing.watch import watch

_LAST_LOOK_S: Final = 1.0  # the last, partial window comes after the runtime was told to stop


def run_demo(source: str, *, seconds: float | None, window_s: float) -> None:
    """Runs broker, runtime and table until the time is over or the user interrupts.

    Args:
        source: as `camera.source`; a film is played at its own pace, again and again.
        seconds: how long; None: until interrupted.
        window_s: length of a window.

    Raises:
        RoomtoneError: the runtime ended by itself; its own words are in the message.
    """
    with tempfile.TemporaryDirectory(prefix="roomtone-demo-") as folder, DemoBroker() as broker:
        config = _demo_config(_absolute(source), broker.url, window_s, Path(folder))
        mqtt = MqttSection(url=broker.url, protocol="3.1.1")  # amqtt speaks no MQTT 5
        file, log = Path(folder) / "config.toml", Path(folder) / "runtime.log"
        file.write_text(to_toml(config), encoding="utf-8")
        with running_agent(file, log) as process, _lesson(config):
            watch(mqtt, Credentials(), duration_s=seconds, should_stop=lambda: process.poll() is not None)
            if process.poll() is not None:
                problem, hint = last_words(process, log)
                raise SourceUnavailableError(source, f"the runtime ended: {problem}", hint=hint)


def _absolute(source: str) -> str:
    """A film or folder is meant from the working directory, not from that of the demo's configuration."""
    return str(Path(source.strip()).resolve()) if is_relative_path(source) else source


def _demo_config(source: str, broker_url: str, window_s: float, folder: Path) -> Config:
    trial = trial_config()
    return trial.model_copy(
        update={
            "device": trial.device.model_copy(update={"room": "demo"}),
            "camera": trial.camera.model_copy(update={"source": source, "realtime": True}),
            "room": trial.room.model_copy(update={"window_s": window_s}),
            # Lower than on a real device: a demo is short, and drawn faces are read with restraint.
            "episodes": trial.episodes.model_copy(
                update={"thresholds": {"negative_activity": 0.2, "positive_activity": 0.25}}
            ),
            "zones": DEMO_ZONES if _has_a_teacher(source) else trial.zones,
            "mqtt": MqttSection(url=broker_url, protocol="3.1.1"),
            "outbox": trial.outbox.model_copy(update={"path": folder / "outbox.sqlite3"}),
            "stats": trial.stats.model_copy(update={"interval_s": window_s}),
        }
    )


def _has_a_teacher(source: str) -> bool:
    """Whether it is the simulated lesson, with the rows and the desk that the demo's zones are for."""
    return source.strip().startswith(f"{SCHEME}://") and bool(parse_address(source.strip()).get("teacher"))


def _lesson(config: Config) -> AbstractContextManager[object]:
    if not _has_a_teacher(config.camera.source):
        return nullcontext()
    lesson_s = parse_address(config.camera.source).get("lesson_s", LESSON_S)
    device = config.device
    topics = Topics(device.site, device.room, device.device)
    return LessonPanel(Endpoint.from_section(config.mqtt, Credentials()), topics, lesson_s)
