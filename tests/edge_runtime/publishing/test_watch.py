"""The board of all rooms, its table, and `watch` against a real broker."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from brokers import Listener, Mosquitto, free_port, until
from publishing_parts import TOPICS, episode, event, stats, whole_event
from rich.console import Console

from edge_runtime.config import MqttSection
from edge_runtime.errors import BrokerUnreachableError
from edge_runtime.publishing.board import MAX_DEVICES, MAX_KINDS, RoomBoard, table
from edge_runtime.publishing.credentials import Credentials
from edge_runtime.publishing.payloads import encode
from edge_runtime.publishing.topics import Topics
from edge_runtime.publishing.watch import line, watch

END_S = 1_760_000_060.0


def shown(board: RoomBoard, width: int = 160, **options: Any) -> str:
    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(table(board.rows(), **options))
    return out.getvalue()


@pytest.fixture
def board() -> RoomBoard:
    return RoomBoard(wall=lambda: END_S + 42)


def test_a_device_appears_with_its_first_message(board: RoomBoard) -> None:
    board.take(TOPICS.availability, b"online")
    (row,) = board.rows()
    assert (row.site, row.room, row.device, row.is_online, row.event, row.age_s) == (
        "north-school",
        "r12",
        "camera-1",
        True,
        None,
        None,
    )


def test_the_newest_window_counts_even_when_older_ones_come_after_it(board: RoomBoard) -> None:
    new, old = event(9, ts=END_S), event(3, ts=END_S - 600)
    assert board.take(TOPICS.state, encode(new)) == new
    assert board.take(TOPICS.emotion, encode(old)) == old
    (row,) = board.rows()
    assert (row.event, row.age_s) == (new, 42)


def test_a_window_that_comes_twice_is_one_window(board: RoomBoard) -> None:
    assert board.take(TOPICS.state, encode(event())) is not None
    assert board.take(TOPICS.emotion, encode(event())) is None


def test_a_watcher_whose_clock_is_behind_sees_no_negative_age() -> None:
    board = RoomBoard(wall=lambda: END_S - 3600)
    board.take(TOPICS.state, encode(event(ts=END_S)))
    assert board.rows()[0].age_s == 0


def test_the_table_shows_the_class_its_teacher_its_activity_and_what_lasts(board: RoomBoard) -> None:
    board.take(TOPICS.emotion, encode(whole_event()))
    board.take(TOPICS.episode, encode(episode()))
    text = shown(board)
    for said in ("good 0.45", "teacher 0.60", "in task, weighted", "negative activity for 3 min"):
        assert said in text
    assert "good 0.45  in task" in line(whole_event())
    assert "class" in text
    assert "good" not in shown_after(event())


def shown_after(first: Any) -> str:
    board = RoomBoard(wall=lambda: END_S)
    board.take(TOPICS.emotion, encode(first))
    return shown(board)


def test_an_episode_is_shown_until_its_end_whatever_the_order_of_its_messages(board: RoomBoard) -> None:
    steps = [episode(), episode(6, phase="update", windows=4), episode(7, phase="end", windows=4)]
    for step in steps[:2]:
        board.take(TOPICS.episode, encode(step))
    assert [step.windows for step in board.rows()[0].episodes] == [4]
    for step in (steps[2], *steps):  # what came before its end is delivered a second time
        board.take(TOPICS.episode, encode(step))
    assert board.rows()[0].episodes == ()


def test_an_episode_of_a_run_that_is_over_does_not_last(board: RoomBoard) -> None:
    board.take(TOPICS.episode, encode(episode()))
    board.take(TOPICS.emotion, encode(event(9, boot=8)))
    assert board.rows()[0].episodes == ()


def test_a_stranger_cannot_fill_the_board_with_kinds_of_episodes(board: RoomBoard) -> None:
    for number in range(MAX_KINDS + 10):
        board.take(TOPICS.episode, encode(episode(kind=f"kind{number}")))
    assert len(board.rows()[0].episodes) == MAX_KINDS


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        pytest.param(TOPICS.episode, encode(event()), id="emotion on episode"),
        pytest.param(TOPICS.emotion, b"hello", id="text"),
        pytest.param(TOPICS.emotion, b"\xff\x00", id="bytes"),
        pytest.param(TOPICS.emotion, b"{}", id="empty object"),
        pytest.param(TOPICS.emotion, b"[" * 5000, id="nested"),
        pytest.param(TOPICS.emotion, encode(stats()), id="stats on emotion"),
        pytest.param(TOPICS.stats, encode(event()), id="emotion on stats"),
        pytest.param(TOPICS.availability, b"maybe", id="availability of neither kind"),
        pytest.param(
            Topics("north-school", "r13", "camera-1").state, encode(event()), id="another room's window"
        ),
        pytest.param("roomtone/x/emotion", encode(event()), id="short topic"),
        pytest.param(TOPICS.info, b"{}", id="a leaf that was not asked for"),
    ],
)
def test_a_foreign_message_is_counted_and_changes_nothing(
    board: RoomBoard, topic: str, payload: bytes
) -> None:
    assert board.take(topic, payload) is None
    assert (board.foreign, board.rows()) == (1, [])
    assert topic in board.last_foreign


def test_a_cleared_retained_value_is_no_foreign_message(board: RoomBoard) -> None:
    board.take(TOPICS.state, b"")
    assert board.foreign == 0


def test_a_newer_device_with_more_keys_is_shown(board: RoomBoard) -> None:
    wire = json.loads(encode(event())) | {"weather": 3}
    assert board.take(TOPICS.emotion, json.dumps(wire).encode()) == event()


def test_invented_devices_do_not_fill_the_memory(board: RoomBoard) -> None:
    for number in range(MAX_DEVICES + 5):
        board.take(f"roomtone/a/b/c{number}/availability", b"online")
    assert (len(board.rows()), board.foreign) == (MAX_DEVICES, 5)


def test_the_table_says_in_words_what_the_bars_show(board: RoomBoard) -> None:
    board.take(TOPICS.availability, b"online")
    board.take(TOPICS.state, encode(event()))
    board.take(TOPICS.stats, encode(stats()))
    text = shown(board, foreign=3, note="the broker is away")
    for words in [
        "north-school/r12",
        "camera-1",
        "online",
        "neutral ██████░░░░  55%",
        "happy   ███░░░░░░░  30%",
        "sad     ██░░░░░░░░  15%",
        "+0.15",
        "-0.05",
        "15–19",
        "of 20–24",
        "42 s ago",
        "ok, 24.8 fps",
        "3 foreign messages",
        "the broker is away",
    ]:
        assert words in text


def test_a_suppressed_window_is_shown_as_private(board: RoomBoard) -> None:
    board.take(TOPICS.availability, b"offline")
    board.take(TOPICS.state, encode(event(suppressed=True)))
    text = shown(board)
    assert "private (fewer than 10)" in text
    assert "offline" in text
    assert "%" not in text


def test_an_empty_board_says_so(board: RoomBoard) -> None:
    assert "no room has published yet" in shown(board)


@pytest.mark.parametrize(("age_s", "words"), [(0, "0 s"), (119, "119 s"), (600, "10 min"), (86_400, "24 h")])
def test_an_age_is_told_in_a_fitting_unit(age_s: int, words: str) -> None:
    board = RoomBoard(wall=lambda: END_S + age_s)
    board.take(TOPICS.state, encode(event(ts=END_S)))
    assert words in shown(board)


def test_a_line_holds_the_whole_window() -> None:
    text = line(event(ts=END_S))
    assert "north-school/r12 camera-1  neutral 55%, happy 30%, sad 15%  valence +0.15  arousal -0.05" in text
    assert line(event(suppressed=True)).endswith("private (fewer than 10)  5–9 of 5–9")


def watched(broker: Mosquitto, act: Callable[[Listener], None], **options: Any) -> tuple[str, RoomBoard]:
    """What `watch` prints while something is published."""
    out = io.StringIO()
    with Listener(broker) as publisher:
        timer = threading.Timer(0.3, act, [publisher])
        timer.start()
        console = Console(file=out, width=160, color_system=None)
        board = watch(broker.mqtt, Credentials(), duration_s=1.2, console=console, **options)
        timer.join()
    return out.getvalue(), board


def publish_a_window(publisher: Listener) -> None:
    publisher.client.publish(TOPICS.availability, b"online", qos=1, retain=True)
    publisher.client.publish(TOPICS.emotion, b"garbage", qos=1)
    publisher.client.publish(TOPICS.state, encode(event()), qos=1, retain=True)
    publisher.client.publish(TOPICS.emotion, encode(event()), qos=1)


@pytest.mark.broker
def test_watch_prints_a_line_per_window_and_counts_what_is_foreign(mosquitto: Mosquitto) -> None:
    text, board = watched(mosquitto, publish_a_window)
    assert text.splitlines() == [line(event()), "1 foreign messages."]
    assert (board.foreign, board.rows()[0].is_online) == (1, True)


@pytest.mark.broker
def test_json_lines_are_data_and_nothing_else(mosquitto: Mosquitto) -> None:
    text, _ = watched(mosquitto, publish_a_window, json_lines=True)
    assert [json.loads(row) for row in text.splitlines()] == [json.loads(encode(event()))]


@pytest.mark.broker
def test_the_live_table_shows_the_room(mosquitto: Mosquitto) -> None:
    text, _ = watched(mosquitto, publish_a_window, live=True)
    assert "north-school/r12" in text
    assert "1 foreign message on these topics" in text


@pytest.mark.broker
def test_watch_connects_again_when_the_broker_comes_back(mosquitto: Mosquitto) -> None:
    boards: list[RoomBoard] = []
    console = Console(file=io.StringIO())

    def look() -> None:
        boards.append(watch(mosquitto.mqtt, Credentials(), duration_s=3.5, console=console))

    watcher = threading.Thread(target=look)
    watcher.start()
    log = mosquitto.folder / "mosquitto.log"
    assert until(lambda: "roomtone-watch" in log.read_text())
    mosquitto.stop()
    mosquitto.start()
    assert until(lambda: log.read_text().count("as roomtone-watch") == 2)
    with Listener(mosquitto) as publisher:
        publish_a_window(publisher)
        watcher.join()
    assert boards[0].rows()[0].event == event()


def test_without_a_broker_to_begin_with_watch_says_why() -> None:
    mqtt = MqttSection(url=f"mqtt://127.0.0.1:{free_port()}")
    with pytest.raises(BrokerUnreachableError, match="nothing listens"):
        watch(mqtt, Credentials(), duration_s=1.0)
