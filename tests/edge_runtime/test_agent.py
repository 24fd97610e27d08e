"""The whole device: real films and drawn classrooms in, a real broker out."""

from __future__ import annotations

import io
import itertools
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from agents import told_at_work, working
from brokers import Listener, Mosquitto, until
from camera_fixtures import MjpegCamera

from edge_runtime.agent import Agent, RunSummary
from edge_runtime.config import Config
from edge_runtime.config_file import load_config
from edge_runtime.errors import OutboxError, SourceUnavailableError, UnlawfulUseError
from edge_runtime.publishing.payloads import EmotionEvent

ROOM = "simulated://students=8,seed=3,width=960,height=540,seconds=4"
ENDLESS = "simulated://students=8,seed=3,width=960,height=540"
WORDS_OF_PERSONS = ('box"', "boxes", "crop", "track", "landmark", "embedding")
Make = Callable[..., Config]


@pytest.fixture
def make(tiny_bundle: Path, tmp_path: Path) -> Make:
    """A configuration for trials: 1 s windows, no minimum group, the tiny bundle, files under `tmp_path`."""

    def configuration(source: str = ROOM, url: str | None = None, **sections: dict[str, Any]) -> Config:
        document: dict[str, dict[str, Any]] = {
            "camera": {"source": source},
            "inference": {"bundle": tiny_bundle},
            "room": {"window_s": 1.0, "min_group": 1, "min_track_s": 0.0},
            "episodes": {"thresholds": {}},
            "stats": {"interval_s": 1.0},
            "outbox": {"path": tmp_path / "outbox.sqlite3"},
        }
        if url is not None:
            document["mqtt"] = {"url": url}
        for name, keys in sections.items():
            document[name] = document.get(name, {}) | keys
        return Config.model_validate(document)

    return configuration


def run(config: Config) -> tuple[list[EmotionEvent], RunSummary]:
    events: list[EmotionEvent] = []
    with Agent(config, on_event=events.append) as agent:
        return events, agent.run(until_end=True)


def test_a_film_ends_in_whole_windows_and_one_partial_window(make: Make) -> None:
    events, summary = run(make(room={"window_s": 1.5, "min_group": 1, "min_track_s": 0}))
    assert [event.partial for event in events] == [0, 0, 1]
    assert [event.window_s for event in events[:2]] == [1.5, 1.5]
    assert summary.windows == 3
    assert summary.stats.frames == 50  # 4 s at 12.5 frames/s
    assert events[1].ts - events[0].ts == pytest.approx(1.5, abs=0.002)


def test_a_drawn_classroom_of_eight_is_counted_as_eight(make: Make) -> None:
    events, _ = run(make("simulated://students=8,seed=3,width=1280,height=720,seconds=4"))
    assert all(event.seen_min <= 8 <= event.seen_max for event in events[1:])
    assert all(not event.suppressed for event in events[1:])


def test_two_runs_over_the_same_film_say_the_same(make: Make) -> None:
    def told(events: list[EmotionEvent]) -> list[tuple[object, ...]]:
        return [(event.shares, event.seen_max, event.readable_max, event.valence) for event in events]

    assert told(run(make())[0]) == told(run(make())[0])


def test_fewer_people_than_the_group_are_counted_in_a_band_and_nothing_else(make: Make) -> None:
    events, _ = run(make(room={"min_group": 10}))
    assert events
    for event in events:
        assert event.suppressed == 1
        assert (event.readable_min, event.readable_max) in ((0, 0), (1, 9))
        assert not event.shares
        assert not event.readings
        assert event.valence is None


def test_each_event_is_one_json_line(make: Make) -> None:
    stream = io.StringIO()
    with Agent(make(), stream=stream) as agent:
        summary = agent.run(until_end=True)
    lines = stream.getvalue().splitlines()
    assert len(lines) == summary.windows
    assert [EmotionEvent.decode(line.encode()).seq for line in lines] == [1, 2, 3, 4]


def test_a_prohibited_use_is_refused_before_anything_opens(make: Make, tmp_path: Path) -> None:
    config = make(deployment={"jurisdiction": "DE", "purpose": "education"}, room={"min_group": 10})
    with pytest.raises(UnlawfulUseError, match=r"Art\. 5\(1\)\(f\)"), Agent(config):
        pass
    assert not (tmp_path / "outbox.sqlite3").exists()


def test_a_film_that_is_missing_is_named(make: Make, tmp_path: Path) -> None:
    with (
        pytest.raises(SourceUnavailableError, match="lesson"),
        Agent(make(str(tmp_path / "lesson.mp4"))) as agent,
    ):
        agent.run(until_end=True)


def test_a_frame_size_that_changes_in_the_middle_is_survived(make: Make, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, size in enumerate([(360, 640, 3), (360, 640), (480, 640, 3), (120, 160, 4)]):
        cv2.imwrite(str(folder / f"{number}.png"), np.full(size, 120, np.uint8))
    (folder / "4.png").write_bytes(b"not an image")
    events, summary = run(make(str(folder)))
    assert summary.stats.frames == 4
    assert summary.stats.corrupt_frames == 1
    assert all((event.seen_max, event.suppressed) == (0, 1) for event in events)


def test_the_wall_clock_set_back_an_hour_moves_ts_and_loses_no_window(
    make: Make, mjpeg_camera: MjpegCamera
) -> None:
    stepped = threading.Event()
    events: list[EmotionEvent] = []

    def take(event: EmotionEvent) -> None:
        events.append(event)
        if len(events) == 2:
            stepped.set()

    config = make(mjpeg_camera.url)
    with working(config, on_event=take, wall=lambda: time.time() - 3600 * stepped.is_set()):
        assert until(lambda: len(events) >= 4)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert all(event.window_s == 1 and not event.partial for event in events[:4])
    steps = [later.ts - earlier.ts for earlier, later in itertools.pairwise(events[:4])]
    assert steps == pytest.approx([1, -3599, 1], abs=0.3)


def test_the_windows_of_a_film_have_the_times_of_a_film_that_began_now(make: Make) -> None:
    events, _ = run(make())
    ends = [event.ts - events[0].ts for event in events]
    assert ends == pytest.approx([0, 1, 2, 3], abs=0.01)
    assert events[0].ts - time.time() < 1.1


@pytest.mark.realdata
def test_faces_of_14_px_are_never_guessed(make: Make, shared_data: Path) -> None:
    events, summary = run(make(str(shared_data / "videos" / "classroom.gif")))
    assert summary.stats.classified == 0
    assert events
    assert all(event.suppressed == 1 and not event.shares for event in events)


@pytest.mark.realdata
def test_a_film_cut_off_in_mid_frame_is_read_to_the_cut(
    make: Make, shared_data: Path, tmp_path: Path
) -> None:
    whole = (shared_data / "videos" / "WolfgangLanger_Pexels.mp4").read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole[: int(len(whole) * 0.3)])
    events, summary = run(make(str(cut)))
    assert summary.stats.frames > 0
    assert summary.stats.corrupt_frames == 1
    assert events[-1].partial == 1


@pytest.mark.broker
def test_every_window_reaches_the_broker_once_and_availability_says_goodbye(
    make: Make, mosquitto: Mosquitto
) -> None:
    with Listener(mosquitto) as listener:
        events, summary = run(make(url=mosquitto.mqtt.url))
        base = "roomtone/trial/room/camera-1"
        assert until(lambda: listener.last(f"{base}/availability") == "offline")
        received = [json.loads(text) for text in listener.payloads(f"{base}/emotion")]
        assert [event["event_id"] for event in received] == [event.event_id for event in events]
        assert summary.stats.outbox_dropped == 0
        info = json.loads(listener.last(f"{base}/info") or "")
        assert info["engine_backend"] == "onnxruntime"
        assert info["privacy_min_group"] == 1
        stats = json.loads(listener.last(f"{base}/stats") or "")
        assert {"scan_p50_ms", "follow_p95_ms", "infer_p99_ms", "capture_p50_ms"} <= stats.keys()


@pytest.mark.broker
def test_nothing_of_a_person_is_in_any_payload(make: Make, mosquitto: Mosquitto) -> None:
    with Listener(mosquitto) as listener:
        run(make(url=mosquitto.mqtt.url))
        assert until(lambda: listener.last("roomtone/trial/room/camera-1/availability") == "offline")
        assert listener.messages
        for message in listener.messages:
            text = message.payload.decode().lower()
            assert len(text) < 4000
            assert not [word for word in WORDS_OF_PERSONS if word in text]


@pytest.mark.broker
def test_the_shutter_closes_the_camera_and_stays_closed_over_a_restart(
    make: Make, mosquitto: Mosquitto
) -> None:
    config = make(ENDLESS, url=mosquitto.mqtt.url, camera={"realtime": True})
    base = "roomtone/trial/room/camera-1"
    with Listener(mosquitto) as listener:
        with working(config):
            assert until(lambda: listener.last(f"{base}/status/capture") == "online")
            listener.client.publish(f"{base}/enabled/set", "OFF", qos=1)
            assert until(lambda: listener.last(f"{base}/status/capture") == "disabled")
            assert until(lambda: listener.last(f"{base}/enabled/state") == "OFF")
        assert until(lambda: listener.last(f"{base}/availability") == "offline")
        with working(config):
            assert until(lambda: listener.last(f"{base}/availability") == "online")
            assert listener.last(f"{base}/enabled/state") == "OFF"
            listener.client.publish(f"{base}/enabled/set", "ON", qos=1)
            assert until(lambda: listener.last(f"{base}/status/capture") == "online")
            assert until(lambda: listener.last(f"{base}/enabled/state") == "ON")


@pytest.mark.broker
def test_a_second_agent_on_the_same_outbox_is_refused(make: Make, mosquitto: Mosquitto) -> None:
    config = make(ENDLESS, url=mosquitto.mqtt.url, camera={"realtime": True})
    with working(config), pytest.raises(OutboxError), Agent(config):
        pass


@pytest.mark.broker
def test_a_window_closed_while_the_broker_was_away_arrives_after_kill_9(
    make: Make, stopped_mosquitto: Mosquitto, tmp_path: Path, tiny_bundle: Path
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(
        f'[camera]\nsource = "{ENDLESS}"\nrealtime = true\n[inference]\nbundle = "{tiny_bundle}"\n'
        f'[room]\nwindow_s = 1\nmin_group = 1\n[mqtt]\nurl = "{stopped_mosquitto.mqtt.url}"\n'
        f'[outbox]\npath = "{tmp_path / "outbox.sqlite3"}"\n'
    )
    command = [sys.executable, "-m", "edge_runtime", "run", "--config", str(config), "--print"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        closed = [json.loads(process.stdout.readline())["event_id"] for _ in range(3)]
        process.kill()
    stopped_mosquitto.start()
    with Listener(stopped_mosquitto) as listener, working(load_config(config)):

        def arrived() -> set[str]:
            texts = listener.payloads("roomtone/trial/room/camera-1/emotion")
            return {json.loads(text)["event_id"] for text in texts}

        assert until(lambda: set(closed) <= arrived())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_closes_the_window_and_ends_with_0(
    number: signal.Signals, tiny_bundle: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "edge_runtime", "run", "--print", "--realtime"]
    command += ["--source", ENDLESS, "--bundle", str(tiny_bundle), "--broker", "none"]
    with (
        told_at_work(tmp_path) as (environ, wait),
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ
        ) as process,
    ):
        wait()  # somewhere in the first window of 10 s
        process.send_signal(number)
        out, errors = process.communicate(timeout=20)
    assert process.returncode == 0
    events = [json.loads(line) for line in out.splitlines()]
    assert [event["partial"] for event in events] == [1]
    assert "trial" in errors


@pytest.mark.broker
def test_a_camera_that_goes_and_returns_is_told_and_survived(
    make: Make, mosquitto: Mosquitto, mjpeg_camera: MjpegCamera
) -> None:
    quick = {"read_timeout_s": 0.5, "restart_after_s": 1.0, "restart_backoff_s": 0.2}
    config = make(mjpeg_camera.url, url=mosquitto.mqtt.url, camera=quick)
    base = "roomtone/trial/room/camera-1"
    with Listener(mosquitto) as listener, working(config):
        assert until(lambda: listener.last(f"{base}/status/capture") == "online")
        mjpeg_camera.stop()
        assert until(lambda: listener.last(f"{base}/status/capture") == "offline")
        assert until(lambda: '"health":"camera_lost"' in (listener.last(f"{base}/stats") or ""))
        mjpeg_camera.start()
        assert until(lambda: listener.last(f"{base}/status/capture") == "online")
        assert until(lambda: '"health":"ok"' in (listener.last(f"{base}/stats") or ""))
        assert json.loads(listener.last(f"{base}/stats") or "")["reconnects"] == 1


@pytest.mark.broker
def test_a_broker_that_is_away_at_the_end_costs_no_event(
    make: Make, stopped_mosquitto: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    config = make(url=stopped_mosquitto.mqtt.url)
    events, summary = run(config)
    assert summary.stats.outbox_rows == len(events) == 4
    assert "events are left in the outbox" in caplog.text
    stopped_mosquitto.start()
    with Listener(stopped_mosquitto) as listener:
        later, _ = run(config)
        ids = [event.event_id for event in (*events, *later)]
        topic = "roomtone/trial/room/camera-1/emotion"
        assert until(lambda: len(listener.payloads(topic)) == 8)
        assert [json.loads(text)["event_id"] for text in listener.payloads(topic)] == ids
