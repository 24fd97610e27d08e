"""The collector between a real broker and real databases that come, go and fill up."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from brokers import Listener, Mosquitto, free_port, until
from history_parts import PLACE, event, info, stats, topics
from paho.mqtt.enums import CallbackAPIVersion
from postgres_fixtures import Postgres
from sqlalchemy import event as sqlalchemy_event

from edge_runtime.agent import Agent
from edge_runtime.config import Config, MqttSection
from edge_runtime.errors import BrokerUnreachableError
from edge_runtime.history import collector as collector_module
from edge_runtime.history.collector import Collector
from edge_runtime.history.records import Place
from edge_runtime.history.store import HistoryStore, open_store
from edge_runtime.publishing.credentials import Credentials
from edge_runtime.publishing.payloads import EmotionEvent, encode

pytestmark = pytest.mark.broker
NOBODY = Credentials()
TOPICS = topics()

Start = Callable[..., Collector]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector_module, "RETRY_MAX_S", 0.2)
    monkeypatch.setattr("edge_runtime.publishing.subscription.RECONNECT_MIN_S", 0.1)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker that keeps sessions over a restart, as the one in firmware_configs does."""
    folder = tmp_path / "broker"
    folder.mkdir()
    settings = f"allow_anonymous true\nuser root\npersistence true\npersistence_location {folder}/\n"
    broker = Mosquitto(folder, free_port(), f"{settings}max_queued_messages 0\n")
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def start(broker: Mosquitto) -> Iterator[Start]:
    """Starts collectors that are connected and subscribed."""
    running: list[Collector] = []

    def begin(store: HistoryStore, mqtt: MqttSection = broker.mqtt, **options: Any) -> Collector:
        collector = Collector(mqtt, NOBODY, store, **({"name": "one"} | options))
        collector.start()
        running.append(collector)
        assert until(lambda: collector.is_connected)
        with Device(broker) as probe:  # subscribed when a word comes through
            name = Place("probe", "room", f"number-{len(running)}")
            assert until(
                lambda: probe.say(topics(name).status("infer"), b"online") and collector.counters.messages
            )
        return collector

    yield begin
    for collector in running:
        collector.close()


class Device:
    """Publishes at QoS 1 and knows what the broker has acknowledged."""

    def __init__(self, broker: Mosquitto) -> None:
        self.client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        self.client.connect("127.0.0.1", broker.port, keepalive=5)
        self.client.loop_start()

    def say(self, topic: str, payload: bytes, *, retain: bool = False) -> bool:
        self.client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(5)
        return True

    def send(self, *events: EmotionEvent) -> None:
        waiting = [
            self.client.publish(topics(Place(e.site, e.room, e.device)).emotion, encode(e), qos=1)
            for e in events
        ]
        for message in waiting:
            message.wait_for_publish(5)

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[HistoryStore]:
    with open_store(f"sqlite:///{tmp_path}/history.sqlite3") as store:
        yield store


def windows(first: int, count: int, place: Place = PLACE) -> list[EmotionEvent]:
    now = round(time.time(), 3)
    return [event(n, ts=now - 60 * (first + count - n), place=place) for n in range(first, first + count)]


def complete(store: HistoryStore) -> tuple[int, int]:
    """Events in the store, and numbers that are missing."""
    whole = store.completeness()
    return sum(part.events for part in whole), sum(part.missing for part in whole)


def test_what_devices_say_is_in_the_store(broker: Mosquitto, store: HistoryStore, start: Start) -> None:
    collector = start(store)
    with Device(broker) as device:
        device.say(TOPICS.availability, b"online", retain=True)
        device.say(TOPICS.info, encode(info()), retain=True)
        device.say(TOPICS.stats, encode(stats(time.time())))
        sent = windows(1, 30)
        device.send(*sent, *sent[5:8])
    assert until(lambda: collector.counters.windows == 30 and collector.counters.stats == 1)
    assert complete(store) == (30, 0)
    assert until(lambda: collector.counters.duplicates == 3)
    (room,) = [room for room in store.rooms() if room.site == "north-school"]
    assert room.devices[0].words["availability"] == "online"
    assert room.devices[0].info["bundle_name"] == "default"
    assert len(store.windows("north-school", "r12", 0, 4e9)) >= 1


def test_who_was_there_before_is_known_from_retained_values(
    broker: Mosquitto, sqlite: HistoryStore, start: Start
) -> None:
    with Device(broker) as device:
        device.say(TOPICS.availability, b"offline", retain=True)
    start(sqlite)
    assert until(lambda: sqlite.changes("north-school", "r12", 0, 4e9))
    (change,) = sqlite.changes("north-school", "r12", 0, 4e9)
    assert (change.word, change.is_retained) == ("offline", True)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_what_is_published_while_the_collector_is_away_waits_for_it(
    broker: Mosquitto, sqlite: HistoryStore, start: Start, protocol: str
) -> None:
    mqtt = broker.mqtt.model_copy(update={"protocol": protocol})
    start(sqlite, mqtt=mqtt).close()
    with Device(broker) as device:
        device.send(*windows(1, 50))
    start(sqlite, mqtt=mqtt)
    assert until(lambda: complete(sqlite) == (50, 0))


def test_a_restarted_broker_loses_nothing(broker: Mosquitto, sqlite: HistoryStore, start: Start) -> None:
    collector = start(sqlite)
    with Device(broker) as device:
        device.send(*windows(1, 20))
    assert until(lambda: collector.counters.windows == 20)
    broker.stop()
    assert until(lambda: collector.problems)
    broker.start()
    with Device(broker) as device:
        device.send(*windows(21, 20))  # perhaps before the collector is there again
    assert until(lambda: complete(sqlite) == (40, 0))
    assert collector.counters.sessions_lost == 0
    assert until(lambda: not collector.problems)


def test_a_broker_that_forgets_sessions_is_told(
    mosquitto: Mosquitto, sqlite: HistoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    with Collector(mosquitto.mqtt, NOBODY, sqlite, name="one") as collector:
        assert until(lambda: collector.is_connected)
        mosquitto.stop()
        assert until(lambda: collector.problems)
        mosquitto.start()
        assert until(lambda: collector.counters.sessions_lost == 1)
    assert "persistence true" in caplog.text


def test_a_database_that_crashes_mid_write_loses_nothing(
    broker: Mosquitto, start: Start, postgres: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with (
        open_store(postgres.emptied()) as store,
        closing(start(store)) as collector,
        Device(broker) as device,
    ):
        device.send(*windows(1, 100))
        postgres.stop(signal.SIGQUIT)
        try:
            device.send(*windows(101, 100))
            assert until(lambda: collector.problems)
            device.send(*windows(201, 100))
        finally:
            postgres.start()
        assert until(lambda: not collector.problems, 20)
        assert until(lambda: complete(store) == (300, 0)), collector.counters
    told = [record.getMessage() for record in caplog.records if "history" in record.name]
    assert sum("takes events again" in line for line in told) == 1
    assert len([line for line in told if line.startswith("store ")]) <= 3  # once for each way it fails


def test_a_full_disk_stops_the_acknowledgements_and_keeps_memory_bounded(
    broker: Mosquitto,
    start: Start,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(collector_module, "MOST_EVENTS", 100)
    monkeypatch.setattr(collector_module, "MOST_UNNUMBERED", 50)
    limit = {"pages": 1_000_000_000}
    with (
        open_store(f"sqlite:///{tmp_path}/history.sqlite3") as store,
        closing(start(store)) as collector,
        Device(broker) as device,
    ):

        @sqlalchemy_event.listens_for(store._engine, "begin")
        def _disk(connection: Any) -> None:
            connection.exec_driver_sql(f"PRAGMA max_page_count = {limit['pages']}")

        limit["pages"] = 1  # SQLite takes it as: no more than there are now
        device.send(*windows(1, 1000))
        assert until(lambda: collector.problems)
        assert "disk is full" in str(collector.problems[0])
        for n in range(200):
            device.client.publish(TOPICS.stats, encode(stats(time.time() + n / 1000)), qos=0)
        assert until(lambda: collector.counters.given_up > 0)
        assert until(lambda: collector.counters.waiting <= 100 + 50)  # what has just come is sorted at once
        written, _ = complete(store)
        assert written < 1000
        limit["pages"] = 1_000_000_000
        assert until(lambda: complete(store) == (1000, 0), 20), collector.counters
    assert sum("disk is full" in record.getMessage() for record in caplog.records) == 1


def test_two_collectors_of_one_group_share_the_events(broker: Mosquitto, start: Start, url: str) -> None:
    with (
        open_store(url) as one,
        open_store(url) as two,
        closing(start(one, name="one", group="night")) as first,
        closing(start(two, name="two", group="night")) as second,
        Device(broker) as device,
    ):
        device.send(*windows(1, 200))
        assert until(lambda: complete(one) == (200, 0))
        assert until(lambda: first.counters.windows + second.counters.windows == 200)
        assert min(first.counters.windows, second.counters.windows) > 0


def test_a_group_takes_the_window_that_came_while_a_restarted_broker_had_forgotten_it(
    broker: Mosquitto, sqlite: HistoryStore, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    collector = start(sqlite, group="night")
    (first, second) = windows(1, 2)
    with Device(broker) as device:
        device.send(first)
    assert until(lambda: collector.counters.windows == 1)
    monkeypatch.setattr("edge_runtime.publishing.connection.Connection.open", never)
    broker.stop()
    broker.start()
    with Device(broker) as device:
        device.send(second)  # to nobody: Mosquitto does not know the shared subscription any more
        device.say(TOPICS.state, encode(second), retain=True)
    monkeypatch.undo()
    assert until(lambda: complete(sqlite) == (2, 0))


def never(_: object) -> None:
    raise BrokerUnreachableError("mqtt://broker", "is kept away by the test")


def test_bad_messages_are_passed_over_and_do_not_stop_the_good(
    broker: Mosquitto, sqlite: HistoryStore, start: Start
) -> None:
    collector = start(sqlite)
    elsewhere = topics(Place("north-school", "r13", "camera-1"))
    with Device(broker) as device:
        for number, window in enumerate(windows(1, 60)):
            device.send(window)
            if number % 3 == 0:
                device.say(TOPICS.emotion, b"hello")
                device.say(TOPICS.emotion, b'{"schema":"roomtone-emotion/9"}')
                device.say(elsewhere.emotion, encode(window))
    assert until(lambda: complete(sqlite) == (60, 0))
    assert until(lambda: sum(collector.counters.remarks.values()) == 60)
    assert collector.counters.remarks == {"unreadable": 20, "unknown_schema": 20, "wrong_sender": 20}
    assert until(lambda: collector.counters.waiting == 0)


def test_two_devices_with_one_name_are_told_and_counted(
    broker: Mosquitto, sqlite: HistoryStore, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    collector = start(sqlite)
    now = time.time()
    with Device(broker) as device:
        device.send(event(1, ts=now, happy=0.3), event(1, ts=now, happy=0.8))
    assert until(lambda: collector.counters.conflicts == 1)
    assert "two devices speak under one name: north-school/r12/camera-1-7-1" in caplog.text


def test_a_value_that_the_database_refuses_is_passed_over(
    broker: Mosquitto, sqlite: HistoryStore, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The intake should let none through; this is for the one that we did not think of."""
    collector = start(sqlite)
    monkeypatch.setattr("edge_runtime.history.intake.LARGEST_COUNT", 2**80)
    poison = event(2**70, ts=time.time(), place=Place("north-school", "r12", "camera-2"))
    with Device(broker) as device:
        device.send(*windows(1, 5), poison, *windows(6, 5))
    assert until(lambda: complete(sqlite) == (10, 0))
    assert collector.counters.refused == 1


def test_the_collector_says_nothing_under_roomtone_itself(
    broker: Mosquitto, sqlite: HistoryStore, start: Start
) -> None:
    with Listener(broker) as listener:
        start(sqlite).close()
        assert {m.topic for m in listener.messages} == {"roomtone/probe/room/number-1/status/infer"}


def test_what_a_real_runtime_sends_is_in_the_store(
    broker: Mosquitto, sqlite: HistoryStore, start: Start, tiny_bundle: Path, tmp_path: Path
) -> None:
    config = Config.model_validate(
        {
            "camera": {"source": "simulated://students=8,seed=3,width=960,height=540", "realtime": True},
            "inference": {"bundle": tiny_bundle},
            "room": {"window_s": 1.0, "min_group": 1, "min_track_s": 0.0},
            "episodes": {"thresholds": {"positive_activity": 0.05, "negative_activity": 0.05}, "windows": 1},
            "stats": {"interval_s": 1.0},
            "mqtt": {"url": broker.mqtt.url},
            "outbox": {"path": tmp_path / "outbox.sqlite3"},
        }
    )
    collector = start(sqlite)
    with Agent(config) as agent:
        thread = threading.Thread(target=agent.run)
        thread.start()
        assert until(lambda: collector.counters.windows >= 3 and collector.counters.stats, 30)
        agent.stop()
        thread.join(20)
    assert until(lambda: sqlite.rooms()[-1].devices[0].words["availability"] == "offline")
    assert collector.counters.remarks == {}
    (whole,) = [part for part in sqlite.completeness() if part.site == "trial"]
    assert (whole.missing, whole.conflicts) == (0, 0)
    points = sqlite.windows("trial", "room", 0, 4e9)
    assert sum(point.windows for point in points) == collector.counters.windows
    assert sqlite.episodes("trial", "room", 0, 4e9)
    (stats_point, *_) = sqlite.stats("trial", "room", "camera-1", 0, 4e9)
    assert stats_point.latencies_ms["frame_p95_ms"] > 0
