"""The past of a simulated fleet, straight into a history store: something to look at for demos of history."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Final

from edge_runtime.bundle import Bundle
from edge_runtime.history.records import EventRecord, InfoRecord, Place, Record, StatsRecord, WordRecord
from edge_runtime.history.store import HistoryStore
from edge_runtime.simulated_fleet.device import Member, SimulatedDevice

BATCH: Final = 2000
DAY_S: Final = 86_400.0


def backfill(
    fleet: Sequence[Member],
    bundle: Bundle,
    store: HistoryStore,
    *,
    end_ts: float,
    days: float,
    window_s: float = 60.0,
    stats_s: float = 300.0,
    seed: int = 7,
    on_room: Callable[[int], None] = lambda _: None,
) -> int:
    """Writes what the fleet would have said in school hours; at other times its shutters are closed.

    Args:
        fleet: its members.
        bundle: whose labels they tell.
        store: open.
        end_ts: unix time of the end, s.
        days: how long before it to begin.
        window_s: length of a window.
        stats_s: between two stats.
        seed: of all that is random.
        on_room: called after each room with the windows so far.

    Returns:
        How many windows are new.
    """
    written = 0
    for member in fleet:
        device = SimulatedDevice(member, bundle, seed=seed, window_s=window_s, always_open=False)
        phase_s = random.Random(f"{seed}/{member.room}").uniform(0, window_s)  # noqa: S311 - no secret
        batch: list[Record] = _beginning(device, end_ts - days * DAY_S)
        ts, next_stats_ts = end_ts - days * DAY_S + phase_s, 0.0
        while ts < end_ts:
            if device.is_school_time(ts):
                batch += [EventRecord(event, event.ts + 0.2, "ok") for event in device.events(ts)]
                if ts >= next_stats_ts:
                    batch.append(StatsRecord(device.health(ts), ts + 0.2))
                    next_stats_ts = ts + stats_s
            if len(batch) >= BATCH:
                written += store.write(batch).windows
                batch = []
            ts += window_s
        written += store.write(batch).windows
        on_room(written)
    while store.roll_up(end_ts):
        pass
    return written


def _beginning(device: SimulatedDevice, ts: float) -> list[Record]:
    place = Place(device.topics.site, device.topics.room, device.topics.device)
    return [
        InfoRecord(device.info(ts), ts),
        WordRecord(place, "availability", "online", ts, is_retained=False),
    ]
