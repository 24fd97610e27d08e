"""Several cameras in one process: drawn classrooms and films in, a real broker out."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from agents import in_a_thread, told_at_work
from brokers import Listener, Mosquitto, until
from camera_fixtures import MjpegCamera

from edge_runtime.cameras import Cameras
from edge_runtime.config import Config
from edge_runtime.errors import ConfigurationError, SourceUnavailableError
from edge_runtime.inference.opening import Choice
from edge_runtime.inference.tuning import open_tuned_engine
from edge_runtime.publishing.payloads import EmotionEvent

ROOM = "simulated://students=8,seed=3,width=960,height=540"
SMALL = "simulated://students=4,seed=3,width=640,height=360"
Make = Callable[..., Config]


@pytest.fixture
def make(tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """A camera in a room: 1 s windows, no minimum group, the tiny bundle, state under `tmp_path`."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))

    def configuration(name: str, source: str = ROOM, **sections: dict[str, Any]) -> Config:
        document: dict[str, dict[str, Any]] = {
            "device": {"site": "greenfield", "room": name},
            "camera": {"source": source},
            "inference": {"bundle": tiny_bundle},
            "room": {"window_s": 1.0, "min_group": 1, "min_track_s": 0.0},
            "episodes": {"thresholds": {}},
            "stats": {"interval_s": 1.0},
        }
        for section, keys in sections.items():
            document[section] = document.get(section, {}) | keys
        return Config.model_validate(document)

    return configuration


def reads(*configs: Config) -> list[Callable[[], Config]]:
    return [lambda config=config: config for config in configs]  # type: ignore[misc]


@contextmanager
def at_work(*configs: Config, **arguments: Any) -> Iterator[Cameras]:
    """Cameras at work in a thread, as long as the block lasts."""
    with Cameras(reads(*configs), **arguments) as cameras, in_a_thread(cameras):
        yield cameras


def film(path: Path, frames: int = 20) -> Path:
    """A grey one of a second or so."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 20, (320, 240))
    for value in range(frames):
        writer.write(np.full((240, 320, 3), 60 + value, np.uint8))
    writer.release()
    return path


@pytest.mark.broker
def test_each_room_has_its_own_topics_and_its_own_suppression(make: Make, mosquitto: Mosquitto) -> None:
    mqtt = {"url": mosquitto.mqtt.url}
    small_group = make("room-12", f"{ROOM},seconds=3", mqtt=mqtt)
    large_group = make("room-13", f"{ROOM},seconds=3", mqtt=mqtt, room={"min_group": 10})
    with Listener(mosquitto) as listener, Cameras(reads(small_group, large_group)) as cameras:
        cameras.run(until_end=True)

        def told(room: str) -> list[dict[str, Any]]:
            return [
                json.loads(text) for text in listener.payloads(f"roomtone/greenfield/{room}/camera-1/emotion")
            ]

        assert until(lambda: len(told("room-12")) == len(told("room-13")) == 3)
    assert {event["room"] for event in told("room-13")} == {"room-13"}
    assert all(event["min_group"] == 1 and not event["suppressed"] for event in told("room-12")[1:])
    assert all(event["min_group"] == 10 and event["suppressed"] for event in told("room-13"))
    assert not [key for event in told("room-13") for key in event if key.startswith("share_")]


def test_cameras_tell_what_each_would_tell_alone_and_share_one_engine(make: Make) -> None:
    configs = [make("room-12", f"{ROOM},seconds=3"), make("room-13", f"{SMALL},seconds=3")]

    def told(*chosen: Config) -> dict[str, list[tuple[object, ...]]]:
        events: dict[str, list[tuple[object, ...]]] = {}

        def take(event: EmotionEvent) -> None:
            events.setdefault(event.room, []).append((event.shares, event.seen_max, event.valence))

        with Cameras(reads(*chosen), on_event=take) as cameras:
            agents = [seat._agent for seat in cameras._seats]
            assert len({id(agent._choice.engine) for agent in agents if agent is not None}) == 1
            cameras.run(until_end=True)
        return events

    assert told(*configs) == told(configs[0]) | told(configs[1])


@pytest.mark.broker
def test_a_camera_that_fails_leaves_the_others_at_work_and_comes_back(
    make: Make, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    mqtt = {"url": mosquitto.mqtt.url}
    lesson, away = film(tmp_path / "lesson.mp4"), tmp_path / "away.mp4"
    failing = make("room-13", str(lesson), mqtt=mqtt, camera={"realtime": True})
    well = make("room-12", SMALL, mqtt=mqtt, camera={"realtime": True})
    base = "roomtone/greenfield/{}/camera-1"

    with Listener(mosquitto) as listener, at_work(well, failing, pause_s=0.5):

        def availability(room: str) -> str | None:
            return listener.last(f"{base.format(room)}/availability")

        def windows() -> int:
            return len(listener.payloads(f"{base.format('room-12')}/emotion"))

        assert until(lambda: availability("room-13") == "online")
        lesson.rename(away)  # it cannot be opened again at its end
        assert until(lambda: availability("room-13") == "offline")
        before = windows()
        assert until(lambda: windows() >= before + 2)
        assert availability("room-12") == "online"
        away.rename(lesson)
        assert until(lambda: availability("room-13") == "online", 20)


@pytest.mark.broker
def test_reload_reads_one_camera_anew_and_leaves_the_others_alone(make: Make, mosquitto: Mosquitto) -> None:
    settings = {"mqtt": {"url": mosquitto.mqtt.url}, "updates": {"allow_remote": True}}
    first, second = (
        make(room, SMALL, camera={"realtime": True}, **settings) for room in ("room-12", "room-13")
    )
    in_file = {"room-12": first, "room-13": second}
    base = "roomtone/greenfield/{}/camera-1"

    def window_s(room: str) -> float:
        return float(json.loads(listener.last(f"{base.format(room)}/info") or "{}").get("window_s", 0))

    with (
        Listener(mosquitto) as listener,
        Cameras([lambda: in_file["room-12"], lambda: in_file["room-13"]]) as cameras,
    ):
        thread = threading.Thread(target=cameras.run)
        thread.start()
        assert until(lambda: window_s("room-12") == window_s("room-13") == 1)
        in_file["room-13"] = make(
            "room-13", SMALL, camera={"realtime": True}, room={"window_s": 2}, **settings
        )
        listener.client.publish(f"{base.format('room-13')}/request/reload", "{}", qos=1)
        assert until(lambda: window_s("room-13") == 2)
        cameras.stop()
        thread.join(30)
    told = {room: [*listener.payloads(f"{base.format(room)}/availability")] for room in in_file}
    assert told == {"room-12": [b"online", b"offline"], "room-13": [b"online", b"offline"] * 2}


def test_films_are_read_to_their_ends_though_another_is_missing(make: Make, tmp_path: Path) -> None:
    stream = io.StringIO()
    there, missing = make("room-12", f"{SMALL},seconds=2"), make("room-13", str(tmp_path / "lesson.mp4"))
    with (
        Cameras(reads(missing, there), stream=stream) as cameras,
        pytest.raises(SourceUnavailableError, match="lesson"),
    ):
        cameras.run(until_end=True)
    assert [json.loads(line)["room"] for line in stream.getvalue().splitlines()] == ["room-12"] * 2


def test_two_cameras_of_the_same_name_are_refused_before_anything_opens(make: Make) -> None:
    with (
        pytest.raises(ConfigurationError, match=r"greenfield\.room-12\.camera-1 is the name of several"),
        Cameras(reads(make("room-12"), make("room-13"), make("room-12"))),
    ):
        pass


@pytest.mark.broker
def test_if_one_cannot_be_opened_at_the_start_none_is_left_open(make: Make, mosquitto: Mosquitto) -> None:
    mqtt = {"url": mosquitto.mqtt.url}
    well = make("room-12", mqtt=mqtt)
    faulty = make("room-13", mqtt=mqtt, episodes={"thresholds": {"schadenfreude": 0.5}})
    with pytest.raises(ConfigurationError, match="schadenfreude"), Cameras(reads(well, faulty)):
        pass
    with Cameras(reads(well)) as cameras:  # its outbox is free
        cameras.stop()
        cameras.run()


class SlowEngine:
    """An engine that is made slow, and well again."""

    def __init__(self, engine: Any) -> None:
        self._engine, self.report, self.takes_s = engine, engine.report, 0.0

    def logits(self, crops: Any) -> Any:
        time.sleep(self.takes_s)
        return self._engine.logits(crops)


@pytest.fixture
def slow_engine(monkeypatch: pytest.MonkeyPatch) -> list[SlowEngine]:
    """The engines that are opened from now on; the governor judges ten times as fast."""
    made: list[SlowEngine] = []

    def opened(*arguments: Any) -> Choice:
        choice = open_tuned_engine(*arguments)
        made.append(SlowEngine(choice.engine))
        return Choice(made[-1], choice.variant, choice.reason, choice.golden_difference)

    monkeypatch.setattr("edge_runtime.updates.starting.open_tuned_engine", opened)
    monkeypatch.setattr("edge_runtime.governor._PERIOD_S", 0.4)
    monkeypatch.setattr("edge_runtime.governor._PATIENCE_S", 1.0)
    return made


@pytest.mark.broker
def test_a_slow_engine_lowers_the_rates_of_all_in_order_until_there_is_room_again(
    make: Make, mosquitto: Mosquitto, slow_engine: list[SlowEngine]
) -> None:
    settings = {"mqtt": {"url": mosquitto.mqtt.url}, "camera": {"realtime": True}}
    rooms = [make(room, SMALL, **settings) for room in ("room-12", "room-13")]

    def seen(room: str) -> list[tuple[float, float, float]]:
        """The rates that its stats told, each once."""
        topic = f"roomtone/greenfield/{room}/camera-1/stats"
        told = [json.loads(text) for text in listener.payloads(topic)]
        rates = [tuple(stats[f"{name}_rate_hz"] for name in ("classify", "scan", "follow")) for stats in told]
        return list(dict.fromkeys(rates))

    def last(key: str) -> list[object]:
        topics = (f"roomtone/greenfield/{room}/camera-1/stats" for room in ("room-12", "room-13"))
        return [json.loads(listener.last(topic) or "{}").get(key) for topic in topics]

    with Listener(mosquitto) as listener, at_work(*rooms):
        (engine,) = slow_engine
        assert until(lambda: last("health") == ["ok", "ok"], 20)
        engine.takes_s = 1.5
        assert until(lambda: last("classify_rate_hz") == [0.5, 0.5], 40)
        assert until(lambda: last("degraded_reason") == ["overload", "overload"])
        assert last("health") == ["degraded", "degraded"]
        engine.takes_s = 0.0
        assert until(lambda: last("health") == ["ok", "ok"], 60)
    for room in ("room-12", "room-13"):
        fallen = [rates for rates in seen(room) if rates != (2.0, 2.0, 12.5)]
        assert fallen
        # A rate is low only while those that fall before it are at their floors.
        assert all(classify == 0.5 for classify, scan, _ in fallen if scan < 2)
        assert all(scan == 0.5 for _, scan, follow in fallen if follow < 12.5)


def test_cameras_that_wait_for_the_same_slow_engine_all_get_on(
    make: Make, slow_engine: list[SlowEngine]
) -> None:
    """That they do so in turn is for the tests of `SharedEngine` and `Turns`, whose order of events is fixed."""
    rooms = [make(room, SMALL, camera={"realtime": True}) for room in ("room-12", "room-13", "room-14")]
    with at_work(*rooms) as cameras:
        (engine,) = slow_engine
        engine.takes_s = 0.25
        agents = [seat._agent for seat in cameras._seats]

        def classified() -> list[int]:
            return [agent._analysis.counters.classified for agent in agents if agent is not None]

        assert until(lambda: min(classified()) >= 20, 60)


def test_a_signal_ends_all_of_them_in_good_order(tiny_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text(
        f'[device]\nsite = "greenfield"\n[inference]\nbundle = "{tiny_bundle}"\n'
    )
    (tmp_path / "cameras").mkdir()
    for room in ("room-12", "room-13"):
        file = tmp_path / "cameras" / f"{room}.toml"
        file.write_text(f'[device]\nroom = "{room}"\n[camera]\nsource = "{SMALL}"\nrealtime = true\n')
    command = [sys.executable, "-m", "edge_runtime", "run", "--config", str(tmp_path), "--print"]
    with (
        told_at_work(tmp_path) as (environ, wait),
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ
        ) as process,
    ):
        wait()  # both have got on, twice
        process.send_signal(signal.SIGTERM)
        out, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    assert sorted((event["room"], event["partial"]) for event in map(json.loads, out.splitlines())) == [
        ("room-12", 1),
        ("room-13", 1),
    ]
    assert "greenfield.room-13.camera-1: 1 windows" in errors


def test_each_line_of_the_log_names_its_camera(tiny_bundle: Path, tmp_path: Path) -> None:
    cameras: list[str] = []
    for room in ("room-12", "room-13"):
        images, file = tmp_path / room, tmp_path / f"{room}.toml"
        images.mkdir()
        cv2.imwrite(str(images / "1.png"), np.zeros((240, 320), np.uint8))
        (images / "2.png").write_bytes(b"no image")
        file.write_text(
            f'[device]\nsite = "greenfield"\nroom = "{room}"\n[camera]\nsource = "{images}"\n'
            f'[inference]\nbundle = "{tiny_bundle}"\n'
        )
        cameras += ["--camera", str(file)]
    command = [sys.executable, "-m", "edge_runtime", "run", *cameras, "--until-end"]
    environ = os.environ | {"STATE_DIRECTORY": str(tmp_path / "state")}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environ)
    assert done.returncode == 0, done.stderr
    skipped = [line for line in done.stderr.splitlines() if "image skipped" in line]
    assert sorted(line.split("WARNING ")[1].partition(",")[0] for line in skipped) == [
        "camera greenfield.room-12.camera-1",
        "camera greenfield.room-13.camera-1",
    ]


def test_one_source_for_several_cameras_is_a_usage_error(tmp_path: Path) -> None:
    files = [tmp_path / f"{room}.toml" for room in ("room-12", "room-13")]
    for file in files:
        file.write_text(f'[device]\nroom = "{file.stem}"\n')
    cameras = [word for file in files for word in ("--camera", str(file))]
    command = [sys.executable, "-m", "edge_runtime", "run", *cameras, "--source", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "2 cameras cannot all be 0" in " ".join(done.stderr.replace("│", " ").split())


@pytest.mark.broker
def test_network_cameras_share_a_board_and_each_comes_back_when_the_network_does(
    make: Make, mosquitto: Mosquitto, mjpeg_camera: MjpegCamera
) -> None:
    quick = {
        "read_timeout_s": 1.5,
        "restart_after_s": 2.5,
        "restart_backoff_s": 0.1,
        "restart_backoff_max_s": 0.2,
    }
    rooms = [f"room-{number}" for number in range(3)]
    configs = [
        make(
            room,
            mjpeg_camera.url,
            mqtt={"url": mosquitto.mqtt.url},
            camera={"source": mjpeg_camera.url, **quick},
        )
        for room in rooms
    ]
    with Listener(mosquitto) as listener, at_work(*configs):

        def all_are(word: str) -> bool:
            topics = (f"roomtone/greenfield/{room}/camera-1/status/capture" for room in rooms)
            return all(listener.last(topic) == word for topic in topics)

        def windows(room: str) -> int:
            return len(listener.payloads(f"roomtone/greenfield/{room}/camera-1/emotion"))

        assert until(lambda: all_are("online") and all(windows(room) for room in rooms), 60)
        mjpeg_camera.stop()
        assert until(lambda: all_are("offline"), 30)
        mjpeg_camera.start()
        assert until(lambda: all_are("online"), 60)
        before = {room: windows(room) for room in rooms}
        assert until(lambda: all(windows(room) > before[room] for room in rooms), 30)
