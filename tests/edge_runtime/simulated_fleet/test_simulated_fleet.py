"""Simulated devices keep the contract of real ones, on a real broker."""

from __future__ import annotations

import json
import threading
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from brokers import Listener, Mosquitto, until
from typer.testing import CliRunner

from edge_runtime.bundle import Bundle, default_bundle_path, open_bundle
from edge_runtime.cli import app
from edge_runtime.fleet.link import FleetLink
from edge_runtime.fleet.rollout import Rollout, new_ledger
from edge_runtime.history.collector import Collector
from edge_runtime.history.store import open_store
from edge_runtime.publishing.credentials import Credentials
from edge_runtime.publishing.endpoint import Endpoint
from edge_runtime.publishing.payloads import EmotionEvent
from edge_runtime.simulated_fleet import running
from edge_runtime.simulated_fleet.backfill import backfill
from edge_runtime.simulated_fleet.device import Condition, Member, SimulatedDevice, members
from edge_runtime.simulated_fleet.running import Fleet, FleetPace

NOBODY = Credentials()
MONDAY_TS = datetime(2026, 11, 23, tzinfo=UTC).timestamp()


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return open_bundle(default_bundle_path())


def device(bundle: Bundle, member: Member, **options: object) -> SimulatedDevice:
    settings = {"seed": 7, "window_s": 60.0, "always_open": True} | options
    return SimulatedDevice(member, bundle, **settings)  # type: ignore[arg-type]


def day(device: SimulatedDevice) -> list[EmotionEvent]:
    told = [event for minute in range(24 * 60) for event in device.events(MONDAY_TS + 60 * minute)]
    return [event for event in told if isinstance(event, EmotionEvent)]


def test_a_fleet_is_the_same_for_the_same_seed_and_has_every_fate() -> None:
    assert members(300, 7) == members(300, 7) != members(300, 8)
    fates = Counter(member.condition for member in members(1000, 7))
    assert set(fates) == {"well", "hot", "camera_lost", "shut", "away"}
    assert fates["well"] > 800
    assert len({(m.site, m.device) for m in members(1000, 7)}) == 1000


def test_a_day_has_lessons_of_different_tone_and_private_breaks(bundle: Bundle) -> None:
    windows = day(device(bundle, Member("demo", "r1", "camera-1")))
    contexts = Counter(window.context for window in windows if not window.suppressed)
    assert len(contexts) >= 3
    assert any(window.suppressed for window in windows)
    happy = [window.shares["happy"] for window in windows if not window.suppressed]
    assert max(happy) - min(happy) >= 0.3


def test_a_class_below_the_smallest_group_tells_nothing(bundle: Bundle) -> None:
    windows = day(device(bundle, Member("demo", "r1", "camera-1", pupils=8)))
    assert len(windows) == 24 * 60
    assert all(window.suppressed for window in windows)


def test_the_same_device_has_the_same_day(bundle: Bundle) -> None:
    one, two = (day(device(bundle, Member("demo", "r1", "camera-1"))) for _ in range(2))
    assert [window.shares for window in one] == [window.shares for window in two]


def test_a_hot_device_says_so(bundle: Bundle) -> None:
    health = device(bundle, Member("demo", "r1", "camera-1", "hot")).health(MONDAY_TS)
    assert health.health == "degraded"
    assert health.temperature_c is not None
    assert health.temperature_c > 80


def test_the_past_is_school_hours_and_comes_back_from_the_store(bundle: Bundle, tmp_path: Path) -> None:
    fleet = [Member("demo", "r1", "camera-1"), Member("demo", "r2", "camera-2")]
    with open_store(f"sqlite:///{tmp_path}/history.sqlite3") as store:
        end_ts = MONDAY_TS + 5 * 86_400
        written = backfill(fleet, bundle, store, end_ts=end_ts, days=7, window_s=300)
        assert sum(part.events for part in store.completeness()) >= written > 500
        assert all(part.missing == 0 for part in store.completeness())
        points = store.windows("demo", "r1", MONDAY_TS, MONDAY_TS + 86_400)
        hours = {datetime.fromtimestamp(point.ts).hour for point in points}
        assert hours <= set(range(8, 16))
        assert store.windows("demo", "r1", MONDAY_TS - 2 * 86_400, MONDAY_TS - 3600 * 14) == []  # a weekend
        assert len(store.windows("demo", "r1", MONDAY_TS - 86_400, end_ts)) > 30  # hourly means
        assert store.rooms()[0].devices[0].info["engine_backend"] == "simulated"


@pytest.mark.broker
def test_what_a_fleet_sends_is_the_contract_and_all_of_it_arrives(
    mosquitto: Mosquitto, bundle: Bundle, tmp_path: Path
) -> None:
    fleet_members = [member for member in members(60, 7) if member.condition != "away"]
    with open_store(f"sqlite:///{tmp_path}/history.sqlite3") as store:
        with Collector(mosquitto.mqtt, NOBODY, store, name="one") as collector:
            assert until(lambda: collector.is_connected)
            with Fleet(
                fleet_members,
                bundle,
                Endpoint.from_section(mosquitto.mqtt, NOBODY),
                FleetPace(interval_s=10, stats_s=20, speed=20),
            ) as fleet:
                fleet.run(duration_s=20, should_stop=lambda: fleet.counters.connected == len(fleet_members))
                fleet.run(duration_s=3)
                assert fleet.settle()
                sent = fleet.counters
            told = sent.windows + sent.episodes
            assert told > 200
            assert until(lambda: sum(part.events for part in store.completeness()) == told)
            assert until(lambda: collector.counters.stats == sent.stats)
            assert collector.counters.remarks.keys() <= {"clock_off"}  # their clocks run fast here
        words = [dev.words for room in store.rooms() for dev in room.devices]
    assert len(words) == len(fleet_members)
    assert {w["availability"] for w in words} == {"offline"}  # each said goodbye
    assert {w["enabled/state"] for w in words} == {"ON", "OFF"}
    assert all(part.missing == 0 for part in store.completeness())


@pytest.mark.broker
def test_a_device_that_breaks_off_leaves_its_will_and_comes_back(
    mosquitto: Mosquitto, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "AWAY_EVERY_S", 1.0)
    monkeypatch.setattr(running, "AWAY_FOR_S", 1.0)
    monkeypatch.setattr("edge_runtime.simulated_fleet.connections.RETRY_S", 0.1)
    flighty = Member("demo", "r1", "camera-1", "away")
    with Listener(mosquitto) as listener:
        endpoint = Endpoint.from_section(mosquitto.mqtt, NOBODY)
        with Fleet([flighty], bundle, endpoint, FleetPace(interval_s=1)) as fleet:
            topic = "roomtone/demo/r1/camera-1/availability"
            said = lambda: listener.payloads(topic)  # noqa: E731
            fleet.run(duration_s=20, should_stop=lambda: said().count(b"online") >= 2)
            assert b"".join(said()).startswith(b"onlineofflineonline")


@pytest.mark.broker
def test_devices_obey_the_shutter_and_the_context(mosquitto: Mosquitto, bundle: Bundle) -> None:
    member = Member("demo", "r1", "camera-1")
    base = "roomtone/demo/r1/camera-1"
    with Listener(mosquitto) as listener:
        endpoint = Endpoint.from_section(mosquitto.mqtt, NOBODY)
        with Fleet([member], bundle, endpoint, FleetPace(interval_s=1)) as fleet:
            fleet.run(duration_s=10, should_stop=lambda: listener.payloads(f"{base}/emotion"))
            for topic, word in (("enabled/set", "OFF"), ("context/set", "exam")):
                listener.client.publish(f"{base}/{topic}", word, qos=1)
            fleet.run(
                duration_s=10,
                should_stop=lambda: (
                    listener.last(f"{base}/enabled/state") == "OFF"
                    and listener.last(f"{base}/context/state") == "exam"
                ),
            )
            assert listener.last(f"{base}/status/capture") == "disabled"
            before = len(listener.payloads(f"{base}/emotion"))
            fleet.run(duration_s=2)
            assert len(listener.payloads(f"{base}/emotion")) == before


@pytest.mark.broker
def test_a_rollout_reaches_simulated_devices_and_takes_itself_back(
    mosquitto: Mosquitto, bundle: Bundle, tmp_path: Path
) -> None:
    fates: tuple[Condition, ...] = ("well", "hot", "camera_lost", "shut", "well")
    rooms = [Member("demo", f"r{number}", "camera-1", fate) for number, fate in enumerate(fates)]
    endpoint = Endpoint.from_section(mosquitto.mqtt, NOBODY)
    ended = threading.Event()
    with Fleet(rooms, bundle, endpoint, FleetPace(interval_s=1)) as fleet:
        serving = threading.Thread(target=fleet.run, kwargs={"should_stop": ended.is_set})
        serving.start()
        try:
            with FleetLink(mosquitto.mqtt, NOBODY) as link:
                assert until(lambda: (link.responses(0.1), len(link.devices) == len(rooms))[1])
                ledger = new_ledger("hafnet@9.0.0", "rest", sorted(link.devices))
                rollout = Rollout(link, ledger, tmp_path / "rollout.json")
                states = Counter(device.state for device in rollout.run().devices.values())
                assert (ledger.verdict, states) == ("done", {"committed": 3, "skipped": 2})
                # Each tells its new bundle in `info`, too.
                told = lambda: Counter(seen.bundle for seen in link.devices.values())  # noqa: E731
                assert until(lambda: (link.responses(0.1), told()["hafnet@9.0.0"] == 3)[1])
                rollout.abort("enough was seen")
                states = Counter(device.state for device in ledger.devices.values())
                assert states["undone"] == 3
                assert until(lambda: (link.responses(0.1), told()["hafnet@9.0.0"] == 0)[1])
        finally:
            ended.set()
            serving.join()


@pytest.mark.parametrize("wanted", ["https://school.example/b.tar", "hafnet", "hafnet@new", "@1.0.0", ""])
def test_a_simulated_device_takes_names_only(bundle: Bundle, wanted: str) -> None:
    asked = device(bundle, Member("demo", "r1", "camera-1"))
    request = json.dumps({"bundle": wanted} if wanted else {}).encode()
    (said,) = asked.obey(asked.topics.request("bundle/activate"), request, MONDAY_TS)
    assert said.topic == asked.topics.response("bundle/activate")
    assert "name a bundle" in json.loads(said.payload)["error"]


def test_a_simulation_without_a_place_to_go_is_refused_in_words() -> None:
    done = CliRunner().invoke(app, ["simulate", "fleet", "--rooms", "3"])
    assert done.exit_code == 2
    assert "--backfill" in done.output


def test_the_command_writes_a_past(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/demo.sqlite3"
    done = CliRunner().invoke(
        app,
        [
            "simulate",
            "fleet",
            "--rooms",
            "2",
            "--backfill",
            "12h",
            "--store",
            url,
            "--interval",
            "600",
            "--json",
        ],
    )
    assert done.exit_code == 0, done.output
    with open_store(url) as store:
        assert {room.room for room in store.rooms()} == {"r001", "r002"}
