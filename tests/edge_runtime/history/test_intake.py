"""What the collector makes of messages, in order and out of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from history_parts import HOUR_TS, PLACE, event, info, phase, stats, topics

from edge_runtime.history.intake import MAX_DEVICES, MAX_TOLD, Intake
from edge_runtime.history.records import EventRecord, InfoRecord, Place, StatsRecord, WordRecord
from edge_runtime.publishing.connection import Message
from edge_runtime.publishing.payloads import EmotionEvent, EpisodeEvent, Info, Stats, encode

TOPICS = topics()


class Bench:
    """An intake whose clock is set by hand, and what it said."""

    def __init__(self) -> None:
        self.now = HOUR_TS + 61
        self.said: list[str] = []
        self.intake = Intake(wall=lambda: self.now, tell=self.said.append)

    def take(
        self,
        topic: str,
        payload: bytes | EmotionEvent | Stats | Info | EpisodeEvent,
        *,
        retained: bool = False,
    ) -> Any:
        data = payload if isinstance(payload, bytes) else encode(payload)
        return self.intake.take(Message(topic, data, retained, qos=1))


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_every_kind_becomes_its_record(bench: Bench) -> None:
    told = phase(5, "new", first=5, ts=HOUR_TS + 60, start_ts=HOUR_TS)
    assert bench.take(TOPICS.emotion, event()) == EventRecord(event(), bench.now, "ok")
    assert bench.take(TOPICS.episode, told) == EventRecord(told, bench.now, "ok")
    assert bench.take(TOPICS.stats, stats()) == StatsRecord(stats(), bench.now)
    assert bench.take(TOPICS.info, info(), retained=True) == InfoRecord(info(), bench.now)
    for topic, word, leaf in [
        (TOPICS.availability, "online", "availability"),
        (TOPICS.status("capture"), "disabled", "status/capture"),
        (TOPICS.enabled_state, "OFF", "enabled/state"),
        (TOPICS.context_state, "none", "context/state"),
    ]:
        expected = WordRecord(PLACE, leaf, word, bench.now, True)
        assert bench.take(topic, word.encode(), retained=True) == expected
    assert (bench.said, dict(bench.intake.remarks)) == ([], {})


@pytest.mark.parametrize(
    ("topic", "payload", "kind", "words"),
    [
        pytest.param("roomtone/x/emotion", b"{}", "foreign", "no topic", id="short topic"),
        pytest.param(TOPICS.emotion, b"hello", "unreadable", "breaks its schema", id="text"),
        pytest.param(TOPICS.emotion, b"\xff\x00", "unreadable", "breaks its schema", id="bytes"),
        pytest.param(TOPICS.emotion, b"[" * 5000, "unreadable", "breaks its schema", id="nested"),
        pytest.param(TOPICS.emotion, encode(stats()), "unreadable", "roomtone-emotion/1", id="stats on emotion"),
        pytest.param(
            TOPICS.emotion, b'{"schema":"roomtone-emotion/2","mood":"fine"}', "unknown_schema",
            "'roomtone-emotion/2'", id="a schema of the future",
        ),
        pytest.param(topics(Place("north-school", "r13", "camera-1")).emotion, encode(event()), "wrong_sender",
                     "another device", id="another room's window"),
        pytest.param(TOPICS.availability, b"<b>maybe</b>", "unreadable", "none of online", id="no word of ours"),
        pytest.param(TOPICS.emotion, encode(event()).replace(b'"seq":1,', b'"seq":1e400,'), "unreadable",
                     "breaks its schema", id="an infinite number"),
    ],
)  # fmt: skip
def test_what_is_not_ours_is_counted_by_kind_and_told_once(
    bench: Bench, topic: str, payload: bytes, kind: str, words: str
) -> None:
    for _ in range(3):
        assert bench.take(topic, payload) is None
    assert dict(bench.intake.remarks) == {kind: 3}
    (told,) = bench.said
    assert topic in told
    assert words in told


def test_a_count_that_no_database_holds_breaks_its_schema(bench: Bench) -> None:
    wire = json.loads(encode(event()))
    wire |= {"seq": 10**30, "event_id": f"camera-1-7-{10**30}"}
    assert bench.take(TOPICS.emotion, json.dumps(wire).encode()) is None
    assert dict(bench.intake.remarks) == {"unreadable": 1}


def test_a_retained_event_is_a_ghost(bench: Bench) -> None:
    assert bench.take(TOPICS.emotion, event(), retained=True) is None
    assert bench.take(TOPICS.stats, stats(), retained=True) is None
    assert dict(bench.intake.remarks) == {"ghost": 2}


def test_the_retained_state_is_a_window_as_any_unless_the_broker_has_kept_it_for_long(bench: Bench) -> None:
    assert bench.take(TOPICS.state, event(), retained=True) == EventRecord(event(), bench.now, "ok")
    bench.now += 3600
    assert bench.take(TOPICS.state, event(), retained=True) is None
    assert bench.said == []


def test_a_cleared_retained_value_is_nothing_and_no_fault(bench: Bench) -> None:
    assert bench.take(TOPICS.info, b"") is None
    assert bench.said == []


def test_a_key_that_a_newer_device_adds_is_passed_over(bench: Bench) -> None:
    wire = json.loads(encode(event())) | {"wall_colour": "green"}
    assert bench.take(TOPICS.emotion, json.dumps(wire).encode()) == EventRecord(event(), bench.now, "ok")


@pytest.mark.parametrize(
    ("offset_s", "clock"),
    [(-3600, "late"), (-60, "ok"), (0, "ok"), (59, "ok"), (3600, "early")],
    ids=lambda value: str(value),
)
def test_an_event_says_how_its_clock_agrees(bench: Bench, offset_s: float, clock: str) -> None:
    record = bench.take(TOPICS.emotion, event(ts=bench.now + offset_s))
    assert (record.clock, record.event.ts - record.received_ts) == (clock, offset_s)
    assert bench.intake.clocks[clock] == 1


@pytest.mark.parametrize(("offset_s", "words"), [(-3600, "60 min behind"), (7200, "120 min ahead")], ids=str)
def test_a_clock_an_hour_off_is_told_by_the_stats_which_do_not_wait(
    bench: Bench, offset_s: float, words: str
) -> None:
    for _ in range(2):
        assert bench.take(TOPICS.stats, stats(bench.now + offset_s)) is not None
    (told,) = bench.said
    assert words in told
    assert "north-school/r12/camera-1" in told


def test_a_device_that_changes_rooms_is_told(bench: Bench) -> None:
    elsewhere = Place("north-school", "r13", "camera-1")
    bench.take(TOPICS.stats, stats())
    bench.take(TOPICS.availability, b"offline")
    bench.take(topics(elsewhere).stats, stats(place=elsewhere))
    assert bench.said == [
        "camera-1 of north-school was in r12 and speaks from r13 now; its past stays with r12"
    ]
    bench.take(topics(elsewhere).stats, stats(place=elsewhere))
    assert dict(bench.intake.remarks) == {"moved": 1}


def test_two_devices_with_one_name_are_told(bench: Bench) -> None:
    elsewhere = Place("north-school", "r13", "camera-1")
    for _ in range(3):
        bench.take(TOPICS.stats, stats())
        bench.take(topics(elsewhere).stats, stats(place=elsewhere))
    (told,) = bench.said
    assert "two devices of north-school are called camera-1, in r12 and r13" in told


def test_a_school_where_all_devices_have_one_name_is_told_it_once(bench: Bench) -> None:
    for number in range(300):
        place = Place("north-school", f"r{number}", "camera-1")
        bench.take(topics(place).stats, stats(place=place))
    (told,) = bench.said
    assert "in r0 and r1;" in told
    assert bench.intake.remarks["namesake"] == 299  # one for each device, not one for each pair


def test_a_device_that_comes_back_to_its_room_has_not_moved(bench: Bench) -> None:
    for _ in range(2):
        bench.take(TOPICS.stats, stats())
        bench.take(TOPICS.availability, b"offline")
    bench.now += 3600
    bench.take(TOPICS.stats, stats(bench.now))
    assert bench.said == []


def test_a_device_that_fell_silent_and_speaks_from_another_room_has_moved(bench: Bench) -> None:
    elsewhere = Place("north-school", "r13", "camera-1")
    bench.take(TOPICS.stats, stats())
    bench.now += 600
    bench.take(topics(elsewhere).stats, stats(bench.now, place=elsewhere))
    assert dict(bench.intake.remarks) == {"moved": 1}


def test_the_same_name_in_two_schools_is_nothing_to_tell(bench: Bench) -> None:
    elsewhere = Place("south-school", "r12", "camera-1")
    bench.take(TOPICS.stats, stats())
    bench.take(topics(elsewhere).stats, stats(place=elsewhere))
    assert bench.said == []


def test_invented_devices_do_not_fill_the_database(bench: Bench) -> None:
    taken = [bench.take(f"roomtone/a/b/c{n}/availability", b"online") for n in range(MAX_DEVICES + 3)]
    assert sum(record is not None for record in taken) == MAX_DEVICES
    assert bench.intake.remarks["foreign"] == 3


def test_when_a_whole_fleet_is_odd_only_some_of_it_is_told(bench: Bench) -> None:
    for number in range(MAX_TOLD + 20):
        bench.take(f"roomtone/a/b/c{number}/availability", b"maybe")
    assert bench.intake.remarks["unreadable"] == MAX_TOLD + 20
    assert len(bench.said) == MAX_TOLD + 1
    assert bench.said[-1].endswith("only counted")


def test_within_a_group_events_are_shared_and_retained_topics_are_not(bench: Bench) -> None:
    patterns = bench.intake.patterns("night")
    assert "$share/night/roomtone/+/+/+/emotion" in patterns
    assert "$share/night/roomtone/+/+/+/episode" in patterns
    assert "roomtone/+/+/+/availability" in patterns
    assert not any("share" in pattern for pattern in bench.intake.patterns(None))
    assert (bench.intake.glances("night"), bench.intake.glances(None)) == (["roomtone/+/+/+/state"], [])
