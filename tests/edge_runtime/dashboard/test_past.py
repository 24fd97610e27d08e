"""History for the room page, from a real store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from dashboard_parts import NOW_S, R12, episode, message, window
from starlette.testclient import TestClient

from edge_runtime.dashboard.access import Access
from edge_runtime.dashboard.feed import Feed
from edge_runtime.dashboard.past import Past
from edge_runtime.dashboard.picture import Picture
from edge_runtime.dashboard.server import make_app
from edge_runtime.history.records import EventRecord
from edge_runtime.history.store import HistoryStore, open_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[HistoryStore]:
    with open_store(f"sqlite:///{tmp_path / 'history.sqlite3'}") as opened:
        events = [window(seq=seq, ts=NOW_S - 60 * (31 - seq)) for seq in range(1, 31)]
        events.append(window(seq=31, ts=NOW_S, suppressed=1))
        opened.write([EventRecord(event, event.ts, "ok") for event in events])
        opened.write([EventRecord(episode(seq=40, first=40), NOW_S, "ok")])
        yield opened


def client(store: HistoryStore | None) -> TestClient:
    feed = Feed(Picture(), dict, lambda: True)
    return TestClient(make_app(feed, Past(store, wall=lambda: NOW_S + 1), Access()), "http://localhost")


def test_the_page_gets_windows_and_episodes_of_the_time_it_asks_for(store: HistoryStore) -> None:
    answer = (
        client(store)
        .get("/api/rooms/north/r12/history", params={"start": NOW_S - 605, "end": NOW_S + 1})
        .json()
    )
    assert (answer["kept"], answer["problem"]) == (True, "")
    assert len(answer["windows"]) == 11
    first, last = answer["windows"][0], answer["windows"][-1]
    assert (first["share_happy"], first["classroom_activity"], first["context"]) == (0.5, 0.7, "task")
    assert (last["suppressed"], "share_happy" in last) == (1, False)
    assert [(step["kind"], step["peak_share"]) for step in answer["episodes"]] == [("sad", 0.45)]


def test_more_windows_than_pixels_are_means(store: HistoryStore) -> None:
    query = {"start": NOW_S - 3600, "end": NOW_S + 1, "points": 10}
    windows = client(store).get("/api/rooms/north/r12/history", params=query).json()["windows"]
    assert len(windows) <= 10
    assert sum(point["windows"] for point in windows) == 31


def test_a_room_without_history_is_an_empty_answer(store: HistoryStore) -> None:
    assert client(store).get("/api/rooms/north/r99/history").json()["windows"] == []


def test_without_a_store_the_page_is_told_that_none_is_kept() -> None:
    answer = client(None).get("/api/rooms/north/r12/history").json()
    assert (answer["kept"], answer["windows"]) == (False, [])


def test_a_store_that_vanished_is_a_sentence_and_not_a_failure(tmp_path: Path) -> None:
    with open_store(f"sqlite:///{tmp_path / 'gone.sqlite3'}") as store:
        past = client(store)
        store._engine.dispose()
        for file in tmp_path.iterdir():
            file.unlink()
        (tmp_path / "gone.sqlite3").mkdir()
        answer = past.get("/api/rooms/north/r12/history")
    assert answer.status_code == 200
    assert "gone.sqlite3" in answer.json()["problem"]


@pytest.mark.parametrize(
    "query",
    [
        {"start": "yesterday"},
        {"start": "5", "end": "4"},
        {"start": "nan"},
        {"end": "inf"},
        {"start": "0", "end": str(NOW_S)},
        {"points": "many"},
    ],
)
def test_times_that_are_none_are_refused_in_words(store: HistoryStore, query: dict[str, str]) -> None:
    answer = client(store).get("/api/rooms/north/r12/history", params=query)
    assert answer.status_code == 400
    assert "unix times" in answer.json()["error"]


def test_the_sparklines_of_a_new_server_begin_with_the_hour_before_it(store: HistoryStore) -> None:
    picture = Picture(wall=lambda: NOW_S + 1)
    picture.take(message(R12.availability, b"online"))
    Past(store, wall=lambda: NOW_S + 1).seed(picture)
    changes = picture.changes_since(0)
    assert changes is not None
    assert [value for _, value in changes.devices[0]["trend"]] == [0.7] * 30
