"""Context, zones and episodes of a whole device: drawn classrooms in, lines or a real broker out."""

from __future__ import annotations

import io
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from agents import working
from brokers import Listener, Mosquitto, until

from edge_runtime.agent import Agent
from edge_runtime.config import Config
from edge_runtime.errors import ConfigurationError
from edge_runtime.publishing.payloads import EmotionEvent, EpisodeEvent
from edge_runtime.publishing.topics import Topics

ROOM = "simulated://students=8,seed=3,width=960,height=540,seconds=4"
ENDLESS = "simulated://students=8,seed=3,width=960,height=540"
TOPICS = Topics("trial", "room", "camera-1")
LEFT_HALF = [[0.0, 0.0], [0.5, 0.0], [0.5, 1.0], [0.0, 1.0]]
RIGHT = [[0.55, 0.0], [1.0, 0.0], [1.0, 1.0], [0.55, 1.0]]  # 3 of the 8
MONDAY_MORNING = datetime(2026, 11, 23, 9, 10).timestamp()


@pytest.fixture
def base(tiny_bundle: Path, tmp_path: Path) -> dict[str, dict[str, Any]]:
    """1 s windows, no minimum group, files under `tmp_path`."""
    return {
        "camera": {"source": ROOM},
        "inference": {"bundle": tiny_bundle, "readable_width_px": 16},
        "room": {"window_s": 1.0, "min_group": 1, "min_track_s": 0.0},
        "episodes": {"thresholds": {}},
        "outbox": {"path": tmp_path / "outbox.sqlite3"},
    }


def lines_of(document: dict[str, Any], wall_s: float | None = None, **sections: Any) -> list[dict[str, Any]]:
    stream = io.StringIO()
    clock = {} if wall_s is None else {"wall": lambda: wall_s}
    with Agent(Config.model_validate(document | sections), stream=stream, **clock) as agent:
        agent.run(until_end=True)
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_the_timetable_is_in_every_window_and_changes_the_reading(base: dict[str, Any]) -> None:
    timetable = {"timetable": ["mon 9:00-9:45 task", "mon 9:45-10:00 break"]}
    plain = lines_of(base, MONDAY_MORNING)
    in_task = lines_of(base, MONDAY_MORNING, context=timetable)
    assert {line["context"] for line in in_task} == {"task"}
    assert {line["context_prior"] for line in in_task} == {0}
    assert not any("context" in line for line in plain)

    def shares(lines: list[dict[str, Any]]) -> list[list[float]]:
        return [[value for key, value in line.items() if key.startswith("share_")] for line in lines]

    assert shares(plain) == shares(in_task)
    assert not any("reading_frustration" in line for line in in_task)
    for before, now in zip(plain, in_task, strict=True):
        thinking = before["reading_frustration"] + before["reading_thinking"]
        assert now["reading_thinking"] == pytest.approx(thinking)


def test_the_prior_re_weights_the_shares_and_the_event_says_so(base: dict[str, Any]) -> None:
    context = {"timetable": ["mon 9:00-9:45 break"]}
    off, on = (lines_of(base, MONDAY_MORNING, context=context | {"prior": prior}) for prior in (False, True))
    assert {line["context_prior"] for line in on} == {1}
    # In a break every negative reading has a weight of 0.67, every other one 1 or more.
    assert all(
        now["negative_activity"] <= before["negative_activity"] for now, before in zip(on, off, strict=True)
    )
    assert sum(line["negative_activity"] for line in on) < sum(line["negative_activity"] for line in off)


def test_an_episode_has_one_id_from_its_beginning_to_its_end_and_all_events_are_numbered_together(
    base: dict[str, Any],
) -> None:
    episodes = {"thresholds": {"negative_activity": 0.05}, "windows": 2, "gap_windows": 0}
    lines = lines_of(base, episodes=episodes)
    assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))
    assert [(line["schema"], line.get("phase")) for line in lines] == [
        ("roomtone-emotion/1", None),
        ("roomtone-emotion/1", None),
        ("roomtone-episode/1", "new"),
        ("roomtone-emotion/1", None),
        ("roomtone-episode/1", "update"),
        ("roomtone-emotion/1", None),
        ("roomtone-episode/1", "update"),
        ("roomtone-episode/1", "end"),
    ]
    told = [EpisodeEvent.decode(json.dumps(line).encode()) for line in lines if "phase" in line]
    assert {event.episode_id for event in told} == {told[0].event_id}
    assert [event.windows for event in told] == [2, 3, 4, 4]
    assert [event.duration_s for event in told] == pytest.approx([2, 3, 4, 4], abs=0.002)
    assert told[0].start_ts == pytest.approx(lines[0]["ts"] - 1, abs=0.002)


def test_suppressed_windows_have_no_episode(base: dict[str, Any]) -> None:
    lines = lines_of(
        base,
        room={"window_s": 1.0, "min_group": 12, "min_track_s": 0.0},
        episodes={"thresholds": {"negative_activity": 0.05}, "windows": 1},
    )
    assert {line["suppressed"] for line in lines} == {1}


def test_an_episode_that_the_bundle_never_tells_is_a_fault_at_the_start(base: dict[str, Any]) -> None:
    config = Config.model_validate(base | {"episodes": {"thresholds": {"boredness": 0.4}}})
    with pytest.raises(ConfigurationError, match=r"episodes\.thresholds\.boredness"), Agent(config):
        pytest.fail("it opened")


def test_only_who_sits_in_a_zone_of_students_counts(base: dict[str, Any]) -> None:
    short = {"source": ROOM.replace("seconds=4", "seconds=2")}
    whole = lines_of(base, camera=short)[-1]
    half = lines_of(base, camera=short, zones={"students": {"left": LEFT_HALF}})[-1]
    assert (whole["seen_min"], half["seen_min"]) == (6, 6)  # 8 people: the band from 6 on
    assert half["readable_max"] < whole["readable_max"]
    assert half["zone_left_readable_max"] == half["readable_max"]
    assert half["zone_left_positive_activity"] == half["positive_activity"]


@pytest.mark.parametrize(
    ("deployment", "is_told"),
    [
        ({"purpose": "simulation"}, True),
        ({"purpose": "research", "jurisdiction": "US", "teacher_agreement": "of 2026-09-01"}, True),
        ({"purpose": "research", "jurisdiction": "US"}, False),
    ],
    ids=["simulation", "agreement", "neither"],
)
def test_without_an_agreement_nobody_in_the_teachers_zone_is_even_classified(
    base: dict[str, Any], deployment: dict[str, str], is_told: bool
) -> None:
    room = {"window_s": 1.0, "min_group": 5, "min_track_s": 0.0}
    camera = {"source": ROOM.replace("seconds=4", "seconds=2")}
    document = base | {"camera": camera, "room": room, "deployment": deployment}
    events: list[EmotionEvent] = []
    counted = []
    for teacher in (None, RIGHT):
        config = Config.model_validate(document | {"zones": {"teacher": teacher}})
        with Agent(config, on_event=events.append) as agent:
            agent.run(until_end=True)
            counted.append(agent._analysis.counters.classified)
    assert (events[-1].teacher_activity is not None) is is_told
    assert events[-1].suppressed == 0
    assert (counted[1] == counted[0]) is is_told
    assert is_told or 0.5 < counted[1] / counted[0] < 0.75


@pytest.mark.broker
def test_an_activity_set_over_mqtt_is_in_the_next_windows_and_survives_a_restart(
    base: dict[str, Any], mosquitto: Mosquitto
) -> None:
    config = Config.model_validate(
        base | {"camera": {"source": ENDLESS, "realtime": True}, "mqtt": {"url": mosquitto.mqtt.url}}
    )

    def contexts(listener: Listener) -> list[str | None]:
        return [EmotionEvent.decode(data).context for data in listener.payloads(TOPICS.emotion)]

    with Listener(mosquitto) as listener:
        with working(config):
            assert until(lambda: listener.payloads(TOPICS.context_state) == [b"none"])
            listener.client.publish(TOPICS.context_set, b"siesta", qos=1)
            listener.client.publish(TOPICS.context_set, b"exam", qos=1)
            assert until(lambda: listener.payloads(TOPICS.context_state) == [b"none", b"exam"])
            assert until(lambda: "exam" in contexts(listener))
        seen = len(contexts(listener))
        with working(config):
            assert until(lambda: "exam" in contexts(listener)[seen:])
            listener.client.publish(TOPICS.context_set, b"auto", qos=1)
            assert until(lambda: listener.payloads(TOPICS.context_state)[-1] == b"none")
    with Listener(mosquitto) as late:
        assert until(lambda: late.payloads(TOPICS.context_state) == [b"none"])  # retained


@pytest.mark.broker
def test_the_shutter_ends_an_episode_and_its_events_arrive_once_and_in_order(
    base: dict[str, Any], mosquitto: Mosquitto
) -> None:
    config = Config.model_validate(
        base
        | {
            "camera": {"source": ENDLESS, "realtime": True},
            "mqtt": {"url": mosquitto.mqtt.url},
            "episodes": {"thresholds": {"negative_activity": 0.05}, "windows": 1, "gap_windows": 10},
        }
    )

    def phases(listener: Listener) -> list[str]:
        return [EpisodeEvent.decode(data).phase for data in listener.payloads(TOPICS.episode)]

    with Listener(mosquitto) as listener, working(config):
        assert until(lambda: "update" in phases(listener))
        listener.client.publish(TOPICS.enabled_set, b"OFF", qos=1)
        assert until(lambda: "end" in phases(listener))
        told = phases(listener)
        assert told == ["new", *["update"] * (len(told) - 2), "end"]
        numbers = [
            json.loads(data)["seq"]
            for topic in (TOPICS.emotion, TOPICS.episode)
            for data in listener.payloads(topic)
        ]
        assert sorted(numbers) == list(range(1, len(numbers) + 1))
