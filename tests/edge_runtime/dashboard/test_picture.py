"""The live picture: what it takes, what it tells a page, and what it does not believe."""

from __future__ import annotations

import json

import pytest
from dashboard_parts import NOW_S, R12, alert, episode, info, message, stats, window

from edge_runtime.dashboard.picture import MAX_DEVICES, MAX_FORGOTTEN, Picture
from edge_runtime.publishing.payloads import encode
from edge_runtime.publishing.topics import Topics


class Clock:
    now_s = NOW_S

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def picture(clock: Clock) -> Picture:
    return Picture(wall=clock)


def records(picture: Picture, since: int = 0) -> list[dict]:
    changes = picture.changes_since(since)
    assert changes is not None
    return changes.devices


def test_a_page_is_told_everything_once_and_then_what_changed(picture: Picture) -> None:
    picture.take(message(R12.availability, b"online", retained=True))
    picture.take(message(R12.state, window()))
    (record,) = records(picture)
    assert (record["key"], record["link"]["online"]) == ("north/r12/camera-1", True)
    assert (record["window"]["dominant"], record["window"]["share_happy"]) == ("happy", 0.5)
    seen = picture.revision
    assert records(picture, seen) == []
    picture.take(message(R12.stats, stats()))
    (record,) = records(picture, seen)
    assert set(record) == {"key", "site", "room", "device", "stats"}


def test_a_window_that_comes_on_both_of_its_topics_is_one_change(picture: Picture) -> None:
    picture.take(message(R12.emotion, window()))
    seen = picture.revision
    picture.take(message(R12.state, window()))
    assert records(picture, seen) == []


def test_what_an_outbox_sends_late_does_not_replace_the_newest(picture: Picture) -> None:
    picture.take(message(R12.state, window(seq=9)))
    picture.take(message(R12.emotion, window(seq=3, ts=NOW_S - 600, dominant="happy")))
    assert records(picture)[0]["window"]["event_id"] == "camera-1-7-9"


def test_a_clock_that_is_set_back_does_not_freeze_the_room(picture: Picture) -> None:
    picture.take(message(R12.state, window(seq=9, ts=NOW_S + 3600)))
    picture.take(message(R12.state, window(seq=10, ts=NOW_S - 5)))
    assert records(picture)[0]["window"]["event_id"] == "camera-1-7-10"


def test_a_clock_an_hour_off_is_told_and_the_age_is_right(picture: Picture, clock: Clock) -> None:
    picture.take(message(R12.availability, b"online"))
    picture.take(message(R12.stats, stats(ts=NOW_S + 3600)))
    picture.take(message(R12.state, window(ts=NOW_S + 3600 - 20)))
    (record,) = records(picture)
    assert record["link"]["skew_s"] == 3600
    assert record["verdict"]["text"] == "Its clock is 1 h ahead of this server’s."
    clock.now_s += 30
    device = picture._devices[("north", "r12", "camera-1")]
    assert device.age_s(clock.now_s) == pytest.approx(50)


def test_two_devices_of_one_name_are_told_apart_from_one_that_restarts(picture: Picture) -> None:
    picture.take(message(R12.availability, b"online"))
    for number, boot in enumerate((7, 8, 9)):
        picture.take(message(R12.emotion, window(seq=number, boot=boot, ts=NOW_S + number)))
    assert records(picture)[0]["verdict"]["code"] == "ok"
    for number, boot in enumerate((8, 9, 8)):
        picture.take(message(R12.emotion, window(seq=10 + number, boot=boot, ts=NOW_S + 10 + number)))
    assert records(picture)[0]["verdict"]["text"] == "Two devices speak as camera-1 in this room."


def test_a_device_that_changes_rooms_leaves_an_offline_ghost_that_can_be_forgotten(picture: Picture) -> None:
    r14 = Topics("north", "r14", "camera-1")
    picture.take(message(R12.state, window()))
    picture.take(message(R12.availability, b"offline"))
    picture.take(message(r14.availability, b"online"))
    picture.take(message(r14.state, window(r14, boot=8)))
    by_key = {record["key"]: record for record in records(picture)}
    assert by_key["north/r12/camera-1"]["verdict"]["code"] == "offline"
    assert "roomtone mqtt forget north/r12/camera-1" in by_key["north/r12/camera-1"]["verdict"]["hint"]
    assert by_key["north/r14/camera-1"]["link"]["online"] is True
    seen = picture.revision
    picture.take(message(R12.availability, b""))
    assert records(picture, seen) == [{"key": "north/r12/camera-1", "gone": True}]
    assert [record["key"] for record in records(picture)] == ["north/r14/camera-1"]


def test_silence_is_news_although_it_sends_no_message(picture: Picture, clock: Clock) -> None:
    picture.take(message(R12.availability, b"online"))
    picture.take(message(R12.info, info()))
    picture.take(message(R12.state, window()))
    seen = picture.revision
    clock.now_s += 100
    picture.review()
    assert records(picture, seen) == []
    clock.now_s += 100
    picture.review()
    assert records(picture, seen)[0]["verdict"]["code"] == "silent"


def test_an_episode_is_shown_while_it_goes_on(picture: Picture) -> None:
    picture.take(message(R12.episode, episode(seq=5)))
    picture.take(message(R12.episode, episode(seq=6, phase="update")))
    assert [step["phase"] for step in records(picture)[0]["episodes"]] == ["update"]
    picture.take(message(R12.episode, episode(seq=7, phase="end")))
    assert records(picture)[0]["episodes"] == []


def test_an_alert_is_shown_while_it_lasts_and_makes_no_device_by_itself(picture: Picture) -> None:
    topic = "roomtone/alert/north/r12/camera-1/confusion"
    picture.take(message(topic, alert(), retained=True))
    assert (records(picture), picture.foreign) == ([], 0)
    picture.take(message(R12.state, window()))
    picture.take(message(topic, alert()))
    assert [one["text"] for one in records(picture)[0]["alerts"]] == ["sad is above 40 % for 3 windows"]
    picture.take(message(topic, alert(phase="end", firing=0)))
    assert records(picture)[0]["alerts"] == []
    picture.take(message(topic, alert()))
    picture.take(message(topic, b""))
    assert records(picture)[0]["alerts"] == []
    picture.take(message(topic, b"nonsense"))
    assert picture.foreign == 1


def test_context_shutter_and_parts_are_plain_words(picture: Picture) -> None:
    picture.take(message(R12.context_state, b"exam"))
    picture.take(message(R12.enabled_state, b"OFF"))
    picture.take(message(R12.status("capture"), b"disabled"))
    link = records(picture)[0]["link"]
    assert (link["context"], link["enabled"], link["status"]) == ("exam", False, {"capture": "disabled"})


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        pytest.param(R12.emotion, b"hello", id="text"),
        pytest.param(R12.emotion, b"\xff\x00", id="bytes"),
        pytest.param(R12.stats, b"[" * 5000, id="nested"),
        pytest.param(
            R12.emotion, encode(window()).replace(b"emotion/1", b"emotion/2"), id="a schema of tomorrow"
        ),
        pytest.param(
            R12.emotion, encode(window()).replace(b'"valence":0.3', b'"valence":3.0'), id="out of range"
        ),
        pytest.param(Topics("north", "r13", "camera-1").state, encode(window()), id="another room's window"),
        pytest.param(R12.availability, b"maybe", id="neither online nor offline"),
        pytest.param(R12.context_state, b"<b>party</b>", id="no activity"),
        pytest.param("roomtone/<b>x</b>/r1/camera-1/state", encode(window()), id="HTML in a topic"),
        pytest.param("roomtone/north/r12/camera-1/nonsense", b"1", id="no leaf of ours"),
    ],
)
def test_what_is_not_ours_is_counted_and_changes_nothing(
    picture: Picture, topic: str, payload: bytes
) -> None:
    picture.take(message(topic, payload))
    assert (picture.foreign, records(picture)) == (1, [])
    assert topic in picture.last_foreign


def test_a_newer_device_with_more_keys_is_shown(picture: Picture) -> None:
    wire = json.loads(encode(window())) | {"mood_of_the_moon": 3}
    picture.take(message(R12.emotion, json.dumps(wire).encode()))
    assert picture.foreign == 0
    assert "mood_of_the_moon" not in records(picture)[0]["window"]


def test_invented_devices_do_not_fill_the_memory(picture: Picture) -> None:
    for number in range(MAX_DEVICES + 5):
        picture.take(message(f"roomtone/a/b/c{number}/availability", b"online"))
    assert (len(records(picture)), picture.foreign) == (MAX_DEVICES, 5)


def test_a_page_that_missed_too_many_farewells_begins_anew(picture: Picture) -> None:
    picture.take(message(R12.state, window()))
    seen = picture.revision
    for number in range(MAX_FORGOTTEN + 1):
        picture.take(message(f"roomtone/a/b/c{number}/availability", b"online"))
        picture.take(message(f"roomtone/a/b/c{number}/availability", b""))
    assert picture.changes_since(seen) is None
    assert picture.changes_since(picture.revision) is not None


def test_the_last_hour_is_kept_as_one_mean_a_minute(picture: Picture, clock: Clock) -> None:
    clock.now_s = NOW_S + 7230
    minutes = range(90)
    for minute in minutes:
        ts = clock.now_s - 60 * (89 - minute) - 1
        for half, activity in enumerate((0.4, 0.6)):
            seq = 2 * minute + half
            picture.take(
                message(
                    R12.emotion,
                    window(
                        seq=seq,
                        ts=ts - 5 + half,
                        classroom_activity=activity,
                        grade="good" if activity < 0.55 else "excellent",
                    ),
                )
            )
    trend = records(picture)[0]["trend"]
    assert len(trend) == 60
    assert {value for _, value in trend} == {0.5}
    assert trend[-1][0] == int(clock.now_s // 60)


def test_the_hour_before_the_start_comes_from_the_history(picture: Picture) -> None:
    picture.take(message(R12.state, window()))
    picture.remember("north", "r12", "camera-1", [(NOW_S - 600, 0.25)])
    picture.remember("north", "r99", "camera-1", [(NOW_S - 600, 0.25)])
    assert records(picture)[0]["trend"][0] == [int((NOW_S - 600) // 60), 0.25]
    assert len(records(picture)) == 1
