"""What is written comes back, once, in both databases."""

from __future__ import annotations

import threading

import pytest
from history_parts import HOUR_TS, PLACE, event, health, info, phase, record, said, stats

from edge_runtime.history.records import InfoRecord, Place
from edge_runtime.history.store import HistoryStore, Retention, open_store

DAY_S = 86_400.0
ROOM = PLACE[:2]
ALWAYS = (0.0, 4e9)


def minutes(count: int, *, first: int = 1, place: Place = PLACE, **changes: object) -> list[object]:
    """Windows of a minute each, from a whole hour on."""
    numbers = range(first, first + count)
    return [record(event(n, ts=HOUR_TS + 60 * n, place=place, **changes)) for n in numbers]  # type: ignore[arg-type]


def test_a_window_comes_back_as_it_was_told(store: HistoryStore) -> None:
    told = event(
        3,
        happy=0.35,
        context="task",
        context_prior=True,
        positive_activity=0.35,
        negative_activity=0.1,
        classroom_activity=0.5,
        grade="good",
        intensity=0.2,
    )
    store.write([record(told, received_ts=HOUR_TS + 75, clock="late")])
    (point,) = store.windows(*ROOM, HOUR_TS, HOUR_TS + 3600)
    wire = told.flat()
    flat = point.flat()
    for key in wire.keys() - {"schema", "site", "room", "boot", "seq", "window_s", "min_group"}:
        assert flat[key] == wire[key], key
    assert (point.received_ts, point.clock, point.ts - point.start_ts) == (HOUR_TS + 75, "late", 60.0)
    assert not point.is_private


def test_a_suppressed_window_comes_back_private(store: HistoryStore) -> None:
    store.write([record(event(suppressed=True))])
    (point,) = store.windows(*ROOM, *ALWAYS)
    assert point.is_private
    assert (point.shares, point.valence, point.dominant, point.seen_max) == ({}, None, None, 9)


def test_what_comes_twice_is_kept_once(store: HistoryStore) -> None:
    windows = minutes(5)
    assert store.write(windows[:3]).windows == 3
    again = store.write([*windows, windows[4]])
    assert (again.windows, again.duplicates, again.conflicts) == (2, 4, ())
    assert len(store.windows(*ROOM, HOUR_TS, HOUR_TS + 3600)) == 5


def test_two_contents_under_one_id_are_told_and_the_first_stays(store: HistoryStore) -> None:
    mine, other = event(4, happy=0.3), event(4, happy=0.6)
    store.write([record(mine)])
    report = store.write([record(other), record(mine)])
    assert (report.windows, report.duplicates) == (0, 1)
    assert report.conflicts == ("north-school/r12/camera-1-7-4",)
    (point,) = store.windows(*ROOM, HOUR_TS, HOUR_TS + 3600)
    assert point.shares["happy"] == 0.3
    (whole,) = store.completeness()
    assert (whole.events, whole.conflicts) == (1, 1)


def test_two_contents_under_one_id_in_one_batch_are_a_conflict_too(store: HistoryStore) -> None:
    report = store.write([record(event(4, happy=0.3)), record(event(4, happy=0.6))])
    assert (report.windows, len(report.conflicts)) == (1, 1)


def test_rooms_with_cameras_of_one_name_do_not_mix(store: HistoryStore) -> None:
    other = Place("north-school", "r13", "camera-1")
    report = store.write([*minutes(2), *minutes(2, place=other, happy=0.5)])
    assert report.windows == 4
    assert [p.shares["happy"] for p in store.windows("north-school", "r13", *ALWAYS)] == [0.5]
    assert [room.room for room in store.rooms()] == ["r12", "r13"]


def test_missing_numbers_are_counted_over_windows_and_episodes(store: HistoryStore) -> None:
    store.write([*minutes(3), record(phase(5, "new", first=5, ts=HOUR_TS + 300, start_ts=HOUR_TS))])
    store.write(minutes(1, first=9))
    (whole,) = store.completeness()
    assert (whole.events, whole.missing) == (5, 4)  # 4, 6, 7, 8


def test_an_episode_is_what_its_latest_event_says_in_whatever_order_they_came(store: HistoryStore) -> None:
    new = phase(5, "new", first=5, ts=HOUR_TS + 180, start_ts=HOUR_TS)
    update = phase(6, "update", first=5, ts=HOUR_TS + 240, start_ts=HOUR_TS, share=0.7)
    end = phase(9, "end", first=5, ts=HOUR_TS + 300, start_ts=HOUR_TS)
    store.write([record(update), record(new)])
    (going_on,) = store.episodes(*ROOM, HOUR_TS + 200, HOUR_TS + 210)
    assert (going_on.phase, going_on.share, going_on.end_ts) == ("update", 0.7, None)
    store.write([record(end)])
    store.write([record(update)])
    (over,) = store.episodes(*ROOM, HOUR_TS, HOUR_TS + 3600)
    assert (over.phase, over.end_ts, over.kind) == ("end", HOUR_TS + 300, "confusion")
    assert store.episodes(*ROOM, HOUR_TS + 301, HOUR_TS + 3600) == []


def test_a_word_is_a_change_only_when_it_differs(store: HistoryStore) -> None:
    words = [("online", 0), ("online", 60), ("offline", 120), ("online", 180)]
    for word, later in words:
        store.write([said(word, ts=HOUR_TS + later)])
    store.write([said("OFF", leaf="enabled/state", ts=HOUR_TS + 200)])
    changes = [(c.leaf, c.word, c.received_ts - HOUR_TS) for c in store.changes(*ROOM, *ALWAYS)]
    assert changes == [
        ("availability", "online", 0),
        ("availability", "offline", 120),
        ("availability", "online", 180),
        ("enabled/state", "OFF", 200),
    ]
    (room,) = store.rooms()
    assert room.devices[0].words == {"availability": "online", "enabled/state": "OFF"}


def test_a_room_tells_its_devices_what_they_run_and_when_they_were_heard(store: HistoryStore) -> None:
    store.write([*minutes(2), InfoRecord(info(), HOUR_TS + 500)])
    (room,) = store.rooms()
    (device,) = room.devices
    assert (device.device, device.info["engine_precision"]) == ("camera-1", "fp32")
    assert (device.last_window_ts, device.first_seen_ts) == (HOUR_TS + 120, HOUR_TS + 500)
    assert device.last_seen_ts == HOUR_TS + 500


def test_health_comes_back_by_time_and_thinned_out_with_the_latest_kept(store: HistoryStore) -> None:
    store.write([health(stats(HOUR_TS + 60 * n, fps=float(n))) for n in range(10)])
    assert [p.fps for p in store.stats(*PLACE, *ALWAYS)] == [float(n) for n in range(10)]
    assert [p.fps for p in store.stats(*PLACE, *ALWAYS, max_points=4)] == [0.0, 3.0, 6.0, 9.0]
    point = store.stats(*PLACE, HOUR_TS, HOUR_TS + 1)[0]
    assert (point.latencies_ms["infer_p95_ms"], point.temperature_c, point.clock_offset_s) == (
        20.25,
        61.5,
        -1,
    )
    assert store.stats("north-school", "r12", "camera-9", *ALWAYS) == []


def test_a_room_that_nobody_knows_has_no_history(store: HistoryStore) -> None:
    assert store.windows("north-school", "r99", *ALWAYS) == []
    assert store.episodes("north-school", "r99", *ALWAYS) == []
    assert store.changes("north-school", "r99", *ALWAYS) == []
    assert (store.rooms(), store.completeness()) == ([], [])


def test_hourly_means_stand_for_the_windows_of_their_hour(store: HistoryStore) -> None:
    first = [record(event(n, ts=HOUR_TS + 60 * n, happy=0.2)) for n in range(1, 31)]
    second = [record(event(n, ts=HOUR_TS + 60 * n, happy=0.5)) for n in range(31, 60)]
    private = [record(event(60, ts=HOUR_TS + 3600, suppressed=True))]
    store.write([*first, *second, *private])
    while store.roll_up(HOUR_TS + 3 * 3600):
        pass
    mean, last = store.windows(*ROOM, HOUR_TS - 2 * DAY_S, HOUR_TS + DAY_S)
    assert mean.shares["happy"] == pytest.approx((30 * 0.2 + 29 * 0.5) / 59, abs=1e-4)
    assert (mean.windows, mean.suppressed, mean.seconds, mean.dominant) == (59, 0, 59 * 60.0, "neutral")
    assert (last.windows, last.suppressed, last.shares) == (1, 1, {})


def test_an_hour_that_is_not_over_is_computed_when_it_is_asked_for(store: HistoryStore) -> None:
    store.write(minutes(10))
    assert store.roll_up(HOUR_TS + 1800) == 0
    (mean,) = store.windows(*ROOM, HOUR_TS - 2 * DAY_S, HOUR_TS + DAY_S)
    assert mean.windows == 10


def test_a_late_window_changes_the_mean_of_its_hour(store: HistoryStore) -> None:
    store.write(minutes(10))
    store.roll_up(HOUR_TS + 2 * 3600)
    store.write([record(event(11, ts=HOUR_TS + 660, happy=0.85), received_ts=HOUR_TS + 9000, clock="late")])
    expected = pytest.approx((10 * 0.3 + 0.85) / 11, abs=1e-4)
    for _ in range(2):  # before and after it is rolled up again
        (mean,) = store.windows(*ROOM, HOUR_TS - 2 * DAY_S, HOUR_TS + DAY_S)
        assert (mean.windows, mean.shares["happy"]) == (11, expected)
        store.roll_up(HOUR_TS + 9000)


def test_old_windows_go_and_their_hourly_means_stay(store: HistoryStore) -> None:
    store.write([*minutes(30), health(stats()), said("online")])
    store.roll_up(HOUR_TS + 2 * 3600)
    later = HOUR_TS + 61 * DAY_S
    assert store.forget(Retention(windows=60, stats=14, hours=400), later) == 30 + 1 + 1
    assert store.windows(*ROOM, HOUR_TS, HOUR_TS + 3600) == []
    (mean,) = store.windows(*ROOM, HOUR_TS - 2 * DAY_S, HOUR_TS + DAY_S)
    assert mean.windows == 30
    store.write([record(event(31, ts=HOUR_TS + 1860))])  # a straggler is no mean of its hour
    for _ in range(2):
        (mean,) = store.windows(*ROOM, HOUR_TS - 2 * DAY_S, HOUR_TS + DAY_S)
        assert mean.windows == 30
        store.roll_up(later)


def test_a_device_is_forgotten_with_its_last_row_and_may_come_back(store: HistoryStore) -> None:
    store.write([*minutes(3), said("offline")])
    store.roll_up(HOUR_TS + 2 * 3600)
    store.forget(Retention(), HOUR_TS + 401 * DAY_S)
    assert store.rooms() == []
    with pytest.raises(Exception, match=r"(?i)foreign key"):  # the writer still knew its number
        store.write(minutes(1, first=4))
    assert store.write(minutes(1, first=4)).windows == 1


def test_two_writers_share_a_store(url: str) -> None:
    """As two collectors of one group do that got the same events after a broken connection."""
    reports = []

    def collect(first: int) -> None:
        with open_store(url) as store:
            for start in range(0, 60, 10):
                batch = minutes(10, first=first + start)
                batch += [said("online" if start % 20 else "offline", ts=HOUR_TS + start)]
                reports.append(store.write(batch))

    threads = [threading.Thread(target=collect, args=(first,)) for first in (1, 31)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(report.windows for report in reports) == 90
    assert sum(report.duplicates for report in reports) == 30
    with open_store(url) as store:
        (whole,) = store.completeness()
        assert (whole.events, whole.missing, whole.conflicts) == (90, 0, 0)


@pytest.mark.parametrize("bad", [{"windows": 0}, {"windows": 100, "hours": 50}, {"stats": -1}], ids=str)
def test_a_retention_that_keeps_nothing_or_means_shorter_than_windows_is_refused(
    bad: dict[str, float],
) -> None:
    with pytest.raises(ValueError, match="kept"):
        Retention(**bad)
