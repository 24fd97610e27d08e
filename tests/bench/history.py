"""30 days of 30 rooms in SQLite: how long the room page's questions take.

    python tests/bench/history.py                 # a window a minute around the clock: 1.3 million
    python tests/bench/history.py --days 7 --interval 10

One real day of one simulated room is written through the store; SQL copies it to the other days and rooms, so
that the database has the size and the shape of a real one without an hour's wait. Times are medians of five,
with the file in the page cache, as a page that is open has it; the first question of a cold process is shown, too.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import text

from edge_runtime.bundle import default_bundle_path, open_bundle
from edge_runtime.history.records import EventRecord, InfoRecord, Place, Record, StatsRecord, WordRecord
from edge_runtime.history.store import HistoryStore, open_store
from edge_runtime.simulated_fleet.device import Member, SimulatedDevice

DAY_S = 86_400.0
END_TS = 1_790_000_000.0 // DAY_S * DAY_S


def fill(store: HistoryStore, rooms: int, days: int, window_s: float) -> None:
    """One day of room 1 through the store, the others as its copies, then the hourly means."""
    bundle = open_bundle(default_bundle_path())
    first = SimulatedDevice(
        Member("bench", "r001", "camera-1"), bundle, seed=7, window_s=window_s, always_open=True
    )
    records: list[Record] = []
    ts = END_TS - DAY_S + window_s
    while ts <= END_TS:
        records += [EventRecord(event, event.ts, "ok") for event in first.events(ts)]
        if len(records) % 2 == 0:
            records.append(StatsRecord(first.health(ts), ts))
        ts += window_s
    places = [Place("bench", f"r{n + 1:03}", "camera-1") for n in range(rooms)]
    store.write([InfoRecord(first.info(END_TS), END_TS)])
    store.write([WordRecord(place, "availability", "online", END_TS, False) for place in places])
    for start in range(0, len(records), 2000):
        store.write(records[start : start + 2000])
    with store._engine.execution_options(writes=True).begin() as connection:
        for table, clocks, numbered in (
            ("windows", ("ts", "received_ts"), True),
            ("stats", ("ts", "received_ts"), False),
            ("episode_events", ("ts", "received_ts", "start_ts"), True),
        ):
            names = [row[1] for row in connection.execute(text(f"PRAGMA table_info({table})"))]
            shown = {name: f"s.{name}" for name in names}
            shown |= {name: f"s.{name} - d.n * {DAY_S}" for name in clocks} | {"device_id": "v.id"}
            if numbered:
                shown["seq"] = "s.seq - d.n * 100000 + 10000000"
            connection.execute(
                text(
                    "WITH RECURSIVE d(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM d WHERE n < :last) "
                    f"INSERT OR IGNORE INTO {table} ({', '.join(names)}) "
                    f"SELECT {', '.join(shown[name] for name in names)} "
                    f"FROM devices v, d, {table} s WHERE s.device_id = 1 AND s.{clocks[0]} > :from "
                    "AND (v.id > 1 OR d.n > 0)"
                ),
                {"last": days - 1, "from": END_TS - DAY_S},
            )
        connection.execute(text("DELETE FROM stale_hours"))
        connection.execute(
            text(
                "INSERT INTO stale_hours (device_id, start_ts) "
                "SELECT DISTINCT device_id, CAST(ts / 3600 AS INTEGER) * 3600.0 FROM windows"
            )
        )
    while store.roll_up(END_TS + DAY_S):
        pass


def main() -> int:
    """Fills a database and prints how long each question takes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rooms", type=int, default=30)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--interval", type=float, default=60.0, help="length of a window, s")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="roomtone-bench-") as folder:
        url, file = f"sqlite:///{folder}/history.sqlite3", Path(folder) / "history.sqlite3"
        with open_store(url) as store:
            began_s = time.perf_counter()
            fill(store, arguments.rooms, arguments.days, arguments.interval)
            filled_s = time.perf_counter() - began_s
            events = sum(part.events for part in store.completeness())
        print(
            f"{events} events of {arguments.rooms} rooms over {arguments.days} days, "
            f"{file.stat().st_size / 1e6:.0f} MB, made in {filled_s:.0f} s\n"
        )
        start_ts = END_TS - arguments.days * DAY_S
        place = ("bench", f"r{arguments.rooms:03}")
        with open_store(url) as store:
            questions: dict[str, Callable[[], object]] = {
                "the room page: 30 days, episodes, words": lambda: (
                    store.windows(*place, start_ts, END_TS + 1),
                    store.episodes(*place, start_ts, END_TS + 1),
                    store.changes(*place, start_ts, END_TS + 1),
                ),
                "windows, 30 days": lambda: store.windows(*place, start_ts, END_TS + 1),
                "windows, a week": lambda: store.windows(*place, END_TS - 7 * DAY_S, END_TS + 1),
                "windows, a day": lambda: store.windows(*place, END_TS - DAY_S, END_TS + 1),
                "windows, an hour": lambda: store.windows(*place, END_TS - 3600, END_TS + 1),
                "episodes, 30 days": lambda: store.episodes(*place, start_ts, END_TS + 1),
                "stats, 30 days": lambda: store.stats(*place, "camera-1", start_ts, END_TS + 1),
                "all rooms": store.rooms,
            }
            print(f"{'':42}{'first, ms':>12}{'median, ms':>12}{'of it CPU':>12}")
            for name, ask in questions.items():
                times, busy = [], []
                for _ in range(6):
                    began_s, began_cpu_s = time.perf_counter(), time.process_time()
                    ask()
                    times.append((time.perf_counter() - began_s) * 1000)
                    busy.append((time.process_time() - began_cpu_s) * 1000)
                middle, cpu = statistics.median(times[1:]), statistics.median(busy[1:])
                print(f"{name:42}{times[0]:12.1f}{middle:12.1f}{cpu:12.1f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
